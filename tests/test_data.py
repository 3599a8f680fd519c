"The digits: damaged, missing, in the way, interrupted, offline; and the same by every road."
import gzip
import os
import socketserver
import sys
import threading
import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from conftest import contents, run
from PIL import Image

from sgd_course import data
from sgd_course.data import mnist_pair, mnist_sample, threes_and_sevens

BYTES = data._BUNDLE.read_bytes()


@pytest.fixture(scope='module')
def arrays():
    with np.load(data._BUNDLE) as z: return dict(z)


# --- a damaged bundle

def refused(path, monkeypatch):
    monkeypatch.setattr(data, '_BUNDLE', path)
    with pytest.raises((ValueError, FileNotFoundError)) as e: threes_and_sevens()
    said = str(e.value)
    assert str(path) in said and 'Install the package again' in said
    return said


@pytest.mark.parametrize('size', [0, 3, 1000, len(BYTES)//2, len(BYTES) - 1])
def test_truncated(tmp_path, monkeypatch, size):
    (tmp_path/'cut.npz').write_bytes(BYTES[:size])
    assert 'damaged or incomplete' in refused(tmp_path/'cut.npz', monkeypatch)


@pytest.mark.parametrize('at', np.linspace(1000, len(BYTES) - 1000, 7, dtype=int))
def test_one_bit_is_wrong(tmp_path, monkeypatch, at):
    changed = bytearray(BYTES)
    changed[at] ^= 1
    (tmp_path/'bit.npz').write_bytes(changed)
    assert 'damaged' in refused(tmp_path/'bit.npz', monkeypatch)


def test_missing(tmp_path, monkeypatch):
    assert 'missing' in refused(tmp_path/'none.npz', monkeypatch)


def another_pixel(a): a['valid_x'][5, 14, 14] ^= 1
def another_label(a): a['train_y'][0] = 0
def another_type(a): a['train_y'] = a['train_y'].astype(np.int64)
def no_labels(a): del a['valid_y']
def one_more(a): a['test_x'] = a['valid_x']
def not_numbers(a): a['train_y'] = np.array([{}], dtype=object)


@pytest.mark.parametrize('change', [another_pixel, another_label, another_type, no_labels, one_more,
                                    not_numbers])
def test_a_sound_file_with_other_content(tmp_path, monkeypatch, arrays, change):
    other = {k: v.copy() for k, v in arrays.items()}
    change(other)
    np.savez(tmp_path/'other.npz', **other)
    assert 'damaged' in refused(tmp_path/'other.npz', monkeypatch)


def test_no_file_of_arrays(tmp_path, monkeypatch):
    (tmp_path/'text.npz').write_text('<html>404</html>')
    refused(tmp_path/'text.npz', monkeypatch)
    (tmp_path/'folder.npz').mkdir()
    refused(tmp_path/'folder.npz', monkeypatch)


# --- the folder of pictures

def test_names_are_those_of_fastai(arrays):
    names = data._names(arrays)
    counts = Counter(f.rsplit('/', 1)[0] for f in names)
    assert counts == {'train/3': 6131, 'train/7': 6265, 'valid/3': 1010, 'valid/7': 1028}
    # MNIST begins 5 0 4 1 9 2 1 3 1 4 3 5 3 6 1 7 for training, 7 2 1 0 for validation
    assert {'train/3/7.png', 'train/3/10.png', 'train/7/15.png', 'valid/7/0.png'} <= set(names)
    assert names == sorted(names)


@pytest.fixture
def few(monkeypatch, arrays):
    "Every 97th digit, so that a folder is written at once."
    chosen = {k: v[::97] for k, v in arrays.items()}
    monkeypatch.setattr(data, '_load', lambda path: chosen)
    return chosen


@pytest.fixture
def sample(few, tmp_path):
    root = mnist_sample(tmp_path/'kept'/'mnist_sample')
    assert sorted(f.relative_to(root).as_posix() for f in root.rglob('*.png')) == data._names(few)
    return root


def test_sample_is_what_fastai_reads(sample, few):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        from fastai.vision.data import ImageDataLoaders
    dls = ImageDataLoaders.from_folder(sample, valid='valid', num_workers=0, bs=64)
    assert list(dls.vocab) == ['3', '7']
    for ds, split in (dls.train_ds, 'train'), (dls.valid_ds, 'valid'):
        assert len(ds) == len(few[f'{split}_x'])
        for i, k in enumerate(sorted(range(len(ds)), key=lambda k: ds.items[k])):
            picture, label = ds[k]
            assert label == 1 - few[f'{split}_y'][i]  # the number of the name in the vocab
            assert (np.array(picture)[..., 0] == few[f'{split}_x'][i]).all()


def test_sample_is_used_again(sample):
    at = {f: f.stat().st_mtime_ns for f in sample.rglob('*')}
    assert mnist_sample(sample) == sample
    assert {f: f.stat().st_mtime_ns for f in sample.rglob('*')} == at


def test_sample_in_the_cache(few, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert mnist_sample() == tmp_path/'sgd_course'/'mnist_sample'


def test_sample_with_files_of_the_system_beside_it(sample):
    "macOS writes ._10.png beside 10.png on a memory stick: it is no picture, and none is missing for it."
    picture = min(sample.rglob('*.png'))
    picture.with_name(f'._{picture.name}').write_bytes(b'')
    (sample/'train'/'.DS_Store').write_bytes(b'')
    assert mnist_sample(sample) == sample
    picture.unlink()
    with pytest.raises(FileExistsError): mnist_sample(sample)


def test_sample_in_the_home_folder(sample, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(sample.parent))
    monkeypatch.chdir(tmp_path)
    assert mnist_sample('~/mnist_sample') == sample
    monkeypatch.setenv('XDG_CACHE_HOME', '~')
    assert mnist_sample() == sample.parent/'sgd_course'/'mnist_sample'
    assert [f.name for f in tmp_path.iterdir()] == ['kept']


@pytest.mark.parametrize('call', [mnist_sample, lambda: mnist_sample('~nobody-of-that-name/x'),
                                  lambda: mnist_pair(4, 9), lambda: mnist_pair(4, 9, '~nobody-of-that-name')])
def test_without_a_home_folder_it_says_what_to_do(tmp_path, monkeypatch, call):
    "As in a container whose user has no name."
    def nobody(*args): raise KeyError('getpwuid(): uid not found: 1234')
    for name in 'HOME', 'XDG_CACHE_HOME': monkeypatch.delenv(name, raising=False)
    for name in 'getpwuid', 'getpwnam': monkeypatch.setattr(f'pwd.{name}', nobody)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match='home folder.*HOME.*[Nn]ame a folder'): call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('there', ['file', 'folder', 'unfinished'])
def test_sample_leaves_what_is_in_its_way(few, tmp_path, there):
    dest = tmp_path/'taken'
    f = {'file': dest, 'folder': dest/'mine', 'unfinished': dest/'train'/'3'/'7.png'}[there]
    f.parent.mkdir(parents=True, exist_ok=True)
    f.write_text('mine')
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=f'{dest.name} exists.*expected'): mnist_sample(dest)
    assert contents(tmp_path) == before


@pytest.mark.parametrize('error', [KeyboardInterrupt(), OSError(28, 'No space left on device')])
def test_interrupted_sample_leaves_nothing(few, tmp_path, monkeypatch, error):
    save, calls = Image.Image.save, []
    def failing(self, path):
        calls.append(path)
        if len(calls) == 100: raise error
        save(self, path)
    monkeypatch.setattr(Image.Image, 'save', failing)
    with pytest.raises(type(error)): mnist_sample(tmp_path/'sample')
    assert len(calls) == 100 and list(tmp_path.iterdir()) == []


# --- all of MNIST

def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, '>u4').tobytes() + array.tobytes()


