"The command `sgd-course`: what it copies, what it leaves, what it starts, what the doctor finds, what a class gets."
import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest
import torch
from conftest import REPO, contents, run
from fastcore.script import CliError
from jupyter_client import BlockingKernelClient
from test_notebooks import cells, outputs, text_of

from sgd_course import __version__, check, classifier, cli, data

pytestmark = pytest.mark.long  # most start a process
COMMAND = Path(sys.executable).with_name('sgd-course')
SHIPPED = {f.name: f.read_bytes() for end in ('ipynb', 'md') for f in (REPO/'nbs').glob(f'*.{end}')}


def unrun(raw):
    "A notebook without its outputs."
    book = json.loads(raw)
    for c in book['cells']:
        if 'outputs' in c: c |= dict(outputs=[], execution_count=None)
    return (json.dumps(book, indent=1, ensure_ascii=False) + '\n').encode()


LESSONS = {n: unrun(raw) if n.endswith('.ipynb') else raw for n, raw in SHIPPED.items()}  # as learners get them


def failed(*args, code, **kwargs):
    "Run the command, which is to fail with this exit code; give what it says on stderr."
    r = run(COMMAND, *args, ok=False, **kwargs)
    assert (r.returncode, r.stdout) == (code, '') and 'Traceback' not in r.stderr
    return r.stderr


# --- help

def test_version():
    assert run(COMMAND, '--version').stdout == f'sgd-course {__version__}\n'


@pytest.mark.parametrize('args, words', [
    (['--help'], ['lab', 'doctor', 'handout', '--version']),
    (['lab', '--help'], ['usage: sgd-course lab', 'dir', '--port', '--no-browser', '--copy-only']),
    (['doctor', '--help'], ['usage: sgd-course doctor']),
    (['handout', '--help'], ['usage: sgd-course handout', 'dir', '--nbgrader', 'solutions']),
])
def test_help(args, words):
    said = run(COMMAND, *args).stdout
    for word in words: assert word in said


def test_help_needs_no_torch():
    said = run(sys.executable, '-X', 'importtime', COMMAND, '--help').stderr
    assert 'fastcore.script' in said and not re.search(r'\| +(torch|numpy|matplotlib)$', said, re.M)


