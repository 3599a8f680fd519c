"A loss of two weights as a map: the page's trajectories against Python's own, its words, and the widget in use."
import base64
import json
import math
import re

import pytest
import torch
from browser import axe_violations, figures_when_opened_again, figures_without_state, with_state
from conftest import REPO
from playwright.sync_api import expect

from sgd_course.curve import make_roller_coaster, standardize
from sgd_course.optimizers import SGD, Adam, Momentum, RMSprop, ravine, run_optimizer
from sgd_course.surface import (bilinear, classifier_surface, curve_surface, explore_surface, grid_surface,
                                named_surfaces, quadratic_surface)

OPTIMIZERS = {c.__name__: c for c in (SGD, Momentum, RMSprop, Adam)}


def wavy(a, b): return a**2/4 + b**2/2 + torch.cos(3*a) + 1


def surfaces():
    "One of each kind."
    turned = quadratic_surface([[2., 1.5], [1.5, 3.]], (.3, -.2), 1.)
    return [*named_surfaces().values(), curve_surface(), curve_surface(True), turned, grid_surface(wavy),
            classifier_surface(21)]


# --- in Python

@pytest.mark.parametrize('error, words, given', [
    (ValueError, "surface is 'bole': expected one of", dict(surface='bole')),
    (ValueError, "optimizer is 'Adagrad': expected one of", dict(optimizer='Adagrad')),
    (ValueError, "optimizer is 'AdamW'", dict(optimizer=['SGD', 'AdamW'])),
    (ValueError, r'optimizer is \[\]: expected at least one', dict(optimizer=[])),
    (ValueError, 'expected two finite numbers', dict(start=(1, 2, 3))),
    (ValueError, 'expected two finite numbers', dict(start=(1, math.nan))),
    (ValueError, 'lr is 0', dict(lr=0)),
    (ValueError, 'steps is 0: expected 1 to 1000', dict(steps=0)),
    (ValueError, 'steps is 1001: expected 1 to 1000', dict(steps=1001)),
    (ValueError, 'each name', dict(surface=[])),
    (ValueError, 'each name', dict(surface=['bowl', 'bowl'])),
    (ValueError, 'f returned shape .2,. for two weights: expected a function of two', dict(surface=lambda x: x**2)),
    (ValueError, 'IndexError.*expected a function of two', dict(surface=lambda w: w[0] + w[1] + w[2])),
    (TypeError, 'f takes a, b, c: expected a function of two', dict(surface=lambda a, b, c: a + b + c)),
    (TypeError, 'surface is 3: expected a function of two', dict(surface=3)),
    (ValueError, r'is nan: expected finite numbers', dict(surface=lambda a, b: (a + b).sqrt())),
    (ValueError, r'f\(0, 0\) is inf: expected finite numbers',
     dict(surface=lambda a, b: 1/(a**2 + b**2), xlim=(0, 1), ylim=(0, 1))),
    (ValueError, r'xlim is \(1, 1\)', dict(surface=wavy, xlim=(1, 1)))])
def test_what_is_no_surface(error, words, given):
    with pytest.raises(error, match=words): explore_surface(**given)


def test_a_quadratic_form_that_has_no_minimum():
    for wrong in ([[1., 2.], [2., 1.]], [[1., 0.], [1., 1.]], [1., 2.]):
        with pytest.raises(ValueError, match='expected a symmetric matrix'): quadratic_surface(wrong)


def test_bilinear_is_exact_at_the_points_and_linear_between():
    z = torch.rand(5, 5, generator=torch.Generator().manual_seed(1)).double()
    f = bilinear(z, (0, 4), (0, 8))
    x, y = torch.meshgrid(torch.arange(5.).double(), 2*torch.arange(5.).double(), indexing='xy')
    torch.testing.assert_close(f(torch.stack([x, y])), z)
    middle = f(torch.tensor([1.5, 3.]).double())
    torch.testing.assert_close(middle, z[1:3, 1:3].mean())


def test_slopes_of_a_grid_are_close_to_those_of_the_function_and_do_not_jump():
    f, lims = grid_surface(wavy).f, (-2, 2)
    w = torch.rand(2, 1000, generator=torch.Generator().manual_seed(1)).double()*3.8 - 1.9

    def slopes(f, w):
        w = w.clone().requires_grad_()
        f(w).sum().backward()
        return w.grad
    exact = slopes(lambda w: wavy(*w), w)
    assert (slopes(f, w) - exact).abs().max() < .02*exact.abs().max()   # 0.25 of at most 4.9 if they jumped
    lines = torch.linspace(*lims, 81, dtype=torch.float64)[1:-1]
    for k in (0, 1):   # on both sides of each line of the grid
        at = torch.full((2, 79), .3).double()
        at[k] = lines
        aside = torch.eye(2).double()[k][:, None]*1e-9
        assert (slopes(f, at + aside) - slopes(f, at - aside)).abs().max() < 1e-6


