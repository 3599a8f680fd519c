"""How long README's test command takes once it is installed: wall clock, CPU, the ten slowest tests.

    python benchmarks/suite.py                    # once
    python benchmarks/suite.py --busy 4 --rounds 3  # beside four processes that never rest

Prints one line for each round, the ten slowest tests of the last one, and how many notebooks were
executed. Ends with 1 if a test failed in any round.
"""
import argparse
import os
import re
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

REPO = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, '-m', 'pytest', '-q', '--durations=10', '--color=no']


@contextmanager
def kept_busy(n):
    "Beside this, `n` processes that only count."
    others = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(n)]
    try: yield
    finally:
        for p in others: p.kill()
        for p in others: p.wait()


def cpu():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def measured(more):
    start, before = perf_counter(), cpu()
    r = subprocess.run([*COMMAND, *more], cwd=REPO, capture_output=True, text=True)
    return perf_counter() - start, cpu() - before, r


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--rounds', type=int, default=1)
    p.add_argument('--busy', type=int, default=0, help='how many other processes')
    args, more = p.parse_known_args()
    print(f'{os.cpu_count()} cores, {args.busy} busy processes beside it, load before {os.getloadavg()[0]:.2f}')
    failed = False
    for n in range(args.rounds):
        with kept_busy(args.busy): wall, used, r = measured(more)
        failed |= r.returncode != 0
        print(f'round {n + 1}: {wall:.0f} s, of CPU {used:.0f} s: {r.stdout.splitlines()[-1]}', flush=True)
        if r.returncode: print(r.stdout[-6000:], r.stderr[-2000:], flush=True)
    for line in r.stdout.splitlines():
        if line.startswith('Executed ') or re.match(r'\d+\.\d+s ', line): print(line)
    return int(failed)


if __name__ == '__main__': sys.exit(main())