@pytest.mark.parametrize('args, said', [
    ([], 'usage: sgd-course [-h]'),
    (['jupyter'], "no command 'jupyter'\n\nusage: sgd-course [-h]"),
    (['lab', 'here', 'there'], 'unrecognized arguments: there'),
    (['lab', '--port', 'http'], "invalid int value: 'http'"),
    (['doctor', 'who'], 'unrecognized arguments: who'),
    (['handout'], 'required: dir'),
    (['handout', 'here', 'there'], 'unrecognized arguments: there'),
])
def test_wrong_use(args, said, tmp_path):
    assert said in failed(*args, code=2, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- the lessons

def test_lab_copies_the_lessons(tmp_path):
    said = run(COMMAND, 'lab', '--copy-only', cwd=tmp_path).stdout
    assert contents(tmp_path/'sgd-course') == LESSONS
    assert said == f'Copied to sgd-course: {", ".join(sorted(LESSONS))}\n'


def test_no_answer_stands_below_a_prediction():
    "Before its cell is run: what the repository keeps of earlier runs stays there."
    shown = {n: [c['id'] for c in json.loads(raw)['cells'] if c.get('outputs') or c.get('execution_count')]
             for n, raw in LESSONS.items() if n.endswith('.ipynb')}
    assert len(shown) > 10 and not any(shown.values())
    assert all(b'image/png;base64' in SHIPPED[n] for n in shown if n[:2].isdigit())


def test_lab_in_the_home_folder(tmp_path, monkeypatch):
    "Not every shell knows ~."
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for command in lambda: cli.lab('~/lessons', copy_only=True), lambda: cli.handout('~/class'): command()
    assert sorted(f.name for f in tmp_path.iterdir()) == ['class', 'lessons']


def test_lab_leaves_what_is_there(tmp_path):
    lab = ['lab', 'my lessons', '--copy-only']
    run(COMMAND, *lab, cwd=tmp_path)
    there = tmp_path/'my lessons'
    (there/'01_pixels.ipynb').write_text('my answers')
    (there/'02_slope.ipynb').unlink()
    (there/'02_slope.ipynb').symlink_to('nowhere')
    (there/'03_gradients.ipynb').unlink()
    (there/'notes.txt').write_text('mine')
    copied, left = run(COMMAND, *lab, cwd=tmp_path).stdout.splitlines()
    assert copied == 'Copied to my lessons: 03_gradients.ipynb'
    assert left.startswith('Left as they are in my lessons: 01_pixels.ipynb, 02_slope.ipynb, ')
    assert (there/'02_slope.ipynb').is_symlink()
    (there/'02_slope.ipynb').unlink()
    expected = LESSONS | {'01_pixels.ipynb': b'my answers', 'notes.txt': b'mine'}
    del expected['02_slope.ipynb']
    assert contents(there) == expected


def test_copies_have_the_rights_of_any_new_file(tmp_path):
    run(COMMAND, 'lab', tmp_path, '--copy-only')
    (tmp_path/'new').write_text('')
    assert {f.stat().st_mode for f in tmp_path.iterdir()} == {(tmp_path/'new').stat().st_mode}


def test_two_at_once_copy_each_lesson_once(tmp_path):
    for n in range(20):
        results, start = [], threading.Barrier(4)
        def copy(): start.wait(); results.append(cli._write_new(tmp_path/f'dst{n}', bytes(1_000_000)))
        threads = [threading.Thread(target=copy) for _ in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        assert sorted(results) == [False, False, False, True]
    assert len(list(tmp_path.iterdir())) == 20


def test_late_file_is_not_replaced(tmp_path, monkeypatch):
    "Another program writes the lesson after we looked and before we are done."
    link = os.link
    def late(a, b):
        (tmp_path/'dst').write_text('my answers')
        link(a, b)
    monkeypatch.setattr(os, 'link', late)
    assert cli._write_new(tmp_path/'dst', b'as shipped') is False
    assert contents(tmp_path) == {'dst': b'my answers'}


def no_links(a, b): raise PermissionError(1, 'Operation not permitted')


def test_without_links(tmp_path, monkeypatch):
    "As on the file system of a memory stick."
    monkeypatch.setattr(os, 'link', no_links)
    cli.lab(str(tmp_path), copy_only=True)
    assert contents(tmp_path) == LESSONS
    mine = tmp_path/'mine'
    monkeypatch.setattr(os.path, 'lexists', lambda path: False)  # it comes after we looked
    mine.write_text('my answers')
    assert cli._write_new(mine, b'as shipped') is False
    assert contents(tmp_path) == LESSONS | {'mine': b'my answers'}


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
def test_interrupted_copy_leaves_no_half(tmp_path, monkeypatch, error):
    write = Path.write_bytes
    def failing(self, content):
        if '03_gradients' in self.name:
            write(self, content[:1000])
            raise error
        return write(self, content)
    monkeypatch.setattr(Path, 'write_bytes', failing)
    with pytest.raises((CliError, KeyboardInterrupt)) as e: cli.lab(str(tmp_path), copy_only=True)
    if isinstance(error, OSError): one_line(f'{e.value}\n', tmp_path, 'No space left on device')
    assert contents(tmp_path) == {n: LESSONS[n] for n in ('01_pixels.ipynb', '02_slope.ipynb')}


def one_line(said, *words):
    assert said.count('\n') == 1
    for word in words: assert str(word) in said


def test_lab_on_a_file(tmp_path):
    f = tmp_path/'notes.txt'
    f.write_text('mine')
    one_line(failed('lab', f, code=1), f, 'is a file', 'Expected a folder', 'sgd-course lab FOLDER')
    one_line(failed('lab', f/'lessons', code=1), f, 'Not a directory', 'Expected a folder')
    assert contents(tmp_path) == {'notes.txt': b'mine'}


def test_lab_in_a_folder_without_write_permission(tmp_path, monkeypatch, capsys):
    # root may write anywhere, so the refusal is made here
    def refuse(self, *args): raise PermissionError(13, 'Permission denied', str(self))
    monkeypatch.setattr(Path, 'write_bytes', refuse)
    with pytest.raises(CliError) as e: cli.lab(str(tmp_path), copy_only=True)
    one_line(f'{e.value}\n', tmp_path, 'Permission denied', 'Expected a folder')
    assert contents(tmp_path) == {}


@pytest.mark.skipif(not Path('/proc/self').exists(), reason='only Linux has /proc')
def test_lab_where_nobody_can_write():
    one_line(failed('lab', '/proc/lessons', code=1), '/proc/lessons', 'Expected a folder')


def test_lab_with_all_lessons_there_needs_no_permission(tmp_path, monkeypatch):
    cli.lab(str(tmp_path), copy_only=True)
    monkeypatch.setattr(Path, 'write_bytes', lambda *a: 1/0)
    assert cli.lab(str(tmp_path), copy_only=True) == 0


# --- JupyterLab

def test_lab_without_jupyterlab(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, 'find_spec', lambda name: None)
    with pytest.raises(CliError, match=re.escape('pip install "sgd_course[course]"')):
        cli.lab(str(tmp_path))
    assert contents(tmp_path) == LESSONS


def test_lab_on_an_impossible_port(tmp_path):
    said = failed('lab', tmp_path/'x', '--port', '70000', code=1)
    one_line(said, '70000', 'expected a number from 1 to 65535')
    assert list(tmp_path.iterdir()) == []


def test_lab_gives_the_exit_code_of_jupyterlab():
    assert cli._run([sys.executable, '-c', 'raise SystemExit(7)'], os.environ) == 7


def get(url, **headers):
    "Status and text of a page, redirections not followed."
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args): return None
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=60) as r:
            return r.status, r.read().decode()
    except HTTPError as e: return e.code, ''