def test_functions_of_any_kind_give_the_same_grid():
    def of_numbers(a, b): return math.cos(a)*b
    def of_points(w): return (torch.cos(w[0])*w[1]).sum()   # one point at a time
    def of_many(w): return torch.cos(w[0])*w[1]
    grids = [grid_surface(f, n=9).page['values'] for f in (of_numbers, of_points, of_many)]
    for other in grids[1:]: assert torch.allclose(*(torch.frombuffer(bytearray(g), dtype=torch.float64)
                                                    for g in (grids[0], other)))


def test_traits_and_trajectory():
    from traitlets import TraitError
    e = explore_surface(['ravine', 'bowl'], ['Adam', 'Momentum'], lr=.05, steps=40)
    expected = run_optimizer(Adam, ravine, (-1.5, .25), .05, 40)
    assert torch.equal(e.trajectory(), expected)
    e.surface, e.optimizer, e.start, e.lr, e.condition, e.steps = 'bowl', 'Momentum', [1., 1.], .02, 5., 30
    expected = run_optimizer(Momentum, lambda w: ravine(w, 5.), (1., 1.), .02, 30)
    assert torch.equal(e.trajectory(), expected)
    wrongs = dict(surface='x', optimizer='x', start=[1], lr=0., mom=1., bs=0, condition=0., steps=41)
    for name, wrong in wrongs.items():
        with pytest.raises((ValueError, TypeError, TraitError), match=name): setattr(e, name, wrong)


def test_a_trajectory_that_diverges_is_no_error():
    e = explore_surface('Rosenbrock', lr=1.)
    assert not e.trajectory()[-1].isfinite().all() and e._repr_mimebundle_()[0]['text/html'].count('<img') == 4
    e = explore_surface(wavy, lr=100.)
    assert e.trajectory().shape == (101, 2)


def test_an_optimizer_that_is_not_offered_cannot_be_set():
    e = explore_surface('bowl', 'SGD')
    with pytest.raises(ValueError, match="optimizer is 'Adam': expected one of .'SGD'."): e.optimizer = 'Adam'


def test_twin_of_one_optimizer_shows_three_learning_rates():
    page = explore_surface('bowl', 'SGD')._repr_mimebundle_()[0]['text/html']
    for lr in (.018, .18, .22): assert f'the trajectory of SGD with lr = {lr}: ' in page


def test_twin_of_one_optimizer_shows_it_on_each_surface():
    page = explore_surface(['ravine', 'saddle', 'bowl'], 'Adam', lr=.3)._repr_mimebundle_()[0]['text/html']
    assert page.count('<img') == 3
    for name, lr in (('ravine', .3), ('saddle', .1), ('bowl', .1)):
        assert f'the loss {name}, and the trajectory of Adam with lr = {lr}: ' in page


def test_noise_of_data_is_that_of_single_gradients():
    "Of the curve's 20 measurements, and of all digits, at the minimum."
    time, speed, _ = (v.double() for v in make_roller_coaster())
    s = curve_surface(True)
    t, (a, b) = standardize(time), s.minima[0]
    const = (speed - a*t**2 - b*t).mean()

    def loss(w, t, y): return (w[0]*t**2 + w[1]*t + const - y)**2
    at = torch.tensor([a, b], dtype=torch.float64)
    rows = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(at, t, speed)
    factor = torch.tensor(s.noise)
    torch.testing.assert_close((factor @ factor.T).double(), rows.T.cov(correction=0), rtol=1e-4, atol=1e-4)
    assert rows.mean(0).abs().max() < 1e-9 and s.examples == 20
    digits = classifier_surface(21)
    assert digits.examples == 12396 and (torch.tensor(digits.noise).diag() > .05).all()


def test_twin():
    data, _ = explore_surface('saddle')._repr_mimebundle_()
    assert sorted(data) == ['text/html', 'text/plain'] and data['text/html'].count('<img') == 4
    for name in OPTIMIZERS: assert f'the trajectory of {name} with lr = ' in data['text/html']


# --- in a page: no JupyterLab, and no kernel

