"Networks and cross-entropy of lesson 11."
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sgd_course.classifier import BasicOptim, flatten_digits, train_epoch
from sgd_course.data import threes_and_sevens
from sgd_course.explorers import WidthPicture
from sgd_course.layers import (CONFIGS, TrainConfig, binary_cross_entropy, choose_lr, make_bullseye, plane_scores,
                               run_config, simple_net, width_sweep)
from sgd_course.selection import train_valid_split

entropy = nn.functional.binary_cross_entropy_with_logits


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('shape', [(1,), (7, 1), (3, 4)])
def test_cross_entropy_is_pytorchs(seed, shape):
    g = torch.Generator().manual_seed(seed)
    ours = (30*torch.randn(shape, generator=g)).requires_grad_()
    theirs, labels = ours.detach().clone().requires_grad_(), (torch.rand(shape, generator=g) < .5).float()
    for loss in (binary_cross_entropy(ours, labels), entropy(theirs, labels)): loss.backward()
    assert_close(binary_cross_entropy(ours, labels), entropy(theirs, labels))
    assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize('scores, labels, said', [
    (torch.zeros(4, 1), torch.zeros(4), 'expected the same shape'), (torch.zeros(0), torch.zeros(0), 'empty'),
    (torch.zeros(2), torch.tensor([1., .5]), 'targets contain 0.5')])
def test_cross_entropy_refuses(scores, labels, said):
    with pytest.raises(ValueError, match=said): binary_cross_entropy(scores, labels)


@pytest.mark.parametrize('hidden', [0, -1, 1.5, True, '30', None])
def test_simple_net_refuses(hidden):
    with pytest.raises(ValueError, match='whole number, 1 or more'): simple_net(hidden)


def test_networks_side_by_side_are_as_alone():
    x, y = make_bullseye(seed=3)
    widths, starts = [1, 4, 7], 3
    together = width_sweep(x, y, widths, [0, 15], starts=starts, lr=1., seed=5)
    torch.manual_seed(5)
    nets = [[nn.Sequential(nn.Linear(2, n), nn.ReLU(), nn.Linear(n, 1)) for _ in range(starts)] for n in widths]
    for k, several in enumerate(nets):
        losses = [[train_epoch(net, BasicOptim(net.parameters(), 1.), x, y, len(x), False, loss_func=entropy)
                   for _ in range(15)] + [entropy(net(x), y).item()] for net in several]
        best = min(range(starts), key=lambda s: losses[s][-1])
        assert_close(together.loss[:, k], torch.tensor(losses[best]), rtol=1e-4, atol=1e-5)
        scores = plane_scores(x, *(p[-1, k] for p in together.params))
        assert_close(scores, several[best](x).detach(), rtol=1e-3, atol=1e-4)


def test_kinks_are_where_units_begin():
    "On one side of a line the unit gives 0, on the other side it does not."
    nets = width_sweep(*make_bullseye(), [3], [50])
    picture = WidthPicture(nets)
    picture(hidden=3, step=50)
    w, b = nets.params[0][0, 0], nets.params[1][0, 0, 0]
    segments = picture.kinks.get_segments()
    assert len(segments) == 3
    for k, (one, two) in enumerate(torch.as_tensor(np.stack(segments)).float()):
        across = w[:, k]/w[:, k].norm()
        for sign in (1, -1):
            out = ((torch.stack([one, two]) + .01*sign*across) @ w[:, k] + b[k]).relu()
            assert (out > 0).all() if sign > 0 else (out == 0).all()


@pytest.fixture(scope='module')
def few():
    data = flatten_digits(threes_and_sevens())
    return data._replace(train_x=data.train_x[::5], train_y=data.train_y[::5])


def test_run_config_is_reproducible_and_seeds_differ(few):
    config = CONFIGS['net + cross-entropy']._replace(epochs=1)
    (one, _), (again, _), (other, _) = (run_config(config, seed, few) for seed in (1, 1, 2))
    assert torch.equal(one[0].weight, again[0].weight) and not torch.equal(one[0].weight, other[0].weight)


def test_lr_is_chosen_on_training_digits_alone(few):
    config = TrainConfig(lambda: nn.Linear(784, 1), binary_cross_entropy, 99., 1)
    rates = 1e-4, .3, 1e4
    wrong = few._replace(valid_x=torch.full_like(few.valid_x, math.nan))
    assert choose_lr(config, 0, few, rates) == choose_lr(config, 0, wrong, rates) == .3
    part = train_valid_split(few, seed=0)
    losses = [binary_cross_entropy(run_config(config._replace(lr=lr), 0, part)[0](part.valid_x), part.valid_y) for lr in rates]
    assert losses[1] == min(losses)


@pytest.fixture(scope='module')
def data(): return flatten_digits(threes_and_sevens())


def zeros():
    model = nn.Linear(784, 1)
    for p in model.parameters(): nn.init.zeros_(p)
    return model


def test_the_order_of_the_images_follows_the_seed(data):
    few = data._replace(train_x=data.train_x[::5], train_y=data.train_y[::5])
    one, again, two = (run_config(TrainConfig(zeros, binary_cross_entropy, .1, 1), seed, few)[0].weight for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, two)


# --- labels of every dtype, whole numbers of others

DTYPES = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
          torch.float16, torch.bfloat16, torch.float64]


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_labels_of_every_dtype(dtype):
    g = torch.Generator().manual_seed(0)
    scores, labels = 3*torch.randn(40, 1, generator=g), (torch.arange(40) % 2)[:, None]
    assert_close(binary_cross_entropy(scores, labels.to(dtype)), entropy(scores, labels.float()))
    x, y = make_bullseye(40)
    one, two = (width_sweep(x, v, [2], [3], starts=2) for v in (y, y.to(dtype)))
    assert_close(two.loss, one.loss)


@pytest.mark.parametrize('labels, said', [
    (torch.ones(40), r'labels have shape \(40,\): expected \(40, 1\)'), (torch.ones(39, 1), r'expected \(40, 1\)'),
    (torch.full((40, 1), 7), 'contain 7'), (torch.full((40, 1), 255, dtype=torch.uint8), 'contain 255')])
def test_width_sweep_refuses_labels(labels, said):
    with pytest.raises(ValueError, match=said): width_sweep(torch.zeros(40, 2), labels, [2], [1])


@pytest.mark.parametrize('wrong, said', [
    (dict(widths=[0]), 'widths is 0'), (dict(widths=[]), 'widths are empty'), (dict(at=[]), 'at are empty'),
    (dict(at=[1.5]), 'at is 1.5'), (dict(at=[-1]), 'at is -1'), (dict(starts=0), 'starts is 0')])
def test_width_sweep_refuses_numbers(wrong, said):
    with pytest.raises(ValueError, match=said): width_sweep(*make_bullseye(8), **dict(dict(widths=[1], at=[1]), **wrong))


@pytest.mark.parametrize('n', [np.int64(5), torch.tensor(5)])
def test_whole_numbers_of_others(n):
    nets = width_sweep(*make_bullseye(n), np.arange(1, 3), np.arange(5), starts=n)
    assert nets.widths == [1, 2] and nets.at == [0, 1, 2, 3, 4] and len(nets.x) == 5
    assert simple_net(n)[0].out_features == 5


def test_gradients_that_are_switched_off():
    x, y = make_bullseye(8)
    with torch.no_grad(), pytest.raises(RuntimeError, match='gradients are switched off'): width_sweep(x, y, [1], [1])
