"Optimizers of lesson 13: the same as PyTorch's, and what they refuse."
import io
import math
from functools import cache, partial

import numpy as np
import pytest
import torch
from torch import nn

from sgd_course.classifier import BasicOptim
from sgd_course.descent import step
from sgd_course.optimizers import (SGD, Adam, AdamW, Momentum, RMSprop, plot_contours, ravine, run_optimizer,
                                   settling_time)
from sgd_course.selection import lr_sweep

OURS = [SGD, Momentum, RMSprop, Adam]
SAME = [  # ours, its settings, PyTorch's, its settings
    (SGD, {}, torch.optim.SGD, {}),
    (SGD, dict(wd=.1), torch.optim.SGD, dict(weight_decay=.1)),
    (Momentum, {}, torch.optim.SGD, dict(momentum=.9)),
    (Momentum, dict(mom=.5, wd=.01), torch.optim.SGD, dict(momentum=.5, weight_decay=.01)),
    (Momentum, dict(mom=0), torch.optim.SGD, {}),
    (RMSprop, {}, torch.optim.RMSprop, {}),
    (RMSprop, dict(sqr_mom=.9, eps=1e-3, wd=.1), torch.optim.RMSprop, dict(alpha=.9, eps=1e-3, weight_decay=.1)),
    (Adam, {}, torch.optim.Adam, {}),
    (Adam, dict(mom=.8, sqr_mom=.95, eps=1e-4, wd=.1), torch.optim.Adam,
     dict(betas=(.8, .95), eps=1e-4, weight_decay=.1))]
each_pair = pytest.mark.parametrize('ours, mine, theirs, its', SAME, ids=lambda v: getattr(v, '__name__', str(v)))


def problem(seed, dtype):
    """Random parameters of random shapes, one of them unused, and a function that gives the loss of a random batch.

    (On the same data in each step RMSprop would magnify rounding: near the minimum it divides by next to nothing.)
    """
    g = torch.Generator().manual_seed(seed)
    n, m = torch.randint(1, 6, (2,), generator=g).tolist()
    shapes = [(n, m), (m,), (), (2, 1, n), (3,)]
    params = [torch.randn(s, generator=g).to(dtype).requires_grad_() for s in shapes]
    def loss():
        a, b, c, d, unused = params
        x, y = (torch.randn(7, k, generator=g).to(dtype) for k in (n, m))
        return ((x @ a + b*c - y)**2).mean() + (((x*d).sin() - c)**2).mean()
    return params, loss


def hundred_steps(opt_func, seed, dtype, **settings):
    params, loss = problem(seed, dtype)
    opt = opt_func(params, lr=.01, **settings)
    for k in range(100):
        loss().backward()
        if k % 10 == 3: params[1].grad = None  # there may be none in some steps
        opt.step()
        opt.zero_grad()
        assert all(p.grad is None for p in params)
    return params


@each_pair
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('seed', range(2))
def test_same_as_pytorch(ours, mine, theirs, its, dtype, seed):
    before, _ = problem(seed, dtype)
    one, two = (hundred_steps(o, seed, dtype, **s) for o, s in ((ours, mine), (theirs, its)))
    for p, q in zip(one, two): torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)
    assert all(p.dtype == dtype for p in one)
    assert all((p - q).abs().max() > 1e-3 for p, q in zip(one[:4], before)) and torch.equal(one[4], before[4])


@pytest.mark.parametrize('opt_func', OURS)
def test_one_method_each(opt_func):
    assert [k for k in vars(opt_func) if callable(vars(opt_func)[k])] == ['direction'] or opt_func is SGD


@pytest.mark.parametrize('opt_func', OURS)
def test_columns_are_independent(opt_func):
    start, lrs = [-1.5, .25], [.001, .01, .019, 5.]
    together = run_optimizer(opt_func, ravine, start, lrs, 50)
    for k, lr in enumerate(lrs):
        torch.testing.assert_close(together[:, :, k], run_optimizer(opt_func, ravine, start, lr, 50), equal_nan=True)