def test_in_a_page(browser):
    the_page_and_python_take_the_same_steps(browser)
    words_for_it(browser)
    a_batch_is_as_noisy_as_lesson_09_says(browser)
    contours_are_where_the_loss_is(browser)


@pytest.mark.slow
def test_used_in_a_page(browser):
    a_map_in_use(browser)
    touch_dark_and_narrow(browser)


def state_of(widget):
    def binary(value): return {'base64': base64.b64encode(value).decode()}
    return json.dumps(widget.get_state(), default=binary)


STATE = '''text => JSON.parse(text, (k, v) => v?.base64 === undefined ? v
    : Uint8Array.from(atob(v.base64), c => c.charCodeAt(0)))'''
RENDER = '''async ([esm, text]) => {
    const state = (%s)(text), calls = {};
    window.sent = [];
    window.model = {
        saved: true, get: name => state[name], on: (event, f) => (calls[event] ??= []).push(f),
        set: (name, value) => { state[name] = value; (calls[`change:${name}`] ?? []).forEach(f => f()); },
        save_changes: () => sent.push(performance.now()) };
    const url = URL.createObjectURL(new Blob([esm], { type: 'text/javascript' }));
    (await import(url)).default.render({ model, el: document.querySelector('main') });
}''' % STATE


def opened(browser, widget, dark=False, **size):
    "A page with the widget, as a page without a kernel has it."
    page = browser.new_page(viewport=dict(width=1000, height=900) | size)
    page.errors = []
    page.on('pageerror', lambda e: page.errors.append(str(e)))
    colours = 'background:#111;color:#eee' if dark else ''
    page.set_content(f'<!doctype html><html lang="en"><title>A map</title><style>body {{ {colours} }}'
                     f'{widget._css}</style><main></main></html>')
    page.evaluate(RENDER, [widget._esm, state_of(widget)])
    return page


ALL = '''([text, cases]) => {
    const surfaces = Object.fromEntries((%s)(text)._surfaces.map(s => [s.name,
        s.kind === 'grid' ? { ...s, values: new Float64Array(s.values.buffer) } : s]));
    return cases.map(([name, s]) => {
        const run = descend(surfaces[name], s);
        return { ...run, words: judge(surfaces[name], s, run, survey(surfaces[name], s, 49)) };
    });
}''' % STATE
DEFAULTS = {c: {k: v for k, v in OPTIMIZERS[c].defaults.items() if k in ('mom', 'sqr_mom')} for c in OPTIMIZERS}


def computed(browser, some, cases):
    "What the page makes of (surface, settings)."
    page = browser.new_page()
    scripts = [(REPO/'sgd_course'/f).read_text(encoding='utf-8') for f in ('chart.js', 'landscape.js', 'contours.js')]
    page.add_script_tag(content='\n'.join(scripts))
    found = page.evaluate(ALL, [state_of(explore_surface(some)), cases])
    page.close()
    return found


def case(s, optimizer='SGD', **more):
    lr = dict(zip(OPTIMIZERS, s.lrs))[optimizer]
    return [s.name, dict(start=list(s.start), steps=100, bs=None, condition=s.condition or 1, optimizer=optimizer,
                         lr=lr) | DEFAULTS[optimizer] | more]


def the_page_and_python_take_the_same_steps(browser):
    "Each surface with each optimizer, with other settings than the defaults too."
    some, cases = surfaces(), []
    for s in some:
        for optimizer, settings in DEFAULTS.items():
            first = case(s, optimizer)
            other = {k: {'mom': .7, 'sqr_mom': .95}[k] for k in settings}
            cases += [first, case(s, optimizer, lr=.6*first[1]['lr'], condition=7, steps=40, **other,
                                  start=[a + .3*(b - a) for a, b in (s.xlim, s.ylim)])]
    by_name, arrived = {s.name: s for s in some}, 0
    for (name, given), run in zip(cases, computed(browser, some, cases)):
        s, cls = by_name[name], OPTIMIZERS[given['optimizer']]
        ours = run_optimizer(cls, s.loss(given['condition']), given['start'], given['lr'], given['steps'],
                             **{k: given[k] for k in DEFAULTS[given['optimizer']]})
        theirs = torch.tensor(run['path'], dtype=torch.float64)
        assert len(theirs) == len(ours) or run['end'] == 'left', (name, given)
        losses = torch.tensor(run['losses'], dtype=torch.float64)
        torch.testing.assert_close(theirs, ours[:len(theirs)], rtol=1e-6, atol=1e-6,
                                   msg=lambda m: f'{name}, {given}: {m}')
        torch.testing.assert_close(losses, s.loss(given['condition'])(theirs.T), rtol=1e-6, atol=1e-6)
        last = run['last']
        for a, b in ((last['before'], run['path'][-2]), (last['after'], run['path'][-1])): assert a == b
        assert [w - given['lr']*d for w, d in zip(last['before'], last['direction'])] == last['after']
        arrived += 'reaches' in run['words']
    assert arrived > 20


