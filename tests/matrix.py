"""All lessons with their solutions, and all other notebooks, on as many machines as one can be.

    python tests/matrix.py [--only WORDS ...] [--list] [--workers N] [--keep FOLDER]

A *setting* is a number of threads, or instructions of the processor that PyTorch shall do with; it
is tried with the packages that are installed here. An *environment* is a version of Python with the
oldest packages that settings.ini admits, or with the newest; uv makes it, in a temporary folder, or
in FOLDER, where the next call finds it.
What cannot be had here is skipped, and the table says so. Ends with 1 if a notebook failed.
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).parent.parent
ONE = dict(OMP_NUM_THREADS='1')
SETTINGS = {
    'one thread': ONE,
    'two threads': dict(OMP_NUM_THREADS='2'),
    'no vector instructions, one thread': ONE | dict(ATEN_CPU_CAPABILITY='default'),
    'no vector instructions, two threads': dict(ATEN_CPU_CAPABILITY='default', OMP_NUM_THREADS='2'),
    'AVX2': ONE | dict(ATEN_CPU_CAPABILITY='avx2'),
    'SSE4.1 in oneDNN': ONE | dict(DNNL_MAX_CPU_ISA='SSE41'),
}
ENVIRONMENTS = {
    '3.10, oldest': ('3.10', ['--resolution', 'lowest-direct']),
    **{f'{v}, newest': (v, ['--upgrade']) for v in ('3.10', '3.12', '3.13', '3.14')},
}
# what PyTorch makes of it, in the words of PyTorch and of oneDNN
FACTS = '''
import importlib.metadata as m, json, platform, torch
v = {p: m.version(p) for p in ('torch', 'numpy', 'fastai', 'matplotlib', 'ipywidgets')}
isa = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, 'cpu') else '?'
torch.nn.functional.conv2d(torch.ones(8, 16, 28, 28), torch.ones(16, 16, 3, 3))
print(json.dumps(dict(python=platform.python_version(), isa=isa, threads=torch.get_num_threads(), versions=v)))
'''


class Skip(Exception): "This machine does not have it."


def run(*args, **kwargs):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, stdin=subprocess.DEVNULL, **kwargs)
    if r.returncode: raise RuntimeError(f'{args}\n{r.stdout[-3000:]}\n{r.stderr[-3000:]}')
    return r.stdout


def python(version):
    "A Python of this version. Raises `Skip`."
    versions = Path.home()/'.pyenv'/'versions'
    found = [shutil.which(f'python{version}'), *versions.glob(f'{version}.*/bin/python')]
    ask = ['-c', 'import sys, ensurepip; print("%d.%d" % sys.version_info[:2])']
    for p in filter(None, found):
        r = subprocess.run([p, *ask], capture_output=True, text=True)
        if r.returncode == 0 and r.stdout.strip() == version: return p
    raise Skip(f'there is no Python {version}')


def environment(name, folder):
    "A new environment with the course in this folder, or the one that is there; its python. Raises `Skip`."
    version, how = ENVIRONMENTS[name]
    uv = shutil.which('uv') or Path(sysconfig.get_path('scripts'))/'uv'
    if not Path(uv).exists(): raise Skip('there is no uv: pip install uv')
    env = folder/name.replace(', ', '-')
    if not env.exists(): run(uv, 'venv', '-q', '--python', python(version), env)
    interpreter = next(p for p in (env/'bin'/'python', env/'Scripts'/'python.exe') if p.exists())
    packages = '--reinstall-package', 'sgd_course', f'{REPO}[course]'
    try: run(uv, 'pip', 'install', '-q', *how, '--python', interpreter, *packages, cwd=folder)
    except RuntimeError as e:
        if 'No solution found' not in str(e): raise
        raise Skip('there are no packages: ' + ' '.join(str(e).split('No solution found')[1].split())[:200])
    return interpreter


def facts(interpreter, setting):
    "Versions, threads and instructions. Raises `Skip` if this processor lacks them."
    env = clean() | setting | dict(ONEDNN_VERBOSE='1', DNNL_VERBOSE='1')
    lines = run(interpreter, '-c', FACTS, env=env).splitlines()
    found = json.loads(lines[-1])
    isa = next((s.split('isa:')[1] for s in lines if 'isa:' in s), '?')
    asked = setting.get('ATEN_CPU_CAPABILITY')
    if asked and found['isa'].lower() not in (asked, 'no avx' if asked == 'default' else asked):
        raise Skip(f'PyTorch was asked for {asked} and took {found["isa"]}')
    if 'DNNL_MAX_CPU_ISA' in setting and 'SSE4.1' not in isa: raise Skip(f'oneDNN took {isa}')
    if str(found['threads']) != setting.get('OMP_NUM_THREADS', str(found['threads'])):
        raise Skip(f'PyTorch took {found["threads"]} threads')
    return found | dict(onednn=isa)


def clean():
    "The variables of the environment, without those that a developer may have set for Python or torch."
    own = 'PYTHON', 'JUPYTER', 'MPL', 'ATEN_', 'OMP_', 'DNNL_', 'ONEDNN_', 'MKL_'
    return {k: v for k, v in os.environ.items() if not k.startswith(own)}


def notebooks(interpreter, root, here):
    "A folder with the lessons, solved, and all other notebooks."
    env = clean() | (dict(PYTHONPATH=str(REPO)) if here else {})
    run(interpreter.with_name('sgd-course'), 'handout', root/'class', env=env, cwd=root)
    folder = root/'notebooks'
    shutil.copytree(root/'class'/'solutions', folder/'lessons')
    for part in 'api', 'solutions':
        shutil.copytree(REPO/'nbs'/part, folder/part, ignore=shutil.ignore_patterns('.*'))
    return folder


def cell(name, workers, keep=None):
    "One line of the table: what was tried, with what, and which notebooks failed."
    with tempfile.TemporaryDirectory() as tmp:
        root, start = Path(tmp).resolve(), time.perf_counter()
        here = name in SETTINGS
        try:
            interpreter = Path(sys.executable) if here else environment(name, keep or root)
            setting = SETTINGS.get(name, ONE)
            found = facts(interpreter, setting)
        except Skip as e: return dict(name=name, skipped=str(e))
        folder = notebooks(interpreter, root, here)
        env = clean() | setting | dict(MPLBACKEND='agg')
        if here: env['PYTHONPATH'] = str(REPO)
        r = subprocess.run([interpreter, REPO/'tests'/'run_notebooks.py', '--workers', str(workers), folder],
                           capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)
        reports = [json.loads(line) for line in r.stdout.splitlines() if line.startswith('{"notebook"')]
        failed = {'/'.join(Path(o['notebook']).parts[-2:]): o['error'] for o in reports if 'error' in o}
        if not reports: failed = dict(runner=r.stderr)
        return dict(name=name, ran=len(reports), failed=failed, seconds=time.perf_counter() - start, **found)


def line(c):
    if 'skipped' in c: return f'| {c["name"]} | SKIPPED: {c["skipped"]} | | | | |'
    result = ', '.join(c['failed']) or 'all passed'
    with_ = ', '.join(f'{k} {v}' for k, v in c['versions'].items())
    return (f'| {c["name"]} | {result} | {c["ran"]} | {c["python"]} | {c["isa"]}, {c["onednn"]}, {c["threads"]} '
            f'thread{"s" if c["threads"] > 1 else ""} | {with_} |')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--only', nargs='+', help='parts of names, such as 3.13 or AVX2')
    p.add_argument('--list', action='store_true', help='the names, and nothing else')
    p.add_argument('--workers', type=int, default=max(1, (os.cpu_count() or 2)), help='notebooks at once')
    p.add_argument('--keep', type=Path, metavar='FOLDER', help='where to keep the environments')
    args = p.parse_args()
    if args.keep: args.keep.mkdir(parents=True, exist_ok=True)
    names = [n for n in [*SETTINGS, *ENVIRONMENTS] if not args.only or any(w in n for w in args.only)]
    if args.list or not names: return print('\n'.join(names or [*SETTINGS, *ENVIRONMENTS])) or int(not names)
    print(f'{platform.machine()}, {os.cpu_count()} cores\n\n| tried | notebooks that failed | ran | Python | processor '
          '| packages |\n| :-- | :-- | --: | :-- | :-- | :-- |', flush=True)
    done = []
    for name in names:
        done.append(cell(name, args.workers, args.keep))
        print(line(done[-1]), flush=True)
        for f, e in done[-1].get('failed', {}).items():
            print(f'\n--- {done[-1]["name"]}: {f}\n' + re.sub(r'\x1b\[[\d;]*m', '', e), file=sys.stderr, flush=True)
    return int(any(c.get('failed') for c in done))


if __name__ == '__main__': sys.exit(main())
