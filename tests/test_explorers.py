"Every explorer of the lessons, as a learner uses it, in a real JupyterLab."
import json
import math
import re
import sys
from collections import Counter

import numpy
import pytest
import torch
from browser import axe_violations, shown
from conftest import REPO, offline_env, run
from playwright.sync_api import expect
from test_surface import RENDER, STATE, opened, settled, state_of

from sgd_course.curve import make_roller_coaster
from sgd_course.explorers import (SlopePicture, SweepPicture, WidthPicture, explore_descent, explore_fit,
                                  explore_momentum, explore_slope, explore_width)
from sgd_course.filters import explore_filters
from sgd_course.graph import explore_graph
from sgd_course.layers import make_bullseye, plane_scores, width_sweep
from sgd_course.optimizers import ravine
from sgd_course.schedules import small_cnn
from sgd_course.selection import lr_sweep
from sgd_course.slope import slope
from sgd_course.surface import explore_surface
from sgd_course.unit import explore_unit

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


FLIPBOOKS = [name for name in EXPLORERS if name != 'explore_slope']   # the page draws that one
LESSONS = Counter(lesson for lesson, _ in EXPLORERS.values())  # how many each of them has
# figures of what the page computes: trajectories on a surface, hidden units that train
OTHERS = {'04_learning_rate': 3, '05_seven_steps': 2, '09_noise': 3, '11_layers': 5, '13_optimizers': 4}


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


# --- in a page

OFF_THE_PAGE = RENDER.replace("document.querySelector('main')", 'window.off = document.createElement("div")')


def test_drawn_before_it_is_on_the_page_and_after_it_has_left(browser):
    "As JupyterLab does with a cell that is scrolled away; off the page, nothing has a size or a colour."
    torch.manual_seed(0)
    widgets = [explore_surface('bowl'), explore_slope(lambda x: x**2, [1, .5]), explore_unit(),
               explore_graph(lambda x: (2*x + 1)**2, x=3.), explore_filters(small_cnn())]
    for widget in widgets:
        page = browser.new_page()
        errors = []
        page.on('pageerror', lambda e, errors=errors: errors.append(str(e)))
        page.set_content(f'<!doctype html><html lang="en"><title>A widget</title><style>{widget._css}</style><main></main>')
        page.evaluate(OFF_THE_PAGE, [widget._esm, state_of(widget)])
        page.evaluate("document.querySelector('main').append(off)")
        page.wait_for_function("document.querySelector('main :is(canvas, svg)')?.getBoundingClientRect().height > 40")
        page.evaluate("off.remove(); document.body.className = 'other'")   # what is watched has changed
        page.wait_for_timeout(100)
        page.evaluate("document.querySelector('main').append(off)")
        assert errors == [] and page.locator('main :is(canvas, svg)').first.is_visible()
        page.close()


def test_words_come_after_the_picture(browser):
    "At first at once, then once for all that has changed until the next picture is drawn."
    page = browser.new_page()
    page.add_script_tag(path=REPO/'sgd_course'/'elements.js')
    found = page.evaluate("""async () => {
        const said = [];
        let n = 0;
        const report = afterPicture(() => said.push(n));
        for (n of [1, 2, 3]) report();
        const atOnce = [...said];
        await new Promise(done => requestAnimationFrame(() => setTimeout(() => setTimeout(done))));
        return [atOnce, said];
    }""")
    assert found == [[1], [1, 3]]
    page.close()


def test_the_benchmark_drags_a_point_where_it_can_go(browser):
    from test_benchmark import benchmark
    sliders = benchmark('sliders')
    case = sliders.PAGES['explore_slope, x']
    page = opened(browser, explore_slope(lambda x: x**2, [.5]))
    point = page.locator(case.handle)
    track = point.evaluate(sliders.TRACK, case.beyond)
    page.mouse.move(track['x'] + track['width']/2, track['y'])
    page.mouse.down()
    for k in (0, 1, 30, case.stops - 2, case.stops - 1):
        page.mouse.move(track['x'] + track['width']*k/(case.stops - 1), track['y'])
        settled(page)
        assert float(point.get_attribute('aria-valuenow')) == pytest.approx(-2 + 4*k/(case.stops - 1), abs=.02)
    page.close()


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


