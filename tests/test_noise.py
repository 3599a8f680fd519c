"Lesson 09: worked values for its functions, by hand or from NumPy and PyTorch, and what they refuse."
import math
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from sgd_course.data import Digits
from sgd_course.exercises import noise as ex
from sgd_course.explorers import BatchPicture, CloudPicture, explore_batches, explore_cloud
from sgd_course.noise import (batch_sweep, batch_variance, noise_scale, noisy_descent, per_example_grads,
                              stationary_variance, total_variance)

GRADS = tensor([[1., 0.], [3., 0.], [2., 3.]])  # mean (2, 1), squared distances 2, 2, 4


def some(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


# --- the gradients of single examples, and their noise

def test_gradients_by_hand():
    x, y, w = tensor([[1., 2.], [3., 0.]]), tensor([[1.], [0.]]), torch.zeros(2, 1)
    assert_close(per_example_grads(x, y, w), tensor([[-.5, -1., -.5], [1.5, 0., .5]]))
    assert_close(per_example_grads(x, y, w, math.log(3)), tensor([[-.25, -.5, -.25], [2.25, 0., .75]]))


def test_gradients_are_those_of_pytorch():
    x, y, w, b = some(9, 4), (some(9, 1, seed=1) > 0).double(), some(4, 1, seed=2), some(1, seed=3)
    ours = per_example_grads(x, y, w, b)
    for i in range(9):
        ws, bs = w.clone().requires_grad_(), b.clone().requires_grad_()
        binary_cross_entropy_with_logits(x[i:i + 1] @ ws + bs, y[i:i + 1]).backward()
        assert_close(ours[i], torch.cat([ws.grad[:, 0], bs.grad]))


@pytest.mark.parametrize('shapes', [((5, 3), (5,), (3, 1)), ((5, 3), (4, 1), (3, 1)), ((5, 3), (5, 1), (3,)),
                                    ((5, 3), (5, 1), (2, 1)), ((5,), (5, 1), (1, 1))])
def test_gradients_refuse_shapes(shapes):
    with pytest.raises(ValueError, match='expected'): per_example_grads(*map(torch.zeros, shapes))


def test_gradients_refuse_other_labels():
    with pytest.raises(ValueError, match='targets contain 7'):
        per_example_grads(torch.zeros(2, 3), tensor([[1.], [7.]]), torch.zeros(3, 1))


def test_variance_and_noise_scale_by_hand():
    assert_close(total_variance(GRADS), tensor(8/3))
    assert_close(noise_scale(GRADS), tensor(8/15))
    g = some(40, 6)
    assert_close(total_variance(g), torch.as_tensor(np.cov(g.numpy().T, bias=True).trace()))


def test_variance_of_a_batch_is_that_over_all_batches():
    "All pairs and all triples of five gradients: no chance."
    g = some(5, 3)
    for bs in (1, 2, 3, 5):
        means = torch.stack([g[list(c)].mean(0) for c in combinations(range(5), bs)])
        assert_close(batch_variance(g, bs), (means - g.mean(0)).square().sum(1).mean())
    assert_close(batch_variance(GRADS, 1), tensor(8/3))
    assert_close(batch_variance(GRADS, 2), tensor(2/3))


@pytest.mark.parametrize('bs', [0, 4, -1, 1.5, True])
def test_a_batch_has_1_to_n(bs):
    with pytest.raises(ValueError, match='bs is'): batch_variance(GRADS, bs)


@pytest.mark.parametrize('f', [total_variance, noise_scale, lambda g: batch_variance(g, 1)])
@pytest.mark.parametrize('wrong', [torch.zeros(3), torch.zeros(0, 3), [[1., 2.]], None])
def test_gradients_are_rows(f, wrong):
    with pytest.raises(ValueError, match='a gradient in each row'): f(wrong)


# --- the cloud

@pytest.mark.parametrize('lr, c, s, v', [(.5, 1, 1, 1/3), (.5, 2, 1, .25), (.9, 2, .3, .2025), (.1, 1, 0, 0)])
def test_stationary_variance(lr, c, s, v):
    assert stationary_variance(lr, c, s).item() == pytest.approx(v)
    assert (1 - lr*c)**2*v + lr**2*s**2 == pytest.approx(v), 'a step leaves it as it is'


def test_stationary_variance_of_several_weights():
    assert_close(stationary_variance(.5, [1., 2.], 1.), tensor([1/3, .25]).double())


@pytest.mark.parametrize('args', [(1., 2., 1.), (1.5, [1., 2.], 1.), (0., 1., 1.), (.1, -1., 1.), (.1, 1., -1.),
                                  (.1, 1., math.nan)])
def test_no_stationary_variance(args):
    with pytest.raises(ValueError, match='expected'): stationary_variance(*args)


def test_without_noise_it_is_gradient_descent():
    path = noisy_descent(lambda w: 2*w, tensor([1., -3.]), .1, 0., 3)
    assert_close(path, tensor([1., -3.])*.8**torch.arange(4)[:, None])
    path = noisy_descent(lambda w: w, tensor([1.]), [.5, .25], 0., 2)
    assert_close(path[:, 0], tensor([1., .5, .375]))


def test_noise_has_its_standard_deviation():
    start = torch.zeros(20000, 2, dtype=torch.double)
    path = noisy_descent(torch.zeros_like, start, .5, 3., 2, seed=1)
    assert path.shape == (3, 20000, 2) and path.dtype == torch.double
    assert path[1].std() == pytest.approx(1.5, rel=.02) and abs(path[1].mean()) < .05
    assert path[2].var() == pytest.approx(2*1.5**2, rel=.04)  # the noise of two steps is independent
    assert not torch.equal(path, noisy_descent(torch.zeros_like, start, .5, 3., 2, seed=2))
    assert torch.equal(path, noisy_descent(torch.zeros_like, start, .5, 3., 2, seed=1))


@pytest.mark.parametrize('c, lr, s', [(1., .1, 1.), (2., .9, .3), (.5, 1., 2.)])
def test_cloud_is_as_wide_as_predicted(c, lr, s):
    path = noisy_descent(lambda w: c*w, torch.zeros(5000), lr, s, 300)
    assert path[150:].var().item() == pytest.approx(stationary_variance(lr, c, s).item(), rel=.02)


@pytest.mark.parametrize('change, error', [
    (dict(start=1.), TypeError), (dict(start=tensor([1])), TypeError), (dict(lr=0.), ValueError),
    (dict(lr=[.1]), ValueError), (dict(lr='fast'), TypeError), (dict(std=-1.), ValueError),
    (dict(std=math.inf), ValueError), (dict(steps=-1), ValueError), (dict(steps=1.5), ValueError),
    (dict(seed=-1), ValueError)])
def test_noisy_descent_refuses(change, error):
    fine = dict(grad=lambda w: w, start=torch.zeros(3), lr=.1, std=1., steps=2)
    with pytest.raises(error, match='expected'): noisy_descent(**fine | change)


# --- batch sizes

@pytest.fixture
def few():
    x, y = some(12, 5).float(), (torch.arange(12) % 2)[:, None].float()
    return Digits(x, y, x, y)


def test_all_images_at_once_by_hand(few):
    runs = batch_sweep([12, 99], [.5, 2.], [3, 3], few)
    x, y = torch.cat([few.train_x, torch.ones(12, 1)], 1), few.train_y
    for k, lr in enumerate((.5, 2.)):
        w = torch.zeros(6, 1).requires_grad_()
        for n in range(3):
            binary_cross_entropy_with_logits(x @ w, y).backward()
            with torch.no_grad(): w -= lr*w.grad
            w.grad = None
            for loss in runs.loss:
                assert_close(loss[n, k], binary_cross_entropy_with_logits(x @ w.detach(), y), rtol=1e-4, atol=1e-5)
    assert runs.at == [[1, 2, 3]]*2 and runs.bss == [12, 99]


def test_batches_as_in_lesson_06(few):
    from sgd_course.classifier import BasicOptim, linear1, train_epoch
    w, b = torch.zeros(5, 1).requires_grad_(), torch.zeros(1).requires_grad_()
    g = torch.Generator().manual_seed(3)
    for _ in range(2):  # 5, 5 and 2 images
        train_epoch(lambda x: linear1(x, w, b), BasicOptim((w, b), .7), few.train_x, few.train_y, 5,
                    generator=g, loss_func=binary_cross_entropy_with_logits)
    runs = batch_sweep([5], [.7], [6], few, seed=3)
    scores = linear1(few.train_x, w, b).detach()
    assert_close(runs.loss[0][-1, 0], binary_cross_entropy_with_logits(scores, few.train_y), rtol=1e-4, atol=1e-5)
    assert runs.at[0][-1] == 6 and len(runs.loss[0]) == len(runs.at[0])


@pytest.mark.parametrize('change', [dict(bss=[0]), dict(bss=[]), dict(bss=[4, 8]), dict(lrs=[0.]), dict(lrs=[]),
                                    dict(steps=[0]), dict(steps=[]), dict(seed=-1)])
def test_batch_sweep_refuses(few, change):
    with pytest.raises(ValueError, match='expected'):
        batch_sweep(**dict(bss=[4], lrs=[.1], steps=[2], data=few) | change)


# --- the explorers

def test_cloud_of_the_explorer():
    picture = CloudPicture([1., 4.], [.1], [1, 100], 2., [3., 1.], steps=300, runs=4000)
    picture(lr=.1, batch_size=100)
    ends = torch.as_tensor(np.array(picture.runs.get_xydata()))
    assert_close(ends.var(0), stationary_variance(.1, [1., 4.], .2), rtol=.1, atol=0)
    assert float(picture.fall.get_ydata()[-1]) == pytest.approx(picture.floor.get_ydata()[0], rel=.1)


def test_numbers_of_numpy_and_pytorch(few):
    shown = lambda e: e._book.twin(range(len(e._book)))
    one = explore_cloud([1., 4.], [.4, .25], [1, 4], 2., [3., 1.], 5)
    two = explore_cloud(np.array([1., 4.]), np.array([.4, .25]), np.array([1, 4]), np.float64(2), tensor([3., 1.]),
                        np.int64(5))
    assert shown(one) == shown(two)
    runs = batch_sweep(np.array([4, 12]), tensor([.5, .25]), np.array([2, 2]), few)
    assert shown(explore_batches(runs)) == shown(explore_batches(batch_sweep([4, 12], [.5, .25], [2, 2], few)))


def test_chosen_batch_size_is_red(few):
    runs = batch_sweep([4, 12], [.5, .25], [6, 2], few)
    picture = BatchPicture(runs)
    picture(batch_size=4, lr=.25)
    assert list(picture.red[0].get_xdata()) == runs.at[0]
    assert list(picture.red[1].get_xdata()) == [4*n for n in runs.at[0]]
    assert_close(torch.as_tensor(picture.red[0].get_ydata()), runs.loss[0][:, 1])


# --- the exercises: right answers, written in other ways

@pytest.mark.parametrize('name, answer', [
    ('batch_std', lambda total, n, bs: math.sqrt(total*(n - bs)/bs/(n - 1))),
    ('batch_std', lambda total, n, bs: tensor(total/bs*(1 - (bs - 1)/(n - 1))).sqrt()),
    ('batch_std', lambda total, n, bs: np.sqrt(total/bs*(n - bs)/(n - 1))),
    ('lr_for_variance', lambda v, c, s: 2/(s**2/(v*c) + c)),
    ('lr_for_variance', lambda v, c, s: tensor(2*v*c)/(s*s + v*c*c)),
    ('averaged', lambda path: torch.stack([path[:k].mean(0) for k in range(1, len(path) + 1)])),
    ('averaged', lambda path: (path.T.cumsum(-1)/torch.arange(1, len(path) + 1)).T),
    ('grad_noise_scale', lambda g: (g.square().sum(1).mean() - g.mean(0).square().sum())/g.mean(0).square().sum()),
    ('grad_noise_scale', lambda g: (g.var(0, correction=0).sum()/g.mean(0).norm()**2).item()),
    ('grad_noise_scale', lambda g: sum(((r - g.mean(0))**2).sum() for r in g)/len(g)/(g.mean(0) @ g.mean(0)))])
@pytest.mark.filterwarnings('ignore:The use of `x.T`')
def test_other_right_answers(name, answer):
    said = getattr(ex, f'check_{name}').examine(answer)
    assert said.status == 'correct', said


def test_worked_solutions():
    assert ex.batch_std(20., 12396, 16) == pytest.approx(math.sqrt(1.25*12380/12395))
    assert ex.lr_for_variance(.25, 2., 1.) == .5
    assert ex.averaged(tensor([4., 2., 0.])).tolist() == [4, 3, 2]
    assert ex.grad_noise_scale(GRADS).item() == pytest.approx(8/15)
