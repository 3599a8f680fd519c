"""A class at one JupyterHub: how long learners wait, what they cost, and whether anything is lost.

    python benchmarks/hub.py                     # twenty learners who come at the same moment
    python benchmarks/hub.py --over 180          # ... within three minutes
    python benchmarks/hub.py --learners 1        # alone, so that no memory is shared
    python benchmarks/hub.py --trouble           # hub, proxy and every fourth kernel are killed in the middle
    python benchmarks/hub.py --python .cpu/bin/python   # with another environment, such as PyTorch's CPU build

Starts deploy/jupyterhub_config.py with its proxy on loopback, as tests/room.py does: that needs Linux, root, `.[hub]`
and configurable-http-proxy from npm. A learner logs in, opens lesson 04, runs all cells, slides, does an exercise wrongly
and rightly, saves, closes the tab, logs in again and finds it all there. Adds its figures to hub.json beside this
file, and prints the table of all. Ends with 1 if a save or a mark was lost.
"""
import argparse
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from time import perf_counter

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent/'tests'))
from room import Hub, Learner, lacking, said, until  # noqa: E402

BOOK, PROGRESS = 'sgd-course/04_learning_rate.ipynb', 'sgd-course/sgd_course_progress.json'
STEPS = ['log in', 'start the server', 'open lesson 04', 'run all cells', 'go on after the trouble', 'slide',
         'check', 'save', 'come back',
         'of it: log in', 'of it: JupyterLab', 'of it: the lesson']
CHECK = 'def x_after(start, lr, steps): return {}\ncheck_x_after(x_after)'
TRIES = {'(1 - lr)**steps*start': 'You forgot the 2', '(1 - 2*lr)**steps*start': 'x_after: correct'}
FACTS = '''
import importlib.metadata as m, json, platform, torch
names = 'sgd_course', 'jupyterhub', 'jupyter_server', 'jupyterlab', 'ipykernel'
print(json.dumps(dict(python=platform.python_version(), torch=torch.__version__, **{n: m.version(n) for n in names})))
'''


class Trouble:
    "When all learners have run all cells, hub and proxy are killed and started again, and every fourth kernel ends."
    def __init__(self, hub, names):
        self.hub, self.struck, self.killed = hub, names[::4], set()
        self.barrier = threading.Barrier(len(names), self.strike, timeout=900)

    def strike(self):
        for what in ('hub', 'proxy'): self.hub.end(what, signal.SIGKILL)
        self.killed = set.union(*map(self.hub.kernels, self.struck))
        for pid in self.killed: os.kill(pid, signal.SIGKILL)
        for what in ('proxy', 'hub'): self.hub.start(what)

    def go_on(self, learner, book):
        "As JupyterLab does: connect again, to the kernel that is there. Gives what was lost beyond those kernels."
        struck = learner.name in self.struck
        if struck: until(lambda: self.hub.kernels(learner.name) - self.killed, lambda: f'{learner.name}: no kernel', 60)
        learner.reconnect(120)
        if ('NameError' in said(learner.run('x_after'))) != struck: return ['kernel']
        if struck: learner.run_all(book)
        return []


def visit(learner, took, trouble=None):
    "One learner's lesson; adds the seconds of each step to `took`. Gives what was lost."
    def timed(step, func, *args):
        start = perf_counter()
        result = func(*args)
        took.setdefault(step, []).append(perf_counter() - start)
        return result
    assert timed('log in', learner.login) == 302
    timed('start the server', learner.spawn, 600)
    book = timed('open lesson 04', learner.open, BOOK)
    timed('run all cells', learner.run_all, book)
    errors = [o['evalue'] for c in book['cells'] for o in c.get('outputs', []) if o['output_type'] == 'error']
    assert not errors, errors
    lost = []
    if trouble:
        trouble.barrier.wait()
        lost = timed('go on after the trouble', trouble.go_on, learner, book)
    took['slide'] = learner.slide('lr', [.1 + .025*k for k in range(20)])
    cell = next(c for c in book['cells'] if ''.join(c['source']).endswith('check_x_after(x_after)'))
    for answer, expected in TRIES.items():
        cell['source'] = CHECK.format(answer)
        cell['outputs'] = timed('check', learner.run, cell['source'])
        assert expected in said(cell['outputs']), said(cell['outputs'])
    timed('save', learner.save, BOOK, book)
    learner.leave()
    again = Learner(learner.hub, learner.name, learner.password)
    def come_back():
        assert timed('of it: log in', again.login) == 302
        timed('of it: JupyterLab', again.spawn, 600)
        return timed('of it: the lesson', again.open, BOOK)
    found = timed('come back', come_back)
    lost += [c['id'] for c, f in zip(book['cells'], found['cells'])
             if ''.join(c['source']) != ''.join(f['source']) or c.get('outputs') != f.get('outputs')]
    marks = json.loads(again.api(f'contents/{PROGRESS}')['content'])
    if marks.get('04 x_after') != dict(correct=True, tries=2): lost.append(f'marks: {marks}')
    if said(again.run('x_after(1., .25, 1)')) != '0.5': lost.append('variables')
    again.socket.close()  # the tab stays open in the learner's absence, as far as memory goes
    return lost


def memory(pid):
    "MB: shared pages in equal parts (PSS), and of it what no other process could share."
    text = Path(f'/proc/{pid}/smaps_rollup').read_text()
    return [int(re.search(rf'^{k}: +(\d+)', text, re.M)[1])/1024 for k in ('Pss', 'Pss_Anon')]


