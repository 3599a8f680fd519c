"Every explorer of the lessons, as a learner uses it, in a real JupyterLab."
import ast
import json
import re

import numpy
import pytest
import torch
from browser import axe_violations, exported, shown
from conftest import REPO
from playwright.sync_api import expect

from sgd_course.curve import roller_coaster
from sgd_course.explorers import (explore_descent, explore_fit, explore_folds, explore_momentum,
                                  explore_slope)
from sgd_course.layers import bullseye, sweep_widths
from sgd_course.optimizers import ravine

# lesson -> the function that its cell calls, and the lines before it that the call needs
LESSONS = {
    '02_slope': ('explore_slope', 'def f(x): return x**2\n'),
    '04_learning_rate': ('explore_descent', 'def f(x): return x**2\n'),
    '05_seven_steps': ('explore_fit', 'time, speed, first_guess = roller_coaster()\n'),
    '06_threes_and_sevens': ('explore_sweep', 'all_rates = sweep(torch.logspace(-3, 2, 41))\n'),
    '08_layers': ('explore_folds', 'nets = sweep_widths(*bullseye(), [1, 2, 3, 10], [0, 40, 320])\n'),
    '09_optimizers': ('explore_momentum', 'start = [-1.5, .25]\n')}


def call(lesson):
    "The lesson's own cell that shows its explorer; the widget is `e`."
    cells = json.loads((REPO/'nbs'/f'{lesson}.ipynb').read_text())['cells']
    name = LESSONS[lesson][0]
    mine = [''.join(c['source']) for c in cells if c['cell_type'] == 'code']
    code, = [s for s in mine if re.search(rf'^(e = )?{name}\(', s, re.M)]
    return re.sub(rf'^{name}\((.*)$', rf'e = {name}(\1\ne', code, flags=re.M | re.S)


# --- in Python

def pictures(e): return e._book.twin(range(len(e._book)))


def both(kind):
    "The same explorer, with Python's numbers and with NumPy's or PyTorch's."
    t, y, guess = roller_coaster()
    def f(x): return x**2
    a = lambda *v: numpy.array(v)
    return {
        'slope': lambda: (explore_slope(f, [.5, .25], [0, 1]), explore_slope(f, torch.tensor([.5, .25]), a(0, 1))),
        'descent': lambda: (explore_descent(f, [.5, .25], [0., 1.], steps=2),
                    explore_descent(f, a(.5, .25), a(0, 1), steps=numpy.int64(2))),
        'descent, 32-bit': lambda: (explore_descent(f, [.5, .25], [1., 2.]),
                            explore_descent(f, numpy.float32([.5, .25]), list(torch.tensor([1, 2])))),
        'fit': lambda: (explore_fit(t, y, guess, [.5, 1.], [0, 1, 2]),
                explore_fit(t.numpy(), y.numpy(), guess.numpy(), a(.5, 1.), numpy.arange(3))),
        'momentum': lambda: (explore_momentum(ravine, [-1.5, .25], [0., .5], [.5, .25], 2),
                     explore_momentum(ravine, a(-1.5, .25), a(0, .5), torch.tensor([.5, .25]), numpy.int64(2))),
        'folds': lambda: (explore_folds(sweep_widths(*bullseye(), [1, 2], [0, 1])),
                  explore_folds(sweep_widths(*bullseye(), a(1, 2), a(0, 1))))}[kind]()


@pytest.mark.parametrize('kind', ['slope', 'descent', 'descent, 32-bit', 'fit', 'momentum', 'folds'])
def test_numbers_of_numpy_and_pytorch(kind):
    ours, others = both(kind)
    assert pictures(ours) == pictures(others)


@pytest.mark.parametrize('bottom', [0., 3.])
def test_descent_from_the_bottom_alone(bottom):
    e = explore_descent(lambda x: (x - bottom)**2, [.1, .5], starts=[bottom], bottom=bottom)
    assert 'error' not in e._book.picture(1) and 'It begins at the bottom' in e._book.picture(0)['words']


# --- in the browser

