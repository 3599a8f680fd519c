"Every exercise of every lesson refuses what is wrong and says why; marks are kept; it works in JupyterLab."
import ast
import builtins
import inspect
import json
import math
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import axe_violations, exported
from conftest import REPO, run
from playwright.sync_api import expect
from test_notebooks import cells

from sgd_course import check
from sgd_course.check import PROGRESS, Exercise, Prediction, course, progress

EXERCISES, PREDICTIONS = course(), course(Prediction)
each_exercise = pytest.mark.parametrize('ex', EXERCISES.values(), ids=lambda e: e.key.replace(' ', '_'))
each_prediction = pytest.mark.parametrize('name, ask', PREDICTIONS.items())
SOLUTIONS = sorted((REPO/'nbs'/'solutions').glob('*.ipynb'))


@pytest.fixture(autouse=True)
def nobody_was_here(tmp_path, monkeypatch):
    "A folder without marks, and a module as after its import."
    monkeypatch.chdir(tmp_path)
    for name in '_unsaved', '_notes', '_noted': monkeypatch.setattr(check, name, type(getattr(check, name))())
    for ex in EXERCISES.values(): monkeypatch.setattr(ex, 'hinted', 0)
    for ask in PREDICTIONS.values():
        for name, value in dict(first=None, revealed=ask.revealed).items(): monkeypatch.setattr(ask, name, value)


def saved(): return json.loads(Path(PROGRESS).read_text())


# --- every exercise of every lesson

def test_no_two_have_one_name():
    defined = [k for f in (REPO/'sgd_course'/'exercises').glob('*.py')
               for k in re.findall(r'^((?:check|predict)_\w+) = \w+\(', f.read_text(), re.M)]
    assert sorted(defined) == sorted({**EXERCISES, **PREDICTIONS})


def test_each_is_proved_in_the_notebook_of_its_solution():
    proved = [k for f in SOLUTIONS for c in cells(f, 'code')
              for k in re.findall(r'^(check_\w+)\.self_test\(\)$', c['source'], re.M)]
    assert sorted(proved) == sorted(EXERCISES)


def stub(*args): raise NotImplementedError
def crashes(*args): return [][1]
def nothing(*args): pass
def text(*args): return 'some text'
def nan(*args): return math.nan
def shape(*args): return torch.zeros(2, 3, 4, 5)
def loops(*args):
    while True: pass


@each_exercise
@pytest.mark.parametrize('answer, words', [
    (crashes, r'stopped with an error, in line \d+: `def crashes\('), (loops, 'stopped after 0.1 seconds of computing. Does its loop'),
    (nothing, '`None`|afterwards|error|of length'), (text, 'a string: expected|afterwards|error|not the one|of length'),
    (nan, 'NaN|a number: expected|afterwards|error|of length'),
    (shape, r'shape \(2, 3, 4, 5\): expected|afterwards|error|of length'),
    (lambda: 1, r'parameters are `\(\)`: expected `\(\w'), (None, 'your function itself'), (3, 'It is 3: expected'),
    ('x', 'function itself'), (lambda *args: object(), 'of type `object`: expected|afterwards|error|of length')])
def test_exercise_refuses(ex, answer, words, monkeypatch):
    if answer is loops: monkeypatch.setattr(check, 'SECONDS', .1)
    result = ex(answer)
    assert result.status == 'wrong'
    assert re.search(words, result.message) or result.message in ex.mistakes
    assert 'Traceback' not in repr(result) and 'sgd_course' not in repr(result)
    assert saved()[ex.key] == dict(tries=1, correct=False)


@each_exercise
def test_hints_and_solution(ex):
    n = len(ex.hints)
    said = [ex.hint() for _ in range(n + 1)]
    assert [s.head for s in said[:n]] == [f'{ex.name}: hint {k} of {n}.' for k in range(1, n + 1)]
    assert repr(said[n]) == repr(said[n - 1])
    for left in '3 more tries', '2 more tries', '1 more try':
        assert left in ex.solution().head and 'return' not in repr(ex.solution())
        ex(nothing)
    code = repr(ex.solution()).split('\n\n', 1)[1]
    assert f'def {ex.name}(' in code or f'class {ex.name}' in code
    assert repr(ex.solution(now=True)) == repr(ex.solution())


def test_zero_work_is_zero_and_all_solutions_are_all():
    assert progress().done == 0 and len(progress().rows) == len(EXERCISES)
    for ex in EXERCISES.values(): assert ex(stub).status == 'not attempted'
    assert progress().done == 0 and os.listdir() == [], 'nothing was attempted, nothing is written'
    for ex in EXERCISES.values(): assert ex(ex.worked).status == 'correct'
    assert progress().done == len(EXERCISES)
    assert all(row[2:] == ('correct', 1) for row in progress().rows)
    assert repr(progress()).startswith(f'{len(EXERCISES)} of {len(EXERCISES)} exercises are correct.')


def lesson_of(ex): return next((REPO/'nbs').glob(f'{ex.lesson}_*.ipynb'))


@each_exercise
def test_stub_in_the_lesson(ex):
    sources = [c['source'] for c in cells(lesson_of(ex), 'code')]
    own = [s for s in sources if f'check_{ex.name}({ex.name})' in s]
    assert len(own) == 1, f'one cell calls check_{ex.name}({ex.name})'
    found = [n for n in ast.parse(own[0]).body if getattr(n, 'name', '') == ex.name]
    if isinstance(found[0], ast.FunctionDef):
        given = [a.arg for a in found[0].args.args]
        assert given == list(inspect.signature(ex.worked).parameters)
        assert ast.unparse(found[0].body[-1]) == 'raise NotImplementedError'


@pytest.mark.parametrize('path', sorted((REPO/'nbs').glob('*.ipynb')), ids=lambda f: f.stem)
def test_lesson_has_no_solution(path):
    dense = lambda text: re.sub(r'\s', '', text)
    sources = [c['source'] for c in cells(path)]
    first = next((i for i, s in enumerate(sources) if '## Exercises' in s), len(sources))
    shown = dense('\n'.join(sources[first:]))
    for ex in EXERCISES.values():
        code = repr(ex.solution(now=True)).split(f'def {ex.name}(')[-1].split('\n')[1:]
        for line in [*map(dense, code), *map(dense, ex.hints), *map(dense, ex.mistakes)]:
            assert len(line) < 12 or line not in shown


