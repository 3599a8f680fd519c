"The digits: damaged, missing, in the way, interrupted, offline; and the same by every road."
import gzip
import os
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from conftest import contents, network_tries, run
from PIL import Image

from sgd_course import data
from sgd_course.data import digits, mnist_sample, threes_and_sevens

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

@pytest.fixture(scope='module')
def sample(tmp_path_factory):
    return mnist_sample(tmp_path_factory.mktemp('sample')/'mnist_sample')


def test_sample_has_the_names_of_fastai(sample, arrays):
    files = sorted(str(f.relative_to(sample)) for f in sample.rglob('*.png'))
    counts = Counter(f.rsplit('/', 1)[0] for f in files)
    assert counts == {'train/3': 6131, 'train/7': 6265, 'valid/3': 1010, 'valid/7': 1028}
    # MNIST begins 5 0 4 1 9 2 1 3 1 4 3 5 3 6 1 7 for training, 7 2 1 0 for validation
    assert {'train/3/7.png', 'train/3/10.png', 'train/7/15.png', 'valid/7/0.png'} <= set(files)
    by_bundle = [f'{split}/{3 if y else 7}/{i}.png' for split in ('train', 'valid')
                 for y, i in zip(arrays[f'{split}_y'], arrays[f'{split}_index'])]
    assert by_bundle == files


def test_sample_is_what_fastai_reads(sample):
    from fastai.vision.data import ImageDataLoaders
    dls = ImageDataLoaders.from_folder(sample, valid='valid', num_workers=0, bs=64)
    d = threes_and_sevens()
    assert list(dls.vocab) == ['3', '7']
    for ds, x, y in (dls.train_ds, d.train_x, d.train_y), (dls.valid_ds, d.valid_x, d.valid_y):
        place = {f: i for i, f in enumerate(sorted(ds.items))}
        assert len(place) == len(x)
        for k in range(0, len(ds), 97):
            picture, label = ds[k]
            i = place[ds.items[k]]
            assert label == 1 - y[i]  # the number of the name in the vocab
            assert torch.equal(torch.tensor(np.array(picture)[..., 0])/255, x[i])


def test_sample_is_used_again(sample):
    at = {f: f.stat().st_mtime_ns for f in sample.rglob('*')}
    assert mnist_sample(sample) == sample
    assert {f: f.stat().st_mtime_ns for f in sample.rglob('*')} == at


def test_sample_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert mnist_sample() == tmp_path/'sgd_course'/'mnist_sample'


@pytest.mark.parametrize('there', ['file', 'folder', 'unfinished'])
def test_sample_leaves_what_is_in_its_way(tmp_path, there):
    dest = tmp_path/'taken'
    f = {'file': dest, 'folder': dest/'mine', 'unfinished': dest/'train'/'3'/'7.png'}[there]
    f.parent.mkdir(parents=True, exist_ok=True)
    f.write_text('mine')
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=f'{dest.name} exists.*expected'): mnist_sample(dest)
    assert contents(tmp_path) == before


@pytest.mark.parametrize('error', [KeyboardInterrupt(), OSError(28, 'No space left on device')])
def test_interrupted_sample_leaves_nothing(tmp_path, monkeypatch, error):
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
    for one, other in zip(digits(3, 7, mnist), threes_and_sevens()): assert torch.equal(one, other)


def test_digits_come_in_the_order_that_is_asked_for(mnist):
    d, swapped = threes_and_sevens(), digits(7, 3, str(mnist))
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
    with pytest.raises(ValueError, match='is damaged.*Remove') as e: digits(3, 7, tmp_path)
    assert str(raw) in str(e.value)


def test_without_network_and_cache_it_says_what_to_do(offline, tmp_path):
    code = '''
from sgd_course.data import digits
try: digits(4, 9)
except FileNotFoundError as e: print(e)'''
    said = run(sys.executable, '-c', code, env=offline, cwd=tmp_path).stdout
    assert network_tries(offline), 'it did try'
    for words in offline['HOME'], 'MNIST/raw', 'train-images-idx3-ubyte', 'threes_and_sevens()':
        assert words in said
    assert len(said) < 1000


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
