"A copy of the tree, a wheel made from it, a new environment that has nothing but that wheel; a browser."
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path

# before torch is imported: each worker of pytest-xdist has one core (see CONTRIBUTING, the matrix)
os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest
from filelock import FileLock

REPO = Path(__file__).parent.parent
TESTS = REPO/'tests'


def run(*args, ok=True, timeout=900, **kwargs):
    "Run a program; give its result, with its output as text. Fails if it does, unless `ok=False`."
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout,
                       stdin=subprocess.DEVNULL, **kwargs)
    assert not ok or r.returncode == 0, f'{args} ended with {r.returncode}:\n{r.stdout}\n{r.stderr}'
    return r


def copy_tree(dst):
    "Copy what git would: no environments, caches, or things that builds leave."
    left = shutil.ignore_patterns('.*', '__pycache__', '*.egg-info', 'build', 'dist', 'sgd-course')
    return shutil.copytree(REPO, dst, ignore=left)


def contents(folder):
    "Every file below a folder, with its bytes."
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob('*')
            if f.is_file() and '__pycache__' not in f.parts}


WIDGETS = ('test_explore', 'test_explorers', 'test_draw', 'test_check', 'test_surface', 'test_unit',
           'test_filters', 'test_graph')
HEAVY = {'browser', 'tree', 'wheel', 'installed', 'executed', 'classroom', 'server', 'fresh'}  # fixtures


def group(nodeid):
    "Tests that one worker runs, one after the other: those of a lesson, of another folder, or of a file."
    file, _, name = nodeid.partition('::')
    if file.endswith('test_website.py'): return nodeid   # they wait for the one build, and then are for all workers
    return re.search(r'\[(\d\d_\w+|\w+)|$', name)[1] or file if file.endswith('test_notebooks.py') else file


@pytest.hookimpl(optionalhook=True)  # there may be no pytest-xdist
def pytest_xdist_make_scheduler(config, log):
    "Groups in the order of collection. (With pytest 9.2, pytest-xdist 3.8 ignores xdist_group marks.)"
    from xdist.scheduler import LoadScopeScheduling
    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid): return group(nodeid)
    return Groups(config, log)


# longest first, so that in the end no worker waits for another: these, the lessons from the last, the rest
LONG = ('test_website', 'test_attack_digits', 'test_hub', 'test_attack', 'test_parallel', 'test_explore',
        'test_notebooks', 'test_explorers', 'test_draw', 'test_check', 'test_front_ends', 'test_bar', 'test_cli')


def pytest_collection_modifyitems(items):
    "Mark the tests of widgets, those that need a browser, and those that are quick; the longest go first."
    for item in items:
        used, file = HEAVY & set(item.fixturenames), item.path.stem
        if file in WIDGETS: item.add_marker('widget')
        if 'browser' in used: item.add_marker('browser')
        if not used and not (item.get_closest_marker('slow') or item.get_closest_marker('long')):
            item.add_marker('quick')
    order = lambda item: (LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG),
                          -int(re.match(r'\d*', group(item.nodeid))[0] or 0))
    items.sort(key=order)


# a shell ignores Ctrl-C for what it runs in the background, and we would inherit that
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN: signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='session')
def once(tmp_path_factory, worker_id):
    "A function that gives a folder, in which one worker of all has called `make(folder)`."
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == 'master' else base.parent
    def once(name, make):
        folder, done = shared/name, shared/f'{name}.done'
        with FileLock(shared/f'{name}.lock'):
            if not done.exists():
                assert not folder.exists(), f'{name} could not be made: see the first error'
                folder.mkdir(parents=True)
                make(folder)
                done.touch()
        return folder
    return once


@pytest.fixture(scope='session')
def tree(tmp_path_factory):
    "A copy of the working tree, in which tools can do what they like."
    return copy_tree(tmp_path_factory.mktemp('tree')/'repo')


@pytest.fixture(scope='session')
def home(tmp_path_factory):
    "The home of a user who has no settings and no cache."
    return tmp_path_factory.mktemp('home')


def offline_env(home, folder):
    "Environment variables without a network; tries are written to a file in `folder`."
    own = 'JUPYTER', 'XDG_', 'PYTHON', 'MPL'
    env = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    return env | dict(HOME=str(home), PYTHONPATH=str(TESTS/'no_network'),
                      PYTHONDONTWRITEBYTECODE='1', NETWORK_TRIES=str(folder/'network_tries'))


@pytest.fixture
def offline(home, tmp_path_factory):
    return offline_env(home, tmp_path_factory.mktemp('offline'))


def network_tries(env):
    "What a program tried to reach, one try a line."
    f = Path(env['NETWORK_TRIES'])
    return f.read_text() if f.exists() else ''


@pytest.fixture(scope='session')
def wheel(once):
    "The wheel, built without a network."
    def make(out):
        tree = copy_tree(out/'repo')
        run(sys.executable, '-m', 'pip', 'wheel', tree, '-w', out, '--no-deps', '--no-index',
            '--no-build-isolation', cwd=out)
    return next(once('wheel', make).glob('*.whl'))


@pytest.fixture(scope='session')
def installed(wheel, once):
    "The bin folder of a new environment with the wheel; requirements come from the running one."
    def make(root):
        venv.create(root, with_pip=False)
        paths = sysconfig.get_paths(vars=dict(base=str(root), platbase=str(root)))
        # a line of a .pth file adds a folder, but not what .pth files in it add: no editable install
        running = [p for p in sys.path if Path(p).name in ('site-packages', 'dist-packages')]
        Path(paths['purelib'], 'requirements.pth').write_text('\n'.join(running) + '\n')
        run(Path(paths['scripts'])/'python', '-m', 'pip', 'install', '--no-deps', '--no-index', wheel)
    root = once('installed', make)
    return Path(sysconfig.get_paths(vars=dict(base=str(root), platbase=str(root)))['scripts'])