def test_solutions_do_not_travel_as_notebooks(tree):
    names = {f.name for f in (tree/'nbs').glob('*.ipynb')}
    assert SOLUTIONS and {f.name for f in SOLUTIONS} <= names, 'each belongs to a lesson'
    assert {f'exercises.{f.stem}' for f in (REPO/'sgd_course'/'exercises').glob('[!_]*.py')} == {
        cells(f, 'code')[0]['source'].split()[-1] for f in SOLUTIONS}


# --- what no single exercise shows

def scaled(x, lr):
    "The right answer to `check_scaled`."
    return lr*x


def one(g): return torch.randn(3, generator=g), check.uniform(g, .1, 1)


def exercise(solution=scaled, **given):
    defaults = dict(lesson='00', cases=[(torch.ones(3), .5)], random=one, why='why', hints=['a', 'b'],
                    mistakes={'You divide.': lambda x, lr: x/lr})
    return Exercise(solution, **(defaults | given))


@pytest.mark.parametrize('given, words', [
    (dict(tol=(math.inf, math.inf)), 'accepts a mistake: You divide'),
    (dict(mistakes={'You divide.': scaled}), 'accepts a mistake: You divide'),
    (dict(mistakes={'a': lambda x, lr: x, 'b': lambda x, lr: x}), "expected 'b', got"),
    (dict(oracle=lambda x, lr: 2*lr*x), 'solution is refused'),
    (dict(hints=['a']), '1 hints'), (dict(mistakes={}), 'needs')])
def test_a_lenient_exercise_is_caught(given, words):
    exercise().self_test()
    with pytest.raises(AssertionError, match=words): exercise(**given).self_test()


def test_a_check_that_is_always_true_is_caught(monkeypatch):
    monkeypatch.setattr(check, '_differ', lambda *args: '')
    with pytest.raises(AssertionError, match='accepts a mistake'): exercise().self_test()
    for ex in EXERCISES.values():
        with pytest.raises(AssertionError): ex.self_test()


@pytest.mark.parametrize('answer, words', [
    (lambda x, lr: x.mul_(lr), "in place: it changes the caller's `x`"),
    (lambda x, lr: x*.5, '`lr` is not used'),
    (lambda x, lr: torch.ones(3)*lr, '`x` is not used'),
    (lambda x, lr: torch.ones(3), '`x` and `lr` are not used'),
    (lambda x, lr: (x*lr)[:, None], r'shape \(3, 1\): expected a tensor of shape \(3,\)'),
    (lambda x, lr: (x*lr).tolist(), r'a list of length 3: expected a tensor of shape \(3,\)'),
    (lambda x, lr: (x*lr).mean(), r'a number: expected a tensor of shape \(3,\)'),
    (lambda x, lr: x*lr/0*0, 'NaN'), (lambda x, lr: x + lr, 'not the one expected'),
    (lambda x, lr: sys.exit(3), 'stopped with an error'), (lambda x, lr: print('hello'), '`None`'),
    (lambda x, lr: (i for i in x), 'of type `generator`'), (lambda x, lr: scaled, 'of type `function`')])
def test_what_is_recognised_everywhere(answer, words, capsys):
    result = exercise()(answer)
    assert result.status == 'wrong' and re.search(words, result.message), result
    assert capsys.readouterr().err == ''


def test_types_of_numbers_do_not_matter():
    for answer in (lambda x, lr: x.double()*lr, lambda x, lr: torch.nn.Parameter(x)*lr): assert exercise()(answer).status == 'correct'


def test_what_an_answer_prints_is_not_lost(capsys):
    exercise()(lambda x, lr: print('I was here'))
    assert 'I was here' in capsys.readouterr().out


def test_a_wrong_value_stands_beside_the_right_one():
    assert exercise()(lambda x, lr: x + lr).rows == dict(
        input='x = tensor([1, 1, 1]) of shape (3,), lr = 0.5', returned='tensor([1.5, 1.5, 1.5]) of shape (3,)',
        expected='tensor([0.5, 0.5, 0.5]) of shape (3,)')


def test_a_head_with_quotation_marks_is_bold():
    page = check.Said('"a" < b & c.', 'More.', 'correct')._repr_html_()
    assert '<strong>"a" &lt; b &amp; c.</strong>' in page and 'aria-hidden' in page


def test_each_round_has_other_numbers():
    ex = exercise(random=lambda g: (torch.rand(3, generator=g), .5))
    (first, *fresh), (again, *later) = ([x.tolist() for x, _ in ex._inputs()] for _ in range(2))
    assert first == again == [1, 1, 1] and len(fresh) == 8 and not any(x in fresh for x in later)


def test_arrays_are_no_numbers_and_numbers_of_numpy_are():
    ex = exercise(lambda x, lr: 2*lr, mistakes={'You forgot the 2.': lambda x, lr: lr})
    assert ex(lambda x, lr: np.float64(2*lr)).status == 'correct'
    assert ex(lambda x, lr: np.ones(3)).message == 'It returned something of type `ndarray`: expected a number.'


def test_an_argument_that_changes_only_another_one_is_used():
    def scale(lr, w): w.mul_(lr)
    def divide(lr, w): w.div_(lr)
    def halve(lr, w): w.mul_(.5)
    ex = exercise(scale, cases=[(lr, torch.ones(3)) for lr in (.5, .25, .75)], mistakes={'You divide.': divide},
                  random=lambda g: (check.uniform(g, .1, 1), torch.ones(3)))
    assert ex(lambda lr, w: scale(lr, w)).status == 'correct' and ex(divide).message == 'You divide.'
    assert ex(halve).message == '`lr` is not used: another value gives the same result.'


def test_the_table_of_progress_is_straight():
    rows = [('01', 'a_long_name', 'correct', 1), ('02', 'short', 'not attempted', 0)]
    lines = check.Progress(rows).text.splitlines()
    assert len({line.index(state) for line, state in zip(lines, ('state', 'correct', 'not attempted'))}) == 1


def test_large_tensors_are_shown_by_their_first_numbers():
    numbers = ', '.join(map(str, range(12)))
    assert check._short(torch.arange(12.)) == f'tensor([{numbers}]) of shape (12,)'
    assert check._short(torch.arange(20.).view(4, 5)) == f'tensor([{numbers}]) of shape (4, 5), the first 12 of them'
    assert check._short(list(range(20))) == f'[{numbers}, ...]'


