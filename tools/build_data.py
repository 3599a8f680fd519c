"""Rebuild `sgd_course/mnist.npz` from MNIST's four original IDX files.

    python tools/build_data.py FOLDER     # FOLDER holds train-images-idx3-ubyte.gz and its three siblings

The bundle holds each digit by itself, its 6,313 to 7,877 images one after another in MNIST's order, those for
training first. Those of most lessons, 3 and 7, are as they are (`x3`, `x7`), to be loaded fast. Each other digit is
three arrays: where its strokes are (`strokes0`), and how bright they are in the middle (`full0`) and at the edges
(`grey0`), which `_unpack` in `sgd_course/data.py` puts together again. They take three quarters of the room that the
pixels take in `np.savez_compressed`: benchmarks/README.md compares. The bundle is written only if its content has the
SHA-256s that `mnist` checks.
"""
import gzip
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

from sgd_course.data import _BUNDLE, _SHA256, _grey, _sha256, _unpack

METHODS = {"strokes": zipfile.ZIP_BZIP2, "full": zipfile.ZIP_LZMA}  # the smallest for each; `np.load` reads them all


def read_idx(path: Path) -> np.ndarray:  # uint8, shape as in the file's header
    "Read one gzipped IDX file: two zero bytes, type 8 (uint8), the number of dimensions, each size, the data."
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\0\0\x08": sys.exit(f"{path} is not an IDX file of unsigned bytes.")
    shape = np.frombuffer(raw, ">u4", raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def pack(x: np.ndarray) -> dict[str, np.ndarray]:  # (n, 28, 28) uint8
    "The three arrays from which `_unpack` makes `x`."
    t = (x > 0) + (x >= 252).astype(np.uint8)  # 0 paper, 1 the grey edge of a stroke, 2 its middle
    four = t.reshape(-1, 7, 4, 28)             # a byte holds four pixels, one above the other
    strokes = four[:, :, 0] << 6 | four[:, :, 1] << 4 | four[:, :, 2] << 2 | four[:, :, 3]
    return dict(strokes=strokes, full=x[t == 2], grey=x.ravel()[_grey(t.ravel())])


def main(folder: Path):
    x, y = {}, {}
    for split, stem in (("train", "train"), ("valid", "t10k")):
        x[split], y[split] = (read_idx(folder / f"{stem}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
    images = [np.concatenate([x[split][y[split] == d] for split in y]) for d in range(10)]
    found = [_sha256(y), *(_sha256({"x": i}) for i in images)]
    if found != _SHA256: sys.exit(f"Content has the SHA-256s {found}, expected {_SHA256}: nothing written.")
    members = {f"{split}_y": (y[split], zipfile.ZIP_DEFLATED) for split in y}
    for d, i in enumerate(images):
        packed = {"x": i} if d in (3, 7) else pack(i)
        if d not in (3, 7) and not np.array_equal(_unpack(**packed), i):
            sys.exit(f"The {d}s do not come back: nothing written.")
        members |= {f"{k}{d}": (a, METHODS.get(k, zipfile.ZIP_DEFLATED)) for k, a in packed.items()}
    with zipfile.ZipFile(_BUNDLE, "w") as z:
        for name, (array, method) in members.items():
            np.save(file := io.BytesIO(), array, allow_pickle=False)
            # a member of no date: the same file whenever it is made
            z.writestr(zipfile.ZipInfo(f"{name}.npy"), file.getvalue(), method, 9)
    print(f"{_BUNDLE.name}: {_BUNDLE.stat().st_size} bytes, SHA-256s of the content as expected")


if __name__ == "__main__":
    if len(sys.argv) != 2: sys.exit(__doc__)
    main(Path(sys.argv[1]))
