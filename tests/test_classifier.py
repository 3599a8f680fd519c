"The training functions of lessons 06 and 08: labels, modes, optimizers, numbers, threads; every cell twice."
import ast
import inspect
import json
import re
import threading
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sgd_course import broken, classifier
from sgd_course.classifier import BasicOptim, flatten_digits, init_params, linear1, minibatches, mnist_loss, train
from sgd_course.classifier import train_epoch, validate
from sgd_course.data import Digits, threes_and_sevens
from sgd_course.selection import lr_sweep, train_valid_split
from sgd_course.training import few_threads
from sgd_course.validate import valid_labels

NBS = Path(__file__).parent.parent/'nbs'
KINDS = [getattr(torch, name) for name in (
    'bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64').split()
    if hasattr(torch, name)]  # PyTorch knows uint16 and larger since 2.3


@pytest.fixture(scope='module')
def few():
    "Forty images of four pixels: bright ones are a 1."
    g = torch.Generator().manual_seed(0)
    y = (torch.rand(40, 1, generator=g) > .5).float()
    x = torch.rand(40, 4, generator=g)*.5 + y*.5
    return Digits(x, y, x[:10], y[:10])


def zeros(n=4): return init_params((n, 1), std=0), init_params(1, std=0)

def recoded(data, kind): return Digits(data.train_x, data.train_y.to(kind), data.valid_x, data.valid_y.to(kind))


# --- labels of every type

@pytest.mark.parametrize('kind', KINDS, ids=str)
def test_labels_of_every_type_train_alike(few, kind):
    "The same losses, accuracies and weights, whether a label is 1., 1 or True."
    both = []
    for data in (few, recoded(few, kind)):
        w, b = zeros()
        h = train(partial(linear1, w=w, b=b), BasicOptim((w, b), 1.), data, 2, bs=16, shuffle=False)
        s = lr_sweep([.1, 1.], 2, data, bs=16, progress=False)
        both.append((h.loss, h.accuracy, w.detach(), s.loss, s.accuracy))
    for one, other in zip(*both): torch.testing.assert_close(one, other)


@pytest.mark.parametrize('kind', KINDS, ids=str)
@pytest.mark.parametrize('fault', [(), *[(f,) for f in broken.FAULTS]], ids=str)
def test_every_loss_takes_labels_of_every_type(few, kind, fault):
    w, b = init_params((4, 1), generator=torch.Generator().manual_seed(1)), init_params(1, std=0)
    loss = [broken.faulty_loss(fault, few.train_x, y, w, b) for y in (few.train_y, few.train_y.to(kind))]
    torch.testing.assert_close(*loss)
    if not fault: torch.testing.assert_close(loss[0], mnist_loss(linear1(few.train_x, w, b), few.train_y.to(kind)))


def test_lesson_08_trains_with_labels_of_every_type(few):
    ref = broken.faulty_train(data=few, epochs=2)
    for kind in KINDS:
        run = broken.faulty_train(data=recoded(few, kind), epochs=2)
        torch.testing.assert_close(run.weights, ref.weights, msg=str(kind))
        torch.testing.assert_close(run.right, ref.right, msg=str(kind))


@pytest.mark.parametrize('label', [2, 255, -1, 3.5, float('nan'), 1j], ids=str)
def test_other_labels_are_refused_by_name(few, label):
    y = few.train_y.to(torch.complex64 if isinstance(label, complex) else torch.float32).clone()
    y[3] = label
    data, scores = few._replace(train_y=y), torch.zeros(40, 1)
    w, b = zeros()
    model, opt = partial(linear1, w=w, b=b), BasicOptim((w, b), 1.)
    tries = dict(check=lambda: valid_labels(y), loss=lambda: mnist_loss(scores, y),
                 validate=lambda: validate(model, few.train_x, y), train=lambda: train(model, opt, data, 1),
                 epoch=lambda: train_epoch(model, opt, few.train_x, y), sweep=lambda: lr_sweep(1., 1, data),
                 broken=lambda: broken.faulty_train(data=data, epochs=1))
    for name, go in tries.items():
        with pytest.raises((TypeError, ValueError), match='expected only 0 and 1'): go()
    with pytest.raises(TypeError, match='expected a tensor'): valid_labels([0, 1])


def test_labels_that_wrap_around_are_refused(few):
    for kind in (torch.uint8, torch.int16):
        with pytest.raises(ValueError, match='contain 3'): valid_labels(torch.tensor([1, 3], dtype=kind))


def test_images_of_whole_numbers_are_refused_in_words(few):
    data = few._replace(train_x=(few.train_x*255).to(torch.uint8))
    for go in (lambda: lr_sweep(1., 1, data), lambda: broken.faulty_train(data=data, epochs=1)):
        with pytest.raises(TypeError, match='uint8: expected floating'): go()


