"""The project's speed, each figure beside what a user would use instead, measured in one run.

    python benchmarks/speed.py               # prints the table, writes speed.json beside this file
    python benchmarks/speed.py --only epoch  # or import, data, sweep, notebooks: that part again
    python benchmarks/speed.py --quick       # fewer rounds; prints only

Needs what the tests need (the extras `course` and `dev`). README.md says how it measures.
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from importlib.metadata import version
from operator import sub, truediv
from pathlib import Path
from statistics import median
from time import perf_counter
from unittest.mock import patch

import torch

from sgd_course import classifier, data, selection
from sgd_course.classifier import BasicOptim, init_params, linear1, minibatches, train_epoch

HERE = Path(__file__).resolve().parent
ROWS = []


def seconds(f):
    start = perf_counter()
    f()
    return perf_counter() - start


def timed(name, f): return lambda: {name: seconds(f)}


def take_turns(rounds, *cases):
    """{name: seconds in each round} of everything the cases time; a case gives {name: seconds}.

    The cases take turns, in one order and then in the other; the first round is not counted.
    """
    rs = [{k: s for case in cases[::(-1)**r] for k, s in case().items()} for r in range(rounds + 1)]
    return {k: [r[k] for r in rs[1:]] for k in rs[0]}


class Parts(dict):
    "Seconds of each part of a run: wrapped functions read the clock as they start and as they end."
    def __init__(self): self.last = perf_counter()

    def mark(self, part):
        now = perf_counter()
        self[part] = self.get(part, 0) + now - self.last
        self.last = now

    def wrap(self, f, before, within):
        "`f`, with the time since the last mark put down to `before`, and its own to `within`."
        def marked(*args, **kwargs):
            self.mark(before)
            result = f(*args, **kwargs)
            self.mark(within)
            return result
        return marked


def paired(ours, it, compare=truediv): return median(map(compare, ours, it))


def row(name, samples, value=None, most=None, unit='', note=''):
    "A line of the table; `value` is the comparison, whose target is to be at most `most`."
    s = sorted(samples)
    ROWS.append(dict(name=name, rounds=len(s), median=median(s), min=s[0],
                     p90=s[round(.9*(len(s) - 1))], compared=value, at_most=most, unit=unit,
                     met=None if most is None else value <= most, note=note))


# --- the first line of a session

def import_time(code):
    probe = f'from time import perf_counter as t; s = t(); {code}; print(t() - s)'
    return {code: float(subprocess.check_output([sys.executable, '-W', 'ignore', '-c', probe]))}


def bench_import(quick):
    ours, alone, fastai = codes = (
        'import sgd_course.all', 'import torch', 'from fastai.vision.all import *')
    s = take_turns(3 if quick else 15, *[partial(import_time, code) for code in codes])
    row(ours, s[ours])
    row(alone, s[alone], paired(s[ours], s[alone], sub), .3, ' s', 'ours less this')
    row(fastai, s[fastai], paired(s[ours], s[fastai]))


# --- the digits

def open_pngs(root):
    "As the book does in its chapter 4: open each picture, stack them, divide by 255."
    from fastai.torch_core import tensor
    from PIL import Image
    out = []
    for split in ('train', 'valid'):
        threes, sevens = ([tensor(Image.open(f)) for f in sorted((root/split/c).iterdir())]
                          for c in '37')
        out.append(torch.cat([torch.stack(images).float()/255 for images in (threes, sevens)]))
        out.append(tensor([1]*len(threes) + [0]*len(sevens)))
    return out


def data_parts():
    parts = Parts()
    with patch.multiple(data, _sha256=parts.wrap(data._sha256, 'decompress', 'SHA-256'),
                        _digits=parts.wrap(data._digits, 'SHA-256', 'to float')):
        data.threes_and_sevens()
    return parts


def bench_data(quick):
    ours, pngs = 'threes_and_sevens()', "the book's way: open 14,434 PNGs"
    with tempfile.TemporaryDirectory() as tmp:
        root = data.mnist_sample(Path(tmp)/'mnist_sample')
        for a, b in zip(data.threes_and_sevens(), open_pngs(root)): assert torch.equal(a, b.float())
        s = take_turns(2 if quick else 11, timed(ours, data.threes_and_sevens), data_parts,
                       timed(pngs, partial(open_pngs, root)))
    row(ours, s[ours])
    for k in ('decompress', 'SHA-256', 'to float'): row(f'of it: {k}', s[k])
    r = paired(s[ours], s[pngs])
    row(pngs, s[pngs], r, 1/20, note=f'ours is {1/r:.0f} times faster')


# --- one epoch

def zeros(): return init_params((784, 1), std=0), init_params(1, std=0)


def our_epochs(x, y, lr=1., epochs=1, generator=None):
    w, b = zeros()
    model, opt = partial(linear1, w=w, b=b), BasicOptim((w, b), lr=lr)
    for _ in range(epochs): train_epoch(model, opt, x, y, generator=generator)
    return w, b


def our_train(d):
    w, b = zeros()
    classifier.train(partial(linear1, w=w, b=b), BasicOptim((w, b), lr=1.), d, 1, progress=False)


def book_loss(predictions, targets):
    predictions = predictions.sigmoid()
    return torch.where(targets == 1, 1 - predictions, predictions).mean()


def book_loader(x, y):
    from fastai.data.load import DataLoader
    return DataLoader(list(zip(x, y.long())), batch_size=256)


def book_epochs(loader, lr=1., epochs=1):
    "The arithmetic of the book's loop: a loss without checks, the gradient set to zero in place."
    w, b = zeros()
    for _ in range(epochs):
        for xb, yb in loader:
            book_loss(xb @ w + b, yb).backward()
            for p in (w, b):
                p.data -= p.grad*lr
                p.grad.zero_()


def learner_epoch(name, dls):
    from fastai.basics import SGD, Learner
    from fastai.callback.progress import ProgressCallback
    learn = Learner(dls, torch.nn.Linear(784, 1), opt_func=SGD, loss_func=book_loss)
    learn.remove_cb(ProgressCallback)
    with learn.no_logging(): return {name: seconds(lambda: learn.fit(1, lr=1.))}


def closed_form_epoch(x, sign, buffer, lr=1.):
    "The gradient by hand; `sign` is -1 for a 3 and 1 for a 7, `buffer` has room for a batch."
    w, b = torch.zeros(784, 1), torch.zeros(1)
    with torch.inference_mode():
        for i in minibatches(len(x)):
            xb = torch.index_select(x, 0, i, out=buffer[:len(i)])
            p = torch.addmm(b, xb, w).sigmoid_()
            slope = p.addcmul_(p, p, value=-1).mul_(sign[i]).div_(len(i))
            w.addmm_(xb.T, slope, alpha=-lr)
            b.sub_(slope.sum(), alpha=lr)


def matrix_products(x, w, slope):
    "The forward and the backward product of each batch, and nothing else."
    with torch.inference_mode():
        for xb in x.split(256): xb @ w, xb.T @ slope[:len(xb)]


def epoch_parts(x, y):
    "What `train_epoch` calls, with a clock between the calls."
    order, gather, check = 'new order', 'gather the batch, keep its loss', 'check labels'
    parts, (w, b) = Parts(), zeros()
    opt = BasicOptim((w, b), lr=1.)
    opt.step = parts.wrap(opt.step, 'backward', 'step and clear')
    opt.zero_grad = parts.wrap(opt.zero_grad, 'step and clear', 'step and clear')
    model = parts.wrap(partial(linear1, w=w, b=b), gather, 'forward')
    with patch.multiple(classifier, minibatches=parts.wrap(minibatches, order, order),
                        mnist_loss=parts.wrap(classifier.mnist_loss, gather, 'loss'),
                        valid_labels=parts.wrap(classifier.valid_labels, 'loss', check)):
        train_epoch(model, opt, x, y)
    parts.mark('mean loss')
    return parts


def bench_epoch(quick):
    from fastai.basics import DataLoaders
    from torch.utils.data import DataLoader, TensorDataset
    d = classifier.flatten_digits(data.threes_and_sevens())
    x, y = d.train_x, d.train_y
    in_order, by_torch = book_loader(x, y), DataLoader(TensorDataset(x, y), 256, shuffle=True)
    dls = DataLoaders(in_order, book_loader(d.valid_x, d.valid_y))
    w, slope, sign, buffer = torch.rand(784, 1), torch.rand(256, 1), 1 - 2*y, torch.empty(256, 784)
    ours, ours_valid = 'train_epoch, shuffled', 'train, one epoch shuffled, and validation'
    book = "the book's loop over fastai's DataLoader, in order"
    fastai = "fastai's Learner.fit(1), in order, and validation"
    others = {
        "the book's loop over torch's DataLoader, shuffled": lambda: book_epochs(by_torch),
        'gradient by hand, shuffled, buffers kept': lambda: closed_form_epoch(x, sign, buffer),
        'the matrix products alone, in order': lambda: matrix_products(x, w, slope)}
    s = take_turns(
        5 if quick else 60, timed(ours, lambda: our_epochs(x, y)), partial(epoch_parts, x, y),
        timed(book, lambda: book_epochs(in_order)), timed(ours_valid, lambda: our_train(d)),
        partial(learner_epoch, fastai, dls), *[timed(k, f) for k, f in others.items()])
    row(ours, s[ours])
    for k in epoch_parts(x, y): row(f'of it: {k}', s[k])
    row(ours_valid, s[ours_valid])
    row(book, s[book], paired(s[ours], s[book]), .6)
    row(fastai, s[fastai], paired(s[ours], s[fastai]), .3,
        note=f'ours with validation: {paired(s[ours_valid], s[fastai]):.2f}')
    for k in others: row(k, s[k], paired(s[ours], s[k]))


# --- every learning rate

def bench_sweep(quick):
    d = classifier.flatten_digits(data.threes_and_sevens())
    x, y = d.train_x, d.train_y
    lrs, epochs, in_order, off = torch.logspace(-3, 1, 41), 20, book_loader(x, y), []
    swept = selection.lr_sweep(lrs, epochs, d, progress=False)
    def ours_alone(k):
        w, b = our_epochs(x, y, lrs[k].item(), epochs, torch.Generator().manual_seed(42))
        off.append(max((w[:, 0] - swept.weights[-1, k]).abs().max().item(),
                       (b[0] - swept.bias[-1, k]).abs().item()))
    s = dict(sweep=[], ours=[], book=[])
    for k in range(0, len(lrs), 10 if quick else 1):
        s['sweep'].append(seconds(lambda: selection.lr_sweep(lrs, epochs, d, progress=False)))
        s['ours'].append(seconds(lambda: ours_alone(k)))
        s['book'].append(seconds(lambda: book_epochs(in_order, lrs[k].item(), epochs)))
    row('41 rates, 20 epochs: sweep', s['sweep'],
        note=f'largest difference from training alone: {max(off):.1e}')
    for k, name, most in (('ours', 'train_epoch', None), ('book', "the book's loop", 1/25)):
        one_by_one = [t*len(lrs) for t in s[k]]
        r = paired(s['sweep'], one_by_one)
        row(f'one after another by {name}', one_by_one, r, most,
            note=f'sweep is {1/r:.0f} times faster; these {len(s[k])} took {sum(s[k]):.1f} s')


# --- all notebooks

def bench_notebooks(quick):
    command, times, failed = Path(sys.executable).with_name('nbdev-test'), {}, False
    with tempfile.TemporaryDirectory() as tmp:
        tree = Path(tmp)/'repo'
        left_out = shutil.ignore_patterns('.*', '__pycache__', '*.egg-info', 'build', 'dist')
        shutil.copytree(HERE.parent, tree, ignore=left_out)
        env = os.environ | {'PYTHONPATH': str(tree)}
        def nbdev_test():
            nonlocal failed
            r = subprocess.run([command, '--timing'], cwd=tree, env=env, text=True,
                               capture_output=True)
            failed = failed or r.returncode != 0
            print(r.stderr, file=sys.stderr, end='')
            for name, t in re.findall(r'^(\S+\.ipynb): (\d+) secs', r.stdout, re.M):
                times.setdefault(name, []).append(int(t))
        s = [seconds(nbdev_test) for _ in range(1 if quick else 3)]
    if failed: row('nbdev-test', s, note='a notebook failed: no measurement')
    else: row('nbdev-test, all notebooks', s, median(s), 150, ' s')
    for name in sorted(times): row(f'of it: {name}', times[name], note='whole seconds')


# --- the table

def cpu_of_others():
    "CPU seconds that other programs have used so far; where the system does not say, 0."
    stat = Path('/proc/stat')
    if not stat.exists(): return 0
    user, nice, system = map(int, stat.read_text().split()[1:4])
    return (user + nice + system)/os.sysconf('SC_CLK_TCK') - sum(os.times()[:4])


def measure(bench, quick):
    ROWS.clear()
    start, others = perf_counter(), cpu_of_others()
    bench(quick)
    busy = (cpu_of_others() - others)/(perf_counter() - start)
    versions = {k: version(k) for k in ('sgd_course', 'numpy', 'fastai', 'nbdev')}
    about = dict(python=platform.python_version(), torch=torch.__version__, **versions,
                 machine=platform.machine(), cores=os.cpu_count(), threads=torch.get_num_threads())
    return dict(about=about, cores_used_by_others=round(max(busy, 0), 2), rows=ROWS.copy())


def table(results):
    show = lambda t: f'{t*1e3:.3g} ms' if 0 < t < 1 else f'{t:.3g} s'
    lines = ['| | median | min | p90 | ours / it | target | met | |',
             '| :-- | --: | --: | --: | --: | :-- | :-- | :-- |']
    for part in results.values():
        for r in part['rows']:
            value = '' if r['compared'] is None else f'{r["compared"]:.2g}{r["unit"]}'
            most = '' if r['at_most'] is None else f'≤ {r["at_most"]:.3g}{r["unit"]}'
            met = {None: '', True: 'yes', False: '**no**'}[r['met']]
            times = [show(r[k]) for k in ('median', 'min', 'p90')]
            lines.append(f'| {" | ".join([r["name"], *times, value, most, met, r["note"]])} |')
    about = {', '.join(f'{k} {v}' for k, v in part['about'].items()) for part in results.values()}
    busy = ', '.join(f'{name} {part["cores_used_by_others"]}' for name, part in results.items())
    return '\n'.join([*lines, '', *about, f'Cores that other programs used meanwhile: {busy}.'])


def main():
    benches = {'import': bench_import, 'data': bench_data, 'epoch': bench_epoch,
               'sweep': bench_sweep, 'notebooks': bench_notebooks}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='fewer rounds, and no speed.json')
    parser.add_argument('--only', choices=benches, help='measure one part')
    args = parser.parse_args()
    warnings.filterwarnings('ignore', category=FutureWarning)  # fastai's, about torch.jit.script
    names = [args.only] if args.only else list(benches)
    results = {name: measure(benches[name], args.quick) for name in names}
    print(table(results))
    if args.quick: return
    file = HERE/'speed.json'
    kept = json.loads(file.read_text()) if args.only and file.exists() else {}
    results = {name: (kept | results)[name] for name in benches if name in kept | results}
    file.write_text(json.dumps(results, indent=1) + '\n')


if __name__ == '__main__': main()