def test_settings_by_column():
    moms = torch.tensor([0., .5, .9], dtype=torch.double)
    together = run_optimizer(Momentum, ravine, [1., 1.], .01, 50, mom=moms)
    for k, mom in enumerate(moms.tolist()):
        torch.testing.assert_close(together[:, :, k], run_optimizer(Momentum, ravine, [1., 1.], .01, 50, mom=mom))


def test_rates_by_column_and_one_setting():
    together = run_optimizer(Momentum, ravine, [1., 1.], [.001, .01], 50, mom=.5)
    for k, lr in enumerate((.001, .01)):
        torch.testing.assert_close(together[:, :, k], run_optimizer(Momentum, ravine, [1., 1.], lr, 50, mom=.5))


@pytest.mark.parametrize('opt_func', OURS)
def test_saved_and_loaded(opt_func):
    def steps(opt, w, n):
        for _ in range(n):
            (w**4).sum().backward()
            opt.step()
            opt.zero_grad()
    w = torch.tensor([1., 2.]).requires_grad_()
    opt = opt_func([w], .01)
    steps(opt, w, 5)
    file = io.BytesIO()
    torch.save(dict(w=w.detach().clone(), opt=opt.state_dict()), file)
    steps(opt, w, 5)
    saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    w2 = saved['w'].requires_grad_()
    again = opt_func([w2], .5, wd=.1)
    again.load_state_dict(saved['opt'])
    steps(again, w2, 5)
    assert torch.equal(w, w2)
    with pytest.raises(ValueError, match='expected'): opt_func([w2, w], .1).load_state_dict(saved['opt'])
    with pytest.raises(ValueError, match='expected'): again.load_state_dict(dict(lr=.1))


def leaf(): return torch.zeros(3).requires_grad_()


@pytest.mark.parametrize('params', [[], [torch.zeros(3)], [dict(params=[leaf()])], [[leaf()]], leaf(), [leaf()*2], ['w'], 3],
                         ids=['none', 'no grad', 'groups', 'lists', 'bare tensor', 'no leaf', 'name', 'number'])
@pytest.mark.parametrize('opt_func', OURS)
def test_wrong_params(opt_func, params):
    with pytest.raises((ValueError, TypeError), match='params'): opt_func(params, .1)


@pytest.mark.parametrize('opt_func, settings, error, words', [
    (SGD, dict(lr=0), ValueError, 'lr is 0'), (Adam, dict(lr='fast'), TypeError, "lr is 'fast'"),
    (Adam, dict(lr=math.nan), ValueError, 'lr is nan'), (SGD, dict(mom=.9), TypeError, 'no setting of SGD'),
    (Momentum, dict(mom=1), ValueError, 'mom is 1'), (Momentum, dict(mom=-.1), ValueError, 'mom is -0.1'),
    (RMSprop, dict(sqr_mom=math.nan), ValueError, 'sqr_mom is nan'), (Adam, dict(eps=-1), ValueError, 'eps is -1'),
    (Adam, dict(wd=math.inf), ValueError, 'wd is inf'), (Adam, dict(mom='much'), ValueError, "mom is 'much'"),
    (Adam, dict(betas=(.9, .99)), TypeError, r"expected some of \['wd', 'mom', 'sqr_mom', 'eps'\]")])
def test_wrong_settings(opt_func, settings, error, words):
    with pytest.raises(error, match=words): opt_func([leaf()], **dict(dict(lr=.1), **settings))


def test_walks_that_cannot_be():
    with pytest.raises(ValueError, match='one loss for each column'): run_optimizer(SGD, torch.sum, [1., 1.], [.1, .2], 3)
    with pytest.raises(ValueError, match='steps is -1'): run_optimizer(SGD, ravine, [1., 1.], .1, -1)
    with pytest.raises(ValueError, match='tol is 0'): settling_time(torch.zeros(3, 2), tol=0)


