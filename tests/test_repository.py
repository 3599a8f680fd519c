"The files around the package: environment.yml, README's two commands, and .ci/run."
import os
import re
import sys
from configparser import ConfigParser

import pytest
import yaml
from conftest import REPO, run
from packaging.requirements import Requirement
from PIL import Image
from test_notebooks import cells

parser = ConfigParser(delimiters=['='])
parser.read(REPO/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']


def test_ruff_finds_no_mistake():
    folders = [d for d in ('sgd_course', 'tests', 'tools', 'benchmarks', 'site', 'deploy') if (REPO/d).is_dir()]
    oldest = 'py' + cfg['min_python'].replace('.', '')  # syntax that it does not know is a mistake
    run(sys.executable, '-m', 'ruff', 'check', '--no-cache', '--select', 'F',
        '--target-version', oldest, *folders, cwd=REPO)


def test_exported_lines_fit_a_screen():
    lines = [(f.name, line) for f in sorted((REPO/'sgd_course').rglob('[!_]*.py'))
             for line in f.read_text(encoding='utf-8').splitlines()]
    names = re.compile(r'__all__ = |           [\'"]')  # nbdev breaks its list of names elsewhere
    assert not [(f, line) for f, line in lines if len(line) > 100 and not names.match(line)]


def test_environment_yml():
    from rattler import MatchSpec
    env = yaml.safe_load((REPO/'environment.yml').read_text(encoding='utf-8'))
    assert env['channels'] == ['conda-forge']
    *conda, pip = env['dependencies']
    assert pip == {'pip': ['-e .[course]']}
    specs = [MatchSpec(line, strict=True) for line in conda]
    specs = {s.name.normalized: s.version and str(s.version) for s in specs}
    numbers = lambda floor: [int(n) for n in re.findall(r'\d+', floor)]
    floors = {'python': f'>={cfg["min_python"]}', 'pip': None}
    for r in map(Requirement, (cfg['requirements'] + cfg['course_requirements']).split()):
        name = {'torch': 'pytorch'}.get(r.name, r.name)  # conda-forge calls it so
        floors[name] = max(floors.get(name, ''), str(r.specifier), key=numbers)
    assert specs == floors


def test_readme_has_two_commands_of_one_line():
    readme = (REPO/'README.md').read_text(encoding='utf-8')
    install = 'python3 -m venv .venv && .venv/bin/pip install -e "'
    first, second = re.findall(r'^```sh\n(.*?)\n```', readme, re.M | re.S)
    assert first == install + '.[course]" && .venv/bin/sgd-course lab'
    assert second == install + '.[course,dev]" && .venv/bin/pytest'


def moving(file):
    "Frames of a picture: the first, the last, how many, and how many seconds they take."
    with Image.open(file) as image:
        first, seconds = image.convert('RGB').tobytes(), 0
        for k in range(image.n_frames):
            image.seek(k)
            seconds += image.info['duration']/1000
        return first, image.convert('RGB').tobytes(), image.n_frames, seconds, image.info.get('loop')


def test_picture_of_readme():
    "It is above the commands, small, has words, and ends where it began, soon."
    readme = (REPO/'README.md').read_text(encoding='utf-8')
    (words, name), = re.findall(r'!\[(.+?)\]\((.+?)\)', readme)
    assert len(words) > 100 and readme.index(name) < readme.index('```sh') and (REPO/name).stat().st_size < 1.5e6
    first, last, n, seconds, loop = moving(REPO/name)
    assert first == last and n > 50 and seconds < 20 and loop == 1


@pytest.mark.slow
def test_picture_of_readme_is_what_its_script_draws(tmp_path):
    run(sys.executable, REPO/'tools'/'readme_picture.py', tmp_path/'new.gif', timeout=600)
    assert moving(tmp_path/'new.gif')[2:] == moving(REPO/'readme.gif')[2:]


# stands in for python3: its venv has programs that only note how they were called
PYTHON3 = r'''#!/bin/sh
echo "python3 $*" >>$CALLS
mkdir -p .venv/bin
for p in pip pytest python; do
    printf '#!/bin/sh\necho "%s $*" >>$CALLS\n' $p >.venv/bin/$p
    chmod +x .venv/bin/$p
done
echo "$AT_PYTEST" >>.venv/bin/pytest
'''


@pytest.fixture
def ci(tmp_path):
    "Run .ci/run in a small repository with our README; give its result and the calls it made."
    repo, calls, python3 = tmp_path/'repo', tmp_path/'calls', tmp_path/'bin'/'python3'
    (repo/'.ci').mkdir(parents=True), python3.parent.mkdir()
    for f in ('.ci/run', 'README.md', '.gitignore'): (repo/f).write_bytes((REPO/f).read_bytes())
    others = [(python3.with_name(b), '#!/bin/sh\n') for b in ('chromium', 'firefox-esr', 'bwrap')]
    npm = python3.with_name('npm'), '#!/bin/sh\necho "npm $*" >>$CALLS\n'
    node = python3.with_name('node'), '#!/bin/sh\necho 20\n'
    for f, text in (python3, PYTHON3), npm, node, *others:
        f.write_text(text)
        f.chmod(0o755)

    def ci(at_pytest='', readme=''):
        with open(repo/'README.md', 'a') as f: f.write(readme)
        commit = 'git -c user.name=x -c user.email=x@x commit -qm x'
        run('sh', '-c', f'git init -q && git add . && {commit}', cwd=repo)
        env = os.environ | dict(CALLS=str(calls), AT_PYTEST=at_pytest, PYTHONPATH='',
                                PATH=f'{python3.parent}:{os.environ["PATH"]}')
        r = run('bash', repo/'.ci'/'run', cwd=tmp_path, env=env, ok=False)
        assert not os.path.lexists(repo/'.venv')
        return r, calls.read_text().splitlines() if calls.exists() else []
    return ci


def test_ci_runs_the_command_of_readme(ci, tmp_path):
    r, calls = ci('readlink -f .venv >>$CALLS; echo 3 passed')
    assert r.returncode == 0 and r.stdout.count('3 passed\n') == 2
    assert calls[:3] == ['python3 -m venv .venv', 'pip install -e .[course,dev]', 'pytest ']
    assert not calls[3].startswith(str(tmp_path/'repo'))
    assert calls[4].startswith('pip install -e .[hub,site] ') and calls[5].endswith(' configurable-http-proxy')
    assert calls[6] == 'pytest -m slow'
    assert calls[8] == 'python tests/matrix.py --only no vector instructions, one thread'
    assert calls[9].endswith('-r tests/old_stack.txt') and 'not browser' in calls[10]


@pytest.mark.parametrize('given, said', [
    (dict(at_pytest='echo 1 failed; exit 1'), '1 failed'),
    (dict(at_pytest='echo 3 passed; touch left_over'), 'left_over'),
    (dict(at_pytest='[ "$*" != "-m slow" ] || { echo 1 failed; exit 1; }'), '1 failed'),
    (dict(at_pytest='echo 3 passed; [ -z "$PYTHONPATH" ]'), 'with the versions of tests/old_stack.txt'),
    (dict(readme='\npython3 -m pytest\n'), 'more than one line'),
])
def test_ci_fails(ci, given, said):
    r, _ = ci(**given)
    assert r.returncode == 1 and said in r.stdout + r.stderr


# --- the glossary

GLOSSARY = (REPO/'nbs'/'glossary.md').read_text(encoding='utf-8')
ENTRIES = re.findall(r'^### (.+)\n\n(.+)', GLOSSARY, re.M)
each_term = pytest.mark.parametrize('term, entry', ENTRIES, ids=[t for t, _ in ENTRIES])


def anchor(heading): return heading.replace(' ', '-')  # as JupyterLab and nbconvert make it


def words(text): return re.sub(r'[\s*`-]+', ' ', text).casefold()


def test_terms_are_in_order_and_there_once():
    terms = [t for t, _ in ENTRIES]
    assert len(terms) > 50 and len(terms) == len(re.findall('^### ', GLOSSARY, re.M))
    assert terms == sorted(terms, key=str.casefold)
    assert len({words(t) for t in terms}) == len(terms)
    letters = re.findall(r'^## (.+)', GLOSSARY, re.M)
    assert letters == sorted({t[0].upper() for t in terms})
    anchors = [anchor(h).casefold() for h in re.findall(r'^#+ (.+)', GLOSSARY, re.M)]
    assert len(set(anchors)) == len(anchors)


@each_term
def test_term_is_in_the_section_it_links_to(term, entry):
    link = re.fullmatch(r'.+[.)] \[Lesson (\d\d)(?:, (.+))?\]\(((\d\d)_\w+\.ipynb)(?:#(.+))?\)', entry)
    number, section, name, same, fragment = link.groups()
    assert number == same and (REPO/'nbs'/name).is_file()
    assert len(re.findall(r'\]\(', entry)) == 1 and entry.count('. ') <= 4
    text = '\n'.join(c['source'] for c in cells(REPO/'nbs'/name))
    if section:
        assert fragment == anchor(section)
        found = re.findall(rf'^(#+) {re.escape(section)}$', text, re.M)
        assert len(found) == 1, 'one heading of that name'
        start = re.search(rf'^#+ {re.escape(section)}$', text, re.M).end()
        text = re.split(r'^#{2,3} ', text[start:], flags=re.M)[0]
    stem = words(term).removesuffix('e')  # standardise, standardising
    assert re.search(rf'\b{re.escape(stem)}', words(text)), f'{term} is not in {name}, {section}'


@pytest.mark.parametrize('path', sorted((REPO/'nbs').glob('*.ipynb')), ids=lambda f: f.stem)
def test_links_to_the_glossary_arrive(path):
    terms = {anchor(t) for t, _ in ENTRIES}
    links = [a for c in cells(path, 'markdown') for a in re.findall(r'\(glossary\.\w+#([^) ]*)', c['source'])]
    assert set(links) <= terms and len(set(links)) == len(links), 'each term once'


def test_links_to_the_glossary_have_its_definitions():
    "python tools/glossary_links.py --fix writes them."
    assert run(sys.executable, REPO/'tools'/'glossary_links.py').stdout == ''
