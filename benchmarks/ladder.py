"""The ladder of lesson 11: how good is each model, with five seeds? Writes sgd_course/ladder.json.

    python benchmarks/ladder.py                          # all rungs
    python benchmarks/ladder.py --rungs linear,net       # these; the others stay as they are

Needs the extra `course`. The figures of a rung are those of its last run; accuracies depend a
little on the number of threads and on the versions, which are written down with them.
"""
import argparse
import atexit
import json
import platform
import tempfile
import warnings
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import torch

from sgd_course.classifier import flatten_digits, train_valid_split, validate
from sgd_course.data import mnist_sample, threes_and_sevens
from sgd_course.layers import (LADDER, CONFIGS, choose_lr, first_losses, run_config, small_cnn,
                               resnet_learner, train_cnn)
from sgd_course.pixels import accuracy, mean_absolute_error, nearest_centroid

SEEDS = range(5)
data = flatten_digits(threes_and_sevens())


# --- a rung is a function of a seed that gives accuracy, seconds of training, and parameters

def baseline(seed):
    start = perf_counter()
    means = [data.train_x[data.train_y[:, 0] == c].mean(0) for c in (0, 1)]
    seconds = perf_counter() - start
    found = nearest_centroid(data.valid_x, means, mean_absolute_error)
    return accuracy(found, data.valid_y[:, 0]), seconds, sum(m.numel() for m in means)


def trained(recipe, seed, on=data):
    start = perf_counter()
    model, _ = run_config(recipe, seed, on)
    seconds = perf_counter() - start
    return validate(model, data.valid_x, data.valid_y), seconds, parameters(model)


def tuned(recipe, seed):
    """40 epochs with the rate that suits best, which is given too. As in lesson 06, the model that
    was best on the digits held back is the one that is validated. The seconds are for this one."""
    recipe = recipe._replace(epochs=40)
    lr = choose_lr(recipe, seed, data)
    return *trained(recipe._replace(lr=lr), seed, on=train_valid_split(data, seed=seed)), lr


def parameters(model): return sum(p.numel() for p in model.parameters())


@cache
def pictures():
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return mnist_sample(Path(folder.name)/'mnist_sample')


def resnet18(seed):
    path = pictures()
    start = perf_counter()
    learn = resnet_learner(path, seed, device='cpu')
    learn.fit_one_cycle(1, .1)
    seconds = perf_counter() - start
    probabilities, targets = learn.get_preds()
    right = (probabilities.argmax(1) == targets).float().mean().item()
    return right, seconds, parameters(learn.model)


def ten_seconds(seed):
    torch.manual_seed(seed)
    start = perf_counter()
    model = train_cnn(small_cnn(), data.train_x, data.train_y,
                          generator=torch.Generator().manual_seed(seed))
    seconds = perf_counter() - start
    return validate(model, data.valid_x, data.valid_y), seconds, parameters(model)


RUNGS = ({'baseline': baseline} | {name: partial(trained, r) for name, r in CONFIGS.items()}
         | {f'tuned {name}': partial(tuned, r) for name, r in CONFIGS.items()}
         | {'resnet18': resnet18, 'ten seconds': ten_seconds})


def measured(name):
    "What the file says of a rung."
    accuracy, seconds, parameters, *lr = zip(*[RUNGS[name](seed) for seed in SEEDS])
    packages = ['torch'] + ['torchvision', 'fastai']*(name == 'resnet18')
    made_with = dict(python=platform.python_version(), **{p: version(p) for p in packages},
                     machine=platform.machine(), threads=torch.get_num_threads())
    rung = dict(accuracy=accuracy, seconds=[round(s, 3) for s in seconds],
                parameters=parameters[0], made_with=made_with)
    if lr: rung['lr'] = lr[0]
    if name == 'resnet18':  # an epoch is too long for the lesson, which runs the first batches
        rung['first_losses'] = first_losses(resnet_learner(pictures(), SEEDS[0], device='cpu'))
    return rung


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rungs', default=','.join(RUNGS), help='names with commas between them')
    names = parser.parse_args().rungs.split(',')
    if wrong := set(names) - set(RUNGS):
        parser.error(f'no rungs: {sorted(wrong)}; expected some of {list(RUNGS)}')
    for name in names:
        r = measured(name)
        file = json.loads(LADDER.read_text(encoding='utf-8')) if LADDER.exists() else {}
        file[name] = r
        a = torch.tensor(r['accuracy'], dtype=torch.double)
        print(f'{name:24} accuracy {a.mean():.5f}, standard deviation {a.std():.5f}, '
              f'{sum(r["seconds"])/len(a):.2f} s, {r["parameters"]} parameters', flush=True)
        lines = [f' {json.dumps(k)}: {json.dumps(file[k])}' for k in RUNGS if k in file]
        LADDER.write_text('{\n' + ',\n'.join(lines) + '\n}\n', encoding='utf-8')


if __name__ == '__main__':
    warnings.simplefilter('ignore')  # what fastai imports warns of its own future
    main()