def test_steps_to_settle():
    place = lambda *xs: torch.tensor(xs, dtype=torch.double)[:, None]
    for xs, steps in [((0, 0), 0), ((1, 0, 1, 0, 0), 3), ((1, 1, 1), math.inf), ((0, 0, 1), math.inf),
                      ((1, math.nan, 0), 2), ((1, 0, math.nan), math.inf)]:
        assert settling_time(place(*xs)) == steps
    assert settling_time(place(1, 3, 3), target=3) == settling_time(place(1, 3, 3), target=[3.]) == 1
    both = torch.tensor([[1., 2.], [1., 0.], [1., 0.]])[:, :, None].repeat(1, 1, 2)
    assert settling_time(both, target=[1., 0.]).tolist() == [1, 1]


# --- on digits

@cache
def digits(n=600):
    from sgd_course.classifier import flatten_digits
    from sgd_course.data import threes_and_sevens
    d = flatten_digits(threes_and_sevens())
    i = torch.randperm(len(d.train_x), generator=torch.Generator().manual_seed(0))[:n]
    return d._replace(train_x=d.train_x[i], train_y=d.train_y[i], valid_x=d.valid_x[::4], valid_y=d.valid_y[::4])


def test_sweep_is_that_of_lesson_07():
    d = digits()
    one, two = (lr_sweep([.1, 1.], 2, d, progress=False, opt_func=o) for o in (SGD, BasicOptim))
    for a, b in zip(one, two): torch.testing.assert_close(a, b)


def test_settings_of_a_sweep_by_column():
    d = digits()
    both = lr_sweep([.1, .1], 2, d, progress=False, opt_func=Momentum, mom=torch.tensor([0., .5]))
    for k, mom in enumerate((0., .5)):
        one = lr_sweep([.1], 2, d, progress=False, opt_func=Momentum, mom=mom)
        torch.testing.assert_close(both.weights[:, k], one.weights[:, 0], rtol=1e-4, atol=1e-6)


def test_sweep_calls_the_schedule_for_each_step():
    seen = []
    def schedule(step, steps, lr):
        seen.append((step, steps))
        return lr*0 if step else lr
    s = lr_sweep([.1, 1.], 3, digits(), progress=False, opt_func=SGD, schedule=schedule)
    assert seen == [(n, 9) for n in range(9)]
    assert torch.equal(s.weights[1], s.weights[3]) and s.weights[1].abs().max() > 0


# --- in fastai

fastai = pytest.mark.filterwarnings('ignore')


def learner(opt_func, folder, **settings):
    from fastai.callback.progress import ProgressCallback
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper
    d = digits()
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 1))
    dl = DataLoader(list(zip(d.train_x, d.train_y)), bs=64)
    learn = Learner(DataLoaders(dl, dl), model, loss_func=nn.functional.mse_loss, path=folder,
                    opt_func=partial(OptimWrapper, opt=opt_func, **settings))
    learn.remove_cb(ProgressCallback)
    learn.logger = lambda *args: None
    return learn


FIT = {'fit': lambda learn: learn.fit(2, .01), 'fit with weight decay': lambda learn: learn.fit(2, .01, wd=.1),
       'fit_one_cycle': lambda learn: learn.fit_one_cycle(2, .01)}


@pytest.mark.long
@fastai
@each_pair
@pytest.mark.parametrize('how', ['fit with weight decay', 'fit_one_cycle'])
def test_in_a_learner(ours, mine, theirs, its, how, tmp_path):
    pytest.importorskip('fastai')
    import fastai.callback.schedule  # noqa: F401
    if how == 'fit_one_cycle' and ours not in (Momentum, Adam): pytest.skip('it has no momentum that could be moved')
    one, two = learner(ours, tmp_path, **mine), learner(theirs, tmp_path, **its)
    before = [p.detach().clone() for p in one.model.parameters()]
    for learn in (one, two): FIT[how](learn)
    for p, q, old in zip(one.model.parameters(), two.model.parameters(), before):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-5)
        assert (p - old).abs().max() > 1e-3


@fastai
@pytest.mark.parametrize('opt_func', OURS)
def test_learner_saves_loads_and_finds(opt_func, tmp_path):
    pytest.importorskip('fastai')
    import fastai.callback.schedule  # noqa: F401
    learn = learner(opt_func, tmp_path)
    learn.fit(1, .01)
    learn.save('here')
    learn.fit(1, .01)
    learn.load('here')
    weights = learn.model[0].weight.detach().clone()
    learn.lr_find(num_it=20, show_plot=False)
    assert len(learn.recorder.lrs) > 10 and torch.equal(learn.model[0].weight, weights)


