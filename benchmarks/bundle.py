"""All of MNIST in one file: how small, and how long to load, in several forms beside the bundle's own.

    python benchmarks/bundle.py             # prints the table, some minutes; README.md says how it measures
    python benchmarks/bundle.py --rounds 3  # fewer rounds

Every form is lossless: what it loads is compared with the images that went in.
"""
import argparse
import io
import lzma
import os
import subprocess
import sys
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
from PIL import Image

from sgd_course import data

SIDE = 265  # 265 * 265 images are enough for all
FILTERS = [dict(id=lzma.FILTER_LZMA2, preset=6, lc=4, lp=0, pb=0)]


def zipped(method, arrays):
    with zipfile.ZipFile(file := io.BytesIO(), 'w') as z:
        for name, a in arrays.items():
            np.save(member := io.BytesIO(), a)
            z.writestr(f'{name}.npy', member.getvalue(), method, 9)
    return file.getvalue()


def unzipped(file): return dict(np.load(io.BytesIO(file)))


def as_picture(fmt, x, **how):
    "All images as one, 265 across and 265 down."
    x = np.concatenate([x, np.zeros((SIDE**2 - len(x), 28, 28), np.uint8)])
    picture = x.reshape(SIDE, SIDE, 28, 28).transpose(0, 2, 1, 3).reshape(SIDE*28, SIDE*28)
    Image.fromarray(picture).save(file := io.BytesIO(), fmt, **how)
    return file.getvalue()


def from_picture(file):
    Image.MAX_IMAGE_PIXELS = None
    picture = np.asarray(Image.open(io.BytesIO(file)).convert('L'))
    return picture.reshape(SIDE, 28, SIDE, 28).transpose(0, 2, 1, 3).reshape(-1, 28, 28)[:70_000]


def up(x): return np.concatenate([x[:, :1], x[:, 1:] - x[:, :-1]], 1)


def ink(x): return dict(where=np.packbits(x > 0), ink=x[x > 0])


def from_ink(where, ink):
    x = np.zeros((70_000, 28, 28), np.uint8)
    x[np.unpackbits(where).view(bool).reshape(x.shape)] = ink
    return x


def planes(x):
    "The bundle's form, as tools/build_data.py has it."
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]/'tools'))
    from build_data import pack
    return pack(x)


DEFLATE, BZIP2, LZMA = zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA
FORMS = {  # name: how to write uint8 images, how to read them
    'np.savez_compressed': (lambda x: zipped(DEFLATE, {'x': x}), lambda f: unzipped(f)['x']),
    'the same, each row less the row above': (
        lambda x: zipped(DEFLATE, {'x': up(x)}), lambda f: np.cumsum(unzipped(f)['x'], 1, np.uint8)),
    'one PNG': (partial(as_picture, 'PNG', optimize=True), from_picture),
    'one lossless WebP': (partial(as_picture, 'WEBP', lossless=True, quality=75), from_picture),
    'where ink is, and the ink: deflate': (lambda x: zipped(DEFLATE, ink(x)), lambda f: from_ink(**unzipped(f))),
    'bzip2': (lambda x: zipped(BZIP2, {'x': x}), lambda f: unzipped(f)['x']),
    'xz, lc=4, pb=0': (lambda x: lzma.compress(x, lzma.FORMAT_RAW, filters=FILTERS),
                       lambda f: np.frombuffer(lzma.decompress(f, lzma.FORMAT_RAW, filters=FILTERS), np.uint8)
                       .reshape(-1, 28, 28)),
    'strokes, full, grey: deflate': (lambda x: zipped(DEFLATE, planes(x)), lambda f: data._unpack(**unzipped(f))),
    'strokes, full, grey: LZMA': (lambda x: zipped(LZMA, planes(x)), lambda f: data._unpack(**unzipped(f)))}
OURS = {'mnist()': data.mnist, 'threes_and_sevens()': data.threes_and_sevens, 'digits(4, 9)': lambda: data.digits(4, 9)}


def load(name, path):
    "In a process of its own: seconds by the clock, and of computing."
    f = OURS[name] if name in OURS else lambda: FORMS[name][1](Path(path).read_bytes())
    clock, cpu = perf_counter(), process_time()
    f()
    print(perf_counter() - clock, process_time() - cpu)


def main(rounds):
    y, images = data._load(data._BUNDLE, range(10))
    labels, x = np.concatenate(list(y.values())), np.empty((70_000, 28, 28), np.uint8)
    for d, of_d in images.items(): x[labels == d] = of_d
    with tempfile.TemporaryDirectory() as tmp:
        sizes = dict.fromkeys(OURS, data._BUNDLE.stat().st_size)
        for i, (name, (write, read)) in enumerate(FORMS.items()):
            (path := Path(tmp)/str(i)).write_bytes(write(x))
            assert np.array_equal(read(path.read_bytes()), x), name
            sizes[name] = path.stat().st_size
            print(name, sizes[name], file=sys.stderr)
        cases = [*((name, Path(tmp)/str(i)) for i, name in enumerate(FORMS)), *((name, '') for name in OURS)]
        seconds = {name: [] for name, _ in cases}
        for r in range(rounds):
            for name, path in cases[::(-1)**r]:
                out = subprocess.run([sys.executable, __file__, '--load', name, path], capture_output=True, check=True)
                seconds[name].append([float(s) for s in out.stdout.split()])
    print('| | bytes | by savez_compressed | s, median | s of computing |\n| :-- | --: | --: | --: | --: |')
    for name, both in seconds.items():
        clock, cpu = (f'{median(s):.3f}' for s in zip(*both))
        print(f'| {name} | {sizes[name]:,} | {sizes[name]/sizes["np.savez_compressed"]:.2f} | {clock} | {cpu} |')
    print(f'\npython {sys.version.split()[0]}, numpy {np.__version__}, {os.cpu_count()} cores, load '
          f'{os.getloadavg()[1]:.1f}, rounds {rounds}')


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--load', nargs=2, help=argparse.SUPPRESS)
    args = p.parse_args()
    load(*args.load) if args.load else main(args.rounds)
