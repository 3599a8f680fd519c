"Makes a page's notebook of an executed one: places for its widgets, files for its pictures, folded solutions."
import ast
import base64
import hashlib
import inspect
import io
import json
import re
import textwrap
from pathlib import Path
from urllib.parse import quote

import nbformat
from execute import STATE, webp
from PIL import Image

VIEW = 'application/vnd.jupyter.widget-view+json'
DATA_PNG = re.compile(r'<img([^>]*?)src="data:image/png;base64,([^"]+)"([^>]*)>')
TAUGHT = re.compile(r'^check_(\w+)\(', re.M)   # an exercise's cell
RUN = ('To try it, open this lesson in Jupyter ([how](index.ipynb#Run-it-yourself)), write your code in place of '
       '`raise NotImplementedError`, and run the cell: it says what is right, and what went wrong.')


class Media:
    "Files that pages load, each written once, under a name made of what is in it."
    def __init__(self, folder: Path, cache: Path):
        self.folder, self.cache = folder, cache
        folder.mkdir(parents=True, exist_ok=True)
        cache.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes, end: str) -> str:
        name = f'{hashlib.sha256(data).hexdigest()[:16]}.{end}'
        if not (self.folder/name).exists(): (self.folder/name).write_bytes(data)
        return name

    def picture(self, png: bytes):
        "The name of a picture's file, and its size in dots."
        kept = self.cache/f'{hashlib.sha256(png).hexdigest()[:24]}.webp'
        if not kept.exists(): kept.write_bytes(webp(png))
        data = kept.read_bytes()
        return self.put(data, 'png' if data[:4] == b'\x89PNG' else 'webp'), Image.open(io.BytesIO(data)).size


def with_files(text: str, media: Media, up: str) -> str:
    "HTML whose pictures are files, fetched when they come into view."
    def one(m):
        name, (w, h) = media.picture(base64.b64decode(m[2]))
        attrs = m[1] + m[3]
        wide = re.search(r'width="(\d+)"', attrs)
        size = f' height="{round(h*int(wide[1])/w)}"' if wide and 'height=' not in attrs else ''
        return f'<img loading="lazy" decoding="async"{attrs.rstrip("/ ")}{size} src="{up}_media/{name}">'
    return DATA_PNG.sub(one, text)


def holder(state, path):
    "What has the buffer at the path; None if it is gone."
    for part in path[:-1]: state = None if state is None else state[part]
    return state


def widget_file(model: dict, media: Media) -> tuple:
    "The name of the file with a widget's state, and how many bytes it makes the page load."
    state, buffers, parts = dict(model['state']), [], []
    script = media.put(state.pop('_esm').encode(), 'js')
    style = media.put(state.pop('_css', '').encode(), 'css')
    start = 0
    for b in model.get('buffers', []):
        if holder(state, b['path']) is None: continue   # a picture that was taken out
        data = base64.b64decode(b['data'])
        buffers.append(dict(path=b['path'], start=start, length=len(data)))
        start += len(data)
        parts.append(data)
    binary = b''.join(parts)
    said = dict(script=script, style=style, state=state, buffers=buffers)
    if binary: said['binary'] = media.put(binary, 'bin')
    text = json.dumps(said, separators=(',', ':')).encode()
    return media.put(text, 'json'), len(text) + len(binary)


def shown(output, up, media, models) -> str:
    "HTML of an output that is a widget, or has pictures; '' if there is nothing to see; None for any other."
    data = output.get('data', {})
    if VIEW in data:
        model = models[data[VIEW]['model_id']]
        name, size = widget_file(model, media)
        return f'<div class="sgd-place" data-widget="{name}" data-size="{size}">TWIN</div>'
    if 'application/javascript' in data: return ''
    if 'text/html' in data: return with_files(''.join(data['text/html']), media, up)
    return None if ''.join(data.get('text/plain', 'x')) else ''


def outputs(cell, up, media, models) -> list:
    "A cell's outputs; a widget has its twin, the still pictures, in it."
    made, twin = [], ''
    for o in cell.outputs:
        page = shown(o, up, media, models)
        if page == '': continue
        if page is None: made.append(o)
        elif 'class="sgd-twin' in page: twin = page
        else:
            made.append(nbformat.v4.new_output('display_data', {'text/html': page.replace('TWIN', twin, 1)}))
    return made