@pytest.fixture(params=LESSONS)
def book(request, open_book):
    setup = ('import hashlib, json\nimport torch\nfrom sgd_course.all import *\n'
             'from sgd_course.explore import _dots, _picture\n'
             'def now():\n    return _picture(*_dots(e._book.draw, e._book.at(e._here())))\n'
             'def dots(): return hashlib.sha256(now()["png"]).hexdigest()\n'
             'def words(): p = now(); return [p.get("words", ""), *sum(p.get("rows", []), [])]\n')
    book = open_book(setup + LESSONS[request.param][1], call(request.param))
    book.run_all()
    return book


def test_slide(book):
    e = book.explorer()
    sliders = e.get_by_role('slider')
    expect(sliders).to_have_count(2)
    expect(e.locator('img')).to_be_visible()
    book.until('e._handles', '[]')  # the twin is in the output: from now on it stays as it is
    assert 'too many' not in e.inner_text()
    def same():
        "The picture on the page is the one that Python draws for the values on the page."
        values = [sliders.nth(a).get_attribute('aria-valuetext') for a in range(2)]
        book.until('[e._book.texts[a][i] for a, i in enumerate(e._book.split(e._here()))]', repr(values))
        expect(e.locator('img')).not_to_have_class('sgd-waiting', timeout=30_000)
        assert shown(e) == book.ask('dots()').strip("'")
        texts = e.locator('.sgd-words, th, td').all_text_contents()
        assert texts == ast.literal_eval(book.ask('words()'))
    same()
    for a in range(2):
        slider = sliders.nth(a)
        slider.focus()
        last = int(slider.get_attribute('max'))
        for key, at in [('End', last), ('ArrowLeft', last - 1), ('Home', 0), ('ArrowRight', 1)]:
            book.page.keyboard.press(key)
            assert slider.input_value() == str(at)
            same()
        r = slider.bounding_box()
        book.page.mouse.move(r['x'] + 10, r['y'] + r['height']/2)
        book.page.mouse.down()
        for i in range(30): book.page.mouse.move(r['x'] + 10 + i*(r['width'] - 20)/30, r['y'] + r['height']/2)
        book.page.mouse.up()
        same()
        box = e.get_by_role('spinbutton').nth(a)
        box.fill(book.ask(f'e._book.values[{a}][1]'))
        box.press('Enter')
        assert slider.input_value() == '1'
        same()
    e.get_by_role('button', name='Reset').click()
    same()
    assert axe_violations(book) == []


def test_exported_with_widget_state(book, browser, lab, tmp_path):
    e = book.explorer()
    expect(e).not_to_contain_text('drawn', timeout=120_000)  # all of them
    book.until('e._handles', '[]')                            # and the twin
    texts = json.loads(book.ask('json.dumps(e._texts)').strip("'"))
    book.ask('[setattr(e, n, v[1]) for n, v in zip(e._book.names, e._book.values)]')
    picture, below = book.ask('dots()').strip("'"), ast.literal_eval(book.ask('words()'))
    book.page.wait_for_timeout(1000)
    book.command('docmanager:save')
    page = exported(book.path, tmp_path, browser, lab)
    live = page.locator('.sgd-explore')
    for a in range(2):
        slider = live.get_by_role('slider').nth(a)
        slider.focus()
        for key, at in [('Home', 0), ('ArrowRight', 1)]:
            page.keyboard.press(key)
            expect(slider).to_have_attribute('aria-valuetext', texts[a][at])
    assert live.locator('.sgd-words, th, td').all_text_contents() == below
    assert shown(live) == picture and page.errors == []
    page.context.close()


@pytest.mark.parametrize('lesson', LESSONS)
def test_exported_as_it_is_in_the_repository(lesson, browser, lab, tmp_path):
    page = exported(REPO/'nbs'/f'{lesson}.ipynb', tmp_path, browser, lab)
    expect(page.get_by_role('figure').filter(has_text=re.compile(r'^\s*\w[\w ]* = '))).to_have_count(5)
    widths = page.get_by_role('img').evaluate_all('l => l.map(i => [i.naturalWidth, i.alt.length])')
    assert len(widths) > 5 and all(w > 100 and alt > 10 for w, alt in widths) and page.errors == []
    page.context.close()