@pytest.fixture(scope='session')
def classroom(installed, home, once):
    "What `handout` writes, and what it says, from the wheel alone and without a network."
    def make(root):
        env = offline_env(home, root)
        said = run(installed/'sgd-course', 'handout', 'class', cwd=root, env=env).stdout
        assert network_tries(env) == ''
        (root/'said').write_text(said)
    root = once('classroom', make)
    return root/'class', (root/'said').read_text()


@pytest.fixture(scope='session')
def executed(installed, home, once):
    """A function that runs a notebook in Jupyter's own kernel, from the wheel alone; once for all tests.

    With `--fork`, it runs all notebooks of the folder at one go, without a kernel. Gives the copy with
    its outputs, and a dictionary: `error`, `seconds`, `cpu`, `peak` in MB, and `tried`, the addresses
    that it tried to reach, `left`, the files it left behind.
    """
    def executed(path, *how):
        paths = sorted(path.parent.glob('*.ipynb')) if '--fork' in how else [path]
        def make(folder):
            env = offline_env(home, folder)
            for f in paths: (folder/f.stem).mkdir()
            copies = [Path(shutil.copy(f, folder/f.stem)) for f in paths]
            r = run(installed/'python', TESTS/'run_notebooks.py', *how, *copies, env=env, ok=False, timeout=1800)
            reports = list(map(json.loads, r.stdout.splitlines()))
            for n, f in enumerate(copies):
                report = reports[n] if n < len(reports) else dict(error=r.stderr)
                left = sorted(set(contents(f.parent)) - {f.name})
                report |= dict(tried=network_tries(env), left=left)
                f.with_suffix('.json').write_text(json.dumps(report))
        folder = once('-'.join(['executed', *path.parts[-3:-1], '' if '--fork' in how else path.stem, *how]), make)
        copy = folder/path.stem/path.name
        return copy, json.loads(copy.with_suffix('.json').read_text())
    return executed


def pytest_terminal_summary(terminalreporter, config):
    "How often notebooks were executed."
    if hasattr(config, 'workerinput'): return
    reports = [f for f in config._tmp_path_factory.getbasetemp().glob('executed-*/*/*.json') if f.stem == f.parent.name]
    if not reports: return
    lessons = sum(f.parents[1].name.startswith('executed-class-') for f in reports)
    cpu = sum(json.loads(f.read_text()).get('cpu', 0) for f in reports)
    terminalreporter.write_line(f'Executed {len(reports)} notebooks, {lessons} of them lessons, in {cpu:.0f} s of CPU time.')


@pytest.fixture(scope='session')
def lab(tmp_path_factory):
    from browser import Lab
    lab = Lab(tmp_path_factory.mktemp('lab'))
    yield lab
    lab.stop()
    assert network_tries(lab.env) == ''


@pytest.fixture(scope='module')  # while it is open, playwright's event loop is in the way of others
def browser():
    from browser import BROWSER_FLAGS
    from playwright.sync_api import sync_playwright
    chromium = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    # a reader's machine may have none; CI installs one, and must not go without
    if not chromium and not os.environ.get('CI'): pytest.skip('no Chromium to open JupyterLab with')
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=chromium, args=BROWSER_FLAGS)
        yield b
        b.close()


def missing(what):
    "A reader's machine may go without; CI must not."
    if os.environ.get('CI'): pytest.fail(f'no {what}')
    pytest.skip(f'no {what} here')


@pytest.fixture
def firefox(tmp_path):
    program = shutil.which('firefox-esr') or shutil.which('firefox') or missing('Firefox')
    from firefox import Firefox
    (tmp_path/'profile').mkdir()
    firefox = Firefox(program, tmp_path/'profile', os.environ | dict(HOME=str(tmp_path)))
    yield firefox
    firefox.stop()


@pytest.fixture
def open_book(lab, browser):
    "A function that opens a notebook with these cells; in the end, no page error and no outside request."
    from browser import Book, notebook
    pages, books, asked = [], [], []
    def open_one(*cells, path=None):
        page = browser.new_page(viewport=dict(width=1100, height=1000))
        pages.append(page)
        page.on('request', lambda r: asked.append(r.url))
        path = path or notebook(lab.root/'nb'/f'{secrets.token_hex(4)}.ipynb', *cells)
        books.append(Book(lab, page, path))
        return books[-1]
    yield open_one
    for page in pages: page.close()
    lab.end_kernels()
    ours = (f'http://127.0.0.1:{lab.port}/', 'blob:', 'data:')
    assert [u for u in asked if not u.startswith(ours)] == []
    assert [e for b in books for e in b.errors] == []


# --- the website

NO_SITE = not all(map(find_spec, ('sphinx', 'myst_nb', 'furo', 'latex2mathml')))


def build_site(out, cache, *options):
    env = os.environ | dict(PYTHONPATH=os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH')])))
    return run(sys.executable, REPO/'site'/'build.py', out, '--cache', cache, *options, env=env, timeout=1800)


@pytest.fixture(scope='session')
def site(once):
    "The folder with the pages, two folders below what is served; beside it what the next build needs."
    if built := os.environ.get('SITE'): return Path(built)   # for who writes a test: with sub/path and cache
    if NO_SITE: missing('[site]')
    return once('site', lambda folder: build_site(folder/'sub'/'path', folder/'cache'))