def alive(group):
    try: os.killpg(group, 0)
    except ProcessLookupError: return False
    return True


IN_HOME, IN_PATH = '@jupyterlab/help-extension:about', '@jupyterlab/help-extension:licenses'


@pytest.mark.long
def test_a_signal_is_passed_on(tmp_path):
    "Ctrl-C reaches the program anyway, and does not end the command before it; SIGTERM reaches it through the command."
    (tmp_path/'program.py').write_text('''
import os, signal, sys, time
def stop(n, _):  # print would not do: a signal may come in the middle of another print
    os.write(1, b"asked\\n" if n == signal.SIGINT else b"stopped\\n")
    if n == signal.SIGTERM: sys.exit(3)
for n in signal.SIGINT, signal.SIGTERM: signal.signal(n, stop)
os.write(1, b"ready\\n")
while True: time.sleep(.05)''')
    code = 'import os, sys\nfrom sgd_course.cli import _run\nsys.exit(_run([sys.executable, "program.py"], os.environ))'
    p = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, start_new_session=True,
                         cwd=tmp_path, env=os.environ | dict(PYTHONPATH=str(REPO)))
    assert p.stdout.readline() == 'ready\n'
    os.killpg(p.pid, signal.SIGINT)
    assert p.stdout.readline() == 'asked\n'
    p.terminate()
    assert p.stdout.read() == 'stopped\n' and p.wait(60) == 3
    p.stdout.close()


IN_HOME, IN_PATH = '@jupyterlab/help-extension:about', '@jupyterlab/help-extension:licenses'
NAMES = 'random', 'token', 'queue', 'types', 'code', 'test', 'string'  # of modules of Python, and of a learner's


@pytest.fixture
def server(offline, tmp_path):
    """JupyterLab as a learner starts it in a terminal, who has settings and programs of her own.

    Gives the process, a function that waits for words on the terminal, and a function that types.
    """
    home, lessons = tmp_path/'home', tmp_path/'lessons'
    for folder, extension in (home/'.jupyter', IN_HOME), (tmp_path/'more', IN_PATH):
        (folder/'labconfig').mkdir(parents=True)
        settings = json.dumps({'disabledExtensions': {extension: True}})
        (folder/'labconfig'/'page_config.json').write_text(settings)
    lessons.mkdir()
    for name in NAMES:
        for folder in tmp_path, lessons: (folder/f'{name}.py').write_text('raise SystemExit("a program of hers")')
    env = offline | dict(HOME=str(home), JUPYTER_CONFIG_PATH=str(tmp_path/'more'))
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    log = tmp_path/'log'
    keyboard, stdin = os.openpty()
    with log.open('w') as f:
        p = subprocess.Popen([COMMAND, 'lab', 'lessons', '--no-browser', '--port', str(port)],
                             stdin=stdin, stdout=f, stderr=f, start_new_session=True,
                             cwd=tmp_path, env=env)

    def wait_for(words):
        for _ in range(1200):
            if found := re.search(words, log.read_text()): return found[0]
            assert p.poll() is None, log.read_text()
            time.sleep(.1)
        pytest.fail(f'no {words} in {log.read_text()}')

    try: yield p, wait_for, lambda text: os.write(keyboard, text)
    finally:
        if alive(p.pid): os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        for fd in keyboard, stdin: os.close(fd)


ADDRESS = r'http://127\.0\.0\.1:\d+/\S+token=\w+'


