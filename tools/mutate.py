"""Change one thing at a time in the exported code, and see whether a test notices.

    python tools/mutate.py [--only MODULE ...] [--workers 2] [--results FILE] [--list]

Each change is made in the lesson or page of nbs/api that exports the code, and in the module, in a copy of
the repository. Then come the tests that reach the changed lines, the fastest first: those that need no
notebook, wheel or browser (coverage.py says which test runs which line), and the notebooks themselves.
Results are appended to FILE; what is there already is not done again. Prints the table in the end.
"""
import argparse
import ast
import hashlib
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
# how many changes of each module, and the page that exports it
MODULES = dict(pixels=(8, '01_pixels'), slope=(6, '02_slope'), gradients=(10, '03_gradients'),
               descent=(16, '04_learning_rate'), curve=(12, '05_seven_steps'), classifier=(20, '06_threes_and_sevens'),
               selection=(12, '07_how_good'), broken=(14, '08_broken'), noise=(14, '09_noise'),
               multiclass=(16, '10_ten_digits'), layers=(16, '11_layers'), learner=(4, '12_fastai'),
               optimizers=(16, '13_optimizers'), schedules=(16, '14_schedules'), parallel=(12, '15_many_machines'),
               check=(24, 'api/check'), data=(12, 'api/data'), explore=(20, 'api/explore'), launch=(10, 'api/launch'),
               optim=(10, 'api/optim'), training=(8, 'api/training'), validate=(12, 'api/validate'))
ELSEWHERE = 'test_cli', 'test_package', 'test_repository', 'test_notebooks', 'test_front_ends', 'test_bar'
BUDGET = 60  # seconds that the tests of one change may take when nothing is wrong, notebooks aside
OTHER = dict(mean='sum', sum='mean', min='max', max='min', amin='amax', amax='amin', argmin='argmax', argmax='argmin',
             ValueError='RuntimeError', TypeError='RuntimeError')
SIGNS = {ast.Add: '-', ast.Sub: '+', ast.Mult: '/', ast.Div: '*', ast.Lt: '<=', ast.LtE: '<', ast.Gt: '>=', ast.GtE: '>',
         ast.Eq: '!=', ast.NotEq: '==', ast.Is: 'is not', ast.IsNot: 'is', ast.In: 'not in', ast.NotIn: 'in'}


# --- changes

def page(module): return REPO/'nbs'/f'{MODULES[module][1]}.ipynb'


def exported(module):
    "Id and source of each cell that exports."
    cells = json.loads(page(module).read_text(encoding='utf-8'))['cells']
    return [(c['id'], s) for c in cells if (s := ''.join(c['source'])).startswith('#| export')]


def offsets(source):
    "A function that gives the place in `source` of a line and a column of `ast`, which counts bytes."
    lines = source.splitlines(keepends=True)
    starts = [sum(map(len, lines[:i])) for i in range(len(lines))]
    return lambda line, col: starts[line - 1] + len(lines[line - 1].encode()[:col].decode())


