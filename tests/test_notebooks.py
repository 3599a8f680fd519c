"The notebooks: they run without a network, the same each time, and are as a reader expects them."
import ast
import json
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from conftest import REPO, contents, copy_tree, network_tries, run

from sgd_course.check import PROGRESS, course

LESSONS = sorted((REPO/'nbs').glob('[0-9]*.ipynb'))
BIN = Path(sys.executable).parent
ALL = sorted(f for f in (REPO/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in f.parts)
# an absolute path, below a folder of homes or of temporary files, or the one that this tree is in
ROOTS = 'home', 'root', 'tmp', 'Users', 'mnt', 'srv', 'opt', REPO.resolve().parts[1]
PLACE = re.compile(rf'(?<![\w.:/<])/({"|".join(ROOTS)})/|\b[A-Z]:\\')
each_notebook = pytest.mark.parametrize('path', ALL, ids=lambda f: f.stem)
each_lesson = pytest.mark.parametrize('path', LESSONS, ids=lambda f: f.stem)


def cells(path, kind=None):
    found = json.loads(path.read_text(encoding='utf-8'))['cells']
    return [c | {'source': ''.join(c['source'])} for c in found if kind in (None, c['cell_type'])]


def outputs(path):
    return [o for c in cells(path, 'code') for o in c['outputs']]


def text_of(output):
    "What a person reads in an output: no pictures."
    texts = [''.join(output.get('text', []))]
    for kind, data in output.get('data', {}).items():
        if kind.startswith('text/') or kind == 'image/svg+xml': texts.append(''.join(data))
    return re.sub(r'base64,[\w+/=\s]+', 'base64', '\n'.join(texts))


# --- they run

def test_network_is_blocked(offline):
    code = 'import urllib.request; urllib.request.urlopen("http://{}", timeout=5)'
    r = run(sys.executable, '-c', code.format('127.0.0.1:1'), env=offline, ok=False)
    assert 'refused' in r.stderr and network_tries(offline) == '', 'only others are out of reach'
    by_number = 'import socket; socket.socket().connect(("192.0.2.1", 80))'
    for code, tried in [(code.format('example.org'), 'getaddrinfo example.org'),
                        (by_number, 'connect 192.0.2.1')]:
        r = run(sys.executable, '-c', code, env=offline, ok=False)
        assert f'no network in this test: {tried}' in r.stderr
        assert network_tries(offline).endswith(f'{tried}\n')


NOT_LESSONS = [f for f in ALL if f not in LESSONS]
# What costs 50 MB and a second for every kernel of a class: PyTorch imports its compiler, SymPy and distributed tensors
# when it is asked for torch.testing.assert_close, torch.broadcast_shapes or torch.func.grad. With torch.optim, as in the
# other lessons, it cannot be helped.
LIGHT = {'03_gradients', '04_learning_rate', '05_seven_steps', '07_how_good', '09_noise', '10_ten_digits', '11_layers'}
MEMORY = 2500  # MB that a kernel may take, PyTorch's CUDA build (1000 for its imports) and fastai included


def ran_well(ran, left=()):
    "What is expected of a notebook, wherever it ran, and that it leaves these files; gives its copy."
    path, report = ran
    assert not report.get('error'), report['error']
    assert report['tried'] == '', 'it looked for a network'
    assert report['left'] == [*left], 'it left a file behind'
    assert report['peak'] < MEMORY
    assert all(c['execution_count'] for c in cells(path, 'code') if c['source'].strip())
    assert not [text_of(o) for o in outputs(path) if o.get('name') == 'stderr'], 'it warned'
    return path


@pytest.mark.slow  # the run with solutions has all its cells but the stubs
@each_lesson
def test_lesson_runs(path, classroom, executed):
    "As a learner gets it: every assertion of the lesson holds."
    ran_well(executed(classroom[0]/'learner'/path.name))


@each_lesson
def test_lesson_runs_with_its_solutions(path, classroom, executed):
    own = [e for e in course().values() if path.stem.startswith(e.lesson)]
    ran, report = executed(classroom[0]/'solutions'/path.name)
    ran_well((ran, report), left=[PROGRESS])
    if path.stem in LIGHT and sys.platform != 'win32': assert report['heavy'] == []
    marks = json.loads(ran.with_name(PROGRESS).read_text())
    assert own and marks == {e.key: dict(tries=1, correct=True) for e in own}
    kinds = lambda c: ['<img' in text_of(o) for o in c['outputs'] if text_of(o).strip() and not is_widget(o)]
    pictured = lambda f: {c['id']: kinds(c) for c in cells(f, 'code') if '<img' in ''.join(map(text_of, c['outputs']))}
    seen, has_widget = pictured(ran), {c['id'] for c in cells(ran, 'code') if any(map(is_widget, c['outputs']))}
    for k, order in pictured(path).items():
        assert k in seen and (seen[k] == order or k in has_widget), f'other pictures, or another order: {k}'


def is_widget(output): return any('widget-view' in k for k in output.get('data', {}))


def shown(path):
    "What each cell shows, but for timings, for widgets, which go on drawing, and for the names of their twins."
    def text(outputs):
        said = ''.join(''.join(o.get('text', '')) for o in outputs)  # in one piece or in several
        data = json.dumps([o['data'] for o in outputs if 'data' in o and not is_widget(o)])
        return said, re.sub('sgd[0-9a-f]{32}', 'sgd', data)
    return {c['id']: (c['source'], text(c['outputs'])) for c in cells(path, 'code')
            if not re.search('perf_counter|timeit|milliseconds', c['source'])}


@pytest.mark.slow
@each_lesson
def test_both_runs_show_the_same(path, classroom, executed):
    "A second learner sees the same numbers and pictures; only exercises differ."
    first, second = (shown(executed(classroom[0]/who/path.name)[0]) for who in ('learner', 'solutions'))
    same = [k for k in first if k in second and first[k][0] == second[k][0]]
    assert len(same) > .8*len(first)
    for k in same: assert first[k][1] == second[k][1], first[k][0]


@pytest.mark.parametrize('path', NOT_LESSONS, ids=lambda f: f'{f.parent.name}-{f.stem}')
def test_notebook_runs(path, executed):
    fork = path.parent.name != 'nbs' and sys.platform == 'linux'
    copy, report = executed(path, *['--fork']*fork)  # the solutions may keep their progress
    ran_well((copy, report), left=[f for f in report['left'] if f == PROGRESS])


@pytest.mark.slow
@each_lesson
def test_each_cell_can_be_interrupted_and_run_again(path, classroom, executed):
    "No cell breaks itself, and long ones can be stopped."
    _, report = executed(classroom[0]/'learner'/path.name, '--torment')
    assert not report.get('error'), report['error']


@pytest.mark.slow
def test_a_cell_interrupted_in_its_last_moment(tmp_path):
    "ipykernel then sends no reply, and who waits for one waits until the timeout."
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('get_ipython().kernel._execute_sleep = 2')])
    nbformat.write(nb, tmp_path/'last_moment.ipynb')
    r = run(sys.executable, REPO/'tests'/'run_notebooks.py', '--torment', tmp_path, timeout=120)
    assert 'error' not in json.loads(r.stdout)


