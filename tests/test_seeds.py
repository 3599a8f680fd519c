"What the lessons say of more seeds, and other starts, than they run."
from functools import partial

import pytest
import torch
from torch import nn

from sgd_course.classifier import flatten_digits, linear1, validate
from sgd_course.data import threes_and_sevens
from sgd_course.layers import CONFIGS, run_config
from sgd_course.optimizers import SGD, Adam, Momentum, RMSprop, ravine, run_optimizer, settling_time
from sgd_course.parallel import train_distributed
from sgd_course.selection import lr_sweep, train_valid_split

pytestmark = pytest.mark.slow


def test_claimed_errors_of_the_network():
    "Lesson 11: `mnist_loss` makes twice as many errors as it claims, cross-entropy slightly more than it claims."
    data = flatten_digits(threes_and_sevens())
    def claimed_by_made(name, seed):
        model, _ = run_config(CONFIGS[name], seed, data)
        with torch.no_grad(): p = model(data.valid_x).sigmoid()
        return (torch.minimum(p, 1 - p).sum()/((p > .5) != (data.valid_y == 1)).sum()).item()
    old, new = ([claimed_by_made(name, seed) for seed in range(10)] for name in ('net', 'net + cross-entropy'))
    assert .45 < min(old) and max(old) < .55 and .7 < min(new) and max(new) < 1


def test_optimizers_of_the_race_from_other_starts():
    "Lesson 13: Adam is as fast as momentum, and RMSprop slower, wherever they start."
    g, rates = torch.Generator().manual_seed(0), torch.logspace(-4, .5, 61, dtype=torch.double)
    def turned(w): return ravine([(w[0] + w[1])/2**.5, (w[0] - w[1])/2**.5])
    for start in torch.rand(12, 2, generator=g)*torch.tensor([3, .5]) - torch.tensor([1.5, .25]):
        for f in ravine, turned:
            momentum, rmsprop, adam = (settling_time(run_optimizer(o, f, start.tolist(), rates, 1000)).min()
                                       for o in (Momentum, RMSprop, Adam))
            assert .8 < adam/momentum < 1.25 and rmsprop > 1.1*momentum


def test_momentum_with_cross_entropy():
    "Lesson 13: equal to plain descent, once the loss is never flat."
    data = flatten_digits(threes_and_sevens())
    def cross_entropy(scores, labels): return nn.functional.softplus(torch.where(labels == 1, -scores, scores))
    def accuracy(opt_func, low, high, seed):
        part, lrs = train_valid_split(data, seed=seed), torch.logspace(low, high, 16)
        s = lr_sweep(lrs, 3, part, seed=seed, progress=False, opt_func=opt_func, loss_func=cross_entropy)
        k = s.accuracy[-1].argmax()
        return validate(partial(linear1, w=s.weights[-1, k][:, None], b=s.bias[-1, k]), data.valid_x, data.valid_y)
    plain, heavy = (torch.tensor([accuracy(*o, seed) for seed in range(10)]) for o in ((SGD, -1, 2), (Momentum, -2, 1)))
    assert abs(plain.mean() - heavy.mean()) < .001


def test_the_linear_scaling_rule():
    "Lesson 15: how much of what a larger batch loses a larger rate makes up for."
    recipes = [(256, .02), (1024, .02), (1024, .08), (2048, .02), (2048, .16)]
    usual, by_4, scaled_by_4, by_8, scaled_by_8 = torch.tensor([
        [train_distributed(3, *r, seed, quiet=True)['accuracy'][-1] for r in recipes] for seed in range(10)]).mean(0)
    assert .62 < (scaled_by_4 - by_4)/(usual - by_4) < .74 and .38 < (scaled_by_8 - by_8)/(usual - by_8) < .54