def test_the_page_opens_the_hints_that_were_asked_for():
    ex, wrong = exercise(), lambda x, lr: x
    pages = [ex(wrong).page(), *(ex.hint() and ex(wrong).page() for _ in range(3))]
    assert [p['hinted'] for p in pages] == [0, 1, 2, 2] and {p['hints'] for p in pages} == {2}
    assert [p['early'] for p in pages] == [True]*2 + [False]*2 and ex(scaled).page()['hints'] == 0


def test_error_names_the_line_of_the_learner():
    def helper(x): return x.nothing
    def answer(x, lr):
        y = x*lr
        return helper(y)
    result = exercise()(answer)
    assert f'in line {helper.__code__.co_firstlineno}: `def helper(x): return x.nothing`' in result.message
    assert result.rows['returned'].startswith("AttributeError: 'Tensor' object has no attribute")


def test_an_error_may_be_a_known_mistake():
    def leaf(w, lr): w -= lr*w.grad
    def step(w, lr):
        with torch.no_grad(): w -= lr*w.grad
        w.grad = None
    def keeps(w, lr):
        with torch.no_grad(): w -= lr*w.grad
    def weights(g):
        w = torch.randn(3, generator=g).requires_grad_()
        w.grad = torch.randn(3, generator=g)
        return w, check.uniform(g, .1, 1)
    ex = exercise(step, cases=[], random=weights, mistakes={'Use no_grad.': leaf, 'You did not clear it.': keeps})
    ex.self_test()
    def with_zero_(w, lr):
        with torch.no_grad(): w -= lr*w.grad
        w.grad.zero_()
    assert ex(with_zero_).status == 'correct'
    def without_lr(w, lr):
        with torch.no_grad(): w -= w.grad
        w.grad = None
    assert ex(without_lr).message == '`lr` is not used: another value gives the same result.'


def test_answers_that_are_classes_or_draw_random_numbers():
    class Adder:
        def __init__(self, n): self.n = n
        def add(self, x): return x + self.n + torch.rand(())
    class Subtracter(Adder):
        def add(self, x): return x - self.n + torch.rand(())
    ex = exercise(Adder, use=lambda cls, n, x: cls(n).add(x), cases=[(1., 2.)], random=lambda g: (check.uniform(g, 1, 9), 3.),
                  mistakes={'You subtract.': Subtracter})
    state = torch.get_rng_state()
    ex.self_test()
    assert torch.equal(torch.get_rng_state(), state), 'the random numbers of the learner are left alone'


def wait_for_threads(n):
    "Until there are no more than before, for a minute."
    for _ in range(1200):
        if threading.active_count() == n: break
        time.sleep(.05)


def test_an_endless_loop_is_stopped_in_any_thread(monkeypatch, capsys):
    monkeypatch.setattr(check, 'SECONDS', .1)
    before, found = threading.active_count(), []
    def stubborn(x, lr):
        for _ in range(5):
            try: loops()
            except BaseException: pass
    def only_for_some(x, lr):
        while lr != .5: pass
        return scaled(x, lr)
    for answer in (loops, stubborn, only_for_some):
        t = threading.Thread(target=lambda: found.append(exercise()(answer)))
        t.start()
        t.join(120)
    assert ['stopped after 0.1 seconds of computing' in r.message for r in found] == [True]*3
    assert found[0].rows['input'].startswith('x = tensor([1, 1, 1])') and found[2].rows['input'] != found[0].rows['input']
    wait_for_threads(before)
    assert threading.active_count() == before and capsys.readouterr().err == ''


@pytest.mark.skipif(os.name == 'nt', reason='sends a signal')
def test_the_learner_can_interrupt():
    before = threading.active_count()
    threading.Timer(.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt): exercise()(loops)
    wait_for_threads(before)
    assert threading.active_count() == before and os.listdir() == []


def test_a_check_never_raises():
    class Strange:
        def __eq__(self, other): raise RuntimeError('no == for me')
        def __repr__(self): raise RuntimeError('no repr either')
        def __call__(self, x, lr): return self
    for answer in (lambda x, lr: Strange(), Strange(), Strange, int, print, max, ...):
        assert exercise()(answer).status == 'wrong'
    assert exercise()().status == 'wrong'


# --- the limit of time is one of computing, and leaves imports alone

@pytest.fixture
def a_tenth(monkeypatch): monkeypatch.setattr(check, 'SECONDS', .1)


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass


def test_an_answer_may_wait_for_its_turn(a_tenth):
    "A busy machine lets an answer wait; that is no loop."
    ex = exercise(random=lambda g: (torch.ones(3), .5), cases=[])
    def starved(x, lr):
        time.sleep(.03)
        return scaled(x, lr)
    assert ex(starved).status == 'correct'
    def starved_and_wrong(x, lr):
        time.sleep(.03)
        return x + lr
    assert ex(starved_and_wrong).message == 'The value is not the one expected.'


@pytest.mark.parametrize('clock', ['thread', 'process'])
def test_seconds_of_computing(clock, a_tenth, monkeypatch):
    if clock == 'process': monkeypatch.delattr(time, 'pthread_getcpuclockid', raising=False)
    result = exercise()(lambda x, lr: burn(5))
    assert result.message == 'It was stopped after 0.1 seconds of computing. Does its loop come to an end?'


def test_an_answer_that_waits_for_ever(monkeypatch):
    monkeypatch.setattr(check, 'WAIT', .2)
    def waits(x, lr):
        while True: time.sleep(.01)
    assert exercise()(waits).message == (
        'It was stopped after 0.2 seconds, of which it computed hardly any. What does it wait for?')


def importing(name, code, monkeypatch):
    Path(f'{name}.py').write_text(code)
    monkeypatch.syspath_prepend('.')
    monkeypatch.delitem(sys.modules, name, raising=False)


SLOW_IMPORT = '''
import time
end = time.thread_time() + .4
while time.thread_time() < end: pass
whole = True
'''


def test_an_import_is_neither_counted_nor_stopped(a_tenth, monkeypatch):
    importing('slow_to_import', SLOW_IMPORT, monkeypatch)
    def imports(x, lr):
        import slow_to_import
        return x*lr*slow_to_import.whole
    assert exercise()(imports).status == 'correct'


def test_an_import_is_finished_before_a_loop_is_stopped(monkeypatch):
    importing('slow_in_a_loop', SLOW_IMPORT, monkeypatch)
    def imports():
        import slow_in_a_loop
        while slow_in_a_loop.whole: pass
    runner = check._Runner(imports)
    runner.start()
    while not runner.importing(): assert not runner.ended(.001)
    while not runner.ended(): runner.stop()
    assert sys.modules['slow_in_a_loop'].whole