@pytest.mark.long
@pytest.mark.parametrize('how', [[], pytest.param(['--fork'], marks=pytest.mark.skipif(sys.platform != 'linux', reason='a fork'))])
def test_an_error_in_a_notebook_is_told(how, tmp_path):
    for name, code in ('good', 'import sympy'), ('bad', '1/0'):
        sources = code, 'open("seen", "w").close()'
        nb = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, sources)))
        (tmp_path/name).mkdir()
        nbformat.write(nb, tmp_path/name/f'{name}.ipynb')
    r = run(sys.executable, REPO/'tests'/'run_notebooks.py', *how, tmp_path, ok=False)
    bad, good = map(json.loads, r.stdout.splitlines())
    assert r.returncode == 1 and 'ZeroDivisionError' in bad['error'] and not (tmp_path/'bad'/'seen').exists()
    assert 'error' not in good and 'sympy' in good['heavy'] and (tmp_path/'good'/'seen').exists()


@pytest.mark.slow
def test_nbdev_test(tree, offline):
    "For those who change a lesson: in one process for several notebooks, and nothing is left behind."
    before = contents(tree)
    env = offline | dict(PYTHONPATH=os.pathsep.join([offline['PYTHONPATH'], str(tree)]))
    run(BIN/'nbdev-test', cwd=tree, env=env, timeout=1800)
    assert network_tries(offline) == ''
    assert contents(tree) == before


