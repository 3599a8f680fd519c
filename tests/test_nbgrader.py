"A course for nbgrader: what learners get of it, and the points that nbgrader itself gives."
import inspect
import json
import os
import re
import sys
import textwrap
from importlib.util import find_spec

import pytest
from conftest import contents, missing, network_tries, run
from test_cli import COMMAND, LESSONS

from sgd_course import cli
from sgd_course.check import course
from sgd_course.collect import collect

pytestmark = pytest.mark.long
EXERCISES = list(course().values())
TAUGHT = {n[:-6]: [e for e in EXERCISES if n.startswith(e.lesson)] for n in LESSONS if n[:2].isdigit()}


def cells(raw): return json.loads(raw)['cells']


def text(cell): return ''.join(cell['source'])


@pytest.fixture(scope='module')
def given(tmp_path_factory):
    "What the command writes."
    folder = tmp_path_factory.mktemp('nbgrader')
    run(COMMAND, 'handout', '--nbgrader', 'class', cwd=folder)
    return folder/'class'


def test_a_source_for_each_lesson(given):
    sources = {f'source/{n}/{f}' for n in TAUGHT for f in (f'{n}.ipynb', 'glossary.md')}
    assert set(contents(given)) == {'TEACHING.md', 'nbgrader_config.py'} | sources
    assert len(TAUGHT) == 15 and all(TAUGHT.values())


@pytest.mark.parametrize('name', sorted(TAUGHT))
def test_a_source_is_the_lesson_with_solutions_and_grades(given, name):
    "What nbgrader will clear aside, nothing of a lesson changes."
    found, kinds = [], []
    for c in cells((given/'source'/name/f'{name}.ipynb').read_bytes()):
        meta = c['metadata'].pop('nbgrader', {})
        if meta: kinds.append((meta['grade_id'], meta.get('points', 0)))
        if meta.get('grade'):
            assert c['metadata'].pop('tags') == ['raises-exception'] and meta['locked'] and not meta['solution']
            continue
        if meta:
            assert meta['solution'] and not meta['locked']
            c['source'], n = re.subn(r' +### BEGIN SOLUTION\n(?s:.+)### END SOLUTION', cli._STUB, text(c))
            assert n == 1
        found.append(c)
    plain = lambda some: [dict(c, source=text(c)) for c in some]
    assert plain(found) == plain(cells(LESSONS[f'{name}.ipynb']))
    assert sorted(kinds) == sorted(k for e in TAUGHT[name] for k in ((e.name, 0), (f'grade_{e.name}', 1)))


def test_nothing_is_replaced(tmp_path, capsys):
    mine = tmp_path/'source'/'02_slope'/'02_slope.ipynb'
    mine.parent.mkdir(parents=True)
    for f in (mine, tmp_path/'nbgrader_config.py'): f.write_text('mine')
    assert cli.handout(str(tmp_path), nbgrader=True) == 0
    copied, left = capsys.readouterr().out.splitlines()
    assert left == f'Left as they are in {tmp_path}: nbgrader_config.py, source/02_slope/02_slope.ipynb'
    assert 'source/02_slope/glossary.md' in copied and mine.read_text() == 'mine'


# --- nbgrader itself, which finds a program of its own (alembic) as it does where the environment is activated

ACTIVATED = dict(PATH=os.pathsep.join([os.path.dirname(sys.executable), os.environ['PATH']]))
GENERATE = '''
import json, os
from pathlib import Path
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config
c = Config()
exec(Path('nbgrader_config.py').read_text(), dict(get_config=lambda: c))
api = NbGraderAPI(config=c)
said = {d: api.generate_assignment(d) for d in sorted(os.listdir('source'))}
print(json.dumps({d: r.get('error', '') for d, r in said.items() if not r['success']}))
'''


@pytest.fixture(scope='module')
def released(given):
    "The same folder, when nbgrader has made an assignment of each lesson."
    if not find_spec('nbgrader'): missing('nbgrader')
    said = run(sys.executable, '-c', GENERATE, cwd=given, env=os.environ | ACTIVATED).stdout
    assert said.splitlines()[-1] == '{}'
    return given


