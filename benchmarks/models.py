"""How good is each model of lessons 11, 12 and 14, with five seeds? Writes sgd_course/benchmark.json.

    python benchmarks/models.py                            # all entries
    python benchmarks/models.py --entries linear,net       # these; the others stay as they are

Needs the extra `course`. The figures of an entry are those of its last run; accuracies depend a
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

from sgd_course.benchmark import BENCHMARK
from sgd_course.classifier import flatten_digits, validate
from sgd_course.data import mnist_sample, threes_and_sevens
from sgd_course.layers import CONFIGS, choose_lr, run_config
from sgd_course.learner import first_losses, resnet_learner
from sgd_course.pixels import accuracy, mean_absolute_error, nearest_centroid
from sgd_course.selection import train_valid_split

SEEDS = range(5)
data = flatten_digits(threes_and_sevens())


# --- an entry comes from a function of a seed that returns accuracy, seconds of training, and parameters

def baseline(seed):
    start = perf_counter()
    means = [data.train_x[data.train_y[:, 0] == c].mean(0) for c in (0, 1)]
    seconds = perf_counter() - start
    found = nearest_centroid(data.valid_x, means, mean_absolute_error)
    return accuracy(found, data.valid_y[:, 0]), seconds, sum(m.numel() for m in means)


def trained(config, seed, on=data):
    start = perf_counter()
    model, _ = run_config(config, seed, on)
    seconds = perf_counter() - start
    return validate(model, data.valid_x, data.valid_y), seconds, parameters(model)


def tuned(config, seed):
    """40 epochs with the learning rate that suits best, which is returned too. As in lesson 07, the
    model that was best on the hold-out set is the one that is validated. The seconds are for it."""
    config = config._replace(epochs=40)
    lr = choose_lr(config, seed, data)
    return *trained(config._replace(lr=lr), seed, on=train_valid_split(data, seed=seed)), lr


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
    from sgd_course.schedules import small_cnn, train_cnn
    torch.manual_seed(seed)
    start = perf_counter()
    model = train_cnn(small_cnn(), data.train_x, data.train_y,
                          generator=torch.Generator().manual_seed(seed))
    seconds = perf_counter() - start
    return validate(model, data.valid_x, data.valid_y), seconds, parameters(model)


ENTRIES = ({'baseline': baseline} | {name: partial(trained, r) for name, r in CONFIGS.items()}
         | {f'tuned {name}': partial(tuned, r) for name, r in CONFIGS.items()}
         | {'resnet18': resnet18, 'ten seconds': ten_seconds})


def measured(name):
    "What the file says of a model."
    accuracy, seconds, parameters, *lr = zip(*[ENTRIES[name](seed) for seed in SEEDS])
    packages = ['torch'] + ['torchvision', 'fastai']*(name == 'resnet18')
    made_with = dict(python=platform.python_version(), **{p: version(p) for p in packages},
                     machine=platform.machine(), threads=torch.get_num_threads())
    entry = dict(accuracy=accuracy, seconds=[round(s, 3) for s in seconds],
                 parameters=parameters[0], made_with=made_with)
    if lr: entry['lr'] = lr[0]
    if name == 'resnet18':  # an epoch is too long for the lesson, which runs the first batches
        entry['first_losses'] = first_losses(resnet_learner(pictures(), SEEDS[0], device='cpu'))
    return entry


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--entries', default=','.join(ENTRIES), help='names with commas between them')
    names = parser.parse_args().entries.split(',')
    if wrong := set(names) - set(ENTRIES):
        parser.error(f'no entries: {sorted(wrong)}; expected some of {list(ENTRIES)}')
    for name in names:
        r = measured(name)
        file = json.loads(BENCHMARK.read_text(encoding='utf-8')) if BENCHMARK.exists() else {}
        file[name] = r
        a = torch.tensor(r['accuracy'], dtype=torch.double)
        print(f'{name:24} accuracy {a.mean():.5f}, standard deviation {a.std():.5f}, '
              f'{sum(r["seconds"])/len(a):.2f} s, {r["parameters"]} parameters', flush=True)
        lines = [f' {json.dumps(k)}: {json.dumps(file[k])}' for k in ENTRIES if k in file]
        BENCHMARK.write_text('{\n' + ',\n'.join(lines) + '\n}\n', encoding='utf-8')


if __name__ == '__main__':
    warnings.simplefilter('ignore')  # what fastai imports warns of its own future
    main()