# --- the mode of a module

def noisy(): return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(.5), nn.Linear(8, 1))

def test_validating_evaluates(few):
    "No dropout, no new statistics, and every part is in the mode in which it was."
    net = noisy()
    net[2].eval()
    modes, numbers = [m.training for m in net.modules()], {k: v.clone() for k, v in net.state_dict().items()}
    accs = {validate(net, few.train_x, few.train_y) for _ in range(20)}
    assert len(accs) == 1 and modes == [m.training for m in net.modules()]
    for k, v in net.state_dict().items(): assert torch.equal(v, numbers[k]), k
    net.eval()
    with torch.no_grad(): right = ((net(few.train_x) > 0) == (few.train_y == 1)).float().mean().item()
    assert accs == {right}


@pytest.mark.parametrize('training', [True, False])
def test_training_trains(few, training):
    "Dropout and batch norm work as in training, whatever the mode before, and that is left as it was."
    net, seen = noisy().train(training), []
    net[2].register_forward_hook(lambda m, *_: seen.append(m.training))
    before = net[1].running_mean.clone()
    train(net, BasicOptim(net.parameters(), .1), few, 1, bs=20)
    assert seen == [True, True, False] and net.training == training
    assert not torch.equal(net[1].running_mean, before)
    train_epoch(net, BasicOptim(net.parameters(), .1), few.train_x, few.train_y)
    assert seen[3] and all(m.training == training for m in net.modules())


def test_a_frozen_part_stays_frozen(few):
    net = noisy()
    net[1].eval()
    before = net[1].running_mean.clone()
    train(net, BasicOptim(net.parameters(), .1), few, 1)
    assert torch.equal(net[1].running_mean, before) and net.training and not net[1].training


def test_the_mode_comes_back_after_an_error(few):
    net = noisy().eval()
    with pytest.raises(RuntimeError): train(net, BasicOptim(net.parameters(), .1), few._replace(
        train_x=torch.rand(40, 5)), 1)
    assert not any(m.training for m in net.modules())


# --- optimizers

@pytest.mark.parametrize('make', [
    lambda ps: torch.optim.SGD(ps, lr=3.), lambda ps: torch.optim.Adam([dict(params=[p]) for p in ps], lr=3.),
    lambda ps: BasicOptim(ps, 3.)], ids=['SGD', 'groups', 'ours'])
def test_the_best_epoch_comes_back_with_every_optimizer(few, make):
    "Parameters and the statistics of batch norm, so that its accuracy comes back, too."
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    states = []
    note = lambda h: states.append({k: v.clone() for k, v in net.state_dict().items()})
    h = train(net, make(list(net.parameters())), few, 6, bs=8, keep_best=True, on_epoch=note)
    assert validate(net, few.valid_x, few.valid_y) == max(h.accuracy)
    assert h.best_epoch < 5  # or the test would prove nothing
    for k, v in net.state_dict().items(): assert torch.equal(v, states[h.best_epoch][k]), k


def test_without_parameters_nothing_can_be_kept(few):
    w, b = zeros()
    class Bare:
        def step(self): pass
        def zero_grad(self): pass
    with pytest.raises(ValueError, match='keep_best=True: expected an optimizer'):
        train(partial(linear1, w=w, b=b), Bare(), few, 1, keep_best=True)


@pytest.mark.parametrize('params, word', [
    (lambda w: w, 'list'), (lambda w: [w*1], 'leaf'), (lambda w: [w.detach()], 'requires_grad_'),
    (lambda w: [], 'at least one'), (lambda w: [3.], 'tensor')], ids='bare product still none number'.split())
def test_what_would_never_learn_is_refused(params, word):
    with pytest.raises(ValueError, match=word): BasicOptim(params(torch.ones(2, requires_grad=True)), 1.)


def test_a_step_where_gradients_are_off_says_so(few):
    w, b = zeros()
    with torch.no_grad(), pytest.raises(RuntimeError, match='gradients are switched off'):
        train_epoch(partial(linear1, w=w, b=b), BasicOptim((w, b), 1.), few.train_x, few.train_y)
    with torch.no_grad(), pytest.raises(RuntimeError, match='gradients are switched off'): lr_sweep(1., 1, few)
    with torch.no_grad(), pytest.raises(RuntimeError, match='gradients are switched off'):
        broken.faulty_train(data=few, epochs=1)


# --- whole numbers

WHOLE = {'int64': np.int64, 'uint8': np.uint8, 'tensor': torch.tensor}