FRESH = '''
import json, sys
import sgd_course.check, sgd_course.draw, sgd_course.exercises.slope
heavy = [m for m in ('matplotlib', 'ipywidgets', 'anywidget', 'PIL', 'IPython', 'torch._dynamo') if m in sys.modules]

import inspect, torch
from sgd_course import check
exec(compile(inspect.getsource(check), check.__file__, 'exec', optimize=1), vars(check))   # as python -O has it
lenient = check.Exercise(lambda x: 2*x, '00', [(2.,)], lambda g: (1.,), 'why', 'ab', {'You add.': lambda x: 2*x})
try: proved = lenient.self_test(rounds=1)
except AssertionError as e: proved = str(e)

def answer(x):
    w = torch.tensor(0., requires_grad=True)
    loss = (w - 2*x)**2
    loss.backward()
    torch.optim.SGD([w], lr=.5).step()
    return w + 0*torch.func.grad(lambda x: x**2)(torch.tensor(x))
check.SECONDS = .25
first = check.Exercise(lambda x: 2*x, '00', [(2.,)], lambda g: (check.uniform(g, 0, 1),), 'why', 'ab', {}).examine(answer)
print(json.dumps(dict(heavy=heavy, proved=proved, first=[first.status, str(first)], dynamo='torch._dynamo' in sys.modules)))
'''



@pytest.fixture(scope='module')
def fresh():
    "What a new process finds."
    return json.loads(run(sys.executable, '-c', FRESH, cwd=REPO).stdout)


def test_import_is_light(fresh): assert fresh['heavy'] == []


def test_first_use_of_torch_is_no_endless_loop(fresh):
    "The first use of an optimizer imports a large part of PyTorch, for a second or more."
    assert fresh['first'][0] == 'correct' and fresh['dynamo'], fresh


def test_prove_holds_with_optimized_python(fresh): assert fresh['proved'] == '00 <lambda> accepts a mistake: You add.'


@pytest.mark.slow
def test_right_answers_are_right_on_a_busy_machine():
    burner = [sys.executable, '-c', 'while True: pass']
    busy = [subprocess.Popen(burner) for _ in range(2*(os.cpu_count() or 1))]
    try:
        for _ in range(2):
            for ex in EXERCISES.values(): assert ex.examine(ex.worked).status == 'correct', ex.key
    finally:
        for b in busy: b.kill(), b.wait()


# --- what an answer may do to the kernel

@pytest.mark.parametrize('ask', [lambda: input(), lambda: builtins.input('How many? ')])
def test_an_answer_that_asks(ask):
    result = exercise()(lambda x, lr: ask())
    assert 'stopped with an error, in line' in result.message
    assert '`input()`' in result.rows['returned'] and 'parameters' in result.rows['returned']


def test_others_may_ask_meanwhile(monkeypatch):
    monkeypatch.setattr(builtins, 'input', lambda prompt='': 'typed')
    found = []
    def answer(x, lr):
        t = threading.Thread(target=lambda: found.append(input()))
        t.start(), t.join()
        return scaled(x, lr)
    assert exercise()(answer).status == 'correct' and set(found) == {'typed'}
    assert input() == 'typed'


def test_an_answer_that_changes_the_folder(tmp_path):
    (tmp_path/'other').mkdir()
    home = os.getcwd()
    def moves(x, lr):
        os.chdir(tmp_path/'other')
        return scaled(x, lr)
    assert exercise()(moves).status == 'correct'
    assert os.getcwd() == home and saved()['00 scaled']['correct'] and os.listdir('other') == []


# --- what counts as the same, and as proved

@pytest.mark.parametrize('answer, same', [
    (lambda x, lr: x*lr + 1j, False), (lambda x, lr: x*lr + 0j, True), (lambda x, lr: (x*lr).to(torch.complex64)*1j, False)])
def test_complex_numbers(answer, same):
    result = exercise()(answer)
    assert (result.status == 'correct') == same
    if not same: assert result.message == 'It returned complex numbers: expected real ones.'


def test_a_single_complex_number():
    ex = exercise(lambda x: 2*x, cases=[(2.,)], random=lambda g: (check.uniform(g, 0, 1),))
    assert ex(lambda x: 2*x + 1j).message == 'It returned complex numbers: expected real ones.'
    assert ex(lambda x: 2*x + 0j).status == 'correct'


@pytest.mark.parametrize('got, words', [
    (([None], [1.]), 'It returned `None`. Is there a `return`?'), (([None]*3, [1.]*3), 'It returned `None`. Is there a `return`?'),
    (([1., None], [1., 2.]), 'Item 1: It returned `None`. Is there a `return`?'), (([1., 2.], [1., 3.]), 'The value is not the one expected.')])
def test_items_are_counted_where_they_differ(got, words): assert check._differ(*got) == words


def test_whole_step_that_returns_nothing():
    ex = EXERCISES['check_whole_step']
    def answer(f, w, lr): f(w)
    assert ex.examine(answer).message == 'It returned `None`. Is there a `return`?'


# --- marks

@pytest.mark.parametrize('code', ['utf-8-sig', 'utf-16'])
def test_an_editor_may_change_the_encoding(code):
    "Notepad of Windows puts a byte order mark in front."
    marks = {'00 scaled': dict(tries=7, correct=True)}
    Path(PROGRESS).write_text(json.dumps(marks), encoding=code)
    assert check._marks() == marks and os.listdir() == [PROGRESS]
    exercise()(nothing)
    assert saved() == marks and os.listdir() == [PROGRESS]


@pytest.mark.parametrize('look', [progress, lambda: EXERCISES['check_step_down'].solution()])
def test_whoever_sets_a_damaged_file_aside_says_so(look):
    Path(PROGRESS).write_text('{')
    said = look()
    assert os.listdir() == ['sgd_course_progress_damaged_1.json']
    for text in (repr(said), said._repr_html_()): assert 'was damaged. It is now sgd_course_progress_damaged_1.json' in text
    assert 'damaged' not in repr(look()), 'once'


def test_tries_end_with_the_first_correct_one():
    ex = exercise()
    for answer in (nothing, stub, nothing, scaled): ex(answer)
    assert saved() == {'00 scaled': dict(tries=3, correct=True)}
    for answer in (scaled, nothing): ex(answer)
    assert saved() == {'00 scaled': dict(tries=3, correct=True)}, 'never lost'
    assert os.listdir() == [PROGRESS]


