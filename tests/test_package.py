"The wheel: its metadata, its contents, and that it works far from its repository."
import email
import re
import sys
import zipfile
from configparser import ConfigParser

import pytest
from conftest import REPO, contents, copy_tree, network_tries, run
from packaging.requirements import Requirement

if sys.version_info >= (3, 11): import tomllib
else: import tomli as tomllib

parser = ConfigParser(delimiters=['='])
parser.read(REPO/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']
VERSION = re.search(r'__version__ = "(.+)"', (REPO/'sgd_course'/'__init__.py').read_text())[1]
LESSONS = sorted(f.name for end in ('ipynb', 'md') for f in (REPO/'nbs').glob(f'*.{end}'))


@pytest.fixture(scope='module')
def metadata(wheel):
    with zipfile.ZipFile(wheel) as z:
        name = next(n for n in z.namelist() if n.endswith('.dist-info/METADATA'))
        return email.message_from_string(z.read(name).decode())


def requirement(text):
    "Name, extra and floor, however they are written."
    r = Requirement(text)
    extra = re.search(r"extra == ['\"](\w+)['\"]", str(r.marker))
    return r.name.lower(), extra and extra[1], str(r.specifier)


def test_metadata_is_that_of_settings_ini(metadata):
    expected = {'Name': cfg['lib_name'], 'Version': VERSION, 'Summary': cfg['description'],
                'Author': cfg['author'], 'License-Expression': cfg['license'],
                'Requires-Python': f'>={cfg["min_python"]}'}
    assert {k: metadata[k] for k in expected} == expected
    assert re.split(', *', metadata['Keywords']) == re.split(', *', cfg['keywords'])
    assert metadata.get_payload().strip() == (REPO/'README.md').read_text(encoding='utf-8').strip()


def test_requirements_are_those_of_settings_ini(metadata):
    keys = {None: 'requirements', 'course': 'course_requirements', 'site': 'site_requirements',
            'hub': 'hub_requirements', 'dev': 'dev_requirements'}
    expected = {(name, extra, floor) for extra, key in keys.items()
                for name, _, floor in map(requirement, cfg[key].split())}
    assert {requirement(r) for r in metadata.get_all('Requires-Dist')} == expected
    assert set(metadata.get_all('Provides-Extra')) == {'course', 'site', 'hub', 'dev'}
    assert all(re.fullmatch(r'>=[\d.]+', floor) for _, _, floor in expected), 'floors only'


def test_addresses_come_from_settings_ini(metadata, tmp_path):
    addresses = ('Repository', cfg['git_url']), ('Documentation', cfg['doc_url'])
    given = [f'{name}, {url}' for name, url in addresses if url]
    assert metadata.get_all('Project-URL', []) == given
    tree = copy_tree(tmp_path/'repo')
    text = (tree/'settings.ini').read_text(encoding='utf-8')
    text = re.sub('git_url =.*', 'git_url = https://example.org/code', text)
    (tree/'settings.ini').write_text(text, encoding='utf-8')
    run(sys.executable, 'setup.py', '-q', 'dist_info', '--output-dir', tmp_path, cwd=tree)
    built = next(tmp_path.glob('*.dist-info/METADATA')).read_text(encoding='utf-8')
    assert 'Project-URL: Repository, https://example.org/code\n' in built


def test_paths_are_the_same_for_setuptools_and_nbdev():
    project = tomllib.loads((REPO/'pyproject.toml').read_text(encoding='utf-8'))
    nbdev = project['tool']['nbdev']
    for path in 'lib_path', 'nbs_path': assert nbdev[path] == cfg[path]
    assert project['project']['name'] == cfg['lib_name']


def test_wheel_has_what_a_learner_needs_and_no_more(wheel, tree):
    with zipfile.ZipFile(wheel) as z: names = z.namelist()
    package = {f'sgd_course/{name}' for name in contents(tree/'sgd_course')}
    assert {'sgd_course/mnist.npz', 'sgd_course/MNIST-NOTICE.txt'} < package
    inside = {n for n in names if '.dist-info/' not in n}
    assert inside == package | {f'sgd_course/lessons/{n}' for n in LESSONS}
    assert any(n.endswith('/LICENSE') for n in names)
    assert wheel.stat().st_size < 16_000_000  # 10.5 MB, of which 8.8 are the digits


def test_installed_package_is_the_one_in_the_new_environment(installed, offline, tmp_path):
    code = 'import sgd_course; print(sgd_course.__file__)'
    out = run(installed/'python', '-c', code, cwd=tmp_path, env=offline)
    assert out.stdout.startswith(str(installed.parent))


def test_each_module_imports_alone(installed, offline, tmp_path):
    files = [f.relative_to(REPO/'sgd_course') for f in (REPO/'sgd_course').rglob('[!_]*.py')]
    modules = ['.'.join(f.with_suffix('').parts) for f in files]
    code = f'''
import importlib, sys, torch
for m in {modules}:
    for k in [k for k in sys.modules if k.split('.')[0] == 'sgd_course']: del sys.modules[k]
    print(importlib.import_module(f'sgd_course.{{m}}').__name__)'''
    out = run(installed/'python', '-c', code, cwd=tmp_path, env=offline)
    assert out.stdout.split() == [f'sgd_course.{m}' for m in modules]


def test_import_is_light(installed, offline, tmp_path):
    heavy = {'fastai', 'torchvision', 'matplotlib.pyplot', 'IPython'}
    code = f'import sys, sgd_course.all; print({heavy} & set(sys.modules))'
    assert run(installed/'python', '-c', code, cwd=tmp_path, env=offline).stdout == 'set()\n'


def test_digits_from_any_folder(installed, offline, tmp_path):
    code = ('from sgd_course.all import *; print(threes_and_sevens().train_x.shape, '
            'mnist_pair(4, 9).valid_x.shape, mnist().train_x.shape)')
    out = run(installed/'python', '-c', code, cwd=tmp_path, env=offline)
    shapes = [f'torch.Size([{n}, 28, 28])' for n in (12396, 1991, 60000)]
    assert out.stdout == ' '.join(shapes) + '\n' and out.stderr == ''
    assert network_tries(offline) == ''


def test_installed_command(installed, offline, tmp_path):
    command = installed/'sgd-course'
    assert run(command, '--version', cwd=tmp_path, env=offline).stdout == f'sgd-course {VERSION}\n'
    assert 'training    ok' in run(command, 'doctor', cwd=tmp_path, env=offline).stdout
    run(command, 'lab', '--copy-only', 'lessons', cwd=tmp_path, env=offline)
    assert sorted(contents(tmp_path/'lessons')) == LESSONS
    assert network_tries(offline) == ''
