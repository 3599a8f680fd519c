"Every explorer of the lessons, as a learner uses it, in a real JupyterLab."
import json
import re
import sys
from collections import Counter

import numpy
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from browser import shown
from conftest import REPO, offline_env, run
from playwright.sync_api import expect

from sgd_course.curve import make_roller_coaster
from sgd_course.explorers import (SlopePicture, SweepPicture, WidthPicture, explore_descent, explore_fit,
                                  explore_momentum, explore_slope, explore_width)
from sgd_course.layers import make_bullseye, plane_scores, width_sweep
from sgd_course.optimizers import ravine
from sgd_course.selection import lr_sweep

# the function that a cell of a lesson calls -> the lesson, and the lines before it that the call needs
EXPLORERS = {
    'explore_slope': ('02_slope', 'def f(x): return x**2\n'),
    'explore_descent': ('04_learning_rate', 'def f(x): return x**2\n'),
    'explore_fit': ('05_seven_steps', 'time, speed, initial = make_roller_coaster()\n'),
    'explore_sweep': ('07_how_good', 'all_rates = lr_sweep(torch.logspace(-3, 2, 41))\n'),
    'explore_cloud': ('09_noise', ''),
    'explore_batches': ('09_noise', 'runs = batch_sweep([16, 32, 64, 128, 512], [.1, 1., 4.], steps=[9]*5)\n'),
    'explore_softmax': ('10_ten_digits', 'digits = mnist()\n'),
    'explore_width': ('11_layers', 'nets = width_sweep(*make_bullseye(), [1, 2, 3, 10], [0, 40, 320])\n'),
    'explore_momentum': ('13_optimizers', 'start = [-1.5, .25]\n')}


LESSONS = Counter(lesson for lesson, _ in EXPLORERS.values())  # how many each of them has
# figures of what the page computes: trajectories on a surface, hidden units that train
OTHERS = {'04_learning_rate': 4, '05_seven_steps': 2, '09_noise': 4, '11_layers': 5, '13_optimizers': 4}


def call(name):
    "The lesson's own cell that shows its explorer; the widget is `e`."
    cells = json.loads((REPO/'nbs'/f'{EXPLORERS[name][0]}.ipynb').read_text())['cells']
    mine = [''.join(c['source']) for c in cells if c['cell_type'] == 'code']
    code, = [s for s in mine if re.search(rf'^(e = )?{name}\(', s, re.M)]
    return re.sub(rf'^{name}\((.*)$', rf'e = {name}(\1\ne', code, flags=re.M | re.S)


def test_all_are_here():
    "Each that the package has, and each that a lesson shows."
    defined = re.findall(r'^def (explore_\w+)', (REPO/'sgd_course'/'explorers.py').read_text(), re.M)
    assert sorted(defined) == sorted(EXPLORERS)


# --- in Python

def test_the_secant_has_the_slope_that_it_says():
    picture = SlopePicture(lambda x: x**2)
    picture(h=.5, x=-1.5)
    (x0, x1), (y0, y1) = picture.secant.get_data()
    assert float((y1 - y0)/(x1 - x0)) == pytest.approx(-2.5)


def test_the_dots_of_a_sweep_are_at_their_epoch():
    s = lr_sweep([.1, 1.], epochs=3, progress=False)
    picture = SweepPicture(s)
    picture(lr=1., epoch=2)
    assert [d.get_ydata()[0] for d in picture.dots] == [s.loss[1, 1], s.accuracy[2, 1]]


def test_the_plane_is_not_turned():
    nets = width_sweep(*make_bullseye(), [1, 3], [0, 40])
    picture = WidthPicture(nets)
    picture(hidden=3, step=40)
    line = torch.linspace(-picture.reach, picture.reach, 81).tolist()
    at = torch.tensor([[x, y] for y in line for x in line])  # a row for each y, from below
    expected = plane_scores(at, *(v[1, 1] for v in nets.params)).sigmoid().reshape(81, 81)
    assert (torch.as_tensor(picture.image.get_array()) - expected).abs().max() < .051  # in steps of .1


def pictures(e): return e._book.twin(range(len(e._book)))


def both(kind):
    "The same explorer, with Python's numbers and with NumPy's or PyTorch's."
    t, y, guess = make_roller_coaster()
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
        'width': lambda: (explore_width(width_sweep(*make_bullseye(), [1, 2], [0, 1])),
                  explore_width(width_sweep(*make_bullseye(), a(1, 2), a(0, 1))))}[kind]()


@pytest.mark.long
@pytest.mark.parametrize('kind', ['slope', 'descent', 'descent, 32-bit', 'fit', 'momentum', 'width'])
def test_numbers_of_numpy_and_pytorch(kind):
    ours, others = both(kind)
    assert pictures(ours) == pictures(others)


