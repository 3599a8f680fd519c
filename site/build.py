"""Builds the course as a website that is alive without Python.

    python site/build.py OUT [--cache FOLDER] [--workers N] [--git-url URL]

Runs the notebooks (those that have changed since the last time), and writes the pages to OUT, to be
served by anything: python -m http.server --directory OUT
"""
import argparse
import os
import re
import shutil
import sys
import time
from configparser import ConfigParser
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import nbformat  # noqa: E402
import reference  # noqa: E402
from execute import REPO, execute_all  # noqa: E402
from pages import Media, exercise, page_of  # noqa: E402

RUN_IT = '''## Run it yourself

These pages show the lessons as they ran. To change the code and to do the exercises, get the files of the course{}
and, in their folder, on a machine with Python 3.10 or newer:

```sh
{}
```

It installs everything and opens JupyterLab on the contents. From then on it works offline.
'''
TOC = '```{{toctree}}\n:hidden:\n:caption: {}\n\n{}\n```'


def settings() -> dict:
    parser = ConfigParser(delimiters=['='])
    parser.read(REPO/'settings.ini', encoding='utf-8')
    return parser['DEFAULT']


def markdown(source): return nbformat.v4.new_markdown_cell(source)


def listed(text, names) -> str: return f'{text}\n\n```{{toctree}}\n:titlesonly:\n\n{chr(10).join(names)}\n```\n'


def tocs(lessons) -> str:
    "Markdown of the tables of contents at the side."
    parts = {'Lessons': [f.stem for f in lessons], 'To look up': ['glossary', 'solutions', 'reference/index'],
             'For teachers and engineers': ['teaching', 'benchmarks', 'api/index']}
    return '\n\n'.join(TOC.format(name, '\n'.join(pages)) for name, pages in parts.items())


def solutions(lessons, exercises) -> str:
    "Markdown of a page with all worked solutions, folded."
    parts = ['# Solutions\n\n```{warning}\nA solution that you have read is an exercise that you can no longer do. '
             'Try it first; then the hints, one at a time.\n```\n']
    for f in lessons:
        parts.append(f'## Lesson {f.stem[:2]}\n\n[To the lesson]({f.name})\n')
        for name, e in exercises.items():
            if e.lesson == f.stem[:2]: parts.append(f'### {e.name}\n\n{exercise(e.name, exercises)}')
    return '\n'.join(parts)


def write_pages(folder: Path, media: Media, done: dict, git_url: str):
    "Write what Sphinx reads; a file that stays the same is left alone, so that Sphinx does, too."
    from sgd_course.check import course
    written, exercises = set(), course()

    def put(file, text):
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists() or file.read_text(encoding='utf-8') != text: file.write_text(text, encoding='utf-8')
        written.add(file)

    nbs, lessons = REPO/'nbs', sorted((REPO/'nbs').glob('[0-9]*.ipynb'))
    modules = reference.write(folder/'reference', put)
    api = sorted(f.stem for f in (nbs/'api').glob('*.ipynb'))
    for path in done:
        book = page_of(path, done[path], media, exercises, git_url=git_url)
        if path.stem == 'index':
            readme = (REPO/'README.md').read_text(encoding='utf-8')
            where = f' ([from their code host]({git_url}))' if git_url else ''
            book.cells += [markdown(RUN_IT.format(where, re.search(r'^python3 .+', readme, re.M)[0])),
                           markdown(tocs(lessons))]
        put(folder/path.name, nbformat.writes(book))
    for name in api:
        path = nbs/'api'/f'{name}.ipynb'
        put(folder/'api'/path.name, nbformat.writes(page_of(path, path, media, exercises, depth=1)))
    put(folder/'api'/'index.md', listed(
        '# How it is made\n\nThe notebooks behind the lessons, with their outputs as saved: data, figures, sliders, '
        'exercises. What is alive in the lessons is a still picture here.', api))
    put(folder/'reference'/'index.md', listed(
        '# Reference\n\nEverything that the package exports, by module. `from sgd_course.all import *` imports '
        'most of it.', modules))
    put(folder/'solutions.md', solutions(lessons, exercises))
    glossary = (nbs/'glossary.md').read_text(encoding='utf-8')
    put(folder/'glossary.md', re.sub(r' \(JupyterLab finds .+?\)$', '', glossary, flags=re.M))
    teaching = (REPO/'sgd_course'/'TEACHING.md').read_text(encoding='utf-8')
    put(folder/'teaching.md', teaching.replace(" The learners' folder does not have this page.", ''))
    put(folder/'benchmarks.md', (REPO/'benchmarks'/'README.md').read_text(encoding='utf-8'))
    for f in folder.rglob('*'):
        if f.is_file() and f not in written: f.unlink()


def sphinx(source: Path, out: Path, doctrees: Path) -> int:
    "Make the pages. Warnings are errors: a link that goes nowhere is one."
    from sphinx.cmd.build import build_main
    return build_main(['-q', '-W', '--keep-going', '-c', str(HERE), '-d', str(doctrees), str(source), str(out)])


MENDED = {   # what axe-core finds in the theme's pages
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="The course">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="This page">',
    '<aside class="toc-drawer no-toc">': '<aside class="toc-drawer no-toc" aria-label="This page">',
    '<div id="search-results"></div>': '<h1>Search</h1><div id="search-results" ></div>'}


def mend(page: Path):
    "Names and levels that a screen reader needs; a page that has them stays as it is."
    text = old = page.read_text(encoding='utf-8')
    for a, b in MENDED.items(): text = text.replace(a, b)
    text = re.sub(r'(?<!">)<a href="#" class="back-to-top.+?</a>', r'<nav aria-label="To the top">\g<0></nav>', text,
                  flags=re.S)
    text = re.sub(r'<th( [^>]*)?>(<p></p>)?</th>', '<td></td>', text)   # a column without a name
    if text != old: page.write_text(text, encoding='utf-8')


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('out', type=Path)
    p.add_argument('--cache', type=Path, help='what is kept from build to build; OUT.cache')
    p.add_argument('--workers', type=int, default=os.cpu_count(), help='notebooks that run at the same time')
    p.add_argument('--git-url', help='where the files are; git_url of settings.ini')
    args = p.parse_args()
    out = args.out.resolve()
    cache = (args.cache or out.with_name(out.name + '.cache')).resolve()
    git_url = settings()['git_url'] if args.git_url is None else args.git_url
    start = time.perf_counter()
    lessons = sorted((REPO/'nbs').glob('[0-9]*.ipynb'), reverse=True)   # the longest first
    done = execute_all([*lessons, REPO/'nbs'/'index.ipynb'], cache/'executed', args.workers)
    ran = time.perf_counter()
    shutil.rmtree(out/'_media', ignore_errors=True)
    write_pages(cache/'pages', Media(out/'_media', cache/'pictures'), done, git_url)
    failed = sphinx(cache/'pages', out, cache/'doctrees')
    made = {str(f.relative_to(cache/'pages').with_suffix('')) for f in (cache/'pages').rglob('*') if f.is_file()}
    for page in out.rglob('*.html'):
        if str(page.relative_to(out).with_suffix('')) in made | {'search'}: mend(page)
        else: page.unlink()   # of a lesson that is gone
    print(f'{ran - start:.0f} s for the notebooks, {time.perf_counter() - ran:.0f} s for the pages')
    return failed


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    sys.exit(main())
