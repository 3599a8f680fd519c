"A class's notebooks come back: whose they are, what runs, what a hostile one cannot do, and what is written."
import csv
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec

import pytest
from conftest import REPO

from sgd_course import collect as module
from sgd_course.check import PROGRESS, course
from sgd_course.cli import _bytes, _fresh, _lessons, _solved_source
from sgd_course.collect import Row, _answer, _learners, _mistakes, _needed, _page, _parsed, _table, collect

EXERCISES = {e.name: e for e in course().values()}
FILES = {f.name[:2]: f for f in _lessons() if f.name[:2].isdigit()}


def write(folder, lesson, change=None, raw=None, name=None):
    "A lesson as it comes back; `change` is a function of an exercise's name and the source of its cell."
    folder.mkdir(parents=True, exist_ok=True)
    book = json.loads(_fresh(FILES[lesson]))
    for cell in book['cells']:
        source = ''.join(cell['source'])
        for n in EXERCISES if cell['cell_type'] == 'code' and change else ():
            if f'check_{n}({n})' in source: cell['source'] = change(n, source)
    (folder/(name or FILES[lesson].name)).write_bytes(_bytes(book) if raw is None else raw)


def solved(name, source): return _solved_source(source, EXERCISES[name])


def only(**answers):
    "These answers, and the rest as it was."
    def change(name, source):
        if name not in answers: return source
        return f'{answers[name]}\n\ncheck_{name}({name})'
    return change


# --- whose they are

def test_whose_they_are(tmp_path):
    write(tmp_path/'class'/'ann'/'deep'/'sgd-course', '04')
    write(tmp_path/'class'/'bob', '04')
    (tmp_path/'class'/'.trash').mkdir()
    (tmp_path/'class'/'link').symlink_to(tmp_path/'class'/'bob')
    write(tmp_path/'other'/'bob', '04')
    assert list(_learners([tmp_path/'class'])) == ['ann', 'bob']
    assert list(_learners([tmp_path/'class', tmp_path/'other'])) == ['ann', 'bob', 'other/bob']
    assert list(_learners([tmp_path/'class'/'bob'])) == ['bob']
    for wrong in (tmp_path/'nowhere', tmp_path/'class'/'.trash'):
        with pytest.raises(ValueError, match='xpected'): _learners([wrong])


def test_the_later_file_of_a_lesson_counts_and_jupyters_copies_do_not(tmp_path):
    write(tmp_path, '04', name='04_learning_rate.ipynb')
    write(tmp_path, '04', name='ann_12345_04_learning_rate (1).ipynb')   # as a learning platform calls it
    write(tmp_path/'.ipynb_checkpoints', '04')
    os.utime(tmp_path/'04_learning_rate.ipynb', (1, 1))
    assert module._handed_in(tmp_path)['04'].name == 'ann_12345_04_learning_rate (1).ipynb'
    os.utime(tmp_path/'ann_12345_04_learning_rate (1).ipynb', (0, 0))
    assert module._handed_in(tmp_path)['04'].name == '04_learning_rate.ipynb'


@pytest.mark.parametrize('raw', [b'', b'{"cells": [', b'[]', b'{"cells": 3}', b'\xff\xfe\x00', b'['*100_000,
                                 b'{"cells": [{"cell_type": "code"}]}'])
def test_a_damaged_notebook(tmp_path, raw):
    f = tmp_path/'04_learning_rate.ipynb'
    f.write_bytes(raw)
    with pytest.raises(module._Unreadable, match='04_learning_rate.ipynb is damaged'): module._cells(f)


def test_what_is_no_notebook_is_not_read(tmp_path, monkeypatch):
    link, pipe, large = (tmp_path/f'{n}.ipynb' for n in ('link', 'pipe', 'large'))
    link.symlink_to(FILES['04'])
    if hasattr(os, 'mkfifo'):
        os.mkfifo(pipe)
        with pytest.raises(module._Unreadable, match='pipe.ipynb is a link or no file'): module._cells(pipe)
    with pytest.raises(module._Unreadable, match='link.ipynb is a link'): module._cells(link)
    large.write_bytes(b'0'*100)
    monkeypatch.setattr(module, '_MOST', 99)
    with pytest.raises(module._Unreadable, match='large.ipynb has more than'): module._cells(large)


def test_tries_are_those_of_the_learners_file(tmp_path):
    assert module._tries(tmp_path) == {}
    (tmp_path/PROGRESS).write_text(json.dumps({'04 x_after': dict(tries=4, correct=True),
                                               '04 place_after': dict(tries=2, correct=False)}))
    assert module._tries(tmp_path) == {'04 x_after': 4}, 'an old name is the same exercise'
    (tmp_path/PROGRESS).write_text('{"04 x_after": 3')
    assert module._tries(tmp_path) == {}


