"""Makes slides of the lessons that are alive without Python, to be shown without a network.

    python site/slides.py OUT [LESSON ...] [--cache FOLDER] [--workers N]

LESSON is a number, such as 04; all, if none is given. Runs what has changed since the last time, or since
site/build.py ran it, with the same FOLDER. Show them with python -m http.server --directory OUT
"""
import argparse
import ast
import os
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import nbformat  # noqa: E402
from execute import REPO, STATE, execute_all  # noqa: E402
from latex2mathml.converter import convert  # noqa: E402
from pages import Media, directives, outputs  # noqa: E402

KEPT = re.compile(r'#|>|\*\*|- |\d+\. |\||\$\$|<|```')   # how a paragraph begins that stands on a slide
CODE = re.compile(r'(```.*?```|`[^`]+`)', re.S)
TO = r'[^ )]*(?: "(?:\\.|[^"\\])*")?'   # the rest of a link
PICTURE = re.compile('<img|sgd-place')


def notes_and_rest(source: str) -> tuple:
    "Of prose, what stands on the slide: what is short to say or to see, and the first paragraph. And the rest."
    shown, notes, first = [], [], True
    for part in re.split(r'\n\s*\n', source.strip()):
        if KEPT.match(part): shown.append(part)
        elif first: shown.append(part)
        else: notes.append(part)
        first = part.startswith('#') or first and bool(KEPT.match(part))
    return '\n\n'.join(shown), '\n\n'.join(notes)


def formulas(text: str) -> str:
    "MathML for what stands between dollars."
    def one(m): return convert(re.sub(r'(\d+)\{,\}(\d+)', r'\\text{\1,\2}', m[1]), display=kind)
    parts = CODE.split(text)
    for k in range(0, len(parts), 2):
        for kind, pattern in (('block', r'\$\$(.+?)\$\$'), ('inline', r'\$(.+?)\$')):
            parts[k] = re.sub(pattern, one, parts[k], flags=re.S)
    return ''.join(parts)


def prose(source: str) -> str:
    "Markdown without links that lead away from the slides."
    source = re.sub(rf'\[([^\]]+)\]\((glossary|index|solutions){TO}\)', r'\1', source)
    source = re.sub(rf'\]\((\d\d_\w+)\.ipynb{TO}\)', r'](\1.slides.html)', source)
    return formulas(source.replace('Run the next cell (**Shift+Enter**), and drag', 'Drag'))


def cell(source: str, kind: str, made=None):
    "A cell for nbconvert; `kind` is one of its kinds of slide."
    new = nbformat.v4.new_markdown_cell(source) if made is None else nbformat.v4.new_code_cell(source, outputs=made)
    new.metadata['slideshow'] = dict(slide_type=kind)
    return new


def words(source: str):
    "Cells of a cell of prose. A heading of the first or second rank begins a new stack of slides."
    for part in re.split(r'^(?=##? )', source, flags=re.M):
        if not part.strip(): continue
        shown, notes = notes_and_rest(part)
        if shown: yield cell(prose(shown), 'slide' if re.match('##? ', part) else '-')
        if notes: yield cell(prose(notes), 'notes')


def is_check(node) -> bool:
    "Is this an import, or does it only check a claim?"
    if isinstance(node, (ast.For, ast.With)): return all(map(is_check, node.body))
    called = getattr(getattr(node, 'value', None), 'func', None)
    name = getattr(called, 'id', getattr(called, 'attr', ''))
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert)) or name.startswith(('test_', 'assert_'))


def spoken(source: str) -> str:
    "Code without imports and checks."
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if is_check(node): lines[node.lineno - 1:node.end_lineno] = [None]*(node.end_lineno - node.lineno + 1)
    return '\n'.join(line for line in lines if line is not None).strip()


def program(c, media: Media, models: dict):
    "Cells of a cell of code: its picture or widget, or else its code and what it says. None of an exercise."
    own, source = directives(c.source)
    if 'hide' in own or 'raise NotImplementedError' in source or not (source := spoken(source)): return
    made = outputs(c, '', media, models)
    seen = any(PICTURE.search(''.join(o.get('data', {}).get('text/html', ''))) for o in made)
    if not made and not re.search('^(def|class) ', source, re.M): return
    new = cell(source, '-', made)
    if seen: new.metadata['transient'] = dict(remove_source=True)
    yield new
    if seen: yield cell(f'```python\n{source}\n```', 'notes')


def slides_of(done: Path, media: Media) -> nbformat.NotebookNode:
    "The notebook of which nbconvert makes slides, of an executed lesson."
    book = nbformat.read(done, as_version=4)
    models, cells = book.metadata.get('widgets', {}).get(STATE, {}).get('state', {}), []
    for c in book.cells: cells += words(c.source) if c.cell_type == 'markdown' else program(c, media, models)
    return nbformat.v4.new_notebook(cells=cells, metadata=dict(title=re.search('# (.+)', cells[0].source)[1]))


def reveal() -> Path:
    "The folder of reveal.js, which a package for Sphinx brings."
    found = find_spec('sphinx_revealjs')
    if not found: raise SystemExit('Slides need reveal.js: pip install -e ".[course,site]"')
    return Path(found.submodule_search_locations[0])/'_static'/'revealjs'


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('out', type=Path)
    p.add_argument('lessons', nargs='*', metavar='LESSON')
    p.add_argument('--cache', type=Path, help='what is kept from time to time; OUT.cache')
    p.add_argument('--workers', type=int, default=2, help='notebooks that run at the same time')
    args = p.parse_args()
    out, library = args.out.resolve(), reveal()
    cache = (args.cache or out.with_name(out.name + '.cache')).resolve()
    paths = [f for f in sorted((REPO/'nbs').glob('[0-9]*.ipynb')) if not args.lessons or f.stem[:2] in args.lessons]
    if unknown := set(args.lessons) - {f.stem[:2] for f in paths}: p.error(f'there is no lesson {min(unknown)}')
    from nbconvert import SlidesExporter
    exporter = SlidesExporter(extra_template_paths=[str(HERE/'slides')], template_file='slides.html.j2',
                              exclude_input_prompt=True, exclude_output_prompt=True,
                              reveal_url_prefix='_static/reveal', reveal_theme='slides')
    done, media = execute_all(paths, cache/'executed', args.workers), Media(out/'_media', cache/'pictures')
    files = [(library/f, f'reveal/{f}')
             for f in ('dist/reveal.js', 'dist/reveal.css', 'plugin/notes/notes.js', 'LICENSE')]
    files += [(HERE/'static'/'widgets.js', 'widgets.js'), (HERE/'slides'/'slides.js', 'slides.js'),
              (HERE/'slides'/'slides.css', 'reveal/dist/theme/slides.css')]
    for f, to in files:
        (out/'_static'/to).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(f, out/'_static'/to)
    for path in paths:
        text, _ = exporter.from_notebook_node(slides_of(done[path], media))
        (out/f'{path.stem}.slides.html').write_text(text, encoding='utf-8')
    print(f'{len(paths)} lessons: python -m http.server --directory {args.out}')


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    main()
