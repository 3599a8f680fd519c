"The digits: damaged, missing, in the way, interrupted, offline; and the same by every road."
import gzip
import os
import sys
import warnings
import zipfile
from collections import Counter

import numpy as np
import pytest
import torch
from conftest import REPO, contents, run
from PIL import Image

from sgd_course import data
from sgd_course.data import mnist_pair, mnist, mnist_sample, threes_and_sevens

BYTES = data._BUNDLE.read_bytes()
COUNTS = {'train': [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
          'valid': [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]}
IDX_SHA256 = ['ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
              '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
              '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
              'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2']


@pytest.fixture(scope='module')
def arrays(): return data._pair(3, 7)


@pytest.fixture(scope='module')
def packed():
    "The bundle as it is: each digit in three arrays, and the labels."
    with np.load(data._BUNDLE) as z: return dict(z)


@pytest.fixture(scope='module')
def full(): return mnist()


# --- all ten digits

def test_mnist_is_what_is_known_of_it(full):
    for x, y, split in (full.train_x, full.train_y, 'train'), (full.valid_x, full.valid_y, 'valid'):
        assert x.shape == (sum(COUNTS[split]), 28, 28) and y.shape == x.shape[:1]
        assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
        assert (x.amin(), x.amax()) == (0, 1)
        assert y.bincount().tolist() == COUNTS[split]
    assert full.train_y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert full.valid_y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    pixels = full.train_x.double()
    assert pixels.mean().item() == pytest.approx(.1306604762738429, abs=1e-8)
    assert pixels.std(correction=0).item() == pytest.approx(.30810780385646264, abs=1e-8)


def test_mnist_has_the_content_of_the_original_files(full):
    "SHA-256 of what `gunzip` makes of the four files."
    from hashlib import sha256
    as_bytes = lambda x: (x*255).round().to(torch.uint8).numpy()
    found = [sha256(idx(a)).hexdigest() for a in (
        as_bytes(full.train_x), full.train_y.to(torch.uint8).numpy(),
        as_bytes(full.valid_x), full.valid_y.to(torch.uint8).numpy())]
    assert found == IDX_SHA256
    assert torch.equal(full.valid_x, torch.from_numpy(as_bytes(full.valid_x)).float()/255)


@pytest.mark.long
@pytest.mark.parametrize('a', range(10))
def test_every_pair_is_in_mnist(full, a):
    for b in (a + 1)%10, (a + 2)%10, (a + 3)%10, (a + 4)%10, *[(a + 5)%10]*(a < 5):
        d = mnist_pair(a, b)
        for split in 'train', 'valid':
            x, y = getattr(d, f'{split}_x'), getattr(d, f'{split}_y')
            n = [COUNTS[split][c] for c in (a, b)]
            assert x.dtype == y.dtype == torch.float32
            assert torch.equal(y, torch.tensor([1.]*n[0] + [0.]*n[1]))
        of, n = full.valid_y.numpy(), COUNTS['valid'][a]
        order = [sorted(np.flatnonzero(of == c), key=str) for c in (a, b)]
        assert torch.equal(d.valid_x, full.valid_x[np.concatenate(order)])
    of = full.train_y.numpy()
    assert torch.equal(d.train_x[:COUNTS['train'][a]],
                       full.train_x[sorted(np.flatnonzero(of == a), key=str)])


def test_no_digit_is_stored_twice(packed):
    parts = [f'{k}{d}' for d in (0, 1, 2, 4, 5, 6, 8, 9) for k in ('strokes', 'full', 'grey')]
    assert sorted(packed) == sorted(['x3', 'x7', *parts, 'train_y', 'valid_y'])
    for d in range(10):
        n = COUNTS['train'][d] + COUNTS['valid'][d]
        assert packed[f'x{d}' if d in (3, 7) else f'strokes{d}'].shape[0] == n
    assert not list(data._BUNDLE.parent.glob('*sevens*'))


# --- a damaged bundle

def refused(path, monkeypatch, load=mnist):
    monkeypatch.setattr(data, '_BUNDLE', path)
    with pytest.raises((ValueError, FileNotFoundError)) as e: load()
    said = str(e.value)
    assert str(path) in said and 'Install the package again' in said
    return said.replace(str(path), '')  # whose name has the name of the test


def at(name):
    "The middle of a member of the bundle, in bytes from the start of the file."
    with zipfile.ZipFile(data._BUNDLE) as z: i = z.getinfo(f'{name}.npy')
    return i.header_offset + i.compress_size//2


@pytest.mark.parametrize('size', [0, 3, 1000, len(BYTES)//2, len(BYTES) - 1])
def test_truncated(tmp_path, monkeypatch, size):
    (tmp_path/'cut.npz').write_bytes(BYTES[:size])
    for load in mnist, threes_and_sevens, lambda: mnist_pair(4, 9):
        assert 'damaged or incomplete' in refused(tmp_path/'cut.npz', monkeypatch, load)


def flipped(path, where, bit=1):
    changed = bytearray(BYTES)
    changed[where] ^= bit
    path.write_bytes(changed)
    return path


@pytest.mark.parametrize('where', np.linspace(1000, len(BYTES) - 3000, 7, dtype=int))
def test_one_bit_is_wrong(tmp_path, monkeypatch, where):
    assert 'damaged' in refused(flipped(tmp_path/'bit.npz', where), monkeypatch)


@pytest.mark.parametrize('name', ['train_y', 'valid_y', 'x3', 'x7'])
def test_one_byte_is_wrong(tmp_path, monkeypatch, name):
    path = flipped(tmp_path/'byte.npz', at(name), 255)
    assert 'damaged' in refused(path, monkeypatch, threes_and_sevens)


@pytest.mark.parametrize('name', ['strokes0', 'full4', 'grey4', 'grey9'])
def test_damage_of_other_digits_does_not_matter(tmp_path, monkeypatch, full, name):
    path = flipped(tmp_path/'byte.npz', at(name), 255)
    assert 'damaged' in refused(path, monkeypatch, lambda: mnist_pair(3, int(name[-1])))
    assert torch.equal(threes_and_sevens().valid_y, torch.tensor([1.]*1010 + [0.]*1028))


@pytest.mark.parametrize('where', range(0, 60, 3))
def test_damage_of_the_table_of_contents(tmp_path, monkeypatch, where):
    "Other names, sizes, methods, places: refused or, where nobody reads it, harmless."
    with zipfile.ZipFile(data._BUNDLE) as z: start = z.start_dir
    path = flipped(tmp_path/'table.npz', start + where, 255)
    monkeypatch.setattr(data, '_BUNDLE', path)
    try: d = threes_and_sevens()
    except ValueError as e: assert 'damaged' in str(e) and str(path) in str(e)
    else: assert len(d.train_x) == 12396


def test_missing(tmp_path, monkeypatch):
    for load in mnist, threes_and_sevens, lambda: mnist_pair(4, 9):
        assert refused(tmp_path/'none.npz', monkeypatch, load).startswith('The digits are missing: there is no ')


def another_pixel(a): a['x3'][5, 14, 14] ^= 1
def another_middle(a): a['full4'][5] ^= 1
def another_edge(a): a['grey4'][-1] ^= 1
def another_label(a): a['train_y'][0] = 3
def another_type(a): a['train_y'] = a['train_y'].astype(np.int64)
def one_less(a): a['x3'] = a['x3'][:-1]
def fewer_strokes(a): a['strokes4'] = a['strokes4'][:-1]
def no_labels(a): del a['valid_y']
def no_strokes(a): del a['strokes4']
def not_numbers(a): a['train_y'] = np.array([{}], dtype=object)


@pytest.mark.parametrize('change', [another_pixel, another_middle, another_edge, another_label, another_type,
                                    one_less, fewer_strokes, no_labels, no_strokes, not_numbers])
def test_a_sound_file_with_other_content(tmp_path, monkeypatch, packed, change):
    monkeypatch.setattr(data, '_BUNDLE', tmp_path/'other.npz')
    other = {k: v.copy() for k, v in packed.items() if k[-1] not in '0125689'}
    np.savez(tmp_path/'other.npz', **other)
    mnist_pair(3, 4)  # whatever compressed it
    change(other)
    np.savez(tmp_path/'other.npz', **other)
    assert 'damaged' in refused(tmp_path/'other.npz', monkeypatch, lambda: mnist_pair(3, 4))


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
    monkeypatch.setattr(data, '_pair', lambda a, b: chosen)
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


@pytest.mark.parametrize('call', [mnist_sample, lambda: mnist_sample('~nobody-of-that-name/x')])
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


# --- pairs

def test_threes_and_sevens_are_a_pair():
    for one, other in zip(mnist_pair(3, 7), threes_and_sevens()): assert torch.equal(one, other)


def test_digits_come_in_the_order_that_is_asked_for():
    d, swapped = threes_and_sevens(), mnist_pair(7, 3)
    n = int(d.train_y.sum())
    assert torch.equal(swapped.train_x, torch.cat([d.train_x[n:], d.train_x[:n]]))
    assert torch.equal(swapped.train_y, 1 - torch.cat([d.train_y[n:], d.train_y[:n]]))


@pytest.mark.parametrize('number', [np.int64, np.uint8, torch.tensor])
def test_digits_of_any_whole_number(number):
    assert torch.equal(mnist_pair(number(3), number(7)).valid_y, threes_and_sevens().valid_y)


@pytest.mark.parametrize('a, b', [(3, 3), (3, 10), (-1, 7), (True, 7), (3., 7), ('3', 7), (None, 7)])
def test_no_pair_of_digits(a, b):
    with pytest.raises(ValueError, match='expected'): mnist_pair(a, b)


# --- the bundle

def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, '>u4').tobytes() + array.tobytes()


def test_any_images_come_back():
    "Also those that no one has drawn: noise, all paper, all full, ink at the borders, one, none."
    from importlib.util import module_from_spec, spec_from_file_location
    spec = spec_from_file_location('build_data', REPO/'tools'/'build_data.py')
    spec.loader.exec_module(build := module_from_spec(spec))
    rng = np.random.default_rng(0)
    for x in (rng.integers(0, 256, (3, 28, 28)), rng.choice([0, 1, 251, 252, 255], (2, 28, 28)),
              np.zeros((2, 28, 28)), np.full((1, 28, 28), 255), np.ones((1, 28, 28)), np.zeros((0, 28, 28))):
        x = x.astype(np.uint8)
        back = data._unpack(**build.pack(x))
        assert back.dtype == np.uint8 and np.array_equal(back, x)


@pytest.mark.slow
def test_bundle_can_be_rebuilt(full, tree, tmp_path):
    for split, name in ('train', 'train'), ('valid', 't10k'):
        x, y = getattr(full, f'{split}_x'), getattr(full, f'{split}_y')
        for a, kind in ((x*255).round(), 'images-idx3'), (y, 'labels-idx1'):
            content = gzip.compress(idx(a.to(torch.uint8).numpy()), 1)
            (tmp_path/f'{name}-{kind}-ubyte.gz').write_bytes(content)
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