# --- what looks like an optimizer's parameters, and is none

def computed(): return leaf()*2


@pytest.mark.parametrize('params, said', [
    (leaf(), 'one tensor'), (torch.zeros(3), 'one tensor'), ([computed()], 'not a leaf'),
    ([leaf(), computed()], 'not a leaf'), ([torch.zeros(3)], 'requires_grad_'), ([], 'empty'),
    ([[leaf()]], 'not in groups'), ([dict(params=[leaf()])], 'not in groups'), (3, 'contain a int')])
@pytest.mark.parametrize('opt_func', OURS)
def test_params_that_would_never_learn(opt_func, params, said):
    with pytest.raises(ValueError, match=f'params .*{said}') as e: opt_func(params, .1)
    assert 'xpected' in str(e.value)


def test_gradients_that_are_switched_off():
    d = digits(60)
    for train in (lambda: run_optimizer(SGD, ravine, [1., 1.], .1, 2),
                  lambda: lr_sweep([.1], 1, d, progress=False, opt_func=SGD)):
        with torch.no_grad(), pytest.raises(RuntimeError, match='gradients are switched off'): train()


def test_step_says_why_there_is_no_gradient():
    w = computed()
    with pytest.raises(ValueError, match=r'not a leaf.*w = w.detach\(\).requires_grad_'): step(w, .1)
    with pytest.raises(ValueError, match='call backward') as e: step(leaf(), .1)
    assert 'set_grad_enabled' not in str(e.value)
    with torch.no_grad(), pytest.raises(ValueError, match=r'gradients are off; call torch.set_grad_enabled\(True\)'):
        step(leaf(), .1)


def test_optimizers_of_others_are_refused():
    with pytest.raises(TypeError, match='expected'): lr_sweep([.1], 1, digits(), progress=False, opt_func=torch.optim.SGD)


def test_walk_needs_a_loss_for_each_column():
    with pytest.raises(ValueError, match='f returned 3.0 for weights'): run_optimizer(SGD, lambda w: 3., [1., 1.], .1, 2)


@pytest.mark.parametrize('n', [np.int64(3), torch.tensor(3)])
def test_whole_numbers_of_others(n):
    assert run_optimizer(SGD, ravine, [1., 1.], np.float32(.1), n).shape == (4, 2)
    d = digits(60)
    assert lr_sweep([.1], n, d, bs=n, progress=False, opt_func=SGD).loss.shape == (3, 1)


# --- weight decay

def test_adamw_decays_beside_the_gradient():
    w, v = (torch.tensor([.5, 0.]).requires_grad_() for _ in range(2))
    for p, opt_func in ((w, Adam), (v, AdamW)):
        opt = opt_func([p], .01, wd=.1)
        for _ in range(10):
            p.grad = torch.tensor([0., 1.])
            opt.step()
    assert w[0].item() == pytest.approx(.5 - 10*.01, abs=1e-3), 'with L2 the whole rate at each step'
    assert v[0].item() == pytest.approx(.5*(1 - .01*.1)**10, rel=1e-6)


# --- in a Learner as they are