# --- which statements run

NEEDED = [
    ('def f(x): return x', [1]),
    ('k = 2\ndef f(x): return k*x', [1, 2]),
    ('k = 2\nk = k + 1\nk2 = 5\ndef f(x): return k*x', [1, 2, 4]),
    ('import math as m\nfrom os import path\ndef f(x): return m.pi*x', [1, 3]),
    ('def g(x): return f(x)\ndef f(x): return x', [2]),
    ('def f(x): return g(x)\ndef g(x): return f(x)', [1, 2]),
    ('def f(x): return 1\ndef f(x): return 2', [2]),
    ('f = lambda x: k\nk = 3', [1, 2]),
    ('k = 1\nf = [k for _ in range(2)]\nk = 3', [1, 2]),
    ('k = 1\ndef f(x=k): return x\nk = 3', [1, 2]),
    ('for k in range(3): pass\ndef f(x): return k', [1, 2]),
    ('a, (b, c) = 1, (2, 3)\ndef f(x): return c', [1, 2]),
    ('q = 1\nclass C:\n    k = q\n    def m(self): return r\nq = r = 2\ndef f(x): return C', [1, 2, 5, 6]),
    ('def f(x): return sum(t for t in x)', [1]),
    ('y = 1\ndef f(x):\n    y = 2\n    return y', [2]),
    ('def f(y): return y\ny = 3', [1]),
    ('d = {}\nfor k in "ab": d[k] = 1\ne = {}\nd["c"] = 2\ndef f(x): return d', [1, 2, 4, 5])]


@pytest.mark.parametrize('source, lines', NEEDED)
def test_what_a_function_needs(source, lines):
    assert [s.tree.lineno for s in _needed(_parsed(source), 'f')] == lines


def test_an_answer_is_found_as_the_learner_left_it():
    cells = ['%pip install x', 'this is no Python', 'def x_after(a, b, c): return 1', '!ls',
             'def helper(): return 2\ndef x_after(a, b, c): return helper()\ncheck_x_after(x_after)']
    statements = _answer(cells, 'x_after')
    assert [s.cell for s in statements] == ['<cell 4>']*2 and module._value(statements, 'x_after')[0](0, 0, 0) == 2
    with pytest.raises(module._Missing, match='gives `x_after` no value'): _answer(['check_x_after(x_after)'], 'x_after')
    with pytest.raises(SyntaxError): _answer(['def x_after(\ncheck_x_after(x_after)'], 'x_after')
    with pytest.raises(SyntaxError): _answer(['x_after = ' + '('*10_000 + '\ncheck_x_after(x_after)'], 'x_after')
    said = "A statement that it needs failed: ModuleNotFoundError: No module named 'nothing_of_this'"
    assert module._value(_parsed('import nothing_of_this\nx_after = 3'), 'x_after') == (3, said)
    for stub in ('raise NotImplementedError', 'k = 1\n    raise NotImplementedError  # in place of this: return k'):
        with pytest.raises(NotImplementedError):
            _answer([f'def x_after(a, b, c):\n    {stub}\ncheck_x_after(x_after)'], 'x_after')
    with pytest.raises(NotImplementedError):
        _answer(['def x_after(a, b, c):\n    raise NotImplementedError\ncheck_x_after(x_after)'], 'x_after')


# --- what is written

ROWS = [Row('ann', '04', 'x_after', 'correct', '', 2), Row('=1+1', '04', 'x_after', 'wrong', 'Use `**`.\n', 0),
        Row('<b>', '04', 'x_after', 'wrong', 'Use `**`.\n', 0), Row('dan', '04', 'x_after', 'stopped', '-1 < 2', 0)]


def test_a_table_that_no_spreadsheet_takes_for_formulas():
    found = list(csv.reader(_table(ROWS).splitlines()))
    assert found == [list(Row._fields), ['ann', '04', 'x_after', 'correct', '', '2'],
                     ["'=1+1", '04', 'x_after', 'wrong', 'Use `**`.', '0'],
                     ['<b>', '04', 'x_after', 'wrong', 'Use `**`.', '0'],
                     ['dan', '04', 'x_after', 'stopped', "'-1 < 2", '0']]


def test_the_page_counts_mistakes_and_escapes_what_learners_wrote():
    assert _mistakes(ROWS) == [('04 x_after', 'Use `**`.\n', ['=1+1', '<b>']), ('04 x_after', '-1 < 2', ['dan'])]
    page = _page(ROWS, ['Memory is not limited.'])
    for part in ('4 learners', '<td>2</td><td>04 x_after</td><td>Use <code>**</code>.', '&lt;b&gt;', '-1 &lt; 2',
                 '<td>ann</td><td>1 of 1</td>', 'Memory is not limited.', 'x_after 1"'): assert part in page
    assert '<b>' not in page and 'http' not in page