WORDS = [
    ('bowl', dict(lr=.05), r'reaches the minimum after \d+ steps$'),
    ('bowl', dict(lr=.18), r'reaches the minimum after \d+ steps, overshooting on the way$'),
    ('bowl', dict(lr=.005), 'converges slowly: after 100 steps the loss is .*; its minimum is 0$'),
    ('bowl', dict(lr=.2), 'oscillates from one side to the other, and comes no closer'),
    ('bowl', dict(lr=.201), 'diverges: it oscillates ever more widely'),
    ('bowl', dict(lr=.3), r'diverges: after \d+ steps it is far outside the picture'),
    ('bowl', dict(lr=.18, bs=400), 'hovers around the minimum: the noise does not let it settle'),
    ('bowl', dict(steps=0), 'has not moved yet'),
    ('ravine', dict(lr=.0199), 'oscillates from one side to the other, and comes closer'),
    ('Rosenbrock', dict(), 'converges slowly'),
    ('saddle', dict(), 'is stuck at a saddle point'),
    ('saddle', dict(start=[-1.5, .3]), 'reaches a minimum after'),
    ('two minima', dict(), r'reaches a local minimum \(another is lower\) after'),
    ('two minima', dict(start=[-1.6, 1.2]), 'reaches the lowest minimum after'),
    ('two minima', dict(steps=300, bs=64), r'hovers around a local minimum \(another is lower\)'),   # lesson 09
    ('two minima', dict(steps=300, bs=16), r'hovers around a local minimum \(another is lower\)'),
    ('two minima', dict(steps=300, bs=4), 'hovers around the lowest minimum'),
    ('two minima', dict(steps=300, bs=1), 'is thrown about by the noise, and comes no closer'),
    ('plateau', dict(), 'is stuck on a plateau'),
    ('plateau', dict(start=[-1., 1.], lr=5.), 'reaches the minimum'),
    ('3-7 classifier', dict(lr=100.), 'leaves the grid after')]


def words_for_it(browser):
    by_name = {s.name: s for s in surfaces()}
    cases = [case(by_name[name], **more) for name, more, _ in WORDS]
    for run, (name, more, words) in zip(computed(browser, list(by_name.values()), cases), WORDS):
        assert re.match(words, run['words']), (name, more, run['words'])


def a_batch_is_as_noisy_as_lesson_09_says(browser):
    "With a learning rate of 0 and Momentum without momentum each direction is a gradient of a batch."
    s = quadratic_surface([[2., 1.5], [1.5, 3.]], (.3, -.2), 1.)
    curve, factor = curve_surface(True), torch.tensor(s.factor()).double()
    of_curve = torch.tensor(curve.noise).double()
    for s, bs, factor, expected in ((s, 4, factor, 1/4), (curve, 5, of_curve, (20 - 5)/(20 - 1)/5)):
        cases = [case(s, 'SGD', lr=0, bs=bs, steps=1, seed=k) for k in range(2000)]
        grads = torch.tensor([run['last']['grad'] for run in computed(browser, [s], cases)]).double()
        exact = torch.tensor(computed(browser, [s], [case(s, 'SGD', lr=0, steps=1)])[0]['last']['grad']).double()
        ratio = grads.T.cov() @ (factor @ factor.T*expected).inverse()
        assert (ratio - torch.eye(2)).abs().max() < .03, ratio   # 0.008, as measured
        assert ((grads.mean(0) - exact).abs() < .1*grads.std(0)).all()


def contours_are_where_the_loss_is(browser):
    page = browser.new_page()
    for f in ('chart.js', 'contours.js'):
        page.add_script_tag(content=(REPO/'sgd_course'/f).read_text(encoding='utf-8'))
    n, level = 41, 1.
    values = [(i/20 - 1)**2 + (j/20 - 1)**2 for j in range(n) for i in range(n)]
    lines = torch.tensor(page.evaluate('([values, n, level]) => contour({ values, n }, level)', [values, n, level]))
    page.add_script_tag(content=(REPO/'sgd_course'/'landscape.js').read_text(encoding='utf-8'))
    bowl = named_surfaces()['bowl']
    for i, point in enumerate(([x, .5] for x in (0, 1))):
        found = page.evaluate('([surface, point, i]) => slice(surface, {}, point, i, 5)', [bowl.message(), point, i])
        w = torch.tensor(point, dtype=torch.float64)[:, None].repeat(1, 5)
        w[i] = torch.linspace(-2, 2, 5)
        torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), ravine(w, 10))
    points = lines.reshape(-1, 2)/20 - 1
    assert len(lines) > 100 and (points.norm(dim=1) - 1).abs().max() < .002
    page.close()