@pytest.fixture(scope='module')
def mnist(tmp_path_factory, arrays):
    "A folder as torchvision's MNIST has it: the bundle's digits in their places, and blank zeros."
    root = tmp_path_factory.mktemp('mnist')
    raw = root/'MNIST'/'raw'
    raw.mkdir(parents=True)
    for split, name, n in ('train', 'train', 60_000), ('valid', 't10k', 10_000):
        x, y = np.zeros((n, 28, 28), np.uint8), np.zeros(n, np.uint8)
        at = arrays[f'{split}_index']
        x[at], y[at] = arrays[f'{split}_x'], np.where(arrays[f'{split}_y'], 3, 7)
        (raw/f'{name}-images-idx3-ubyte').write_bytes(idx(x))
        (raw/f'{name}-labels-idx1-ubyte').write_bytes(idx(y))
    return root


def test_digits_of_torchvision_are_those_of_the_bundle(mnist):
    for one, other in zip(mnist_pair(3, 7, mnist), threes_and_sevens()): assert torch.equal(one, other)


def test_digits_come_in_the_order_that_is_asked_for(mnist):
    d, swapped = threes_and_sevens(), mnist_pair(7, 3, str(mnist))
    n = int(d.train_y.sum())
    assert torch.equal(swapped.train_x, torch.cat([d.train_x[n:], d.train_x[:n]]))
    assert torch.equal(swapped.train_y, 1 - torch.cat([d.train_y[n:], d.train_y[:n]]))