# --- in a process of its own

OUTSIDE = '{outside}'   # a folder beside the class, with a file in it
HOSTILE = dict(
    x_after='''import shutil
def x_after(start, lr, steps):
    shutil.rmtree(OUTSIDE)''',
    step_all='''def step_all(f, params, lr):
    import socket
    socket.create_connection(("127.0.0.1", PORT), 2)''',
    best_lr='''def best_lr(f, w):
    return open(OUTSIDE + "/secret").read()''',
    largest_lr='''import os
def largest_lr(f, start, rates):
    while True: os.fork()''',
    backtracking_step='''def backtracking_step(f, x, lr):
    for i in range(10**6):
        with open(f"{i}", "wb") as g: g.write(b"x"*10**8)''')
LIBC = '''
import ctypes
libc = ctypes.CDLL(None)
'''
IN_C = dict(   # past Python's audit hook
    x_after=LIBC + '''def x_after(start, lr, steps):
    libc.unlink((OUTSIDE + "/secret").encode())''',
    step_all='''import os
def step_all(f, params, lr): os.abort()''',
    best_lr='''def best_lr(f, w):
    while True:
        try:
            while True: pass
        except BaseException: pass''',
    largest_lr='''def largest_lr(f, start, rates): return [0]*10**12''',
    backtracking_step='''def backtracking_step(f, x, lr):
    import os
    os._exit(0)''')
STATES = {'correct', 'wrong', 'not attempted', 'stopped', 'missing', 'unreadable'}


def made_hostile(folder, answers, outside, port=9):
    answers = {n: s.replace('OUTSIDE', repr(str(outside))).replace('PORT', str(port)) for n, s in answers.items()}
    write(folder, '04', only(**answers))


def snapshot(folder): return {f.relative_to(folder): f.read_bytes() for f in folder.rglob('*') if f.is_file()}


TRIES = """
import json, os, socket, sys
outside, port = sys.argv[1], int(sys.argv[2])
def tried(f):
    try: f()
    except OSError as e: return type(e).__name__
    return 'done'
def fill():
    with open('all', 'wb') as f:
        for _ in range(200): f.write(b'x'*2**20)
print(json.dumps(dict(
    read=tried(lambda: open(outside + '/secret')), write=tried(lambda: open(outside + '/new', 'w')),
    package=tried(lambda: open(json.__file__, 'a')), root=tried(lambda: open('/new', 'w')),
    shm=tried(lambda: open('/dev/shm/new', 'w')), net=tried(lambda: socket.create_connection(('127.0.0.1', port))),
    kill=tried(lambda: os.kill(int(sys.argv[3]), 9)), fill=tried(fill), scratch=tried(lambda: open('mine', 'w')))))
"""


def test_the_sandbox_itself(tmp_path):
    "Without Python's hook: what the system keeps a program from."
    (tmp_path/'secret').write_text('mine')
    sandbox = module._bubblewrap([tmp_path])
    if not sandbox: pytest.skip('bubblewrap does not work here')
    with socket.create_server(('127.0.0.1', 0)) as server:
        args = [sys.executable, '-c', TRIES, tmp_path, server.getsockname()[1], os.getpid()]
        ran = subprocess.run([*sandbox, *map(str, args)], capture_output=True, text=True, timeout=60)
    found = json.loads(ran.stdout)
    assert found.pop('scratch') == 'done' and found.pop('kill') == 'ProcessLookupError', found
    assert found == dict(read='FileNotFoundError', write='OSError', package='OSError', root='OSError', shm='OSError',
                         net='ConnectionRefusedError', fill='OSError')
    assert [f.name for f in tmp_path.iterdir()] == ['secret']