@pytest.mark.parametrize('minimum', [0., 3.])
def test_descent_from_the_minimum_alone(minimum):
    e = explore_descent(lambda x: (x - minimum)**2, [.1, .5], starts=[minimum], minimum=minimum)
    assert 'error' not in e._book.picture(1) and 'It starts at the minimum' in e._book.picture(0)['words']


# --- in the browser

SETUP = """
import hashlib
import torch
from sgd_course.all import *
from sgd_course.explore import _dots, _picture
def state():
    "Where the sliders of `e` are, and what Python draws and says there."
    b, k = e._book, e._here()
    p = _picture(*_dots(b.draw, b.at(k)))
    values = [t[i] for t, i in zip(b.texts, b.split(k))]
    said = [p.get('words', ''), *sum(p.get('rows', []), [])]
    return repr((values, hashlib.sha256(p['png']).hexdigest(), said))
"""


@pytest.mark.slow
def test_in_jupyter(open_book):
    book = open_book(SETUP, *(before + call(name) for name, (_, before) in EXPLORERS.items()))
    run_cell = """n => { jupyterapp.shell.currentWidget.content.activeCellIndex = n;
                          return jupyterapp.commands.execute('notebook:run-cell'); }"""
    book.page.evaluate(run_cell, 0)
    for n in range(len(EXPLORERS)):
        book.page.evaluate(run_cell, n + 1)
        book.explorer(n).wait_for(timeout=60_000)
        book.until('e._renewals', '[]')
        slide(book, book.explorer(n))
        book.ask('setattr(e, "_on_demand", True)')   # no more pictures: the next one's turn
    assert Axe().run(book.page, context='.sgd-explore').response['violations'] == []
    expect(book.page.locator('.sgd-twin img')).to_have_count(5*len(EXPLORERS))
    book.save('<img ', 5*len(EXPLORERS))
    assert book.path.stat().st_size < 2_000_000


def slide(book, e):
    sliders = e.get_by_role('slider')
    expect(sliders).to_have_count(2)
    expect(e.locator('img')).to_be_visible()
    assert 'too many' not in e.inner_text()
    values = json.loads(book.ask('__import__("json").dumps(e._values)').strip("'"))
    def same():
        "The picture on the page is the one that Python draws for the values on the page."
        expect(e.locator('img')).not_to_have_class('sgd-waiting', timeout=60_000)
        at = [sliders.nth(a).get_attribute('aria-valuetext') for a in range(2)]
        words = e.locator('.sgd-words, th, td').all_text_contents()
        book.until('state()', repr(repr((at, shown(e), words))))
    same()
    for a in range(2):
        slider = sliders.nth(a)
        slider.focus()
        last = int(slider.get_attribute('max'))
        for key, at in [('End', last), ('ArrowLeft', last - 1), ('Home', 0), ('ArrowRight', 1)]:
            book.page.keyboard.press(key)
            expect(slider).to_have_value(str(at))
        same()
        r = slider.bounding_box()
        book.page.mouse.move(r['x'] + 10, r['y'] + r['height']/2)
        book.page.mouse.down()
        for i in range(12): book.page.mouse.move(r['x'] + 10 + i*(r['width'] - 20)/12, r['y'] + r['height']/2)
        book.page.mouse.up()
        same()
        box = e.get_by_role('spinbutton').nth(a)
        box.fill(str(values[a][1]))
        box.press('Enter')
        expect(slider).to_have_value('1')
    e.get_by_role('button', name='Reset').click()
    same()


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
    "The pages that nbconvert makes of the lessons as they are in the repository."
    folder = tmp_path_factory.mktemp('pages')
    lessons = [REPO/'nbs'/f'{lesson}.ipynb' for lesson in LESSONS]
    run(sys.executable, '-m', 'jupyter', 'nbconvert', '--to', 'html', '--output-dir', folder, *lessons,
        env=offline_env(folder, folder) | dict(JUPYTER_CONFIG_DIR=str(folder)))
    return folder


@pytest.mark.parametrize('lesson', LESSONS)
def test_exported_as_it_is_in_the_repository(lesson, browser, pages):
    page = browser.new_context(offline=True).new_page()
    errors = []
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto((pages/f'{lesson}.html').as_uri())
    figures = 5*LESSONS[lesson] + OTHERS.get(lesson, 0)
    expect(page.get_by_role('figure').filter(has_text=re.compile(r'^\s*\w[\w ]* = '))).to_have_count(figures)
    widths = page.get_by_role('img').evaluate_all('l => l.map(i => [i.naturalWidth, i.alt.length])')
    assert len(widths) > 5 and all(w > 100 and alt > 10 for w, alt in widths) and errors == []
    page.context.close()