def exercise(name: str, exercises: dict) -> str:
    "Markdown: the hints of an exercise and its solution, each to be unfolded."
    e = exercises[f'check_{name}']
    n, fold = len(e.hints), '<details class="sgd-fold">\n<summary>{}</summary>\n\n{}\n\n</details>\n'
    hints = [fold.format(f'Hint {k} of {n}', hint) for k, hint in enumerate(e.hints, 1)]
    code = textwrap.dedent(inspect.getsource(e.worked)).strip()
    return '\n'.join([*hints, fold.format('Solution', f'```python\n{code}\n```\n\n{e.why}')])


def directives(source: str) -> tuple:
    "nbdev's own lines of a cell, and the rest."
    lines = source.splitlines()
    own = [line[2:].strip() for line in lines if line.startswith('#|')]
    return own, '\n'.join(line for line in lines if not line.startswith('#|')).strip()


def defined(source: str) -> list:
    "Names that a cell defines: of a patched method, that of the class and its own."
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign): names += [t.id for t in node.targets if isinstance(t, ast.Name)]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            patched = any(getattr(d, 'id', '') == 'patch' for d in node.decorator_list)
            of = f'{node.args.args[0].annotation.id}.' if patched else ''
            names.append(of + node.name)
    return names


def addresses(git_url: str, name: str) -> list:
    "Where a notebook can be opened: what to call it, and its address. None without a `git_url`."
    git_url = git_url.strip().rstrip('/').removesuffix('.git')
    if not git_url: return []
    host, _, repo = git_url.partition('://')[2].partition('/')
    path, kinds = f'nbs/{name}.ipynb', {'github.com': 'gh', 'gitlab.com': 'gl'}
    blob = '-/blob' if 'gitlab' in host else 'blob'
    where = f'{kinds[host]}/{repo if host == "github.com" else quote(repo, "")}' if host in kinds else (
        f'git/{quote(git_url, "")}')
    found = [('Binder', f'https://mybinder.org/v2/{where}/HEAD?labpath={quote(path, "")}'),
             ('the code host', f'{git_url}/{blob}/HEAD/{path}')]
    if host == 'github.com':
        found.insert(0, ('Colab', f'https://colab.research.google.com/github/{repo}/blob/HEAD/{path}'))
    return found


def opening(name: str, git_url: str) -> str:
    "Markdown under a lesson's title: what is alive on the page, and where to run it."
    links = ', '.join(f'[{what}]({url})' for what, url in addresses(git_url, name))
    return ('```{note}\nThis is the lesson as Jupyter ran it. Sliders, predictions and canvases answer here. '
            f'To run the code and change it, [open it in Jupyter](index.ipynb#Run-it-yourself)'
            f'{", or in " + links if links else ""}.\n```\n')


def page_of(path: Path, done: Path, media: Media, exercises: dict, depth=0, git_url='') -> nbformat.NotebookNode:
    "The notebook from which Sphinx makes the page of `path`, whose outputs are in the file `done`."
    book, up = nbformat.read(done, as_version=4), '../'*depth
    models, cells = book.metadata.get('widgets', {}).get(STATE, {}).get('state', {}), []
    for cell in book.cells:
        if cell.cell_type == 'markdown':
            cell.source = cell.source.replace('Run the next cell (**Shift+Enter**), and drag', 'Drag')
            if cell.source.startswith('# ') and depth == 0 and path.stem != 'index':
                cell.source += '\n\n' + opening(path.stem, git_url)
            cells.append(cell)
            continue
        own, source = directives(cell.source)
        if not source or 'nbdev_export' in source or source == 'progress()': continue
        names = defined(source) if any(o.startswith('export') for o in own) else []
        if names: cells.append(nbformat.v4.new_markdown_cell('\n'.join(f'<span id="{n}"></span>' for n in names)))
        cell.source = source
        if 'hide' in own: cell.metadata['tags'] = ['hide-input']
        found = TAUGHT.findall(source) if depth == 0 else []
        cell.outputs = [] if found else outputs(cell, up, media, models)
        cells.append(cell)
        cells += [nbformat.v4.new_markdown_cell(RUN + '\n\n' + exercise(n, exercises)) for n in found]
    book.cells = cells
    book.metadata = dict(kernelspec=dict(name='python3', display_name='Python 3', language='python'))
    return book
