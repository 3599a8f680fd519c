"""Rebuild `sgd_course/threes_and_sevens.npz` from MNIST's four original IDX files.

    python tools/build_data.py FOLDER     # FOLDER holds train-images-idx3-ubyte.gz and its three siblings

The bundle is written only if its content has the SHA-256 that `threes_and_sevens` checks.
"""
import gzip
import sys
from pathlib import Path

import numpy as np

from sgd_course.data import _BUNDLE, _SHA256, _sha256, _select


def read_idx(path: Path) -> np.ndarray:  # uint8, shape as in the file's header
    "Read one gzipped IDX file: two zero bytes, type 8 (uint8), the number of dimensions, each size, the data."
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\0\0\x08": sys.exit(f"{path} is not an IDX file of unsigned bytes.")
    shape = np.frombuffer(raw, ">u4", raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def main(folder: Path):
    arrays = {}
    for split, stem in (("train", "train"), ("valid", "t10k")):
        x, y = (read_idx(folder / f"{stem}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        index, label = _select(y, 3, 7)
        arrays |= {f"{split}_x": x[index], f"{split}_y": label, f"{split}_index": index.astype(np.uint16)}
    found = _sha256(arrays)
    if found != _SHA256: sys.exit(f"Content has SHA-256 {found}, expected {_SHA256}: nothing written.")
    np.savez_compressed(_BUNDLE, **arrays)
    print(f"{_BUNDLE.name}: {_BUNDLE.stat().st_size} bytes, SHA-256 of the content {found}")


if __name__ == "__main__":
    if len(sys.argv) != 2: sys.exit(__doc__)
    main(Path(sys.argv[1]))