@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(TAUGHT))
def test_learners_get_the_lesson_itself(released, name):
    "To the letter, with nothing but a cell for the grade below each exercise."
    raw = (released/'release'/name/f'{name}.ipynb').read_bytes()
    found = [(c['id'], text(c)) for c in cells(raw) if not c['metadata'].get('nbgrader', {}).get('grade')]
    assert found == [(c['id'], text(c)) for c in cells(LESSONS[f'{name}.ipynb'])]
    graded = [text(c) for c in cells(raw) if c['metadata'].get('nbgrader', {}).get('grade')]
    assert set(graded) == {f'check_{e.name}.grade({e.name})  # one point, unless it raises' for e in TAUGHT[name]}
    assert not any(c.get('outputs') for c in cells(raw))


def answered(raw, answers):
    "A notebook with these sources in place of the stubs."
    book = json.loads(raw)
    for c in book['cells']:
        name = c['metadata'].get('nbgrader', {}).get('grade_id')
        if name in answers: c['source'] = f'{answers[name]}\n\ncheck_{name}({name})'
    return json.dumps(book)


WARNS = '''import sys
def step_down(f, x, lr):
    import warnings
    warnings.warn("It will be removed.")
    print("still here", file=sys.stderr)
    return x - lr*slope(f, x)'''
SLOPE = {e.name: textwrap.dedent(inspect.getsource(e.worked)) for e in TAUGHT['02_slope']}
MIXED = dict(central_slope='def central_slope(f, x, h): return (f(x + h) - f(x))/h', step_down=WARNS,
             descent_path='def descent_path(f, x, lr, steps)', flat_place='del check_flat_place')
HANDED_IN = dict(right=(SLOPE, SLOPE), untouched=({}, []), mixed=(MIXED, ['step_down']))  # answers, which are right
POINTS = '''
import json
from nbgrader.api import Gradebook
with Gradebook('sqlite:///gradebook.db') as g:
    print(json.dumps({s.student.id: [s.max_score, {x.name: x.score for n in s.notebooks for x in n.grades}]
                      for s in g.assignment_submissions('02_slope')}))
'''


@pytest.mark.slow
def test_nbgrader_gives_the_points(released, offline):
    "Without a network, and although a right answer warns."
    for who, (answers, _) in HANDED_IN.items():
        file = released/'submitted'/who/'02_slope'/'02_slope.ipynb'
        file.parent.mkdir(parents=True)
        file.write_text(answered((released/'release'/'02_slope'/'02_slope.ipynb').read_bytes(), answers))
    env = offline | ACTIVATED | dict(PYTHONPATH=os.pathsep.join([offline['PYTHONPATH'], *sys.path]))
    run(sys.executable, '-m', 'nbgrader', 'autograde', '02_slope', cwd=released, env=env)
    assert network_tries(env) == ''
    found = json.loads(run(sys.executable, '-c', POINTS, cwd=released, env=os.environ | ACTIVATED).stdout)
    assert found == {who: [4, {f'grade_{n}': n in right for n in SLOPE}] for who, (_, right) in HANDED_IN.items()}
    graded = cells((released/'autograded'/'mixed'/'02_slope'/'02_slope.ipynb').read_bytes())
    said = [o['evalue'] for c in graded for o in c.get('outputs', []) if o['output_type'] == 'error']
    assert any(s.startswith('central_slope: not right yet. That is the forward difference') for s in said), said


@pytest.mark.slow
def test_what_is_submitted_can_be_collected(released, tmp_path):
    folder = tmp_path/'submitted'/'ann'/'02_slope'
    folder.mkdir(parents=True)
    raw = (released/'release'/'02_slope'/'02_slope.ipynb').read_bytes()
    (folder/'02_slope.ipynb').write_text(answered(raw, SLOPE))
    rows = collect([tmp_path/'submitted'], tmp_path/'class.csv')
    assert [(r.learner, r.state) for r in rows] == [('ann', 'correct')]*4