@pytest.mark.slow
@pytest.mark.parametrize('sandboxed', [True, False])
def test_hostile_answers_change_nothing(tmp_path, monkeypatch, sandboxed):
    if not sandboxed: monkeypatch.setattr(module, '_bubblewrap', lambda folders: [])
    elif not module._bubblewrap([]): pytest.skip('bubblewrap does not work here')
    outside, group = tmp_path/'outside', tmp_path/'class'
    outside.mkdir()
    (outside/'secret').write_text('mine')
    with socket.create_server(('127.0.0.1', 0)) as server:
        made_hostile(group/'mallory', HOSTILE, outside, server.getsockname()[1])
        made_hostile(group/'oscar', IN_C, outside)
        write(group/'ann', '04', solved)
        before = snapshot(tmp_path)
        rows = collect([group], tmp_path/'class.csv')
        server.settimeout(0)
        with pytest.raises(BlockingIOError): server.accept()
    (tmp_path/'class.csv').unlink()
    (tmp_path/'class.html').unlink()
    assert snapshot(tmp_path) == before
    found = {(r.learner, r.exercise): r for r in rows}
    assert {r.state for r in rows if r.learner == 'ann'} == {'correct'}
    for name, said in dict(x_after='change', step_all='socket', best_lr='read', largest_lr='os.fork').items():
        row = found['mallory', name]
        assert row.state == 'wrong' and 'It stopped with an error' in row.message
        assert 'An answer may not' in row.message and said in row.message
    assert 'File too large' in found['mallory', 'backtracking_step'].message
    assert 'An answer may not load' in found['oscar', 'x_after'].message
    assert found['oscar', 'step_all'].state == 'stopped' and 'signal 6' in found['oscar', 'step_all'].message
    assert found['oscar', 'best_lr'].message == 'It was stopped after 5 seconds of computing. Does its loop come to an end?'
    assert 'MemoryError' in found['oscar', 'largest_lr'].message
    assert found['oscar', 'backtracking_step'].state == 'stopped'


@pytest.mark.slow
def test_thirty_submissions(tmp_path):
    "Right, untouched, each known mistake of the course, damaged and hostile: exactly the table that is expected."
    group, expected = tmp_path/'class', {}
    lessons = sorted({e.lesson for e in EXERCISES.values()})
    most = max(len(e.mistakes) for e in EXERCISES.values())
    imports = {id(e): (m, n) for m, n, e in (
        (f'sgd_course.exercises.{f.stem}', n, e) for f in (REPO/'sgd_course'/'exercises').glob('*.py')
        for n, e in vars(__import__(f'sgd_course.exercises.{f.stem}', fromlist=['x'])).items())}
    for k in range(most):
        def mistaken(name, source, k=k):
            e = EXERCISES[name]
            if k >= len(e.mistakes): return source
            where, variable = imports[id(e)]
            return (f'from {where} import {variable} as made\n'
                    f'{name} = list(made.mistakes.values())[{k}]\ncheck_{name}({name})')
        for lesson in lessons: write(group/f'mistake {k:02}', lesson, mistaken)
        for e in EXERCISES.values():
            said = list(e.mistakes)[k:k + 1]
            expected[f'mistake {k:02}', e.name] = ('wrong', said[0]) if said else ('not attempted', '')
    for k in range(3):
        for lesson in lessons: write(group/f'right {k}', lesson, solved)
        expected |= {(f'right {k}', n): ('correct', '') for n in EXERCISES}
        for lesson in lessons: write(group/f'untouched {k}', lesson)
        expected |= {(f'untouched {k}', n): ('not attempted', '') for n in EXERCISES}
    missing = 'missing', 'The notebook is not there.'
    for k in range(30 - most - 6):
        who, lesson = f'damaged {k:02}', lessons[k % len(lessons)]
        write(group/who, lesson, raw=b'{"cells": [' + b'0'*k)
        why = f'{FILES[lesson].name} is damaged: it is no notebook that can be read.'
        expected |= {(who, n): ('unreadable', why) if e.lesson == lesson else missing for n, e in EXERCISES.items()}
    rows = collect([group], tmp_path/'class.csv')
    found = {(r.learner, r.exercise): (r.state, r.message) for r in rows}
    wrong = {k: (found.get(k), v) for k, v in expected.items() if found.get(k) != v}
    assert wrong == {} and len(found) == len(expected) == 30*len(EXERCISES)
    table = list(csv.DictReader((tmp_path/'class.csv').read_text(encoding='utf-8').splitlines()))
    assert Counter(r['state'] for r in table) == Counter(s for s, _ in expected.values())
    page = (tmp_path/'class.html').read_text(encoding='utf-8')
    assert '30 learners' in page and page.count('<img') == 1


def test_states_have_colours(): assert set(module._STATES) == STATES


def test_says_what_cannot_be_enforced(monkeypatch):
    assert module._not_enforced(['bwrap']) == []
    for platform, words in dict(linux='Install bubblewrap', darwin='Memory is not limited', win32='size of files').items():
        monkeypatch.setattr(module.sys, 'platform', platform)
        said = ' '.join(module._not_enforced([]))
        assert words in said and 'refused by Python only' in said and 'fill the disk' in said


def test_packages_are_where_roots_say():
    for name in ('torch', 'numpy', 'IPython', 'fastcore'):
        assert any(find_spec(name).origin.startswith(r) for r in map(str, module._roots()))
