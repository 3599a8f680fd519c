"""Runs notebooks in Jupyter's own kernel, and keeps their outputs and the state of their widgets.

What is kept is a notebook with widget state, in a file whose name changes with all that it depends on.
"""
import base64
import hashlib
import io
import json
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

REPO = Path(__file__).resolve().parent.parent
STATE = 'application/vnd.jupyter.widget-state+json'
MOST = 4_200_000  # bytes of an explorer's PNGs, which become at most 3 MB of WebP

# The last cell. An explorer draws the rest of its figures while somebody looks, and here nobody does;
# one that has too many takes every second position of its longer slider, until they fit.
DRAW = f'''
from ipywidgets.widgets import widget as _m
for _e in list((getattr(_m, '_instances', None) or _m.Widget.widgets).values()):
    if not hasattr(_e, '_draw_now'): continue
    _stops = [list(range(len(v))) for v in _e._book.values]
    _each = max(sum(_e._sent.values())/len(_e._sent), 1)
    while len(_stops[0])*len(_stops[-1])**(len(_stops) - 1)*_each > {MOST}:
        _long = max(_stops, key=len)
        _stops[_stops.index(_long)] = sorted({{*_long[::2], _long[-1]}})
    _ks = [k for k in range(len(_e._book)) if all(i in s for i, s in zip(_e._book.split(k), _stops))]
    with _e.hold_sync():
        for _k in set(_e._sent).difference(_ks): setattr(_e, f'_f{{_k}}', None)
    _e._draw_now(_ks)
'''


def key(path: Path) -> str:
    "Changes with a notebook's code, the package, and the versions of what draws."
    book = json.loads(path.read_text(encoding='utf-8'))
    package = REPO/'sgd_course'
    files = [*package.rglob('*.py'), *package.glob('*.js'), *package.glob('*.css')]
    versions = [version(p) for p in ('torch', 'matplotlib', 'pillow', 'ipywidgets', 'anywidget', 'fastai')]
    h = hashlib.sha256(json.dumps([DRAW, platform.python_version(), *versions]).encode())
    h.update(json.dumps([c['source'] for c in book['cells'] if c['cell_type'] == 'code']).encode())
    for f in sorted(files): h.update(f.read_bytes())
    return h.hexdigest()[:16]


def webp(png: bytes) -> bytes:
    "The same dots in fewer bytes."
    out = io.BytesIO()
    image = Image.open(io.BytesIO(png))
    # a palette's colours are what its dots are; WebP has no palette, and finds the colours by itself
    image.convert('RGBA' if 'A' in image.mode or 'transparency' in image.info else 'RGB').save(
        out, 'WEBP', lossless=True, quality=50, method=3, exact=True)
    return min(out.getvalue(), png, key=len)


def compressed(models: dict) -> dict:
    "The states of the widgets, with all PNGs in them as WebP."
    for model in models.values():
        for b in model.get('buffers', []):
            data = base64.b64decode(b['data'])
            if data[:4] == b'\x89PNG': b['data'] = base64.b64encode(webp(data)).decode()
    return models


def execute(path: Path, cache: Path) -> Path:
    "The file with what a notebook said; it is run if it has changed. Raises what nbclient raises."
    done = cache/f'{path.stem}-{key(path)}.ipynb'
    if done.exists(): return done
    book = nbformat.read(path, as_version=4)
    book.cells.append(nbformat.v4.new_code_cell(DRAW))
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH')]))
    NotebookClient(book, timeout=900, kernel_name='python3', record_timing=False,
                   resources={'metadata': {'path': str(path.parent)}}).execute()
    book.cells.pop()
    compressed(book.metadata.get('widgets', {}).get(STATE, {}).get('state', {}))
    for old in cache.glob(f'{path.stem}-*.ipynb'): old.unlink()
    nbformat.write(book, done)
    return done


def execute_all(paths: list, cache: Path, workers: int = 2) -> dict:
    "What the notebooks said: path -> file."
    cache.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(workers) as pool:
        return dict(zip(paths, pool.map(lambda p: execute(p, cache), paths)))