def changes(source):
    "All single changes of a cell: kind, start, end, and what stands there instead."
    at, tree = offsets(source), ast.parse(source)
    def whole(n): return at(n.lineno, n.col_offset), at(n.end_lineno, n.end_col_offset)
    def text(n): return source[slice(*whole(n))]
    def between(a, b, kind, new):  # of two operands, with the operator between them
        start, end = whole(a)[1], whole(b)[0]
        found = re.search(r'not in|is not|in|is|and|or|[-+*/<>=!]+', source[start:end])
        a, b = start + found.start(), start + found.end()
        return kind, a, b, f' {new} ' if new.isidentifier() and not source[a - 1].isspace() else new
    quiet = {n for j in ast.walk(tree) if isinstance(j, ast.JoinedStr) for n in ast.walk(j)}
    for n in ast.walk(tree):
        if n in quiet: continue
        if isinstance(n, ast.BinOp) and type(n.op) in SIGNS:
            words = any(isinstance(o, (ast.JoinedStr, ast.List)) or isinstance(getattr(o, 'value', 0), str) for o in (n.left, n.right))
            if not words: yield between(n.left, n.right, 'sign' if isinstance(n.op, (ast.Add, ast.Sub)) else 'factor', SIGNS[type(n.op)])
        elif isinstance(n, ast.UnaryOp) and isinstance(n.op, (ast.USub, ast.Not)):
            yield ('sign' if isinstance(n.op, ast.USub) else 'logic', whole(n)[0], whole(n.operand)[0], '')
        elif isinstance(n, ast.Compare) and type(n.ops[0]) in SIGNS:
            yield between(n.left, n.comparators[0], 'comparison', SIGNS[type(n.ops[0])])
        elif isinstance(n, ast.BoolOp):
            yield between(*n.values[:2], 'logic', 'or' if isinstance(n.op, ast.And) else 'and')
        elif isinstance(n, ast.Constant) and type(n.value) is int and not isinstance(n.value, bool):
            yield 'off by one', *whole(n), str(n.value + 1)
        elif isinstance(n, ast.Constant) and type(n.value) is bool:
            yield 'logic', *whole(n), str(not n.value)
        elif isinstance(n, ast.Call): yield from of_call(n, whole, text)
        elif isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call) and text(n.exc.func) in OTHER:
            yield 'class of error', *whole(n.exc.func), OTHER[text(n.exc.func)]
        elif isinstance(n, ast.If) and any(isinstance(b, ast.Raise) for b in n.body):
            yield 'check removed', *whole(n.test), 'False'
        elif isinstance(n, ast.With) and 'torch.no_grad()' in text(n.items[0].context_expr):
            yield 'detach', *whole(n.items[0].context_expr), 'torch.enable_grad()'
        elif isinstance(n, ast.Expr) and isinstance(n.value, ast.Call): yield 'statement removed', *whole(n), 'pass'
        elif isinstance(n, ast.Subscript):
            if re.search(r'\bNone\b', text(n.slice)): yield 'rank', whole(n.value)[1], whole(n)[1], ''
            elif isinstance(n.slice, ast.Slice) and not n.slice.step: yield 'leak', *whole(n.slice), ':'


def of_call(n, whole, text):
    "Changes of a call."
    name = n.func.attr if isinstance(n.func, ast.Attribute) else getattr(n.func, 'id', '')
    start, end = whole(n.func)
    if name in OTHER and not name.endswith('Error'): yield 'mean, sum, extreme', end - len(name), end, OTHER[name]
    if name == 'manual_seed' and n.args: yield 'seed', *whole(n.args[0]), '0'
    if isinstance(n.func, ast.Attribute):
        if name in ('detach', 'clone', 'abs', 'sqrt', 'squeeze', 'unsqueeze', 'flatten', 'requires_grad_'):
            kind = 'detach' if name in ('detach', 'clone', 'requires_grad_') else 'rank' if 's' in name[1:] or name == 'flatten' else 'sign'
            yield kind, whole(n.func.value)[1], whole(n)[1], ''
        if name in ('mean', 'sum', 'amax', 'amin', 'std', 'stack', 'cat', 'softmax', 'argmax', 'argmin') and n.args:
            last = n.args[-1]
            if isinstance(last, ast.Constant) and type(last.value) is int: yield 'axis', *whole(last), str(1 - last.value if last.value >= 0 else 0)
    for k in n.keywords:
        if k.arg in ('dim', 'axis') and isinstance(k.value, ast.Constant): yield 'axis', *whole(k.value), '1' if k.value.value != 1 else '0'
        if k.arg == 'generator': yield 'seed', *whole(k.value), 'None'
        elif k.arg and isinstance(k.value, ast.Name) and k.value.id == k.arg and not re.match(r'ax\b|dict', text(n)):
            a, b = at_keyword(text(n), k.arg)
            if b: yield 'argument ignored', whole(n)[0] + a, whole(n)[0] + b, ''


def at_keyword(call, name):
    "Where `, name=name` stands in a call."
    found = re.search(rf',\s*{name}={name}\b', call)
    return found.span() if found else (0, 0)