def cpu(pid):
    fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return sum(map(int, fields[11:13]))/os.sysconf('SC_CLK_TCK')


def costs(hub, name):
    "MB of a learner's server and kernel, and seconds of CPU of both."
    out = dict(server=0, kernel=0, anonymous=0, cpu=0)
    for pid, command in hub.processes(name).items():
        pss, own = memory(pid)
        out['kernel' if 'ipykernel' in command else 'server'] += pss
        out['anonymous'] += own
        out['cpu'] += cpu(pid)
    return out | dict(both=out['server'] + out['kernel'])


def measured(args):
    names = [f'learner-{k}' for k in range(1, args.learners + 1)]
    hub = Hub(names, python=args.python)
    trouble = Trouble(hub, names) if args.trouble else None
    took, lost, failed, costs_of = {n: {} for n in names}, {}, {}, {}
    def one(k, name):
        time.sleep(args.over*k/max(1, len(names) - 1))
        try: lost[name] = visit(Learner(hub, name), took[name], trouble)
        except Exception:
            failed[name] = traceback.format_exc()[-1500:]
            if trouble: trouble.barrier.abort()
    try:
        threads = [threading.Thread(target=one, args=a) for a in enumerate(names)]
        start = perf_counter()
        for t in threads: t.start()
        for t in threads: t.join()
        wall = perf_counter() - start
        time.sleep(10)  # idle
        for name in names: costs_of[name] = costs(hub, name)
        common = sum(memory(p)[0] for p in hub.processes('root'))
    finally: hub.stop()
    steps = {s: sorted(x for t in took.values() for x in t.get(s, [])) for s in STEPS}
    steps = {s: x for s, x in steps.items() if x}
    of = {k: [c[k] for c in costs_of.values()] for k in next(iter(costs_of.values()))}
    clients = resource.getrusage(resource.RUSAGE_SELF)
    return dict(
        learners=len(names), over=args.over, trouble=args.trouble, cores=os.cpu_count(), wall=wall, failed=failed,
        lost={k: v for k, v in lost.items() if v},
        seconds={s: [quantile(x, .5), quantile(x, .95)] for s, x in steps.items()},
        MB={k: [statistics.median(v), max(v)] for k, v in of.items() if k != 'cpu'},
        cpu=statistics.median(of['cpu']), hub_and_proxy_MB=common,
        clients_cpu=clients.ru_utime + clients.ru_stime)


def quantile(values, q): return values[min(len(values) - 1, int(q*len(values)))]


def build(facts): return 'CPU' if '+cpu' in facts['torch'] else 'CUDA'


def title(r):
    how = 'alone' if r['learners'] == 1 else f'{r["learners"]} ' + (f'within {r["over"]} s' if r['over'] else 'at once')
    return f'{how}, {build(r["facts"])} build' + ', trouble'*r.get('trouble', False)


def tables(runs):
    head = lambda *cells: print('| ' + ' | '.join(cells) + ' |\n| :-- |' + ' --: |'*(len(cells) - 1))
    show = lambda x: f'{x*1e3:.0f} ms' if x < 1 else f'{x:.1f} s'
    head('p50, p95', *map(title, runs))
    for s in (s for s in STEPS if any(s in r['seconds'] for r in runs)):
        print(f'| {s} | ' + ' | '.join(', '.join(map(show, r['seconds'].get(s, ()))) for r in runs) + ' |')
    print()
    head('of a learner, idle after lesson 04', *map(title, runs))
    for k in ('both', 'server', 'kernel', 'anonymous'):
        print(f'| {dict(both="memory, MB", anonymous="of it never shared").get(k, f"of it {k}")} | ' + ' | '.join(
            f'{r["MB"][k][0]:.0f}' for r in runs) + ' |')
    print('| CPU in all, s | ' + ' | '.join(f'{r["cpu"]:.0f}' for r in runs) + ' |')
    print('| lost saves, marks, variables; failed | '
          + ' | '.join(f'{len(r["lost"])}; {len(r["failed"])}' for r in runs) + ' |')
    print()
    for r in runs:
        facts = ', '.join(f'{k} {v}' for k, v in r['facts'].items())
        print(f'{title(r)}: {r["wall"]:.0f} s in all on {r["cores"]} cores, of which the simulated learners used '
              f'{r["clients_cpu"]:.0f} s of CPU; hub, proxy and culler {r["hub_and_proxy_MB"]:.0f} MB. {facts}.')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--learners', type=int, default=20)
    p.add_argument('--over', type=int, default=0, help='seconds within which they come')
    p.add_argument('--trouble', action='store_true', help='kill hub, proxy and some kernels in the middle')
    p.add_argument('--python', default=sys.executable, help='of the environment with the hub and the lessons')
    args = p.parse_args()
    if lacking(): sys.exit(f'This machine has no {lacking()}.')
    args.python = os.path.abspath(args.python)
    facts = json.loads(subprocess.check_output([args.python, '-c', FACTS], text=True))
    run = measured(args) | dict(facts=facts)
    file = HERE/'hub.json'
    runs = json.loads(file.read_text()) if file.exists() else {}
    runs[title(run)] = run
    file.write_text(json.dumps(runs, indent=1) + '\n')
    tables(list(runs.values()))
    for name, why in (run['lost'] | run['failed']).items(): print(name, why)
    return int(bool(run['lost'] or run['failed']))


if __name__ == '__main__': sys.exit(main())