def pictures(e): return e._book.twin(range(len(e._book))) if hasattr(e, '_book') else e._static() + str(e._curve)


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


# --- a point to drag along a curve

def root(x): return float(x)**.5 if x > 0 else math.nan


@pytest.mark.parametrize('error, words, given', [
    (ValueError, 'each of hs is 0: expected .* greater than 0', dict(hs=[0, .1])),
    (ValueError, 'hs is empty', dict(hs=[])), (TypeError, 'each of xs', dict(xs=['a'])),
    (ValueError, r'f\(-1\) is nan: expected one finite number', dict(f=root, xs=[1, -1])),
    (ValueError, 'too small to change x', dict(hs=[1e-20]))])
def test_what_is_no_curve(error, words, given):
    with pytest.raises(error, match=words): explore_slope(**dict(f=lambda x: x**2, hs=[.1]) | given)


def test_h_and_x_are_traits_that_take_the_nearest_stop():
    e = explore_slope(lambda x: x**2, [1, .5], xs=[2, -1, 0])
    assert (e.h, e.x, e._reset, e._curve['xs']) == (1, 2, dict(h=1, x=2), [-1, 0, 2])
    e.h, e.x = torch.tensor(.6), -3
    assert (e.h, e.x) == (.5, -1)
    e = explore_slope(lambda x: x**2, [1], min=0, max=8)
    assert e.x == 1 and e._curve['xs'] == pytest.approx([.02*k for k in range(401)])


NUMBERS = """text => {
    const curve = (%s)(text)._curve;
    for (const name of ['y', 'there', 'tangent']) curve[name] = doubles(curve[name]);
    return curve.hs.map((_, k) => curve.xs.map((_, i) => secantAt(curve, k, i)));
}"""


LABELS = """text => {
    const state = (%s)(text), curve = state._curve, found = [];
    for (const name of ["y", "there", "tangent"]) curve[name] = doubles(curve[name]);
    const canvas = Object.assign(make("canvas"), { style: "width: 600px; height: 400px" });
    document.body.append(canvas);
    let top = null;
    CanvasRenderingContext2D.prototype.fillText = function (words, x, y) {
        if (words === "run") top = this.textBaseline === "top" ? y : y - 13;
    };
    const { y, height } = boxOf(canvas), up = v => y + (curve.ylim[1] - v) / (curve.ylim[1] - curve.ylim[0]) * height;
    for (let i = 0; i < curve.xs.length; i++) {
        const s = secantAt(curve, 0, i);
        paintSecant(canvas, curve, s, { ink: "#000", path: "#000", spot: "#000" });
        found.push([top, up(s.y), up(s.y + s.rise), height]);
    }
    return found;
}"""


def cubic(x): return x**3/3 - x
def wave(x): return torch.as_tensor(x, dtype=torch.float64).sin()


def test_a_curve_in_a_page(browser):
    every_number_is_python_s(browser)
    run_is_written_in_the_picture(browser)
    a_curve_in_use(browser)
    a_curve_on_a_phone_in_the_dark(browser)


def every_number_is_python_s(browser):
    page = browser.new_page()
    for name in 'chart.js', 'secant.js':
        text = (REPO/'sgd_course'/name).read_text(encoding='utf-8').replace('export default', '')
        page.add_script_tag(content=text)
    for f in cubic, wave:
        hs = [1, .3, .01, 1e-4]
        found = page.evaluate(NUMBERS % STATE, state_of(explore_slope(f, hs)))
        for h, row in zip(hs, found):
            assert len(row) == 401
            for s in row:
                x, rise = s['x'], float(f(s['x'] + h)) - float(f(s['x']))
                tangent = slope(f, x, central=True)
                assert s == dict(x=x, y=float(f(x)), run=h, rise=rise, slope=slope(f, x, h), tangent=tangent,
                                 off=slope(f, x, h) - tangent)
    page.close()