def chosen(module):
    "The changes that are made: as many of each kind as there are places for, the same ones each time."
    kinds = defaultdict(list)
    for cell, source in exported(module):
        for kind, start, end, new in changes(source):
            changed = source[:start] + new + source[end:]
            try: same = ast.dump(ast.parse(changed)) == ast.dump(ast.parse(source))
            except SyntaxError: continue
            if same: continue
            line = source[:start].count('\n')
            key = hashlib.sha1(f'{module} {kind} {source.splitlines()[line]} {start - source.rfind(chr(10), 0, start)} {new}'.encode()).hexdigest()[:10]
            kinds[kind].append(dict(key=key, module=module, kind=kind, cell=cell, line=line, before=source, after=changed,
                                    was=source.splitlines()[line].strip(), now=changed.splitlines()[line].strip()))
    for found in kinds.values(): found.sort(key=lambda c: c['key'])
    turns = [c for turn in range(max(map(len, kinds.values()))) for k in sorted(kinds) for c in kinds[k][turn:turn + 1]]
    return turns[:MODULES[module][0]]


# --- tests

def copy(to):
    left = shutil.ignore_patterns('.*', '__pycache__', '*.egg-info', 'build', 'dist')
    return Path(shutil.copytree(REPO, to, ignore=left))


def in_fork(f, tree, limit):
    "What `f` gives, as text, from a process of its own in this folder; 'timeout' if it takes too long."
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        said = 'it ended the process'
        try:
            os.setpgid(0, 0)
            os.close(read)
            os.chdir(tree)
            os.environ.update(PYTHONPATH=str(tree), PYTHONDONTWRITEBYTECODE='1', OMP_NUM_THREADS='1', MPLBACKEND='agg')
            sys.dont_write_bytecode = True
            sys.path[:] = [str(tree), *(p for p in sys.path if Path(p or '.').resolve() not in (REPO, REPO/'tools'))]
            null = os.open(os.devnull, os.O_RDWR)
            for fd in 0, 1, 2: os.dup2(null, fd)
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()): said = f()
        except BaseException as e: said = f'{type(e).__name__}'
        finally:
            os.write(write, said.encode()[:60000])
            os._exit(0)
    os.close(write)
    start, said = time.monotonic(), b''
    os.set_blocking(read, False)
    while True:
        done = os.waitpid(pid, os.WNOHANG)[0]
        try: said += os.read(read, 65536)
        except BlockingIOError: pass
        if done: break
        if time.monotonic() - start > limit: said = b'timeout'; break
        time.sleep(.05)
    try: os.killpg(pid, signal.SIGKILL)  # what it has started, too
    except ProcessLookupError: pass
    if not done: os.waitpid(pid, 0)
    os.close(read)
    return said.decode()


def run_tests(ids, *more):
    "The first test that fails, or ''."
    import pytest
    class First:
        failed = ''
        def pytest_runtest_logreport(self, report): self.failed = self.failed or (report.failed and report.nodeid) or ''
        def pytest_collectreport(self, report): self.failed = self.failed or (report.failed and report.nodeid) or ''
    first = First()
    code = pytest.main(['-q', '-x', '-n0', '-p', 'no:cacheprovider', '-o', 'addopts=', '-m', 'quick or (long and not browser)',
                        *more, *ids], plugins=[first])
    return first.failed or ('' if code == 0 else f'pytest: {code}')


def run_notebook(path):
    "The exception that stops it, or ''."
    from execnb.shell import CaptureShell
    os.chdir(tempfile.mkdtemp(dir=os.getcwd()))
    try: CaptureShell(path=path.parent).execute(path, Path(path.name), exc_stop=True)
    except Exception as e: return f'{path.name}: {type(e).__name__}'
    return ''


def notebooks(): return [*sorted((REPO/'nbs').glob('[0-9]*.ipynb')), *sorted((REPO/'nbs'/'solutions').glob('*.ipynb')),
                         *sorted((REPO/'nbs'/'api').glob('*.ipynb'))]


