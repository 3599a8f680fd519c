"A worked number for each function that computes one: by hand, or from NumPy, SciPy, scikit-learn or PyTorch."
import hashlib
import math
import warnings
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn.linear_model
import sklearn.metrics
import sklearn.neighbors
import sklearn.preprocessing
import torch
from torch import nn, tensor
from torch.testing import assert_close

from sgd_course import broken
from sgd_course import classifier as c
from sgd_course import curve, descent, gradients, layers, optimizers, parallel, pixels, schedules, selection
from sgd_course.data import Digits, threes_and_sevens
from sgd_course.exercises import broken as ex_broken, classifier as ex_classifier, curve as ex_curve
from sgd_course.exercises import descent as ex_descent, gradients as ex_gradients, layers as ex_layers
from sgd_course.exercises import optimizers as ex_optimizers, parallel as ex_parallel, pixels as ex_pixels
from sgd_course.exercises import schedules as ex_schedules
from sgd_course.exercises import selection as ex_selection
from sgd_course.exercises import slope as ex_slope
from sgd_course.slope import slope

f64 = partial(torch.as_tensor, dtype=torch.float64)


def some(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def near(ours, theirs, **kwargs):
    "Equal up to rounding error, whatever the kinds of numbers."
    assert_close(f64(ours), f64(np.asarray(theirs, dtype=float)), **(dict(rtol=1e-5, atol=1e-6) | kwargs))


# --- 01 pixels

def test_distances():
    x, ref = some(5, 6, 4), some(6, 4, seed=1)
    flat, same = x.flatten(1).numpy(), ref.flatten().numpy()
    near(pixels.mean_absolute_error(x, ref), sklearn.metrics.pairwise.manhattan_distances(flat, same[None])[:, 0]/24)
    near(pixels.root_mean_squared_error(x, ref),
         sklearn.metrics.pairwise.euclidean_distances(flat, same[None])[:, 0]/24**.5)
    assert pixels.mean_absolute_error(tensor([[1., 2], [3, 4]]), tensor([[0., 4], [3, 0]])) == 7/4
    assert pixels.root_mean_squared_error(tensor([3., 4.]), tensor([0., 0.])) == 12.5**.5


def test_baseline_is_scikit_learns():
    "With averages and the Euclidean distance, `NearestCentroid` is the same model."
    d = threes_and_sevens()
    x, y, valid_x = d.train_x.flatten(1), d.train_y, d.valid_x.flatten(1)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # pixels that are always 0
        theirs = sklearn.neighbors.NearestCentroid().fit(x.numpy(), y.numpy()).predict(valid_x.numpy())
    ours = pixels.nearest_centroid(valid_x, [x[y == 0].mean(0), x[y == 1].mean(0)], pixels.root_mean_squared_error)
    assert (ours.numpy() != theirs).sum() <= 1  # a digit in the middle between both
    near(pixels.accuracy(ours, d.valid_y), sklearn.metrics.accuracy_score(d.valid_y.numpy(), ours.numpy()))
    assert pixels.accuracy(tensor([1, 0, 1, 1]), tensor([1, 1, 1, 0])) == .5


def test_score():
    x, w = some(5, 3, 4), some(3, 4, seed=1)
    near(pixels.linear_score(x, w), np.einsum('nij,ij->n', x, w))
    assert pixels.linear_score(tensor([.5, 1, 0]), tensor([2., -3, 9])) == -2


# --- 02 slope, 03 gradients

def test_slopes():
    def f(x): return x**2
    assert slope(f, 3, 1) == 7 and slope(f, 3, 1, central=True) == 6 and slope(f, -1.5, .5) == -2.5
    assert slope(f, 3, -1) == 5  # to the left
    near(slope(math.sin, 1., 1e-5),
         scipy.optimize.approx_fprime(np.array([1.]), lambda x: math.sin(x[0]), 1e-5)[0], rtol=1e-9)


def test_partial_derivatives():
    "(w0*w1)**2 + w2**3 at (3, 4, 2): 2*3*16, 2*9*4 and 3*2**2."
    def f(w): return (w[0]*w[1])**2 + w[2]**3
    at, exact = f64([3, 4, 2]), f64([96, 72, 12])
    assert_close(gradients.gradient(f, at), exact)
    assert_close(gradients.numerical_gradient(f, at), exact, rtol=1e-7, atol=0)
    assert_close(gradients.partial_derivative(f, at, 1), exact[1], rtol=1e-7, atol=0)
    w = some(3).requires_grad_()  # it is a number, whatever else the function uses
    assert not gradients.partial_derivative(lambda x: (w*x).sum(), at, 1).requires_grad
    near(gradients.numerical_gradient(f, at), scipy.optimize.approx_fprime(at.numpy(), lambda w: f(tensor(w)).item()))


def test_a_point_is_copied():
    "A function that looks at the point itself sees it unmoved; a point may be a view, turned."
    x = some(2, 3).T
    expected = x.clone()
    assert_close(gradients.numerical_gradient(lambda v: (v*x).sum(), x), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(x, expected) and torch.equal(gradients.gradient(lambda v: (v**2).sum(), x), 2*expected)


# --- 04 descent

def test_descent_on_a_parabola():
    "One step multiplies x by 1 - lr*c, where c is the curvature."
    for lr in .1, .5, .9, 1.1:
        path = descent.descend(lambda x: 3*x**2/2, 2., lr, 5)
        near(path, 2*(1 - 3*lr)**np.arange(6), rtol=1e-12, atol=0 if lr != 1/3 else 1e-12)
    w = tensor([1., 2.]).requires_grad_()
    (w**2).sum().backward()
    near(descent.step(w, .1).detach(), [.8, 1.6])


def test_steps_to_converge_are_counted():
    path = f64([[4, 1], [2, 3], [.5, 9], [.25, 3], [2, 2]])
    assert descent.steps_to_converge(path, tol=.6).tolist() == [2, math.inf]
    assert descent.steps_to_converge(path, tol=.6, target=3.).tolist() == [math.inf, 1]
    for lr in .01, .1, .9:  # the first n with 1.5*|1 - 2 lr|**n < 1e-3
        n = math.ceil(math.log(1e-3/1.5)/math.log(abs(1 - 2*lr)))
        assert descent.steps_to_converge(descent.descend(lambda x: x**2, -1.5, lr, 400)).item() == n


def test_curvatures_are_eigenvalues():
    a = some(4, 4)
    a = a @ a.T
    near(descent.hessian_eigenvalues(lambda w: w @ a @ w/2, some(4)), np.linalg.eigvalsh(a))
    near(descent.hessian_eigenvalues(lambda x: x**4, f64(2.)), [48])


def test_regimes():
    names = 'converges slowly', 'converges in one step', 'oscillates', 'oscillates indefinitely', 'diverges'
    for lr, name in zip((.1, .5, .9, 1., 1.1), names):
        assert descent.regime(lr, 2.) == descent.classify_trajectory(descent.descend(lambda x: x**2, -1.5, lr, 60)) == name
        assert descent.classify_trajectory(descent.descend(lambda x: (x - 5)**2, -1.5, lr, 60), target=5.) == name
    assert [descent.regime(lr, [1., 2.]) for lr in (.5, .6, 1., 1.1)] == [names[k] for k in (0, 2, 3, 4)]
    assert descent.regime(1., [1., 1.]) == 'converges in one step'
    assert descent.classify_trajectory(f64([1, 2, math.nan])) == 'diverges'
    for scale in 1e3, 1e-3:  # a billionth of the way is no way, however long
        assert [descent.classify_trajectory(scale*f64([1, v, v])) for v in (1e-10, 1e-8)] == [names[1], names[0]]


# --- 05 curve

def test_curve():
    time, speed, first = curve.make_roller_coaster()
    noise = torch.randn(20, generator=torch.Generator().manual_seed(42))
    near(speed, 3*noise.numpy() + .75*(np.arange(20) - 9.5)**2 + 1, atol=1e-4)
    near(curve.quadratic(time, first), np.polyval(first.tolist(), time.numpy()), atol=1e-4)
    near(curve.mse(speed, time), sklearn.metrics.mean_squared_error(speed.numpy(), time.numpy()))
    assert curve.mse([1, 2, 3], [1, 4, 0]) == 13/3
    near(curve.standardize(time.double()), scipy.stats.zscore(time.numpy()))
    x = some(7, 2)
    near(curve.standardize(some(4, 2, seed=1), like=x),
         sklearn.preprocessing.StandardScaler().fit(x.numpy()).transform(some(4, 2, seed=1).numpy()))


def test_fit_comes_to_least_squares():
    time, speed, first = (t.double() for t in curve.make_roller_coaster())
    t = curve.standardize(time)
    found = curve.fit(curve.quadratic, t, speed, first, .2, 300)
    near(found.params, np.polyfit(t.numpy(), speed.numpy(), 2), rtol=1e-8)
    assert not found.params.requires_grad and not found.losses.requires_grad and len(found.losses) == 301
    *finite, last = curve.fit(curve.quadratic, time, speed, first, 1., 500).losses
    assert all(map(torch.isfinite, finite)) and not last.isfinite()  # it stops there
    a, b, k = first.tolist()  # one step by hand: the gradient of the mean squared error
    off = a*t**2 + b*t + k - speed
    grads = [2*(off*t**2).mean(), 2*(off*t).mean(), 2*off.mean()]
    near(curve.fit(curve.quadratic, t, speed, first, .2, 1).params, first - .2*torch.stack(grads))


# --- 06 classifier

def digits(n=300, m=100):
    d = c.flatten_digits(threes_and_sevens())
    i, j = (torch.arange(0, total, total//k)[:k] for total, k in ((len(d.train_x), n), (len(d.valid_x), m)))
    return Digits(d.train_x[i], d.train_y[i], d.valid_x[j], d.valid_y[j])


def test_parts_of_the_classifier():
    x, w, b, y = some(6, 4), some(4, 1, seed=1), some(1, seed=2), tensor([[1.], [0], [0], [1], [1], [0]])
    scores = c.linear1(x, w, b)
    near(scores, nn.functional.linear(x, w.T, b))
    p = scipy.special.expit(scores.numpy())
    near(c.mnist_loss(scores, y), np.where(y == 1, 1 - p, p).mean())
    near(c.validate(partial(c.linear1, w=w, b=b), x, y), sklearn.metrics.accuracy_score(y.numpy(), scores.numpy() > 0))
    g = torch.Generator().manual_seed(3)
    many = c.init_params((400, 100), std=.5, generator=g).detach()
    assert abs(many.mean()) < .01 and abs(many.std() - .5) < .01 and not c.init_params(3, std=0).any()
    near(many, .5*torch.randn(400, 100, generator=torch.Generator().manual_seed(3)))


def test_minibatches():
    batches = c.minibatches(10, 4, generator=torch.Generator().manual_seed(0))
    assert [len(b) for b in batches] == [4, 4, 2] and sorted(torch.cat(batches).tolist()) == list(range(10))
    assert torch.cat(batches).tolist() == torch.randperm(10, generator=torch.Generator().manual_seed(0)).tolist()
    assert torch.cat(c.minibatches(10, 4, shuffle=False)).tolist() == list(range(10))
    assert [b.tolist() for b in c.minibatches(3, 1, shuffle=False)] == [[0], [1], [2]]


def test_training_is_pytorchs():
    "Three epochs by `train`, and by PyTorch's loader, layer and optimizer in the same order."
    d = digits()
    ours, theirs = nn.Linear(784, 1), nn.Linear(784, 1)
    theirs.load_state_dict(ours.state_dict())
    history = c.train(ours, c.BasicOptim(ours.parameters(), 1.), d, 3, bs=64, progress=False,
                      generator=torch.Generator().manual_seed(5))
    opt, g, losses, accuracies = torch.optim.SGD(theirs.parameters(), 1.), torch.Generator().manual_seed(5), [], []
    for _ in range(3):
        batch = []
        for i in torch.randperm(len(d.train_x), generator=g).split(64):
            loss = nn.functional.l1_loss(theirs(d.train_x[i]).sigmoid(), d.train_y[i])
            loss.backward()
            opt.step()
            opt.zero_grad()
            batch.append(loss.item())
        losses.append(np.mean(batch))
        with torch.no_grad(): scores = theirs(d.valid_x).numpy()
        accuracies.append(sklearn.metrics.accuracy_score(d.valid_y.numpy(), scores > 0))
    near(history.loss, losses), near(history.accuracy, accuracies)
    assert_close(ours.weight, theirs.weight, rtol=1e-4, atol=1e-5)
    assert c.History([.3, .2, .1, .1], [.5, .7, .7, .6]).best_epoch == 1  # the first of equal ones


def test_sweep_is_training_one_by_one():
    d = digits()
    s = selection.lr_sweep([.1, 3.], epochs=2, data=d, bs=64, seed=7, progress=False)
    for k, lr in enumerate((.1, 3.)):
        w, b = c.init_params((784, 1), std=0), c.init_params(1, std=0)
        history = c.train(partial(c.linear1, w=w, b=b), c.BasicOptim((w, b), lr), d, 2, bs=64, progress=False,
                          generator=torch.Generator().manual_seed(7))
        near(s.loss[:, k], history.loss), near(s.accuracy[1:, k], history.accuracy)
        near(s.weights[-1, k], w[:, 0].detach(), rtol=1e-4, atol=1e-5), near(s.bias[-1, k], b[0].detach(), atol=1e-5)
    assert torch.equal(s.accuracy[0, 0], (d.valid_y == 0).float().mean())  # all scores are 0: none is a 3
    first = selection.lr_sweep([.1, 3.], epochs=1, data=d, bs=64, seed=7, progress=False)
    for both, one in ((s.weights, first.weights), (s.bias, first.bias)):  # each epoch has its own
        assert torch.equal(both[:2], one) and (one[0] == 0).all()


def test_holdout_takes_from_the_training_digits():
    d = digits()
    x = torch.arange(300.)[:, None]
    part = selection.train_valid_split(d._replace(train_x=x, train_y=x % 2), n=120, seed=1)
    held, rest = part.valid_x[:, 0].tolist(), part.train_x[:, 0].tolist()
    assert len(held) == 120 and sorted(held + rest) == list(range(300))
    assert torch.equal(part.valid_y, part.valid_x % 2) and torch.equal(part.train_y, part.train_x % 2)
    again = selection.train_valid_split(d._replace(train_x=x, train_y=x % 2), n=120, seed=1)
    assert all(map(torch.equal, part, again))
    others = selection.train_valid_split(d._replace(train_x=x, train_y=x % 2), n=120, seed=2)
    assert 20 < len(set(others.valid_x[:, 0].tolist()) & set(held)) < 80  # 48 by chance


def test_the_linear_model_finds_what_scikit_learn_finds():
    "Descent with all digits, cross-entropy and weight decay: the minimum that an exact solver finds."
    d = digits(200)
    x = d.train_x[:, ::8].double()
    theirs = sklearn.linear_model.LogisticRegression(C=.1, max_iter=5000, tol=1e-8)
    theirs.fit(x.numpy(), d.train_y[:, 0].numpy())
    w, b = torch.zeros(x.shape[1], 1).double().requires_grad_(), torch.zeros(1).double().requires_grad_()
    opt = c.BasicOptim((w, b), .5)
    for _ in range(1500):
        (layers.binary_cross_entropy(c.linear1(x, w, b), d.train_y) + (w**2).sum()/2/.1/len(x)).backward()
        opt.step()
        opt.zero_grad()
    near(w[:, 0].detach(), theirs.coef_[0], rtol=1e-4, atol=1e-4)


# --- 08 broken

def test_faults_of_loss_and_step():
    x, w, b, y = some(4, 3), some(3, 1, seed=1), some(1, seed=2), tensor([[1.], [0], [0], [1]]).double()
    s = (x @ w + b).numpy()
    p = scipy.special.expit(s)
    for faults, expected in (((), abs(p - y.numpy()).mean()), (('no sigmoid',), abs(s - y.numpy()).mean()),
                             (('accuracy as the loss',), 1 - sklearn.metrics.accuracy_score(y.numpy(), s > 0)),
                             (('shapes broadcast',), np.mean([[abs(a - t) for t in y[:, 0].tolist()] for a in p]))):
        near(broken.faulty_loss(faults, x, y, w, b), expected)
    for faults, moved, left in (
            ((), -.2, False), (('wrong direction',), .2, False), (('gradients not cleared',), -.2, True)):
        v = torch.ones(2).requires_grad_()
        v.grad = tensor([2., 2.])
        broken.faulty_step(faults, [v], .1)
        near(v.detach(), [1 + moved]*2)
        assert (v.grad is not None) is left


def test_first_step_by_hand():
    "From zeros every probability is 1/2: the loss is 1/2, and its gradient the mean of -+x/4."
    d = c.flatten_digits(threes_and_sevens())
    i = torch.randperm(len(d.train_x), generator=torch.Generator().manual_seed(42))[:256]
    x, y = d.train_x[i].double(), d.train_y[i].double()
    grad = ((1 - 2*y)*x/4).mean(0)
    after = ((x @ -grad[:, None] - (1 - 2*y).mean()/4).sigmoid() - y).abs().mean()
    found = broken.first_step()
    near([found.before, found.after], [.5, after]), near(found.grad, grad)
    assert not found.left and broken.first_step('gradients not cleared').left


def test_symptoms_of_a_made_up_run():
    loss = torch.cat([torch.full((49,), .5), torch.full((48,), .2), tensor([.9])])  # two epochs
    right = torch.zeros(15, 4)
    right[8:, 0] = 1  # a quarter, at the seven evaluations of the last epoch
    right[14, 1:3] = 1
    weights = torch.arange(15.)[:, None]*tensor([3., 4.])
    s = broken.measure_symptoms([broken.TrainingRun(loss, right, weights)])
    near([s.loss[0], s.largest[0], s.range[0]], [(48*.2 + .9)/49, .9, .7])
    near([s.accuracy[0], s.norm[0], s.growth[0]], [(6*.25 + .75)/7, 14*5, 14/7])


def test_parts_and_reports():
    choose, test, later = broken.three_parts(3, 50)
    assert sorted(torch.cat([choose, test, later]).tolist()) == list(range(2038)) and len(choose) == len(test) == 50
    for n in 0, 1019:
        with pytest.raises(ValueError, match='n is'): broken.three_parts(3, n)
    right = torch.zeros(3, 2038)
    right[0, later], right[1, choose], right[2, test[:40]] = 1, 1, 1
    run = broken.TrainingRun(torch.zeros(1), right, torch.zeros(3, 2))
    near(broken.reported_accuracy((), run, 3, 50), [0, 0])  # evaluation 1 is the best of those to choose by
    near(broken.reported_accuracy(('test set used to stop',), run, 3, 50), [.8, 0])


def test_three_curves_of_a_run():
    loss = torch.linspace(1, 0, 98)
    correct = (torch.arange(15)[:, None] > torch.arange(20)).float()
    run = broken.TrainingRun(loss, correct, torch.arange(45.).reshape(15, 3))
    for ax, at, curve_ in zip(broken.plot_runs({'one': run}), (range(98), range(0, 99, 7), range(0, 99, 7)),
                              (loss, run.right.mean(1), run.weights.norm(dim=1))):
        (line,) = ax.lines
        near(line.get_xdata(), list(at)), near(line.get_ydata(), curve_)
        assert not line.get_antialiased()  # smooth edges would double the file


def test_a_contradiction_is_named():
    s = broken.Symptoms(*(tensor([v]) for v in (.97, .98, .01, .02, 3., 1.2)))
    assert broken.contradiction('wrong direction', s) is None
    name, low, high, measured = broken.contradiction('not shuffled', s)
    assert (name, low, high) == ('largest', .99, 1) and measured == pytest.approx(.98)


# --- 08 layers

def test_bullseye_and_networks():
    x, y = layers.make_bullseye(500, seed=1)
    r = np.hypot(*x.T.numpy())
    assert y.sum() == 250 and r[y[:, 0] == 1].max() <= .75 and r[y[:, 0] == 0].min() >= 1.15 and r.max() <= 1.75
    assert .4 < (r[y[:, 0] == 1] < .75/2**.5).mean() < .6  # as many in each half of the area
    assert [torch.equal(layers.make_bullseye(500, seed=k)[0], x) for k in (1, 2)] == [True, False]
    net = layers.simple_net(5)
    assert sum(p.numel() for p in net.parameters()) == 785*5 + 6
    first, _, second = net
    pixels_ = some(3, 784).float()
    hidden = np.maximum(pixels_.numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    near(net(pixels_).detach(), hidden @ second.weight.detach().numpy().T + second.bias.detach().numpy(), atol=1e-5)
    w, b, v, k = some(2, 3), some(1, 3), some(3, 1), some(1, 1)
    hidden = np.maximum(x.numpy() @ w.numpy() + b.numpy(), 0)
    near(layers.plane_scores(x.double(), w, b, v, k), hidden @ v.numpy() + k.numpy())


def test_cross_entropy_is_scikit_learns():
    s, y = some(9, 1), (torch.arange(9) % 2)[:, None].double()
    near(layers.binary_cross_entropy(s, y), sklearn.metrics.log_loss(y.numpy(), scipy.special.expit(s.numpy())))


def test_a_chosen_rate_has_the_lowest_loss_on_what_was_held_back():
    d = digits(3000)
    recipe = layers.CONFIGS['linear']._replace(epochs=1)
    part = selection.train_valid_split(d, seed=4)
    def loss(lr):
        torch.manual_seed(4)
        model = nn.Linear(784, 1)
        c.train(model, c.BasicOptim(model.parameters(), lr), part, 1, progress=False,
                generator=torch.Generator().manual_seed(4))
        with torch.no_grad(): return nn.functional.l1_loss(model(part.valid_x).sigmoid(), part.valid_y).item()
    rates = .001, .3, .01
    assert layers.choose_lr(recipe, 4, d, rates) == min(rates, key=loss) == .3
    torch.manual_seed(4)
    model, (few, _) = nn.Linear(784, 1), (layers.run_config(recipe, 4, d.__class__(*(t[:300] for t in d))))
    c.train_epoch(model, c.BasicOptim(model.parameters(), 1.), d.train_x[:300], d.train_y[:300],
                  generator=torch.Generator().manual_seed(4))
    assert_close(few.weight, model.weight)


def test_what_is_held_out_is_not_trained_on(monkeypatch):
    d, seen = digits(3000), []
    monkeypatch.setattr(layers, 'run_config', lambda config, seed, data: seen.append(data) or (nn.Linear(784, 1), None))
    layers.choose_lr(layers.CONFIGS['linear'], 4, d, (.1, 1.))
    part = selection.train_valid_split(d, seed=4)
    assert len(part.train_x) == 1000 and len(seen) == 2
    assert all(torch.equal(data.train_x, part.train_x) for data in seen)


# --- 13 optimizers (the rest beside PyTorch's, in test_optimizers)

def test_walks():
    near(optimizers.ravine(f64([3, .5])), 4.5 + 12.5), near(optimizers.ravine(f64([3, 2]), ratio=4), 4.5 + 8)
    path = optimizers.run_optimizer(optimizers.SGD, optimizers.ravine, [1., 1.], .015, 8)
    near(path, np.stack([.985**np.arange(9), (-.5)**np.arange(9)], 1))
    assert optimizers.settling_time(path, tol=.9).item() == 7  # .985**7 is .8996
    near(schedules.sched_one_cycle(0, 100, 1.), 1/25), near(schedules.sched_one_cycle(25, 100, 1.), 1)


def test_contours():
    ax = optimizers.plot_contours(optimizers.ravine, (-2, 2), (-1, 1), alt='A ravine from above')
    near(ax.collections[0].levels, 52*np.logspace(-4, 0, 9))
    assert repr(ax.figure) == '<A ravine from above>'


def test_losses_of_the_finder_are_a_mean_that_forgets():
    d = digits(256)
    w, b = c.init_params((784, 1), std=0), c.init_params(1, std=0)
    lrs, losses = schedules.lr_find(partial(c.linear1, w=w, b=b), optimizers.SGD((w, b), 1.), d.train_x,
                                     d.train_y, low=.1, high=10., steps=4, shuffle=False)
    near(lrs, [.1*100**(n/4) for n in range(4)])
    v, k, raw = c.init_params((784, 1), std=0), c.init_params(1, std=0), []
    for lr in lrs.tolist():
        loss = nn.functional.l1_loss((d.train_x @ v + k).sigmoid(), d.train_y)
        grads = torch.autograd.grad(loss, (v, k))
        with torch.no_grad(): v -= lr*grads[0]; k -= lr*grads[1]
        raw.append(loss.item())
    share = [np.array([.98**(n - m) for m in range(n + 1)]) for n in range(4)]
    near(losses, [np.average(raw[:len(p)], weights=p) for p in share])


# --- 10 parallel (the rest with real workers, in test_parallel)

def test_a_ring_adds_up():
    rows = some(4, 10)
    total, sent = parallel.ring_all_reduce(rows)
    near(total, rows.numpy().sum(0)[None].repeat(4, 0))
    assert (sent - 2*3/4*10).abs().max() <= 1  # 2 (N - 1)/N of the numbers, pieces of 2 or 3


def test_shares_of_a_batch():
    for world in 1, 2, 3:
        parts = [parallel.shard_batches(25, 12, parallel.Worker(r, world), seed=1, epoch=2) for r in range(world)]
        for batch in zip(*parts):
            assert sum(w for _, w in batch) == pytest.approx(world)  # their mean is 1
        if world == 1: assert sorted(i for part, _ in parts[0] for i in part.tolist()) == list(range(25))


def test_fingerprint_is_of_all_weights():
    w = {'a': tensor([1., 2]), 'b': tensor([3.])}
    by_hand = hashlib.sha256(b'a' + np.array([1, 2], np.float32).tobytes() + b'b' + np.array([3], np.float32).tobytes())
    assert parallel.weights_hash(w) == by_hand.hexdigest() != parallel.weights_hash(w | {'b': tensor([4.])})


def test_time_of_a_step():
    "1e6 parameters, 256 images, 4 workers: 6*256e6/2e10/4 s, 6 messages, 6/4 of 4e6 bytes."
    near(parallel.estimate_step_time(4, 10**6), [.0192, 6*5e-5, 6e6/1.25e8])


# --- exercises

def test_solutions():
    x = some(3, 2, 2).abs()
    near(ex_pixels.ink_of_each(x), x.numpy().reshape(3, 4).mean(1))
    assert ex_pixels.top_pixel(tensor([[1., 2, 0], [3, 1, 1]]), tensor([[1., 1, 9], [-1, 1, 2]])) == (0, 1)
    near(ex_pixels.per_class_accuracy(tensor([0, 1, 1, 1]), tensor([0, 0, 1, 1]), 2), [.5, 1])
    near(ex_slope.central_slope(lambda x: x**3, 2., .1), 12.01)
    near(ex_slope.step_down(lambda x: x**2, 3., .1), 2.4)
    near(ex_slope.descent_path(lambda x: x**2, 3., .1, 2), [3, 2.4, 1.92])
    def f(x): return (x - 1.25)**2
    near(ex_slope.flat_place(f, -2, 2), scipy.optimize.minimize_scalar(f).x, atol=1e-5)
    near(ex_gradients.exact_slope(lambda x: x**3, 2.), 12)
    near(ex_gradients.slopes_by_hand(2., 1., 3., 4.), [18, 6])
    near(ex_gradients.predicted_change(lambda w: (w**2).sum(), tensor([1., 2]), tensor([.1, -.2])), -.6)
    near(ex_descent.x_after(-1.5, .1, 3), -1.5*.8**3)
    near(ex_descent.best_lr(lambda w: w[0]**2/2 + 9*w[1]**2/2, f64([1, 1])), 2/10)
    near(ex_descent.backtracking_step(lambda x: 5*x**2, f64(1.), 1.), 1 - 10/8)
    near(ex_curve.mean_error(tensor([1., 2]), tensor([[2.], [0]])), 1.5)
    t, y = some(9), some(9, seed=1)
    line = scipy.stats.linregress(t.numpy(), y.numpy())[:2]
    near(ex_curve.fit_line(t.float(), y.float(), .1, 500), line, rtol=1e-3, atol=1e-4)
    a = np.stack([t.numpy()**2, t.numpy(), np.ones(9)], 1)
    near(ex_curve.condition_number(t, y), np.linalg.cond(a.T @ a), rtol=1e-4)
    abc = np.array([2., -1, 3])
    p = np.poly1d(abc)(np.poly1d([1/4, -3/4]))  # of (t - 3)/4
    near(ex_curve.in_seconds(f64(abc), f64(3.), f64(4.)), p.coef)
    near(ex_curve.speed_at(f64([5]), f64([1, 3]), f64(abc)), [np.polyval(abc, 3)])


def test_solutions_on_digits():
    scores, y = tensor([[1.], [-1], [2], [-.5]]), tensor([[1.], [1], [0], [0]])
    near(ex_classifier.miss_rates(scores, y), [.5, .5])
    s = scores.clone().requires_grad_()
    c.mnist_loss(s, y).backward()
    near(ex_classifier.loss_slopes(scores, y), s.grad)
    assert ex_selection.early_stopping_epoch([.9, .95, .94, .95, .96], 2) == 3
    near(ex_broken.honest_report([.7, .9, .8], [.6, .5, .99]), .5)
    assert ex_layers.count_parameters([784, 30, 1]) == 23581
    s = scores.clone().requires_grad_()
    nn.functional.binary_cross_entropy_with_logits(s, y).backward()
    near(ex_layers.entropy_slopes(scores, y), s.grad)
    near(ex_layers.tent(f64([0, 1, 1.5, 2, 3, 4]), 1., 3.), np.interp([0, 1, 1.5, 2, 3, 4], [1, 2, 3], [0, 1, 0]))
    near(ex_optimizers.momentum_step(1., 2., 3., .1, .9), [1 - .1*4.8, 4.8])
    near([ex_schedules.step_decay(k, 8, 1.) for k in range(8)], [1, 1, .5, .5, .25, .25, .125, .125])
    near(ex_optimizers.ema([1., 2, 4], .5), np.average([1, 2, 4], weights=[1, 2, 4]))
    near(ex_optimizers.nesterov(3., 2., .9), [3 + .9*4.8, 4.8])
    near(ex_optimizers.decoupled_step(f64([1., -2.]), f64([3., -.1]), .1, .5), [1 - .1*1.5, -2 + .1*2])
    near([ex_schedules.warmup_decay(k, 6, 2., 2) for k in range(6)], [1, 2, 2, 1 + 2**-.5*1, 1, 1 - 2**-.5])
    near(ex_schedules.smoothed([1., 2, 4], .5), [1, 5/3, np.average([1, 2, 4], weights=[1, 2, 4])])
    near(ex_schedules.suggested_lr([.1, .2, .4], [3., 1., 2.]), .02)
    near(ex_parallel.mean_gradient([tensor([1.]), tensor([4.])], [2, 1]), [2])
    assert ex_parallel.my_images(5, 1, 2) == [1, 3, 0]
    def time(n): return Fraction(12, n) + 2*(n - 1)*Fraction(1, 2) + Fraction(2*(n - 1), n)
    assert ex_parallel.best_workers(12, .5, 1, 9) == min(range(1, 10), key=time)


def test_what_is_only_looked_at_keeps_no_graph():
    "That would cost memory. 2000 of the 2100 digits are the hold-out set, the others one batch."
    scores = []
    def loss(s, y):
        scores.append(s)
        return (s - y).square().mean()
    layers.choose_lr(layers.TrainConfig(lambda: nn.Linear(784, 1), loss, .1, 1), 4, digits(2100), (.1, .2))
    assert [(len(s), s.requires_grad) for s in scores] == [(100, True), (2000, False)]*2


def test_initial_parameters_may_be_a_result_of_others():
    time, speed, first = curve.make_roller_coaster()
    of_others = first.clone().requires_grad_()*1
    assert_close(curve.fit(curve.quadratic, time, speed, of_others, 1e-5, 3).losses,
                 curve.fit(curve.quadratic, time, speed, first, 1e-5, 3).losses)