DAMAGED = [b'', b'{', b'[]', b'\xff\xfe\x00', b'{"a": 1}', b'{"a": {"tries": "2", "correct": true}}', b'['*100_000,
           b'{"a": {"tries": -1, "correct": true}}', b'{"a": {"tries": 1, "correct": 1}}', b'{"a": {"tries": NaN, "correct": true}}']


@pytest.mark.parametrize('raw', DAMAGED, ids=lambda raw: repr(raw[:30]))
def test_damaged_marks_are_kept_aside(raw):
    Path(PROGRESS).write_bytes(raw)
    Path('sgd_course_progress_damaged_1.json').write_text('an older one')
    result = exercise()(scaled)
    assert result.status == 'correct' and 'was damaged. It is now sgd_course_progress_damaged_2.json' in repr(result)
    assert Path('sgd_course_progress_damaged_2.json').read_bytes() == raw
    assert Path('sgd_course_progress_damaged_1.json').read_text() == 'an older one'
    assert saved() == {'00 scaled': dict(tries=1, correct=True)}
    assert 'damaged' not in repr(exercise()(scaled)), 'said once'


def test_marks_of_others_stay():
    others = {'99 later': dict(tries=7, correct=True, new='field')}
    Path(PROGRESS).write_text(json.dumps(others))
    exercise()(nothing)
    assert saved() == others | {'00 scaled': dict(tries=1, correct=False)}


def unwritable(tmp_path, how):
    if how == 'folder is gone':
        (tmp_path/'gone').mkdir(), os.chdir(tmp_path/'gone'), (tmp_path/'gone').rmdir()
    elif how == 'name is taken by a folder': Path(PROGRESS).mkdir()
    else:
        if os.geteuid() == 0: pytest.skip('root may write anywhere')
        tmp_path.chmod(0o500)


@pytest.mark.skipif(os.name == 'nt', reason='Windows has other ways to refuse')
@pytest.mark.parametrize('how', ['folder is gone', 'name is taken by a folder', 'folder is read-only'])
def test_where_nothing_can_be_written(tmp_path, how):
    unwritable(tmp_path, how)
    ex = EXERCISES['check_step_down']
    first, second = ex(nothing), ex(ex.worked)
    assert 'cannot be kept' in repr(first) and 'cannot be kept' not in repr(second)
    assert (first.status, second.status, progress().done) == ('wrong', 'correct', 1)
    os.chdir(tmp_path.parent), tmp_path.chmod(0o700)
    (tmp_path/'free').mkdir(), os.chdir(tmp_path/'free')
    ex(ex.worked)
    assert saved()[ex.key]['correct'], 'kept as soon as it can be'


def test_marks_are_read_where_nothing_can_be_written(monkeypatch):
    ex = EXERCISES['check_step_down']
    ex(ex.worked)
    def refuse(*args, **kwargs): raise PermissionError(13, 'Permission denied')
    for name in 'open', 'replace': monkeypatch.setattr(os, name, refuse)
    assert progress().done == 1
    Path(PROGRESS).write_text('{')
    assert progress().done == 0


def test_marks_of_before_the_renumbering():
    was = ['01 loudest_pixel', '03 whole_step', '06 stop_at', '07 diagnosis', '08 tent', '09 staircase', '10 ring_step']
    now = ['01 top_pixel', '03 whole_step', '07 early_stopping_epoch', '08 diagnosis', '11 tent', '14 step_decay', '15 ring_step']
    assert set(now) <= {e.key for e in EXERCISES.values()}
    Path(PROGRESS).write_text(json.dumps({k: dict(tries=2, correct=True) for k in was}))
    assert list(check._marks()) == now and progress().done == 7
    assert [check._now(k) for k in [*now, 'a']] == [*now, 'a']


def test_a_lock_that_was_left_behind():
    Path(check._locked(Path(PROGRESS)).lock_file).touch()
    exercise()(scaled)
    assert saved()['00 scaled']['correct']


def test_a_mark_waits_for_its_turn():
    held, free = threading.Event(), threading.Event()
    def hold():
        with check._locked(Path(PROGRESS)): held.set(), free.wait(60)
    other = threading.Thread(target=hold)
    other.start()
    held.wait(60)
    start = time.monotonic()
    threading.Timer(.3, free.set).start()
    check._mark('a', True)
    other.join()
    assert time.monotonic() - start > .25 and saved()['a']['correct']


def many_marks(n, together):
    together.wait()
    for k in range(25): check._mark(f'{k % 5}', False)
    check._mark(f'own {n}', True)


@pytest.mark.slow
def test_kernels_at_once_lose_nothing():
    context = multiprocessing.get_context('spawn')
    together = context.Barrier(2)  # what they import takes longer than the marks
    kernels = [context.Process(target=many_marks, args=(n, together)) for n in range(2)]
    for k in kernels: k.start()
    for k in kernels: k.join(600)
    marks = saved()
    assert [marks[f'{k}']['tries'] for k in range(5)] == [10]*5
    assert [marks[f'own {n}']['correct'] for n in range(2)] == [True]*2
    assert os.listdir() == [PROGRESS]


# --- predictions

@each_prediction
def test_prediction(name, ask):
    assert name == f'predict_{ask.name}'
    assert ask.revealed == (name == 'predict_pull'), 'the text below it answers; below all others is an experiment'
    for first in list(ask.options or [50]):   # before the experiment
        if ask.revealed: break
        said = repr(ask(first))
        assert said == (f'You said: {first}. Now run the cells below, and look. '
                        f'Then `{name}.reveal()` says what was right.') and repr(ask.reveal()) == repr(ask.explain(first))
        ask.first, ask.revealed = None, False
    ask.revealed = True   # what is said afterwards
    for shown in (repr(ask), ask._repr_html_()):
        assert ask.question in shown and name in shown
        for o, why in (ask.options or {}).items(): assert o in shown and why not in shown
    if ask.options:
        for o, why in ask.options.items():
            ask.first, said = None, repr(ask(o))
            assert why in said and ask.options[ask.answer] in said and (' Yes.' in said) == (o == ask.answer)
        assert 'is not one of the options' in repr(ask('nonsense'))
    else:
        value = ask.answer() if callable(ask.answer) else ask.answer
        assert f'{value:.4g}' not in repr(ask) and ask.why in repr(ask(0))
        assert 'Exactly.' in repr(ask(value)) and 'close' not in repr(ask(value - 2*ask.tolerance - 1))
        assert 'That is close.' in repr(ask(value + ask.tolerance/2))
    for wrong in (None, 'x', []): assert 'is not' in repr(ask(wrong))
    assert os.listdir() == [], 'never graded'