def reach(cache):
    "Which test and which notebook runs which line of which module, and the seconds of each; all of them pass."
    if cache.exists(): return json.loads(cache.read_text())
    import coverage
    seconds, lines = {}, defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as tmp:
        tree = copy(Path(tmp).resolve()/'tree')
        settings = f'[run]\nsource = {tree}/sgd_course\ndata_file = {tmp}/data\n'
        (tree/'rc').write_text(settings)
        (tree/'rc_tests').write_text(settings + 'dynamic_context = test_function\n')
        def traced(f, context=None):
            def run():
                cov = coverage.Coverage(config_file=str(tree/('rc' if context else 'rc_tests')), context=context)
                cov.start()
                said = f()
                cov.stop()
                data = cov.get_data()
                found = {Path(file).relative_to(tree/'sgd_course').with_suffix('').as_posix():
                         {n: c for n, c in data.contexts_by_lineno(file).items()} for file in data.measured_files()}
                (tree/'found').write_text(json.dumps(found))
                return said
            return run
        def add():
            for module, by_line in json.loads((tree/'found').read_text()).items():
                for line, who in by_line.items(): lines[module][line] += [w for w in who if w]
        for nb in notebooks():
            start, name = time.monotonic(), nb.relative_to(REPO).as_posix()
            said = in_fork(traced(lambda: run_notebook(tree/name), name), tree, 900)
            if said: sys.exit(f'{name} fails as it is: {said}')
            seconds[name] = time.monotonic() - start
            add()
        for test in (f for f in sorted((tree/'tests').glob('test_*.py')) if f.stem not in ELSEWHERE):
            said = in_fork(traced(lambda: run_tests([f'tests/{test.name}'], f'--junitxml={tmp}/times.xml')), tree, 900)
            if said and '5' not in said: sys.exit(f'{test.name} fails as it is: {said}')
            add()
            for t in ET.parse(f'{tmp}/times.xml').iter('testcase'):
                name = f'{t.get("classname")}.{t.get("name").split("[")[0]}'.removeprefix('tests.')
                seconds[name] = seconds.get(name, 0) + float(t.get('time'))
    found = dict(seconds=seconds, lines=lines)
    cache.write_text(json.dumps(found))
    return found


def fitting(change, reached):
    "The notebooks and tests that run the changed line, or, if only an import does, any of its module; fastest first."
    text = (REPO/'sgd_course'/f'{change["module"]}.py').read_text(encoding='utf-8')
    line = text[:text.index(f' #{change["cell"]}\n')].count('\n') + 1 + change['line']  # `#| export` is where `# %%` is
    by_line, seconds = reached['lines'].get(change['module'], {}), reached['seconds']
    def of(names): return {w.removeprefix('tests.') for w in names}
    who, of_any = of(by_line.get(str(line), ())), of(sum(by_line.values(), []))
    books = {page(change['module']).relative_to(REPO).as_posix(), *(w for w in who if w.endswith('.ipynb'))}
    tests, total = [], 0
    for w in sorted((who - books or of_any - books) & seconds.keys(), key=seconds.get):
        if w.endswith('.ipynb'): continue
        total += seconds[w]
        if tests and total > BUDGET: break
        tests.append('tests/{}.py::{}'.format(*w.split('.', 1)))
    return sorted([(seconds[b], b) for b in books] + [(3 + min(total, BUDGET), tests)]*bool(tests), key=lambda u: u[0])


def export(nb):
    from nbdev.export import nb_export
    nb_export(nb, lib_path=Path('sgd_course').resolve())
    return ''