@pytest.mark.parametrize('n', WHOLE.values(), ids=WHOLE)
def test_whole_numbers_of_every_kind(few, n):
    w, b = zeros()
    model, opt = partial(linear1, w=w, b=b), BasicOptim((w, b), np.float32(1))
    assert len(train(model, opt, few, n(2), bs=n(16)).loss) == 2
    train_epoch(model, opt, few.train_x, few.train_y, bs=n(16))
    assert [len(i) for i in minibatches(n(40), n(16))] == [16, 16, 8]
    assert len(train_valid_split(few, n(5), seed=n(3)).valid_x) == 5
    assert lr_sweep(n(1), n(2), few, bs=n(16), seed=n(1), progress=False).loss.shape == (2, 1)
    assert init_params((4, 1), std=np.float32(.1)).shape == (4, 1)
    assert torch.equal(broken.faulty_train(data=few, epochs=n(2), seed=n(1)).loss,
                       broken.faulty_train(data=few, epochs=2, seed=1).loss)
    assert len(broken.three_parts(n(1), n(50))[0]) == 50
    assert broken._mystery(n(0))[0] == broken._mystery(0)[0]


@pytest.mark.parametrize('wrong', [0, -1, 1.5, True, '3', None, np.float64(2), torch.tensor([2]), float('nan')], ids=repr)
def test_other_numbers_are_refused_by_name(few, wrong):
    w, b = zeros()
    model, opt = partial(linear1, w=w, b=b), BasicOptim((w, b), 1.)
    refused = dict(epochs=[lambda: train(model, opt, few, wrong), lambda: lr_sweep(1., wrong, few),
                           lambda: broken.faulty_train(epochs=wrong, data=few)],
                   bs=[lambda: train(model, opt, few, 1, bs=wrong), lambda: lr_sweep(1., 1, few, bs=wrong),
                       lambda: train_epoch(model, opt, few.train_x, few.train_y, bs=wrong)],
                   n=[lambda: minibatches(wrong), lambda: train_valid_split(few, wrong), lambda: broken.three_parts(1, wrong)])
    for name, tries in refused.items():
        for go in tries:
            with pytest.raises(ValueError, match=f'^{name} is .*expected'): go()
    if wrong != 0:
        with pytest.raises(ValueError, match='^k is .*expected a whole number'): broken.mystery(wrong)
    for std in (-1, float('nan'), float('inf'), 'much', None):
        with pytest.raises((TypeError, ValueError), match='^std is'): init_params(3, std=std)


# --- threads

@pytest.fixture
def two_threads():
    n = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(n)


def test_small_tensors_get_one_thread(few, two_threads):
    seen = []
    w, b = zeros()
    def model(x):
        seen.append(torch.get_num_threads())
        return linear1(x, w, b)
    opt = BasicOptim((w, b), 1.)
    train(model, opt, few, 1), train_epoch(model, opt, few.train_x, few.train_y), validate(model, few.train_x, few.train_y)
    assert len(seen) == 4 and set(seen) == {1} and torch.get_num_threads() == 2
    assert few_threads()(torch.get_num_threads)() == 1  # as a decorator, too


@pytest.mark.parametrize('go, name', [(lr_sweep, '_sweep_epoch'), (broken.faulty_train, 'faulty_loss')])
def test_so_do_the_loops_that_have_their_own(few, two_threads, monkeypatch, go, name):
    module, seen = inspect.getmodule(go), []
    was = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a: (seen.append(torch.get_num_threads()), was(*a))[1])
    lr_sweep(1., 1, few) if go is lr_sweep else go(data=few, epochs=1)
    assert seen and set(seen) == {1} and torch.get_num_threads() == 2


def test_large_models_keep_all_threads(few, two_threads):
    for net in (nn.Conv2d(1, 8, 3), nn.Linear(2000, 600)):
        with few_threads(net): assert torch.get_num_threads() == 2
    with few_threads(nn.Linear(784, 30)): assert torch.get_num_threads() == 1


def test_threads_come_back_after_an_error_and_others_are_left_alone(two_threads):
    other = []
    ready, done = threading.Event(), threading.Event()
    def neighbour():
        torch.get_num_threads()  # a thread's first question settles its number
        torch.set_num_threads(2)
        ready.set()
        done.wait(10)
        other.append(torch.get_num_threads())
    t = threading.Thread(target=neighbour)
    t.start()
    assert ready.wait(10)
    with pytest.raises(KeyError), few_threads():
        done.set()
        t.join()
        raise KeyError
    assert other == [2] and torch.get_num_threads() == 2


# --- runtime promises

@pytest.mark.parametrize('module', [classifier, broken])
def test_no_promise_hangs_on_assert(module):
    "`python -O` leaves them out."
    assert not [n for n in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(n, ast.Assert)]


def test_mysteries_raise_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        broken.mystery(1)
        broken.diagnose(1, 'healthy')


# --- the lessons themselves

LESSONS = pytest.mark.parametrize('name', ['06_threes_and_sevens', '08_broken'])

def cells_of(name, kind):
    cells = json.loads((NBS/f'{name}.ipynb').read_text(encoding='utf-8'))['cells']
    return [''.join(c['source']) for c in cells if c['cell_type'] == kind]


