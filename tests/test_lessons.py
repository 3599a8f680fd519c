"A lesson is one sitting: its size, its time, its words."
import json
import re
import statistics

import pytest
from conftest import REPO

NBS = REPO/'nbs'
LESSONS = sorted(NBS.glob('[0-9]*.ipynb'))
each_lesson = pytest.mark.parametrize('path', LESSONS, ids=lambda p: p.stem)
# the field's terms, and the lesson that teaches each
TERMS = {
    'minimum': 2, 'local minimum': 2, 'secant': 2, 'computation graph': 3, 'backpropagation': 3, 'vanishing gradient': 3,
    'learning rate': 4, 'trajectory': 4, 'overshoot': 4, 'oscillate': 4, 'diverge': 4, 'convex': 4, 'hyperparameter': 4,
    'condition number': 4, 'initial parameters': 5, 'gradient accumulation': 6, 'saturate': 6, 'overfit': 7, 'generalise': 7,
    'hold-out set': 7, 'early stopping': 7, 'cross-validation': 7, 'decision boundary': 11, 'nonlinear': 11,
    'exponential moving average': 13, 'data augmentation': 14}


def cells(path, kind=None):
    found = json.loads(path.read_text(encoding='utf-8'))['cells']
    return [''.join(c['source']) for c in found if kind in (None, c['cell_type'])]


def lines_of(code): return [line for line in code.splitlines() if line.strip() and not line.startswith('#|')]


def words(text): return len(re.sub(r'\]\([^)]*\)', ']', text).split())  # without the addresses of links


@each_lesson
def test_one_sitting(path):
    code, prose = cells(path, 'code'), cells(path, 'markdown')
    lengths = [len(lines_of(c)) for c in code]
    n, said, written = len(cells(path)), sum(map(words, prose)), sum(words(c) for c in code if not c.startswith('#| hide'))
    minutes = int(re.search(r'\*\*Time\*\* about (\d+) minutes', '\n'.join(prose))[1])
    print(f'{path.stem}: {n} cells, code cells of {statistics.median(lengths):g} lines, at most {max(lengths)}, '
          f'{said} words of prose, {written} of code, {minutes} minutes')
    assert n <= 90 and statistics.median(lengths) <= 6 and max(lengths) <= 20
    assert said >= written and minutes <= 35
    assert f'({path.name})' in (index := '\n'.join(cells(NBS/'index.ipynb', 'markdown')))
    assert re.search(rf'\({path.name}\) \|[^|]+\| {minutes} min \|', index), 'the contents say the same'


@each_lesson
def test_cells_that_nobody_need_read_are_collapsed(path):
    "Those that are marked so, and those of the package that only import; nbdev-clean keeps that."
    for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
        source, collapsed = ''.join(cell['source']), {'jupyter': {'source_hidden': True}}
        imports = source.startswith('#|') and all(line.startswith(('from ', 'import ')) for line in lines_of(source))
        assert cell['metadata'] == (collapsed if source.startswith('#| hide') or imports else {}), cell['id']


@pytest.mark.parametrize('term, lesson', TERMS.items())
def test_terms_of_the_field(term, lesson):
    glossary = (NBS/'glossary.md').read_text(encoding='utf-8').lower()
    assert re.search(rf'^### {re.escape(term)}', glossary, re.M), 'the glossary has it'
    (path,) = NBS.glob(f'{lesson:02}_*.ipynb')
    assert term in '\n'.join(cells(path, 'markdown')).lower(), 'and the lesson that teaches it'