def test_export_is_in_step(tmp_path):
    tree = copy_tree(tmp_path/'repo')
    before = contents(tree)
    run(BIN/'nbdev-export', cwd=tree)
    run(BIN/'nbdev-clean', cwd=tree)
    after = contents(tree)
    assert [k for k in before.keys() | after.keys() if before.get(k) != after.get(k)] == []


# --- they are as a reader expects them

@each_lesson
def test_first_screen_says_what_it_is(path):
    first = cells(path, 'markdown')[0]['source']
    assert re.match(r'# \d\d .+\n\n> .+\n', first)
    for word in ('You will be able to', 'You need', 'Time'): assert f'\n**{word}** ' in first


@each_lesson
def test_ends_with_summary_and_exercises(path):
    text = '\n'.join(c['source'] for c in cells(path, 'markdown'))
    headings = re.findall(r'^## (.+)', text, re.M)
    assert {'Summary', 'Exercises'} <= set(headings)
    assert len(headings) > 4


@each_lesson
def test_code_cells_are_short(path):
    for source in (c['source'] for c in cells(path, 'code')):
        functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
        # a documented parameter has a line of its own, which is not counted
        signatures = sum(f.body[0].lineno - f.lineno - 1 for f in functions)
        assert len(source.splitlines()) - signatures <= 20, source


@each_notebook
def test_code_fits_a_screen(path):
    lines = [line for c in cells(path, 'code') for line in c['source'].splitlines()]
    assert not [line for line in lines if len(line) > 100]


def assert_words_for_pictures(html):
    for img in re.findall(r'<img\b[^>]*>', html): assert re.search(r'\balt="[^"]{10,}"', img), img


@each_notebook
def test_saved_outputs_are_fit_to_read(path):
    for o in outputs(path):
        assert o['output_type'] != 'error' and o.get('name') != 'stderr'
        text = text_of(o)
        assert not PLACE.search(text), 'a place on the author\'s machine'
        assert_words_for_pictures(text)
        assert not [k for k in o.get('data', {}) if k.startswith('image/')], 'show <img alt=...>'
    assert path.stat().st_size < 400_000


class Around(HTMLParser):
    "The pictures of a page: their attributes, and the tags around each."
    def __init__(self, page):
        super().__init__()
        self.open, self.found = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == 'img': self.found.append((dict(attrs), [t for t, _ in self.open]))
        else: self.open.append((tag, dict(attrs)))
        assert not any('hidden' in attrs for _, attrs in self.open), 'hidden until a script or a style shows it'

    def handle_endtag(self, tag):
        while self.open.pop()[0] != tag: pass


@each_notebook
def test_pictures_are_seen_where_html_is_sanitised(path):
    """Viewers that take styles and scripts away (GitLab with DOMPurify, JupyterLab before it trusts a notebook) keep
    such a picture, with its words. Beside an image/png, GitLab and Gitea would show that one, which has no words."""
    for o in outputs(path):
        page = ''.join(o.get('data', {}).get('text/html', ''))
        for attrs, around in Around(page).found:
            assert attrs['src'].startswith('data:image/png;base64,') and len(attrs['alt']) >= 10
            assert set(around) <= {'div', 'p', 'figure', 'table', 'tr', 'td', 'span'}, around


@each_notebook
def test_pictures_in_the_prose_have_words(path):
    for c in cells(path, 'markdown'):
        assert '![](' not in c['source']
        assert_words_for_pictures(c['source'])