def ends(page):
    "Start and end that the map's text tells."
    settled(page)
    text = page.locator('.sgd-map').get_attribute('aria-label')
    numbers = r'(-?\d+\.?\d*(?:e-?\d+)?), (-?\d+\.?\d*(?:e-?\d+)?)'
    a, b, c, d = map(float, re.search(f'Start at {numbers}; end at {numbers}', text).groups())
    return (a, b), (c, d)


def settled(page):
    "Wait until the words for the last picture are there, which come after it."
    page.evaluate('() => new Promise(done => requestAnimationFrame(() => setTimeout(() => setTimeout(done))))')


def pixels(page): return page.locator('.sgd-map').evaluate('c => c.toDataURL()')


def a_map_in_use(browser):
    "Mouse, touch, keyboard; each surface and optimizer; another colour of paper; set from Python."
    page = opened(browser, explore_surface(surfaces()))
    chart, words = page.locator('.sgd-map'), page.locator('strong')
    for s in surfaces():
        page.get_by_label('surface').select_option(s.name)
        assert ends(page)[0] == pytest.approx(s.start, rel=1e-3)
        for name in OPTIMIZERS:
            page.get_by_role('radio', name=name, exact=True).check()
            expect(words).to_have_text(re.compile(f'^{name} .+[.]$'))
            for slider, when in (('momentum', name in ('Momentum', 'Adam')), ('beta2', name in ('RMSprop', 'Adam'))):
                expect(page.get_by_role('slider', name=slider)).to_be_enabled(enabled=when)
    page.get_by_role('button', name='Reset').click()
    expect(words).to_have_text(re.compile('^SGD reaches the minimum after'))
    r = chart.bounding_box()
    at = lambda x, y: (r['x'] + 60 + x*(r['width'] - 68), r['y'] + 8 + (1 - y)*(r['height'] - 44))
    before = pixels(page)
    page.mouse.click(*at(.75, .25))
    assert ends(page)[0] == pytest.approx((1, -1), abs=.02) and pixels(page) != before
    page.mouse.move(*at(.75, .25))
    page.mouse.down()
    page.evaluate('sent.length = 0')
    for i in range(60): page.mouse.move(*at(.75 - i/100, .25 + i/100))
    page.mouse.move(*at(-1, 2))
    page.mouse.up()
    assert ends(page)[0] == (-2, 2), 'stays in the picture'
    page.wait_for_timeout(250)
    times = page.evaluate('sent')
    assert times and all(b - a > 90 for a, b in zip(times, times[1:])), 'at most ten messages a second'
    assert page.evaluate("model.get('start')") == [-2, 2], 'and the last one is sent'
    chart.focus()
    for key, start in [('ArrowRight', (-1.9, 2)), ('ArrowDown', (-1.9, 1.9)), ('Shift+ArrowRight', (-1.89, 1.9)),
                       ('ArrowUp', (-1.89, 2)), ('ArrowLeft', (-1.99, 2))]:
        page.keyboard.press(key)
        assert ends(page)[0] == pytest.approx(start)
    rate = page.get_by_role('slider', name='learning rate')
    rate.focus()
    for _ in range(8): page.keyboard.press('ArrowRight')
    expect(rate).to_have_attribute('aria-valuetext', '1')
    expect(words).to_have_text(re.compile('^SGD diverges'))
    steps = page.get_by_role('slider', name='steps')
    steps.focus()
    for key, n in ('Home', 0), ('ArrowRight', 1):
        page.keyboard.press(key)
        expect(page.locator('caption')).to_have_text(re.compile(f'^Step {n}; loss'))
    expect(page.locator('tr').last).to_contain_text('new weight')
    assert axe_violations(page, 'main') == []
    batch = page.get_by_role('slider', name='batch size')
    expect(batch).to_have_attribute('aria-valuetext', re.compile('^all'))
    page.get_by_label('surface').select_option('curve fit, standardised time')
    expect(batch).to_have_attribute('aria-valuetext', 'all 20')
    batch.focus()
    page.keyboard.press('ArrowLeft')
    expect(batch).to_have_attribute('aria-valuetext', '16')
    page.get_by_label('surface').select_option('bowl')
    expect(batch).to_have_attribute('aria-valuetext', re.compile('^all'))
    page.keyboard.press('Home')
    expect(batch).to_have_attribute('aria-valuetext', '1')
    expect(words).to_have_text(re.compile('^SGD (is thrown about|hovers|has gone uphill|diverges)'))
    page.wait_for_timeout(150)
    page.evaluate("model.set('bs', null); model.set('start', [0.5, 0.5]); model.set('steps', 100)")
    assert ends(page)[0] == (.5, .5)
    assert page.errors == []
    page.close()