def plain_learner(opt_func, folder, **kwargs):
    from fastai.callback.progress import ProgressCallback
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    d = digits(300)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(784, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    dl = DataLoader(list(zip(d.train_x, d.train_y)), bs=64, device='cpu')
    learn = Learner(DataLoaders(dl, dl, device='cpu'), model, loss_func=nn.functional.mse_loss, path=folder,
                    opt_func=opt_func, **kwargs)
    learn.remove_cb(ProgressCallback)
    learn.logger = lambda *args: None
    return learn


AS_IS = {'wd': lambda learn: learn.fit(2, .01, wd=.1), 'slice': lambda learn: learn.fit_one_cycle(2, slice(.01), wd=.1),
         'fine_tune': lambda learn: learn.fine_tune(1, .01), 'flat_cos': lambda learn: learn.fit_flat_cos(1, .01)}


@pytest.mark.long
@fastai
@pytest.mark.parametrize('name, how', [(o, how) for o in ('SGD', 'Momentum', 'RMSprop', 'AdamW') for how in ('wd', 'slice')]
                         + [('AdamW', 'fine_tune'), ('SGD', 'flat_cos')])
def test_in_a_learner_as_fastais_own(name, how, tmp_path):
    pytest.importorskip('fastai')
    import fastai.callback.schedule  # noqa: F401
    import fastai.optimizer as theirs
    ours, its = dict(
        SGD=(SGD, partial(theirs.SGD, decouple_wd=False)), RMSprop=(RMSprop, partial(theirs.RMSProp, decouple_wd=False)),
        Momentum=(Momentum, partial(theirs.SGD, mom=.9, decouple_wd=False)),
        AdamW=(partial(AdamW, wd=0.), partial(theirs.Adam, sqr_mom=.999, eps=1e-8, wd=0.)))[name]
    one, two = (plain_learner(o, tmp_path) for o in (ours, its))
    before = [p.detach().clone() for p in one.model.parameters()]
    for learn in (one, two): AS_IS[how](learn)
    for p, q, old in zip(one.model.parameters(), two.model.parameters(), before):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)
        assert (p - old).abs().max() > 1e-4
    assert one.recorder.lrs == pytest.approx(two.recorder.lrs)


@fastai
@pytest.mark.parametrize('opt_func', [*OURS, AdamW])
def test_as_it_is_a_learner_saves_loads_and_finds(opt_func, tmp_path):
    pytest.importorskip('fastai')
    import fastai.callback.schedule  # noqa: F401
    learn = plain_learner(opt_func, tmp_path)
    learn.fit(1, .01)
    learn.save('here')
    learn.fit(1, .01)
    learn.load('here')
    weights = learn.model[0].weight.detach().clone()
    learn.lr_find(num_it=20, show_plot=False)
    assert len(learn.recorder.lrs) > 10 and torch.equal(learn.model[0].weight, weights)


@fastai
def test_groups_are_refused_with_what_to_do(tmp_path):
    pytest.importorskip('fastai')
    in_two = dict(splitter=lambda m: [list(m[0].parameters()), list(m[1:].parameters())])
    with pytest.raises(ValueError, match='not in groups .in fastai: splitter=trainable_params'):
        plain_learner(SGD, tmp_path, **in_two).fit(1, .1)
    with pytest.raises(ValueError, match='expected one number'): plain_learner(SGD, tmp_path).fit(1, [.1, .2])
    with pytest.raises(ValueError, match='one group'): plain_learner(SGD, tmp_path).freeze_to(1)


@fastai
def test_the_books_learner_with_all_imported(tmp_path):
    "In a fresh namespace, as in a notebook: ours take the place of fastai's."
    pytest.importorskip('fastai')
    code = '''
from fastai.vision.all import *
from sgd_course.all import *
data = flatten_digits(threes_and_sevens())
dls = DataLoaders(*(DataLoader(list(zip(x[::20], y[::20])), bs=256) for x, y in (data[:2], data[2:])), device='cpu')
def batch_accuracy(xb, yb): return ((xb.sigmoid() > 0.5) == yb).float().mean()
found = []
for o in SGD, Momentum, RMSprop, Adam, AdamW:
    assert o.__module__ == 'sgd_course.optimizers'
    learn = Learner(dls, nn.Linear(784, 1), opt_func=o, loss_func=mnist_loss, metrics=batch_accuracy, path=folder)
    with learn.no_bar(), learn.no_logging(): learn.fit(10, lr=.1 if o in (SGD, Momentum) else .01)
    found.append(learn.recorder.values[-1][-1])
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(1, .1)
'''
    names = dict(folder=tmp_path)
    exec(code, names)
    assert len(names['found']) == 5 and min(names['found']) > .85


def test_contours_are_small_files():
    "Smooth edges would double an image."
    from matplotlib import pyplot as plt
    lines, = plot_contours(ravine, (-1, 1), (-1, 1), 'title', plt.figure().add_subplot()).collections
    plt.close('all')
    assert not any(lines.get_antialiased())