def shown_numbers(page):
    settled(page)
    return [float(v) for v in page.locator('.sgd-secant td').all_inner_texts()]


def agrees(page, f, h, x):
    "The page says so, and what it says of it is what Python says."
    e, t = slope(f, x, h), slope(f, x, central=True)
    expected = [f(x + h) - f(x), h, e, t, e - t]
    for shows, exact in zip(shown_numbers(page), expected, strict=True):   # small numbers have three digits, others four
        assert shows == pytest.approx(exact, rel=6e-4 if abs(exact) > 1e-3 else 6e-3, abs=1e-8), (h, x)
    assert page.locator('caption').inner_text() == f'At x = {x:.4g}'


def a_curve_in_use(browser):
    hs = [1, .5, .3, .1, .01]
    page = opened(browser, explore_slope(cubic, hs))
    point, h = page.get_by_role('slider', name='point x'), page.get_by_role('slider', name='h, the step size')
    for k in range(len(hs)):   # every h, and as many places
        for i in range(0, 401, 40):
            page.evaluate('([h, x]) => { model.set("h", h); model.set("x", x); }', [hs[k], round(-2 + i/100, 2)])
            agrees(page, cubic, hs[k], round(-2 + i/100, 2))
    page.get_by_role('button', name='Reset').click()
    agrees(page, cubic, 1, -1.5)
    point.focus()
    for key, x in [('ArrowRight', -1.4), ('Shift+ArrowRight', -1.39), ('ArrowUp', -1.29), ('PageDown', -1.69),
                   ('Shift+ArrowLeft', -1.7), ('ArrowDown', -1.8), ('End', 2.), ('ArrowRight', 2.), ('Home', -2.)]:
        page.keyboard.press(key)
        agrees(page, cubic, 1, x)
    expect(point).to_have_attribute('aria-valuetext', re.compile('^-2: rise .* over run 1, slope .* that of the tangent'))
    h.focus()
    page.keyboard.press('ArrowRight')
    agrees(page, cubic, .5, -2)
    expect(h).to_have_attribute('aria-valuetext', re.compile('^0.5: slope'))
    page.get_by_role('button', name='Reset').click()
    low, high = page.evaluate('model.get("_curve").xlim')
    r = point.bounding_box()
    at = lambda x: r['x'] + 60 + (x - low)/(high - low)*(r['width'] - 68)
    ys = page.evaluate('model.get("_curve").ylim')
    up = lambda y: r['y'] + 8 + (ys[1] - y)/(ys[1] - ys[0])*(r['height'] - 44)
    page.wait_for_timeout(150)
    page.evaluate('sent.length = 0')
    before = point.evaluate('c => c.toDataURL()')
    page.mouse.move(at(-1.5), up(cubic(-1.5)))
    page.mouse.down()
    for i in range(41): page.mouse.move(at(-1.5 + i/20), up(0))
    settled(page)
    x = float(point.get_attribute('aria-valuenow'))
    assert x == pytest.approx(.5, abs=.02)
    agrees(page, cubic, 1, x)
    page.mouse.move(r['x'] + r['width'] + 300, r['y'])
    agrees(page, cubic, 1, 2.)
    page.mouse.up()
    page.mouse.move(at(0), up(0))
    agrees(page, cubic, 1, 2.)
    assert point.evaluate('c => c.toDataURL()') != before
    page.wait_for_timeout(250)
    times = page.evaluate('sent')
    assert times and all(b - a > 90 for a, b in zip(times, times[1:])), 'at most ten messages a second'
    assert page.evaluate("[model.get('h'), model.get('x')]") == [1, 2], 'and the last one is sent'
    page.evaluate('model.set("x", -1.5)')   # the second point sets h
    page.mouse.move(at(-.5), up(cubic(-.5)))
    page.mouse.down()
    page.mouse.move(at(-1.18), up(0))
    page.mouse.up()
    agrees(page, cubic, .3, -1.5)
    assert axe_violations(page, 'main') == []
    assert page.errors == []
    page.close()


