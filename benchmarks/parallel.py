"""Does it pay to divide a training among workers? Time of a step, measured for one and two, modelled beyond.

    python benchmarks/parallel.py             # prints the tables, writes parallel.json beside this file
    python benchmarks/parallel.py --rounds 1  # fewer rounds

README.md says how it measures.
"""
import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
import torch.distributed as dist

from sgd_course.launch import launch, load_checkpoint
from sgd_course.parallel import estimate_step_time

HERE, EPOCHS, STEPS = Path(__file__).resolve().parent, 3, 49
HIDDEN = 30, 300, 1000
SIZES = 1, 23_581, 786_001, 10_000_000  # numbers that are added up


def parameters(hidden): return 784*hidden + hidden + hidden + 1


def alone(hidden, file):  # with one thread, as each worker has, whatever is set: `few_threads`
    subprocess.run([sys.executable, '-m', 'sgd_course.parallel', f'--epochs={EPOCHS}', f'--hidden={hidden}',
                    f'--checkpoint={file}', '--quiet'], check=True, timeout=600)


CASES = {
    'one process, one thread': alone,
    'two workers': lambda hidden, file: launch(2, epochs=EPOCHS, hidden=hidden, checkpoint=file, timeout=600),
    'two nodes, a worker each': lambda hidden, file: launch(1, 2, epochs=EPOCHS, hidden=hidden, checkpoint=file,
                                                            timeout=600)}


def step_and_rest(case, hidden):
    "Seconds of a step (the median epoch's), and of everything but training: starting, loading, ending."
    with tempfile.TemporaryDirectory() as tmp:
        start = perf_counter()
        CASES[case](hidden, Path(tmp)/'c')
        total = perf_counter() - start
        seconds = load_checkpoint(Path(tmp)/'c', dict(bs=256, lr=.02, seed=42, hidden=hidden))['seconds']
    return median(seconds)/STEPS, total - sum(seconds)


def measure(rounds):
    "{(hidden, case): [(seconds of a step, seconds of the rest), ...]}; the cases take turns, to and fro."
    found = {(h, c): [] for h in HIDDEN for c in CASES}
    for r in range(rounds):
        for key in list(found)[::(-1)**r]:
            found[key].append(step_and_rest(key[1], key[0]))
            print(*key, *(f'{v:.4g}' for v in found[key][-1]), file=sys.stderr)
    return found


def worker():
    "As one of two workers: the median time of adding up tensors of several sizes, as JSON."
    dist.init_process_group('gloo')
    out = {}
    for n in SIZES:
        x, times = torch.ones(n), []
        for _ in range(max(10, min(300, 10**8//n))):
            dist.barrier()
            start = perf_counter()
            dist.all_reduce(x)
            times.append(perf_counter() - start)
        out[n] = median(times)
    if dist.get_rank() == 0: print(json.dumps(out), flush=True)
    dist.destroy_process_group()


def all_reduce():
    args = ['--standalone', '--local-addr=127.0.0.1', '--nproc-per-node=2', __file__, '--worker']
    out = subprocess.run([sys.executable, '-m', 'torch.distributed.run', *args], check=True, timeout=300,
                         stdout=subprocess.PIPE, text=True, env=os.environ | dict(OMP_NUM_THREADS='1')).stdout
    return {int(n): s for n, s in json.loads(re.search(r'^\{.*\}$', out, re.M)[0]).items()}


def show(columns, rows):
    for row in (columns, ['--:']*len(columns), *rows): print('| ' + ' | '.join(map(str, row)) + ' |')
    print()


def main(rounds):
    load = os.getloadavg()[0]
    found, sums = measure(rounds), all_reduce()
    ms = lambda seconds: f'{1000*seconds:.3g}'
    steps = {key: median(s for s, _ in v) for key, v in found.items()}
    first = next(iter(CASES))
    show(['hidden', 'parameters', '', 'ms a step', 'lowest', 'highest', f'by "{first}"', 's of the rest'], [
        [h, parameters(h), c, ms(steps[h, c]), *(ms(f(s for s, _ in v)) for f in (min, max)),
         f'{steps[h, c]/steps[h, first]:.2f}', f'{median(r for _, r in v):.1f}'] for (h, c), v in found.items()])
    show(['numbers', 'bytes', 'ms to add up'], [[n, 4*n, ms(s)] for n, s in sums.items()])
    latency = sums[1]/2  # two messages follow one another
    bandwidth = 4*max(SIZES)/(sums[max(SIZES)] - sums[1])  # each of two workers sends one gradient
    flops = {h: 6*256*parameters(h)/steps[h, first] for h in HIDDEN}
    many = 1, 2, 4, 8, 16, 64
    here = dict(latency=latency, bandwidth=bandwidth)
    show(['model: ms a step', *(f'{n} workers' for n in many)], [
        [f'hidden {h}, {name}', *(ms(sum(estimate_step_time(n, parameters(h), flops=flops[h], **kw))) for n in many)]
        for h in HIDDEN for name, kw in (('as measured here', here), ('1 Gbit/s', {}), ('10 Gbit/s', dict(bandwidth=1.25e9)))])
    about = (f'python {platform.python_version()}, torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} '
             f'cores, load {load:.1f} before and {os.getloadavg()[0]:.1f} after; rounds {rounds}, latency '
             f'{1e6*latency:.0f} us, bandwidth {bandwidth/1e9:.2g} GB/s, computing '
             f'{", ".join(f"{f/1e9:.3g}" for f in flops.values())} Gflop/s.')
    print(about)
    data = dict(about=about, steps={f'{h}, {c}': v for (h, c), v in found.items()}, all_reduce=sums)
    (HERE/'parallel.json').write_text(json.dumps(data, indent=1) + '\n')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    worker() if args.worker else main(args.rounds)