def test_damaged_mnist(mnist, tmp_path):
    raw = tmp_path/'MNIST'/'raw'
    raw.mkdir(parents=True)
    for f in (mnist/'MNIST'/'raw').iterdir(): os.link(f, raw/f.name)
    labels = raw/'t10k-labels-idx1-ubyte'
    labels.unlink()
    labels.write_bytes((mnist/'MNIST'/'raw'/labels.name).read_bytes()[:5000])
    with pytest.raises(ValueError, match='is damaged.*Remove') as e: mnist_pair(3, 7, tmp_path)
    assert str(raw) in str(e.value)


class Garbage(socketserver.StreamRequestHandler):
    "A proxy that does not speak HTTP."
    def handle(self): self.wfile.write(b'SSH-2.0-OpenSSH_9.2\r\n\r\n')


@pytest.fixture(scope='module')
def garbage():
    with socketserver.ThreadingTCPServer(('127.0.0.1', 0), Garbage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield 'http://{}:{}'.format(*server.server_address)
        server.shutdown()


@pytest.mark.parametrize('proxy', ['http://127.0.0.1:1', 'http://127.0.0.1:http', 'http://a b:80', '://', 'garbage'])
def test_without_network_and_cache_it_says_what_to_do(tmp_path, monkeypatch, garbage, proxy):
    "The first one refuses every connection; the others are wrong in ways of their own."
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    for name in 'http_proxy', 'https_proxy': monkeypatch.setenv(name, garbage if proxy == 'garbage' else proxy)
    for name in 'no_proxy', 'NO_PROXY': monkeypatch.delenv(name, raising=False)
    with pytest.raises(FileNotFoundError) as e: mnist_pair(4, 9)
    for words in str(tmp_path), 'MNIST/raw', 'could not be downloaded', 'train-images-idx3-ubyte', 'threes_and_sevens()':
        assert words in str(e.value)
    assert len(str(e.value)) < 1000


@pytest.mark.parametrize('number', [np.int64, np.uint8, torch.tensor])
def test_digits_of_any_whole_number(mnist, number):
    assert torch.equal(mnist_pair(number(3), number(7), mnist).valid_y, threes_and_sevens().valid_y)


@pytest.mark.parametrize('a, b', [(3, 3), (3, 10), (-1, 7), (True, 7), (3., 7), ('3', 7), (None, 7)])
def test_no_pair_of_digits(mnist, a, b):
    with pytest.raises(ValueError, match='expected'): mnist_pair(a, b, mnist)


@pytest.mark.slow
def test_bundle_can_be_rebuilt(mnist, tree, tmp_path):
    for f in (mnist/'MNIST'/'raw').iterdir():
        (tmp_path/f'{f.name}.gz').write_bytes(gzip.compress(f.read_bytes(), 1))
    env = os.environ | dict(PYTHONPATH=str(tree))
    bundle = tree/'sgd_course'/data._BUNDLE.name
    assert bundle.read_bytes() == BYTES
    bundle.unlink()
    run(sys.executable, tree/'tools'/'build_data.py', tmp_path, env=env)
    assert bundle.read_bytes() == BYTES

    labels = tmp_path/'t10k-labels-idx1-ubyte.gz'
    other = bytearray(gzip.decompress(labels.read_bytes()))
    other[8] = 0  # the first label of the validation images, a 7
    labels.write_bytes(gzip.compress(other))
    r = run(sys.executable, tree/'tools'/'build_data.py', tmp_path, env=env, ok=False)
    assert r.returncode == 1 and 'nothing written' in r.stderr
    assert bundle.read_bytes() == BYTES