@pytest.mark.parametrize('options', [{'a': ''}, dict.fromkeys('abcdef', ''), dict.fromkeys('bc', '')])
def test_prediction_needs_options(options):
    with pytest.raises(ValueError, match='expected two to five'): Prediction('x', 'Is it?', 'a', options)


QUESTION = 'How many of 100?'


def number(**given):
    defaults = dict(answer=26, why='So it is.', tolerance=3, low=0, high=100, at_once=True)
    return Prediction('many', QUESTION, **(defaults | given))


def options(**given): return Prediction('x', 'Is it?', 'yes', dict(yes='It is.', no='It is not.'), **given)


@pytest.mark.parametrize('guess, head', [
    (26, 'You said 26. Exactly.'), ('26', 'You said 26. Exactly.'), (28, 'You said 28, it is 26.'), (50, 'You said 50, it is 26.'),
    (150, '150 is out of range: expected a number from 0 to 100.'), (-1, '-1 is out of range: expected a number from 0 to 100.'),
    (math.nan, 'nan is not a number.'), ('many', "'many' is not a number."), (None, 'None is not a number.')])
def test_a_number_is_judged(guess, head):
    said = number()(guess)
    assert said.head == head and ('That is close.' in said.text) == (guess == 28)
    assert ('So it is.' in said.text) == (said.head.startswith('You said'))


def test_exact_is_exact_to_the_digits_that_are_shown():
    ask = lambda: number(answer=lambda: 95.14229893684387)
    assert [ask()(g).head for g in (95.14, 95.14229893684387, 95.1)] == [
        'You said 95.14. Exactly.', 'You said 95.1423. Exactly.', 'You said 95.1, it is 95.14.']


@pytest.mark.parametrize('limits, words', [(dict(low=0, high=None), 'of 0 or more'), (dict(low=None, high=9), 'of 9 or less')])
def test_one_limit(limits, words):
    assert words in number(**(limits | dict(answer=5)))(-1 if limits['low'] == 0 else 10).head
    assert 'Exactly' in number(**(limits | dict(answer=5)))(5).head


@pytest.mark.parametrize('given', [dict(low=30), dict(high=20), dict(tolerance=-1), dict(low='a')])
def test_limits_that_leave_out_the_answer(given):
    with pytest.raises((TypeError, ValueError), match='expected'): number(**given)


def test_the_first_guess_counts():
    ask = number()
    for nonsense in ('x', 150): ask(nonsense)
    assert 'first' not in repr(ask(20)) + repr(ask(20))
    assert ask(26).text.endswith('Your first guess was 20: that is the one that counts.')
    ask = options(at_once=True)
    ask('maybe'), ask('no')
    assert "Your first guess was 'no'" in ask('yes').text and 'first' not in ask('no').text
    on_the_page = options()
    for k in 1, 0: on_the_page.hear(dict(said=[k], guess=''))
    assert on_the_page.first == 'no'


def test_what_was_right_is_said_after_the_experiment():
    ask = options()
    assert repr(ask.reveal()) == "Predict first. Type your prediction, as in `predict_x('yes')`."
    assert ask('no').head == ask('yes').head == 'You said: no.' and ask('no').mark is None
    assert ask.state() == dict(said=[3], guess='') and 'It is' not in ask.page()['says'][3] and not ask.page()['at_once']
    assert repr(ask.reveal()) == 'You said: no. No, it is: yes. It is not. It is.'
    assert ask.state() == dict(said=[1], guess='') and ask('no').mark == 'wrong'
    ask = number(at_once=False)
    assert ask.reveal().text == 'Type your prediction, as in `predict_many(number)`.' and ask(150).head.startswith('150 is')
    assert ask('28.0').head == ask(26).head == 'You said: 28.' and ask.state() == dict(said=[4], guess='28')
    assert ask.reveal().text == 'That is close. So it is.' and ask.state() == dict(said=[1], guess='28')


