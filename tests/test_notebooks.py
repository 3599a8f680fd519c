"The notebooks: they run without a network, the same each time, and are as a reader expects them."
import ast
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import REPO, TESTS, contents, copy_tree, network_tries, offline_env, run

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


def test_nbdev_test(tree, offline):
    before = contents(tree)
    env = offline | dict(PYTHONPATH=os.pathsep.join([offline['PYTHONPATH'], str(tree)]))
    run(BIN/'nbdev-test', cwd=tree, env=env)
    assert network_tries(offline) == ''
    assert contents(tree) == before


AGAIN = ['04_learning_rate.ipynb', '06_threes_and_sevens.ipynb']


@pytest.fixture(scope='session')
def executed(installed, home, tmp_path_factory):
    """A learner's copy of the lessons, run by Jupyter's own kernel, from the wheel alone.

    In the folder are also `api`, with the notebooks of the api, and `again`, with two lessons.
    """
    root = tmp_path_factory.mktemp('executed')
    env = offline_env(home, tmp_path_factory.mktemp('offline'))
    run(installed/'sgd-course', 'lab', '--copy-only', root, env=env)
    shutil.copytree(REPO/'nbs'/'api', root/'api', ignore=shutil.ignore_patterns('.*'))
    (root/'again').mkdir()
    for name in AGAIN: shutil.copy(root/name, root/'again')
    before = set(contents(root))
    run(installed/'python', TESTS/'run_notebooks.py', root, env=env)
    assert network_tries(env) == ''
    assert set(contents(root)) == before, 'a notebook left a file behind'
    return root


def test_jupyter_runs_all(executed):
    ran = {f.name for f in executed.rglob('*.ipynb')
           if all(c['execution_count'] for c in cells(f, 'code'))}
    assert ran >= {f.name for f in ALL if f.parent.name != 'solutions'}


def test_jupyter_shows_no_warnings(executed):
    assert not [(f.name, text_of(o)) for f in executed.rglob('*.ipynb') for o in outputs(f)
                if o.get('name') == 'stderr']


def shown(path):
    "What the cells show, but for timings, and for widgets, which go on drawing after their cell."
    widget = lambda o: any('widget-view' in k for k in o.get('data', {}))
    return [(c['source'], o.get('text'), o.get('data', {}))
            for c in cells(path, 'code') if not re.search('perf_counter|timeit', c['source'])
            for o in c['outputs'] if not widget(o)]


@pytest.mark.parametrize('name', AGAIN)
def test_a_second_run_shows_the_same(executed, name):
    first, second = shown(executed/name), shown(executed/'again'/name)
    assert len(first) == len(second) > 10
    for one, other in zip(first, second): assert one == other


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


@each_notebook
def test_pictures_in_the_prose_have_words(path):
    for c in cells(path, 'markdown'):
        assert '![](' not in c['source']
        assert_words_for_pictures(c['source'])