def tried(args):
    "Make one change, run what fits, take it back."
    change, reached, tree = args
    start, noticed = time.monotonic(), ''
    nb = tree/page(change['module']).relative_to(REPO)
    kept = {f: f.read_bytes() for f in (nb, tree/'sgd_course'/f'{change["module"]}.py', tree/'sgd_course'/'_modidx.py')}
    book = json.loads(kept[nb])
    next(c for c in book['cells'] if c['id'] == change['cell'])['source'] = change['after']
    try:
        nb.write_text(json.dumps(book), encoding='utf-8')
        if said := in_fork(lambda: export(nb), tree, 60): raise RuntimeError(f'no export: {said}')
        for seconds, unit in fitting(change, reached):
            run = (lambda: run_tests(unit)) if isinstance(unit, list) else (lambda: run_notebook(tree/unit))
            if noticed := in_fork(run, tree, 60 + 6*seconds): break
    finally:
        for f, raw in kept.items(): f.write_bytes(raw)
    seconds = round(time.monotonic() - start, 1)
    return {k: change[k] for k in ('key', 'module', 'kind', 'cell', 'was', 'now')} | dict(noticed=noticed, seconds=seconds)


def work(todo, done, reached):
    "One worker: changes, until there are none."
    with tempfile.TemporaryDirectory() as tmp:
        tree = copy(Path(tmp).resolve()/'tree')
        for change in iter(todo.get, None): done.put(tried((change, reached, tree)))
    done.put(None)


def table(results):
    "Markdown: by module, by kind, and each change that nothing noticed."
    def rows(what):
        yield f'| {what} | changes | noticed | |\n| :-- | --: | --: | --: |'
        for name, n in Counter(r[what] for r in results).items():
            seen = sum(r[what] == name and bool(r['noticed']) for r in results)
            yield f'| {name} | {n} | {seen} | {seen/n:.0%} |'
    seen = sum(bool(r['noticed']) for r in results)
    yield f'{seen} of {len(results)} changes were noticed, {seen/len(results):.1%}.\n'
    yield from rows('module')
    yield ''
    yield from rows('kind')
    yield '\n| not noticed in | was | is |\n| :-- | :-- | :-- |'
    code = lambda s: '`' + s.replace('|', '\\|') + '`'
    for r in results:
        if not r['noticed']: yield f'| {r["module"]} | {code(r["was"])} | {code(r["now"])} |'


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--only', nargs='+', default=list(MODULES), choices=list(MODULES))
    p.add_argument('--workers', type=int, default=2)
    p.add_argument('--results', type=Path, default=Path(tempfile.gettempdir())/'mutations.jsonl')
    p.add_argument('--list', action='store_true', help='print the changes, and make none')
    args = p.parse_args()
    wanted = [c for m in args.only for c in chosen(m)]
    if args.list:
        for c in wanted: print(f'{c["key"]} {c["module"]:10} {c["kind"]:17} {c["was"]}  ->  {c["now"]}')
        return 0
    had = [json.loads(line) for line in args.results.read_text().splitlines()] if args.results.exists() else []
    results = {r['key']: r for r in had}
    import anywidget, execnb.shell, fastcore.all, ipywidgets, matplotlib.pyplot, nbdev.export, pytest, torch  # noqa: E401, F401
    code = b''.join(f.read_bytes() for d in ('sgd_course', 'tests') for f in sorted((REPO/d).rglob('*.py')))
    reached = reach(args.results.with_suffix(f'.{hashlib.sha1(code).hexdigest()[:8]}.json'))  # line numbers move
    context = multiprocessing.get_context('fork')
    todo, done = context.Queue(), context.Queue()
    left = [c for c in wanted if c['key'] not in results]
    for c in left + [None]*args.workers: todo.put(c)
    workers = [context.Process(target=work, args=(todo, done, reached)) for _ in range(args.workers)]
    for w in workers: w.start()
    running, start = args.workers, time.monotonic()
    while running:
        if not (r := done.get()): running -= 1; continue
        results[r['key']] = r
        with args.results.open('a') as f: f.write(json.dumps(r) + '\n')
        print(f'{len(results)} {r["seconds"]:5.0f} s {r["module"]:10} {r["now"]}  {r["noticed"] or "NOT NOTICED"}', flush=True)
    for w in workers: w.join()
    print(f'{len(left)} changes in {(time.monotonic() - start)/60:.0f} minutes')
    print('\n'.join(table([results[c['key']] for c in wanted])))
    return 0


if __name__ == '__main__': sys.exit(main())