@LESSONS
def test_no_name_of_a_lesson_hides_what_its_functions_use(name):
    "A variable called `whole` made every function fail that checks a whole number."
    exported, own = set(), set()
    for source in cells_of(name, 'code'):
        names = exported if '#| export' in source else own
        for node in ast.parse(source).body:
            for n in ast.walk(node) if isinstance(node, (ast.Assign, ast.For, ast.With)) else [node]:
                if isinstance(n, (ast.FunctionDef, ast.ClassDef)): names.add(n.name)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store): names.add(n.id)
                if isinstance(n, (ast.Import, ast.ImportFrom)) and names is exported:
                    names.update((a.asname or a.name).partition('.')[0] for a in n.names)
    assert len(exported) > 20 and not exported & own


@LESSONS
def test_every_prediction_has_buttons_and_no_cell_is_empty(name):
    cells = json.loads((NBS/f'{name}.ipynb').read_text(encoding='utf-8'))['cells']
    sources = [''.join(c['source']).strip() for c in cells]
    assert all(sources)
    asked = [k for k, s in enumerate(sources) if '**Predict.**' in s]
    assert len(asked) > 2 and all(re.fullmatch(r'predict_\w+', sources[k + 1]) for k in asked)


@pytest.mark.long
def test_the_first_worse_epoch_is_no_end():
    "What lesson 07 says of it, with other orders of the digits."
    data = flatten_digits(threes_and_sevens())
    for seed in range(10):
        w, b = init_params((784, 1), std=0), init_params(1, std=0)
        history = train(partial(linear1, w=w, b=b), BasicOptim((w, b), 1.), data, 20, progress=False,
                        generator=torch.Generator().manual_seed(seed))
        accuracy = torch.tensor(history.accuracy)
        worse = (accuracy.diff() < 0).nonzero()[0].item() + 1
        assert worse < 15 and .001 < accuracy[-1] - accuracy[worse - 1] < .008


@pytest.mark.long
def test_the_column_for_cross_entropy(monkeypatch):
    "What the table of lesson 08 says of that loss. It starts at 0.69."
    def cross_entropy(faults, xb, yb, w, b):
        s = linear1(xb, w, b)
        if 'shapes broadcast' in faults: yb = yb[:, 0]
        if 'sigmoid twice' in faults: s = s.sigmoid()
        if 'no sigmoid' in faults: return -(yb*s.log() + (1 - yb)*(1 - s).log()).mean()
        if 'by hand' in faults: return -(yb*s.sigmoid().log() + (1 - yb)*(1 - s.sigmoid()).log()).mean()
        return (nn.functional.softplus(s) - s*yb).mean()
    ours = broken.faulty_loss
    monkeypatch.setattr(broken, 'FAULTS', broken.FAULTS + ('sigmoid twice', 'by hand'))
    monkeypatch.setattr(broken, 'faulty_loss', cross_entropy)
    def run(*faults, **kwargs): return broken.faulty_train(*faults, lr=.1, **kwargs)
    data, g = broken._data(), torch.Generator().manual_seed(0)
    ok = run()
    assert abs(ok.loss[0] - .693) < .001 and ok.loss[49:].max() < .2 and ok.accuracy[-1] > .96
    assert run('no sigmoid').loss[-1].isnan() and run('by hand', 'learning rate too high').loss[-1].isnan()
    assert abs(run('shapes broadcast').loss[49:] - .69).max() < .07
    mixed = data._replace(train_y=data.train_y[torch.randperm(len(data.train_y), generator=g)])
    assert abs(run(data=mixed).loss[49:] - .69).max() < .07
    assert 100 < run('wrong direction').loss[-49:].mean() < 1000
    swapped = run(data=data._replace(train_y=1 - data.train_y))
    assert swapped.loss[-49:].mean() < .1 and swapped.accuracy[-1] < .05
    in_order = run('not shuffled')
    assert in_order.loss.max() > 2*.69 and in_order.loss[:23].min() < .1 and 22 <= in_order.loss.argmax() < 26
    high = run('learning rate too high')
    assert 10 < high.loss.max() < 100 and high.loss[-49:].mean() < .5
    uncleared = run('gradients not cleared')
    assert uncleared.loss[49:].max() > .69 and uncleared.loss[49:].min() < .1
    assert uncleared.norm[-1] > 10*ok.norm[-1]
    assert .5 < run('sigmoid twice').loss[-49:].mean() < .6
    monkeypatch.setattr(broken, 'faulty_loss', lambda f, xb, yb, w, b: ours((), xb, yb, w, b) if not f else
                        (linear1(xb, w, b).sigmoid().sigmoid() - yb).abs().mean())
    assert .37 < broken.faulty_train('sigmoid twice').loss[-49:].mean() < .42