def touch_dark_and_narrow(browser):
    page = opened(browser, explore_surface('two minima', ['Adam', 'SGD']), dark=True, width=360)
    assert axe_violations(page, 'main') == []
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    chart, cdp = page.locator('.sgd-map'), page.context.new_cdp_session(page)
    chart.scroll_into_view_if_needed()
    r = chart.bounding_box()
    for kind, points in ('touchStart', [(100, 100)]), ('touchMove', [(80, 60)]), ('touchEnd', []):
        points = [dict(x=r['x'] + x, y=r['y'] + y) for x, y in points]
        cdp.send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=points))
    (x, y), _ = ends(page)
    assert x == pytest.approx(-2 + 4*(80 - 60)/(r['width'] - 68), abs=.03) and y > .8
    expect(page.get_by_role('combobox')).to_have_count(0)   # there is only one surface
    assert page.errors == []
    page.close()
    page = opened(browser, explore_surface('bowl', 'SGD', batches=False))
    expect(page.get_by_role('radio')).to_have_count(0)
    names = [r.inner_text().split('\n')[0] for r in page.locator('.sgd-sliders label:visible').all()]
    assert names == ['learning rate', 'condition number', 'steps'] and 'atch' not in page.inner_text('main')
    page.close()


# --- in JupyterLab

@pytest.mark.slow
def test_in_jupyterlab(open_book, lab, browser, tmp_path):
    book = open_book('from sgd_course.surface import *\nSEEN = []',
                     "e = explore_surface(['ravine', 'saddle', lambda a, b: a**2 + b**4])\n"
                     "e.observe(lambda c: SEEN.append(c['name']))\ne")
    book.command('notebook:run-all-cells')
    page = book.page
    words = page.locator('.sgd-surface strong')
    expect(words).to_have_text(re.compile('^SGD .+'), timeout=60_000)
    page.get_by_label('surface').select_option('saddle')
    page.get_by_role('radio', name='Momentum').check()
    chart = page.locator('.sgd-map')
    chart.focus()
    for _ in range(8): page.keyboard.press('ArrowUp')   # JupyterLab leaves the keys to the map
    book.until('(e.surface, e.optimizer, [round(v, 6) for v in e.start])', "('saddle', 'Momentum', [-1.5, 0.8])")
    expect(words).to_have_text(re.compile('^Momentum reaches a minimum'))
    end = [float(v) for v in book.ask('e.trajectory()[-1].tolist()').strip('[]').split(',')]
    assert ends(page)[1] == pytest.approx(end, rel=1e-3)
    expect(page.locator('.sgd-twin')).to_be_hidden()
    assert axe_violations(page, '.sgd-surface') == []
    book.ask("setattr(e, 'start', [1., 1.])")
    expect(chart).to_have_attribute('aria-label', re.compile('Start at 1, 1;'))

    book.save('<figure', 4)
    alone = with_state(book, tmp_path, browser, lab)   # no kernel, no network
    for name in ('ravine', 'your function'):
        alone.get_by_label('surface').select_option(name)
        expect(alone.locator('.sgd-surface strong')).to_have_text(re.compile('^Momentum (reaches|converges)'))
    alone.locator('.sgd-map').click()
    expect(alone.locator('.sgd-twin')).to_be_hidden()
    assert alone.errors == []
    alone.context.close()

    figures_without_state(book, 4, tmp_path, browser, lab)

    lab.api(f'kernels/{book.kernel()}', 'DELETE')
    expect(words).to_have_text(re.compile('^Momentum'))
    chart.click()   # the kernel is gone; the map answers
    expect(chart).not_to_have_attribute('aria-label', re.compile('Start at 1, 1;'))
    figures_when_opened_again(open_book, book)