def test_a_slider_with_one_position_is_not_shown(browser):
    e = explore_descent(cubic, [.1, .2], starts=[1.])
    only_the_rate_is_a_slider(browser, e)
    e = explore_descent(cubic, [.1, .2], starts=[1., 2.])   # of the other start there is no picture
    only_the_rate_is_a_slider(browser, e)


def only_the_rate_is_a_slider(browser, e):
    e.lr, e.lr = .2, .1   # each is drawn when it is asked for
    page = opened(browser, e)
    expect(page.get_by_role('slider')).to_have_count(1)
    expect(page.get_by_role('slider', name='lr')).to_be_visible()
    expect(page.locator('.sgd-status')).to_contain_text('start = 1')
    assert page.errors == []
    page.close()


def run_is_written_in_the_picture(browser):
    "Wherever the points are; and on the other side than the secant, if there is room."
    page = browser.new_page(viewport=dict(width=1000, height=900))
    for name in 'elements.js', 'chart.js', 'secant.js':
        text = (REPO/'sgd_course'/name).read_text(encoding='utf-8').replace('export default', '')
        page.add_script_tag(content=text)
    for f in (lambda x: x**2), (lambda x: -x**2):
        found = page.evaluate(LABELS % STATE, state_of(explore_slope(f, [1.])))
        assert len(found) == 401
        for top, corner, end, height in found:
            assert 8 <= top and top + 13 <= 8 + height, 'it is cut off'
            if 24 < corner - 8 < height - 24: assert (top > corner) == (corner > end)
        assert {top > corner for top, corner, *_ in found} == {True, False}
    page.close()


def a_curve_on_a_phone_in_the_dark(browser):
    page = opened(browser, explore_slope(cubic, [1, .5]), dark=True, width=360)
    assert axe_violations(page, 'main') == []
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    point, cdp = page.locator('.sgd-map'), page.context.new_cdp_session(page)
    r = point.bounding_box()
    for kind, points in ('touchStart', [100]), ('touchMove', [160]), ('touchMove', [220]), ('touchEnd', []):
        points = [dict(x=r['x'] + x, y=r['y'] + 150) for x in points]
        cdp.send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=points))
    low, high = page.evaluate('model.get("_curve").xlim')
    expected = low + (220 - 60)/(r['width'] - 68)*(high - low)
    settled(page)
    assert float(point.get_attribute('aria-valuenow')) == pytest.approx(expected, abs=.02)
    assert page.errors == []
    page.close()


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
    book = open_book(SETUP, *(EXPLORERS[name][1] + call(name) for name in FLIPBOOKS))
    run_cell = """n => { jupyterapp.shell.currentWidget.content.activeCellIndex = n;
                          return jupyterapp.commands.execute('notebook:run-cell'); }"""
    book.page.evaluate(run_cell, 0)
    for n in range(len(FLIPBOOKS)):
        book.page.evaluate(run_cell, n + 1)
        book.explorer(n).wait_for(timeout=60_000)
        book.until('e._renewals', '[]')
        slide(book, book.explorer(n))
        book.ask('setattr(e, "_on_demand", True)')   # no more pictures: the next one's turn
    assert axe_violations(book.page, '.sgd-explore') == []
    expect(book.page.locator('.sgd-twin img')).to_have_count(5*len(FLIPBOOKS))
    book.save('<img ', 5*len(FLIPBOOKS))
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