def test_what_the_page_tells():
    for ask, guess, first in (options(), '', 'no'), (number(at_once=False), '28', 28):
        ask.hear(dict(said=[ask.page()['says'].__len__()//2 + 1], guess=guess))
        assert ask.first == first and not ask.revealed
        ask.hear(dict(said=[1], guess=guess))
        assert ask.first == first and ask.revealed


def test_predictions_of_numbers_have_limits():
    limits = {k: (p.low, p.high) for k, p in PREDICTIONS.items() if not p.options}
    assert limits == dict(predict_baseline=(0, 100), predict_evaluations=(0, None), predict_quick=(0, None), predict_ten=(None, None))


# --- in a page: no JupyterLab, no kernel, no mouse

def test_predictions_in_a_page(browser):
    from test_surface import opened
    log, button = lambda p: p.get_by_role('log'), lambda p, name: p.get_by_role('button', name=name)
    for ask, keys, text in (options(), ['Tab', 'ArrowDown', 'ArrowDown', 'ArrowUp', 'Enter'], 'no'), (
            number(at_once=False), ['Tab', *'28', 'Enter'], '28'):
        for at_once in False, True:
            ask.revealed = at_once
            page = opened(browser, check._page_class()(ask), dark=at_once, width=360)
            expect(page.get_by_role('group' if ask.options else 'textbox')).to_have_accessible_name(
                ask.question if ask.options else 'Your guess')
            for key in keys: page.keyboard.press(key)
            verdict = 'You said: no. No, it is: yes. It is not. It is.' if text == 'no' else (
                'You said 28, it is 26. That is close. So it is.')
            if not at_once:
                expect(log(page)).to_have_text(f'You said: {text}. Now run the cells below, and look.')
                assert not re.search('No, it is|it is 26|So it is', page.locator('main').inner_text()), 'not spoilt'
                assert page.evaluate('model.get("_state").said') == [3 if ask.options else 4]
                expect(log(page)).to_be_focused()
                page.keyboard.press('Tab')   # from the field, which takes no more
                expect(button(page, 'Show what was right')).to_be_focused()
                page.keyboard.press('Enter')
            expect(log(page)).to_have_text(re.compile(re.escape(verdict) + '$'))
            assert log(page).locator('> div').count() == 1 and page.evaluate('model.get("_state").said') == [1]
            expect(button(page, 'Show what was right')).to_have_count(0)
            expect(log(page)).to_be_focused()
            for control in page.locator('input, button:visible').all(): expect(control).to_be_disabled()
            assert axe_violations(page, 'main') == []
            assert page.errors == [] and page.evaluate('document.documentElement.scrollWidth') <= 360
            page.close()


# --- right and wrong differ by word, icon and colour

def contrast(one, two):
    def light(colour):
        parts = [int(colour[i:i + 2], 16)/255 for i in (1, 3, 5)]
        r, g, b = [c/12.92 if c <= .04045 else ((c + .055)/1.055)**2.4 for c in parts]
        return .2126*r + .7152*g + .0722*b
    a, b = sorted((light(one), light(two)))
    return (b + .05)/(a + .05)


def test_verdicts_look_different():
    ex, options = exercise(), dict(yes='It is.', no='It is not.')
    said = [ex(stub), ex(nothing), ex(scaled), *(Prediction('x', 'Is it?', 'yes', options).explain(o) for o in options)]
    looks = [re.search('background:(#[0-9a-f]{6});color:(#[0-9a-f]{6})[^>]*>(.)<', s._repr_html_()).groups() for s in said]
    assert len(set(looks)) == 3 and looks[1] == looks[4] and looks[2] == looks[3]
    assert len({icon for _, _, icon in looks}) == len({back for back, _, _ in looks}) == 3
    assert all(contrast(back, front) >= 4.5 for back, front, _ in looks), 'whatever the theme of the page'
    assert [s.head for s in said] == ['scaled: not attempted yet.', 'scaled: not right yet.', 'scaled: correct.',
                                      'You said: yes. Yes.', 'You said: no. No, it is: yes.']
    assert ex.hint()._repr_html_().count('background') == 0


# --- in the browser

@pytest.fixture
def open_fresh(open_book, lab):
    "As `open_book`, in a folder without marks."
    (lab.root/'nb'/PROGRESS).unlink(missing_ok=True)
    yield open_book
    (lab.root/'nb'/PROGRESS).unlink(missing_ok=True)


WRONG = '''
from sgd_course.slope import slope
from sgd_course.exercises.slope import check_step_down, predict_sign, predict_ten
def step_down(f, x, lr):
    print('running')
    return x + lr*slope(f, x)
r = check_step_down(step_down)
r
'''
MENDED = '''
def step_down(f, x, lr): return x - lr*slope(f, x)
check_step_down(step_down)
'''


def test_a_learner_in_jupyterlab(open_fresh):
    book = open_fresh(WRONG, MENDED, 'predict_sign', 'predict_ten', 'from sgd_course.check import progress\nprogress()')
    page = book.page
    output = lambda n: page.locator('.jp-Notebook-cell').nth(n).locator('.jp-Cell-outputArea')
    run_cell = lambda n: page.evaluate("n => { const p = jupyterapp.shell.currentWidget.content; p.activeCellIndex = n;"
                                       " return jupyterapp.commands.execute('notebook:run-cell'); }", n)
    run_cell(0)
    wrong = output(0)
    said = wrong.get_by_role('log').locator('> div')
    expect(wrong).to_contain_text('step_down: not right yet. You added the slope, so the loss rises.', timeout=60_000)
    expect(wrong).to_contain_text('running')
    expect(wrong).to_contain_text('expected')
    wrong.get_by_role('button', name='Hint 1 of 2').click()
    expect(said).to_contain_text(['The slope says which way is up.'])
    hint = wrong.get_by_role('button', name='Hint 2 of 2')
    hint.focus()
    page.keyboard.press('Enter')
    expect(said.nth(1)).to_contain_text('step_down: hint 2 of 2.')
    expect(hint).to_be_disabled()
    book.until('check_step_down.hinted', '2')
    wrong.get_by_role('button', name='Solution', exact=True).click()
    expect(said.nth(2)).to_contain_text('solution after 2 more tries')
    wrong.get_by_role('button', name='Solution now').click()
    expect(wrong.locator('pre').last).to_contain_text('return x - lr*slope(f, x)')
    expect(wrong.get_by_role('button', name='Solution', exact=True)).to_be_disabled()
    expect(wrong.get_by_role('log')).to_be_focused()

    run_cell(1)
    expect(output(1)).to_contain_text('step_down: correct. This one line')
    assert json.loads((book.path.parent/PROGRESS).read_text()) == {'02 step_down': dict(tries=2, correct=True)}

    run_cell(2)
    first, lock = output(2), output(2).get_by_role('button', name='Lock in')
    expect(first).to_contain_text('add a bit of the slope to x, or subtract it?')
    assert 'No, it is' not in first.inner_text(), 'not spoilt'
    lock.click()
    expect(first.get_by_role('status')).to_have_text('Choose one first.')
    first.get_by_role('radio', name='add it', exact=True).focus()
    page.keyboard.press('Space')
    page.keyboard.press('Enter')
    expect(first.get_by_role('log')).to_have_text('You said: add it. Now run the cells below, and look.')
    expect(first.get_by_role('status')).to_have_text('Locked in: the first guess counts.')
    book.until('predict_sign.first, predict_sign.revealed', "('add it', False)")
    first.get_by_role('button', name='Show what was right').click()
    expect(first.get_by_role('log')).to_contain_text('You said: add it. No, it is: subtract it.')
    for control in [lock, *first.get_by_role('radio').all()]: expect(control).to_be_disabled()
    book.until('predict_sign.first, predict_sign.revealed', "('add it', True)")

    run_cell(3)
    guess, number = output(3).get_by_role('textbox', name='Your guess'), output(3).get_by_role('log')
    for nonsense in 'many', '':
        guess.fill(nonsense)
        output(3).get_by_role('button', name='Lock in').click()
        expect(output(3).get_by_role('status')).to_have_text(f'{nonsense or "Nothing"} is not a number.')
    guess.fill('-0.2')
    page.keyboard.press('Enter')
    output(3).get_by_role('button', name='Show what was right').click()
    expect(number).to_contain_text('You said -0.2, it is -0.1611. That is close.')
    expect(guess).to_be_disabled()
    run_cell(4)
    expect(output(4)).to_contain_text(f'1 of {len(EXERCISES)} exercises are correct.')
    expect(output(4).get_by_role('row', name='02 step_down correct 2')).to_be_visible()
    for theme in 'JupyterLab Light', 'JupyterLab Dark':
        page.evaluate('t => jupyterapp.commands.execute("apputils:change-theme", {theme: t})', theme)
        expect(page.locator(f'body[data-jp-theme-name="{theme}"]')).to_be_attached()
        assert axe_violations(book.page) == []
    page.evaluate('() => jupyterapp.commands.execute("apputils:change-theme", {theme: "JupyterLab Light"})')
    assert [b.get_attribute('aria-label') or b.inner_text() for b in page.locator('.jp-OutputArea button').all()].count('') == 0

    run_cell(2)   # the cell once more: it stays as it was said
    expect(output(2).get_by_role('radio', name='add it', exact=True)).to_be_checked()
    expect(output(2).get_by_role('log')).to_contain_text('You said: add it. No, it is: subtract it.')


ASKS = ('''
from sgd_course.check import Prediction
from sgd_course.exercises.slope import check_step_down, predict_sign
check_step_down(lambda f, x, lr: x + lr*f(x))
''', 'predict_sign', 'Prediction("many", "How many of 100?", 26, why="So it is.", tolerance=3, low=0, high=100)')


def answer_all(page):
    "Press everything that there is, in the cells of `ASKS`, with or without a kernel."
    page.get_by_role('button', name='Hint 1 of 2').click()
    page.get_by_role('button', name='Solution', exact=True).click()
    page.get_by_role('button', name='Solution now').click()
    page.get_by_role('radio', name='add it', exact=True).check()
    page.get_by_role('button', name='Lock in').first.click()
    guess, status = page.get_by_role('textbox', name='Your guess'), page.get_by_role('status')
    guess.fill('150')
    guess.press('Enter')
    expect(status.filter(has_text='150 is out of range')).to_have_text('150 is out of range: expected a number from 0 to 100.')
    guess.fill('26')
    guess.press('Enter')
    expect(page.get_by_text('Now run the cells below, and look.').locator('visible=true')).to_have_count(2)
    for part in SAID[2:]: expect(page.get_by_text(part)).to_have_count(0)
    for _ in range(2): page.get_by_role('button', name='Show what was right').first.click()


SAID = 'hint 1 of 2.', 'return x - lr*slope(f, x)', 'No, it is: subtract it.', 'You said 26. Exactly. So it is.'


def open_asks(open_fresh):
    book = open_fresh(*ASKS)
    book.command('notebook:run-all-cells')
    expect(book.page.locator('.sgd-ask')).to_have_count(3, timeout=60_000)
    return book


@pytest.mark.slow
def test_asks_outlive_the_kernel(open_fresh):
    book = open_asks(open_fresh)
    os.kill(int(book.ask('__import__("os").getpid()')), signal.SIGKILL)
    book.page.get_by_role('dialog').get_by_role('button').click()  # 'has died, will restart'
    answer_all(book.page)
    for part in SAID: expect(book.page.locator('.sgd-ask', has_text=part)).to_be_visible()


@pytest.mark.slow
def test_asks_in_a_notebook_that_is_opened_again(open_fresh, lab, browser, tmp_path):
    book = open_asks(open_fresh)
    answer_all(book.page)
    book.save('Exactly', 1)
    book.save('return x - lr*slope', 1)
    lab.api(f'kernels/{book.kernel()}', 'DELETE')
    again = open_fresh(path=book.path)
    outputs = again.page.locator('.jp-Cell-outputArea')
    for part in SAID: expect(outputs.filter(has_text=part).get_by_text(part)).to_be_visible(timeout=30_000)
    expect(again.page.get_by_text('model not found').locator('visible=true')).to_have_count(0)
    assert axe_violations(again.page) == []
    page = exported(book.path, tmp_path, browser, lab)   # no widget state, no network
    for part in SAID: expect(page.get_by_text(part).first).to_be_visible()
    assert page.errors == []
    page.context.close()


@pytest.mark.slow
def test_asks_in_a_saved_page_with_their_state(open_fresh, lab, browser, tmp_path):
    book = open_asks(open_fresh)
    book.save('add a bit of the slope', 2)
    saved = json.loads(book.path.read_text())
    state = book.ask('__import__("json").dumps(__import__("ipywidgets").Widget.get_manager_state())')
    saved['metadata']['widgets'] = {'application/vnd.jupyter.widget-state+json': json.loads(ast.literal_eval(state))}
    (tmp_path/'asks.ipynb').write_text(json.dumps(saved))
    page = exported(tmp_path/'asks.ipynb', tmp_path, browser, lab)
    expect(page.locator('.sgd-ask')).to_have_count(3)
    answer_all(page)
    for part in SAID: expect(page.locator('.sgd-ask', has_text=part)).to_be_visible()
    assert page.errors == []
    page.context.close()


KINDS = dict(number='curve.check_mean_error', gradients='gradients.check_whole_step', images='pixels.check_per_class_accuracy',
             mend='broken.check_fixed_loss', diagnose='broken.check_diagnosis')


@pytest.mark.slow
def test_one_exercise_of_each_kind(open_fresh):
    "Wrong, a hint, mended: for functions of numbers, of tensors, of images, a broken one, and a diagnosis."
    cells = []
    for name in KINDS.values():
        module, name = name.split('.')
        cells += [f'from sgd_course.exercises.{module} import {name} as ex\nex(next(iter(ex.mistakes.values())))',
                  'ex(ex.worked)']
    book = open_fresh(*cells)
    output = lambda n: book.page.locator('.jp-Notebook-cell').nth(n).locator('.jp-Cell-outputArea')
    book.command('notebook:run-all-cells')
    for n, name in enumerate(KINDS.values()):
        ex, (wrong, right) = EXERCISES[name.split('.')[1]], (output(2*n), output(2*n + 1))
        message = next(iter(ex.mistakes)).replace('`', '')
        expect(wrong).to_contain_text(f'{ex.name}: not right yet.', timeout=60_000)
        expect(wrong.locator('.sgd-ask')).to_contain_text(message)
        wrong.get_by_role('button', name=f'Hint 1 of {len(ex.hints)}').click()
        expect(wrong.get_by_role('log')).to_contain_text(f'{ex.name}: hint 1 of {len(ex.hints)}.')
        expect(right).to_contain_text(f'{ex.name}: correct.')
    marks = json.loads((book.path.parent/PROGRESS).read_text())
    assert len(marks) == len(KINDS) and all(m == dict(tries=2, correct=True) for m in marks.values())
    assert axe_violations(book.page) == []