def test_lab_serves_the_lessons_to_its_learner_only(server, tmp_path):
    p, wait_for, type_in = server
    page, token = wait_for(ADDRESS).split('/lab/tree/index.ipynb?token=')
    assert get(f'{page}/lab/tree/index.ipynb')[0] == 302
    assert get(f'{page}/api/contents/index.ipynb')[0] == 403
    assert get(f'{page}/api/contents/index.ipynb', Authorization='token wrong')[0] == 403

    learner = dict(Authorization=f'token {token}')
    status, text = get(f'{page}/api/contents/index.ipynb', **learner)
    assert status == 200 and json.loads(text)['content']['cells']
    status, text = get(f'{page}/lab/tree/index.ipynb', **learner)
    config = re.search(r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', text, re.S)
    config = json.loads(config[1])
    assert set(config['disabledExtensions']) == {cli._NEWS, IN_HOME, IN_PATH}
    assert {n: c for n, c in contents(tmp_path/'lessons').items() if not n.endswith('.py')} == LESSONS

    new = urllib.request.Request(f'{page}/api/kernels', b'{}', learner, method='POST')
    kernel = json.loads(urllib.request.urlopen(new, timeout=60).read())['id']
    client = BlockingKernelClient()
    client.load_connection_file(str(tmp_path/'home'/'.local'/'share'/'jupyter'/'runtime'/f'kernel-{kernel}.json'))
    client.start_channels()
    try: client.kernel_info(reply=True, timeout=120)  # it lives, beside programs with names of modules
    finally: client.stop_channels()

    os.killpg(p.pid, signal.SIGINT)  # Ctrl-C in a terminal reaches the command and JupyterLab
    wait_for('Shut down this Jupyter server')
    type_in(b'y\n')
    assert p.wait(60) == 0
    assert not alive(p.pid), 'JupyterLab is still there'


# --- the doctor

def doctor(capsys):
    "Exit code, and the lines of the report by their first word."
    code = cli.doctor()
    lines = capsys.readouterr().out.splitlines()
    return code, {line.split()[0]: line for line in lines}, lines[-1]


EXTRAS = 'jupyterlab', 'fastai', 'torchvision'


def test_doctor_finds_this_machine_fit(capsys):
    code, lines, last = doctor(capsys)
    assert code == 0 and last == 'This machine is fit for the course.'
    for name in 'Python', 'torch', 'data', 'widgets', 'training':
        assert re.match(rf'{name} +ok ', lines[name])
    assert torch.__version__ in lines['torch'] and 'ipywidgets' in lines['widgets']
    for name in EXTRAS: assert re.match(rf'{name} +found +\d', lines[name])


def only(broken, capsys, *words):
    "The doctor names these checks, says what is wrong and how to fix it, and goes on."
    code, lines, last = doctor(capsys)
    assert code == 1 and last == f'Failed: {", ".join(broken)}.'
    for name in cli._CHECKS:
        assert re.match(f'{name} +{"FAILED" if name in broken else "ok"} ', lines[name])
    assert 'To fix: ' in lines[broken[0]]
    for word in words: assert str(word) in lines[broken[0]]


def test_doctor_old_python(capsys, monkeypatch):
    monkeypatch.setattr(cli.metadata, 'metadata', lambda name: {'Requires-Python': '>=3.99'})
    only(['Python'], capsys, 'expected >=3.99', 'install a newer Python')


def test_doctor_torch_without_gradients(capsys):
    with torch.inference_mode(): code, lines, last = doctor(capsys)
    assert code == 1 and last == 'Failed: torch, training.' and 'FAILED' in lines['torch']


def test_doctor_no_torch(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    code, lines, last = doctor(capsys)
    assert code == 1 and 'FAILED' in lines['torch']
    assert 'pip install --force-reinstall torch' in lines['torch']


def test_doctor_damaged_data(capsys, monkeypatch, tmp_path):
    bundle = tmp_path/'mnist.npz'
    bundle.write_bytes(data._BUNDLE.read_bytes()[:1_000_000])
    monkeypatch.setattr(data, '_BUNDLE', bundle)
    only(['data', 'training'], capsys, bundle, 'damaged', 'pip install --force-reinstall')


def test_doctor_missing_widget_package(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'anywidget', None)
    only(['widgets'], capsys, 'anywidget', 'pip install --upgrade ipywidgets anywidget')


def test_doctor_without_the_extras(capsys, monkeypatch):
    version = cli.metadata.version
    def found(name):
        if name in EXTRAS: raise cli.metadata.PackageNotFoundError(name)
        return version(name)
    monkeypatch.setattr(cli.metadata, 'version', found)
    code, lines, _ = doctor(capsys)
    assert code == 0 and 'not installed: only needed for lessons 12 to 14' in lines['fastai']


def uphill(self):
    with torch.no_grad():
        for p in self.params: p += self.lr*p.grad


train_epoch = classifier.train_epoch
def unshuffled(model, opt, x, y, generator): return train_epoch(model, opt, x, y, shuffle=False)
def wrong_labels(model, opt, x, y, generator):
    y = y[torch.randperm(len(y), generator=generator)]
    return train_epoch(model, opt, x, y, generator=generator)


@pytest.mark.parametrize('where, name, mistake', [
    (classifier.BasicOptim, 'step', uphill),
    (classifier.BasicOptim, 'step', lambda self: None),
    (classifier.BasicOptim, 'zero_grad', lambda self: None),
    (classifier, 'train_epoch', unshuffled),
    (classifier, 'train_epoch', wrong_labels),
], ids=['uphill', 'no step', 'not cleared', 'unshuffled', 'wrong labels'])
def test_doctor_training_that_does_not_learn(capsys, monkeypatch, where, name, mistake):
    monkeypatch.setattr(where, name, mistake)
    only(['training'], capsys, 'accuracy 0.', 'expected 0.971 within 0.002')


def test_doctor_ends_with_its_exit_code(offline):
    assert run(COMMAND, 'doctor', env=offline).returncode == 0
    broken = '''
import sys
sys.modules["anywidget"] = None
from sgd_course.cli import main
sys.exit(main("doctor"))'''
    r = run(sys.executable, '-c', broken, env=offline, ok=False)
    assert r.returncode == 1 and 'widgets     FAILED' in r.stdout


# --- a class

EXERCISES = list(check.course().values())
TAUGHT = sorted({e.lesson for e in EXERCISES})


def dense(text): return re.sub(r'\s', '', text)


def answers(ex):
    "Lines that give an exercise away."
    body = inspect.getsource(ex.worked).splitlines()[1:]
    lines = map(dense, [*body, *ex.hints, *ex.mistakes, ex.why])
    return [line for line in lines if len(line) >= 12]


def name_of(lesson): return next(n for n in LESSONS if n.startswith(lesson))


def cell_of(ex, folder):
    "Position and cell of an exercise in a folder of lessons."
    found = [(i, c) for i, c in enumerate(cells(folder/name_of(ex.lesson)))
             if c['cell_type'] == 'code' and f'check_{ex.name}({ex.name})' in c['source']]
    assert len(found) == 1
    return found[0]


def test_handout_says_what_it_wrote(classroom):
    folder, said = classroom
    names = ', '.join(sorted(LESSONS))
    assert said == (f'Copied to class/learner: {names}\nCopied to class/solutions: {names}\n'
                    'Copied to class: TEACHING.md\n')
    assert {f.name for f in folder.iterdir()} == {'learner', 'solutions', 'TEACHING.md'}
    assert set(contents(folder/'solutions')) == set(LESSONS)
    assert (folder/'TEACHING.md').read_bytes() == (REPO/'sgd_course'/'TEACHING.md').read_bytes()


def given_away(folder):
    "Answers that can be read in the exercises of the lessons, or in what any of their cells shows."
    found = []
    for f in sorted(folder.glob('*.ipynb')):
        sources = [c['source'] for c in cells(f)]
        asks = ('## Exercises', '## Mystery')
        first = next((i for i, s in enumerate(sources) if any(a in s for a in asks)), len(sources))
        text = dense('\n'.join([*sources[first:], *map(text_of, outputs(f))]))
        found += [(f.name, ex.key, a) for ex in EXERCISES for a in answers(ex) if a in text]
    return found


def test_learners_get_no_solution(classroom):
    folder, _ = classroom
    assert contents(folder/'learner') == LESSONS
    assert given_away(folder/'learner') == given_away(REPO/'nbs') == []
    assert {key for _, key, _ in given_away(folder/'solutions')} == {ex.key for ex in EXERCISES}


@pytest.mark.parametrize('ex', EXERCISES, ids=lambda e: e.key.replace(' ', '_'))
def test_instructors_get_each_solution(classroom, ex):
    folder, _ = classroom
    (_, stub), (i, solved) = (cell_of(ex, folder/part) for part in ('learner', 'solutions'))
    assert 'raise NotImplementedError' in stub['source'] and stub['id'] == solved['id']
    assert inspect.getsource(ex.worked).strip() in solved['source']
    assert 'NotImplementedError' not in solved['source'] and solved['outputs'] == []
    notes = [c['source'] for c in cells(folder/'solutions'/name_of(ex.lesson))[i + 1:]]
    said = next(s for s in notes if ex.why in s)
    for mistake in ex.mistakes: assert f'- {mistake}' in said


@pytest.mark.parametrize('name', sorted(n for n in LESSONS if n.endswith('.ipynb')))
def test_nothing_else_of_a_lesson_changes(classroom, name):
    folder, _ = classroom
    before, after = cells(REPO/'nbs'/name), cells(folder/'solutions'/name)
    stubs = [cell_of(ex, folder/'learner')[1]['id'] for ex in EXERCISES if name.startswith(ex.lesson)]
    if not stubs:
        assert (folder/'solutions'/name).read_bytes() == SHIPPED[name]
        return
    assert 'for the instructor' in after[0]['source']
    assert len({c['id'] for c in after}) == len(after) == len(before) + len(stubs) + 1
    old = {c['id'] for c in before}
    assert [c['id'] for c in after if c['id'] in old] == [c['id'] for c in before]
    assert [c for c in after if c['id'] in old - set(stubs)] == [c for c in before if c['id'] not in stubs]


def test_handout_replaces_nothing(tmp_path, capsys):
    for folder in ('learner', 'solutions'):
        (tmp_path/folder).mkdir()
        (tmp_path/folder/'02_slope.ipynb').write_text('mine')
    (tmp_path/'TEACHING.md').symlink_to('nowhere')
    assert cli.handout(str(tmp_path)) == 0
    said = capsys.readouterr().out
    for folder in ('learner', 'solutions'):
        assert (tmp_path/folder/'02_slope.ipynb').read_text() == 'mine'
        assert f'Left as they are in {tmp_path/folder}: 02_slope.ipynb\n' in said
    assert (tmp_path/'TEACHING.md').is_symlink() and f'Left as they are in {tmp_path}: TEACHING.md' in said
    before = contents(tmp_path)
    assert cli.handout(str(tmp_path)) == 0
    assert contents(tmp_path) == before and 'Copied' not in capsys.readouterr().out


def test_handout_on_a_file(tmp_path):
    f = tmp_path/'notes.txt'
    f.write_text('mine')
    one_line(failed('handout', f, code=1), f, 'Expected a folder', 'sgd-course handout FOLDER')
    assert contents(tmp_path) == {'notes.txt': b'mine'}
    (tmp_path/'learner').write_text('mine')
    one_line(failed('handout', tmp_path, code=1), tmp_path/'learner', 'is a file')
    assert contents(tmp_path) == {'notes.txt': b'mine', 'learner': b'mine'}


# --- the notes on teaching

NOTES = (REPO/'sgd_course'/'TEACHING.md').read_text(encoding='utf-8')


def rows(heading):
    "The rows of the table below a heading."
    text = re.search(rf'^## {heading}.*?\n(.*?)(?=^## |\Z)', NOTES, re.M | re.S)[1]
    lines = [line for line in text.splitlines() if line.startswith('|')][2:]
    return [[c.strip() for c in line.strip('|').split('|')] for line in lines]


def sections(lesson):
    text = '\n'.join(c['source'] for c in cells(REPO/'nbs'/name_of(lesson), 'markdown'))
    return set(re.findall(r'^#+ (.+)', text, re.M)), int(re.search(r'\*\*Time\*\* about (\d+)', text)[1])


@pytest.mark.parametrize('heading, minutes', [
    ('A session of 50', 50), ('A session of three', 180), ('Another 50', 50), ('Another three', 180)])
def test_plan_of_a_session(heading, minutes):
    plan, spent = rows(heading), {}
    assert sum(int(r[0]) for r in plan) == minutes
    for time_, lesson, where, *_ in plan:
        if not lesson: continue
        spent[lesson] = spent.get(lesson, 0) + int(time_)
        named = re.findall(r'\*([^*]+)\*', where)
        assert named and set(named) <= sections(lesson)[0], where
    for lesson, n in spent.items(): assert n <= sections(lesson)[1]


def test_wrong_answers_are_those_of_lessons():
    table = rows('Common wrong answers')
    assert len(table) > 10 and all(len(r) == 4 and all(r) for r in table)
    for where, *_ in table:
        lesson, section = re.fullmatch(r'(\d\d) \*(.+)\*', where).groups()
        assert section in sections(lesson)[0], where
