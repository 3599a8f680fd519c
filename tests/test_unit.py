"A hidden layer set up by hand: what the page computes against PyTorch, its words, and the widget in use."
import math
import re

import pytest
import torch
from browser import axe_violations, figures_when_opened_again, figures_without_state, with_state
from conftest import REPO
from playwright.sync_api import expect
from test_surface import opened, settled
from torch import nn

from sgd_course.classifier import BasicOptim
from sgd_course.layers import binary_cross_entropy, make_bullseye, plane_scores
from sgd_course.plane import plane_net, side_by_side, train_side_by_side
from sgd_course.unit import explore_unit, hand_units

X, Y = (t.double() for t in make_bullseye())
BY_HAND = hand_units([90, 210, 330], [0, 0, 0])


def drawn(h, seed):
    torch.manual_seed(seed)
    return plane_net(h).double()


# --- in Python

@pytest.mark.parametrize('error, words, given', [
    (ValueError, r'x has shape \(120, 3\): expected points of the plane', dict(x=torch.zeros(120, 3), y=Y)),
    (ValueError, r'x has shape \(0, 2\)', dict(x=X[:0], y=Y[:0])),
    (ValueError, r'x has shape \(5001, 2\).*from 1 to 5000', dict(x=torch.zeros(5001, 2), y=torch.zeros(5001, 1))),
    (ValueError, 'x contains nan: expected finite', dict(x=X.where(X < 1, torch.nan), y=Y)),
    (ValueError, r'y has shape \(119, 1\): expected \(120, 1\), a label for each', dict(x=X, y=Y[1:])),
    (ValueError, 'targets contain 2: expected only 0 and 1', dict(x=X, y=2*Y)),
    (TypeError, 'y is None: expected points and labels', dict(x=X)),
    (TypeError, 'x is None: expected points and labels', dict(y=Y)),
    (TypeError, "expected tensors, as make_bullseye", dict(x='points', y=Y)),
    (ValueError, 'net has 9 hidden units: .* 1 to 8', dict(net=plane_net(9))),
    (ValueError, 'net has 0 hidden units', dict(net=(torch.zeros(2, 0), torch.zeros(0), torch.zeros(0, 1), [0.]))),
    (ValueError, r'parameters of shapes \[\(3, 2\)', dict(net=(BY_HAND[0].T, *BY_HAND[1:]))),
    (ValueError, 'parameters of shapes', dict(net=nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)))),
    (ValueError, 'parameters of shapes', dict(net=nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)))),
    (ValueError, 'net has a parameter nan', dict(net=(BY_HAND[0], BY_HAND[1]*torch.nan, *BY_HAND[2:]))),
    (TypeError, r'expected plane_net\(h\), or four tensors', dict(net=nn.Linear(2, 1))),
    (TypeError, 'net is 3: expected', dict(net=3)),
    (ValueError, 'lr is 0: expected one finite number greater than 0', dict(lr=0)),
    (ValueError, 'lr is nan', dict(lr=math.nan)),
    (TypeError, "lr is 'fast'", dict(lr='fast'))])
def test_what_it_does_not_take(error, words, given):
    with pytest.raises(error, match=words): explore_unit(**given)


def test_hands_that_do_not_fit():
    with pytest.raises(ValueError, match='2 directions and 1 shifts: expected one of each'): hand_units([0, 9], [0])
    with pytest.raises(ValueError, match='slope is 0'): hand_units([0], [0], slope=0)
    with pytest.raises(TypeError, match="directions is 'up'"): hand_units(['up'], [0])


def test_parameters_and_what_they_give():
    net = drawn(4, 0)
    e = explore_unit(X, Y[:, 0], net)
    torch.testing.assert_close(e.scores(), net(X))
    assert [p.shape for p in e.params()] == [(2, 4), (4,), (4, 1), (1,)]
    assert e.loss == pytest.approx(binary_cross_entropy(net(X), Y).item())
    assert e.accuracy == pytest.approx(((net(X) > 0) == (Y == 1)).double().mean().item())
    e.unit = 4
    e.set_params(side_by_side([plane_net(2)]))   # (1, 2, 2), (1, 1, 2), (1, 2, 1), (1, 1, 1)
    assert (e.unit, len(e.b), e.params()[0].shape) == (2, 2, (2, 2))
    e.set_params(BY_HAND)
    assert e.accuracy == 1 and e.w[1] == pytest.approx([-math.sqrt(3)/2, -.5])


def test_traits_that_do_not_fit():
    from traitlets import TraitError
    e = explore_unit()
    wrongs = dict(w=[[1., 0.]], b=[0., 0.], v=[[1.]]*3, c=math.nan, unit=0, lr=0., steps=-1)
    for name, wrong in wrongs.items():
        before = getattr(e, name)
        with pytest.raises((ValueError, TypeError, TraitError), match=name): setattr(e, name, wrong)
        assert getattr(e, name) == before
    for wrong in ([[1., 0.], [1.], [1., 0.]], [['a', 0.]]*3, [[math.inf, 0.]]*3):
        with pytest.raises((ValueError, TraitError), match='w is .*expected finite numbers'): e.w = wrong


def test_what_the_page_sends_comes_in_any_order():
    "Units are added and removed by several traits at once."
    for names in ('bvwc', 'wvbc'):
        e, new = explore_unit(), dict(w=[[1., 0.]]*5, b=[0.]*5, v=[1.]*5, c=2., unit=5)
        e.set_state({k: new[k] for k in names} | dict(unit=5, steps=0))
        assert (len(e.w), e.unit) == (5, 5)
        e.set_state(dict(unit=1) | {k: v[:1] if k != 'c' else v for k, v in new.items() if k != 'unit'})
        assert (len(e.w), e.unit) == (1, 1)


def test_twin_shows_the_training_from_the_start():
    e = explore_unit()
    data, _ = e._repr_mimebundle_()
    assert sorted(data) == ['text/html', 'text/plain'] and data['text/html'].count('<img') == 5
    assert 'after 0 steps: 69.2 % right, loss 0.751' in data['text/html']
    assert re.search(r'after 320 steps: [78]\d\.\d % right, loss 0\.3\d', data['text/html'])
    assert data['text/plain'] == '<3 hidden units: 69.2 % right, loss 0.751: lines to drag in a notebook>'


# --- in a page: no JupyterLab, and no kernel

def test_in_a_page(browser):
    page = browser.new_page()
    for f in ('elements.js', 'chart.js', 'network.js', 'plane.js'): page.add_script_tag(path=REPO/'sgd_course'/f)
    the_page_and_pytorch_compute_the_same(page)
    kinks_are_where_the_units_begin(page)
    words_for_it(page)
    the_plane_has_the_colours_of_the_probability(page)
    page.close()


@pytest.mark.slow
def test_used_in_a_page(browser):
    by_mouse(browser)
    by_keyboard(browser)
    touch_dark_and_narrow(browser)


def lists(net):
    e = explore_unit(net=net)
    return {k: getattr(e, k) for k in 'wbvc'}


def tensors(net):
    w, b, v, c = (torch.tensor(net[k], dtype=torch.float64) for k in 'wbvc')
    return w.T, b, v[:, None], c[None]


RUN = '''([net, data, lr, steps]) => {
    const losses = [];
    for (let k = 0; k < steps; k++) {
        const { loss, grad } = measure(net, data);
        losses.push(loss);
        net = stepOf(net, grad, lr);
    }
    return { net, losses, ...measure(net, data), grid: [...scoresOn(net, 1.5, 7).values] };
}'''


DATA = dict(x=X.tolist(), y=Y[:, 0].tolist())


def the_page_and_pytorch_compute_the_same(page):
    "Scores, loss, gradient, and hundreds of steps: by autograd and the course's own optimizer and loop."
    start = hand_units([90, 150, 330], [0, 0, 1.8])
    nets = [BY_HAND, start, hand_units([0], [0]), *(drawn(h, h) for h in (1, 2, 3, 8))]
    for net, lr, steps in [(n, lr, k) for n in nets for lr, k in ((1., 300), (2., 20), (1., 0))]:
        found, given = page.evaluate(RUN, [lists(net), DATA, lr, steps]), tensors(lists(net))
        params = [p[None].clone().requires_grad_() for p in (given[0], given[1][None], given[2], given[3][None])]
        losses, kept = train_side_by_side(plane_scores, params, BasicOptim(params, lr), X, Y, [steps])
        close = dict(rtol=1e-6, atol=1e-6)
        after = [p[0] for p in kept[0]]
        for ours, theirs in zip((after[0], after[1][0], after[2], after[3][0]), tensors(found['net'])):
            torch.testing.assert_close(theirs, ours, **close)
        torch.testing.assert_close(torch.tensor([*found['losses'], found['loss']]), losses[:, 0], check_dtype=False,
                                   **close)
        leaves = [p.requires_grad_() for p in after]
        scores = plane_scores(X, *leaves)
        grads = torch.autograd.grad(binary_cross_entropy(scores, Y), leaves)
        for ours, theirs in zip(grads, tensors(found['grad'])):
            torch.testing.assert_close(theirs.reshape(ours.shape), ours, **close)
        assert found['right'] == ((scores > 0) == (Y == 1)).sum()
        assert found['active'] == (X @ leaves[0] + leaves[1] > 0).sum(0).tolist()
        line = torch.linspace(-1.5, 1.5, 7).double()
        grid = torch.stack(torch.meshgrid(line, line, indexing='xy'), -1).reshape(-1, 2)
        torch.testing.assert_close(torch.tensor(found['grid'], dtype=torch.float64)[:, None],
                                   plane_scores(grid, *leaves), **close)


def kinks_are_where_the_units_begin(page):
    hands = [(turn, place) for turn in range(0, 360, 15) for place in (-1.9, -.3, 0, 1.2, 2.2)]
    w, b, _, _ = hand_units(*zip(*hands), slope=1.5)
    units = list(zip(w.T.tolist(), b.tolist()))
    found = page.evaluate('a => a.map(([w, b]) => [handOf(w, b), unitOf(handOf(w, b)), kinkOf(w, b, 2)])', units)
    for (turn, place), (w, b), (hand, back, ends) in zip(hands, units, found, strict=True):
        assert hand == pytest.approx(dict(slope=1.5, turn=hand['turn'], place=place))
        assert abs((hand['turn'] - turn + 180) % 360 - 180) < 1e-9 and 0 <= hand['turn'] <= 360
        assert [*back['w'], back['b']] == pytest.approx([*w, b])
        inside = abs(place) < 2*sum(abs(f(math.radians(turn))) for f in (math.sin, math.cos)) - 1e-9
        assert (ends is not None) == inside, (turn, place)
        for x, y in ends or []:
            assert abs(w[0]*x + w[1]*y + b) < 1e-9 and max(abs(x), abs(y)) == pytest.approx(2)
    assert page.evaluate('kinkOf([0, 0], 1, 2)') is None


WORDS = [
    (BY_HAND, 0, r'3 units: all points right, loss 0\.256\. Unit 1 is active on 68 of 120 points\.$'),
    (hand_units([90, 150, 330], [0, 0, 1.8]), 1, r'3 units: 69\.2 % right, loss 0\.751\. Unit 2 is active on \d+ of '
     r'120 points\. Unit 3 is 0 on all points: no gradient reaches it\.$'),
    (hand_units([0], [-1.9]), 0, r'1 unit: .*Unit 1 is active on all points: its kink divides nothing\.$'),
    (hand_units([0, 0], [0, 0], out=0), 0,
     r'2 units: 50 % right.*Unit 1 has the output weight 0: it adds nothing\. Unit 2 has')]


def words_for_it(page):
    for net, unit, words in WORDS:
        found = page.evaluate('([net, d, unit]) => tell(net, d, measure(net, d), unit)', [lists(net), DATA, unit])
        assert re.match(words, found), found


SHADE = """([net, data, reach]) => {
    const map = Object.assign(document.createElement('canvas'), { width: 400, height: 400 });
    document.body.append(map);
    const papers = papersOf(map, data, frameOf(map, reach), '#000');
    shade(scoresOn(net, reach, GRID), papers);
    return [GRID, ...papers.picture.data];
}"""


def the_plane_has_the_colours_of_the_probability(page):
    "From above, as pictures have their rows: blue is the label 1, and there is no colour at a probability of 1/2."
    net = hand_units([90, 200], [-.5, .3])   # not the same when it is turned or mirrored
    n, *found = page.evaluate(SHADE, [lists(net), DATA, 1.5])
    line = torch.linspace(-1.5, 1.5, n).double()
    at = torch.stack(torch.meshgrid(line, line.flip(0), indexing='xy'), -1).reshape(-1, 2)
    probability = plane_scores(at, *tensors(lists(net)))[:, 0].sigmoid()
    rgb, alpha = torch.tensor(found).reshape(-1, 4).split([3, 1], 1)
    blue = (rgb == torch.tensor([0, 114, 178])).all(1)
    assert blue.any() and not blue.all() and torch.equal(blue, probability > .5)
    assert (rgb[~blue] == torch.tensor([213, 94, 0])).all()
    assert (alpha[:, 0] - 130*(2*probability - 1).abs()).abs().max() <= 1


REACH = 1.1*X.abs().max().item()


def place_on(page):
    "A function of a point of the plane: where it is in the window."
    r = page.locator('.sgd-map').bounding_box()
    k = min(r['width'] - 68, r['height'] - 44)/2/REACH
    return lambda x, y: (r['x'] + 60 + (x + REACH)*k, r['y'] + 8 + (REACH - y)*k)


def towards(turn, far): return far*math.cos(math.radians(turn)), far*math.sin(math.radians(turn))


def get(page, name): return page.evaluate('name => model.get(name)', name)


def hand_of(page, i=0):
    "Direction, slope and shift of a unit as the model has it, when all is sent."
    page.wait_for_timeout(150)
    (x, y), b = get(page, 'w')[i], get(page, 'b')[i]
    return math.degrees(math.atan2(y, x)) % 360, math.hypot(x, y), -b/math.hypot(x, y)


def by_mouse(browser):
    "Enclose the disc, as the lesson says; then train."
    page = opened(browser, explore_unit())
    words, place = page.locator('strong'), place_on(page)

    def drag(*points):
        page.mouse.move(*place(*points[0]))
        page.mouse.down()
        for a, b in zip(points, points[1:]):
            for k in range(1, 9): page.mouse.move(*place(*[u + (v - u)*k/8 for u, v in zip(a, b)]))
        page.mouse.up()
    drag((1.7, 1.7), (0, 1.7))   # where there is nothing to hold
    assert get(page, 'b') == pytest.approx([0, 0, -1.8])
    drag(towards(330, 1.8), (0, 0))   # the line of unit 3, into the middle
    expect(page.get_by_role('radio', name='3')).to_be_checked()
    length = REACH/3   # of an arrow for the slope 1
    page.evaluate('sent.length = 0')
    drag(towards(150, length), towards(180, length), towards(210, length))   # unit 2 by its number
    expect(words).to_have_text(re.compile(r'^3 units: all points right, loss 0\.25\d\. Unit 2 is active'))
    page.wait_for_timeout(250)
    times = page.evaluate('sent')
    assert times and all(b - a > 90 for a, b in zip(times, times[1:])), 'at most ten messages a second'
    assert (get(page, 'unit'), get(page, 'steps')) == (2, 0) and hand_of(page, 1) == pytest.approx((210, 1, 0), abs=.02)
    drag(towards(210, length), towards(210, .6*REACH))   # farther out: steeper
    assert hand_of(page, 1) == pytest.approx((210, 3, 0), abs=.05)
    drag(towards(210, .6*REACH), towards(210, length))
    train = page.get_by_role('button', name='Train')
    before = page.locator('.sgd-map').evaluate('c => c.toDataURL()')
    train.click()
    expect(words).to_have_text(re.compile(r'^After ([3-9]\d|\d{3,}) steps, 3 units: all points right'), timeout=30_000)
    expect(page.locator('[aria-live]')).to_have_attribute('aria-live', 'off')
    page.get_by_role('button', name='Pause').click()
    expect(page.locator('[aria-live]')).to_have_attribute('aria-live', 'polite')
    settled(page)
    steps = int(re.match(r'After (\d+)', words.inner_text())[1])
    assert page.locator('.sgd-map').evaluate('c => c.toDataURL()') != before
    page.wait_for_timeout(150)
    assert get(page, 'steps') == steps, 'and the last one is sent'
    page.get_by_role('button', name='One step').click()
    expect(words).to_have_text(re.compile(f'^After {steps + 1} steps'))
    expect(page.locator('.sgd-curve')).to_have_attribute('aria-label', re.compile(r'from 0\.2[56]\d* to 0\.[01]'))
    assert axe_violations(page, 'main') == []
    page.get_by_role('button', name='Add a unit').click()
    expect(words).to_have_text(re.compile('^4 units: .*Unit 4 is active'))
    page.get_by_role('radio', name='1').check()
    page.get_by_role('button', name='Remove unit 1').click()
    expect(page.get_by_role('radio')).to_have_count(3)
    for _ in range(5): page.get_by_role('button', name='Add a unit').click()
    expect(page.get_by_role('button', name='Add a unit')).to_be_disabled()
    expect(page.get_by_role('button', name='Remove unit')).to_be_focused()
    for _ in range(7): page.get_by_role('button', name='Remove unit').click()
    expect(page.get_by_role('button', name='Remove unit')).to_be_disabled()
    page.get_by_role('button', name='Reset').click()
    expect(words).to_have_text(re.compile(r'^3 units: 69\.2 % right, loss 0\.751'))
    drag((-1.2, 0), (-1.2, .4))   # its number stays where the line was taken hold of
    drag((-1.2, .4 + length), (-1.2 - length, .4))
    assert hand_of(page) == pytest.approx((180, 1, 1.2), abs=.03)
    page.wait_for_timeout(150)
    page.evaluate("net => { for (const k of 'wbvc') model.set(k, net[k]) }", lists(BY_HAND))   # from Python
    expect(words).to_have_text(re.compile('all points right'))
    assert page.errors == []
    page.close()


def by_keyboard(browser):
    page = opened(browser, explore_unit())
    plane = page.locator('.sgd-map')
    page.keyboard.press('Tab')   # the list, and the arrows in it
    expect(page.get_by_role('radio', name='1')).to_be_focused()
    page.keyboard.press('ArrowRight')
    expect(page.locator('.sgd-sliders legend')).to_have_text('Unit 2')
    for _ in range(20):
        if plane.evaluate('e => e === document.activeElement'): break
        page.keyboard.press('Tab')
    for _ in range(12): page.keyboard.press('ArrowLeft')   # from 150 to 210 degrees
    page.keyboard.press('3')
    for _ in range(19): page.keyboard.press('ArrowDown')   # by a twentieth of the plane
    expect(page.locator('strong')).to_have_text(re.compile('^3 units: all points right, .*Unit 3 is active'))
    assert [hand_of(page, i)[0] for i in range(3)] == pytest.approx([90, 210, 330])
    for keys, hand in [('ArrowUp', (330, 1, 1.8 - 18*REACH/20)), ('Shift+ArrowRight', (329, 1, 1.8 - 18*REACH/20)),
                       ('+', (329, 1.1, 1.8 - 18*REACH/20)), ('- - -', (329, .8, 1.8 - 18*REACH/20))]:
        for key in keys.split(): page.keyboard.press(key)
        assert hand_of(page, 2) == pytest.approx(hand)
    expect(plane).to_have_attribute('aria-label', re.compile('Unit 3: direction 329 degrees, slope 0.8, shift'))
    for name, key, text in [('direction', 'Home', '0°'), ('slope', 'End', '10'), ('output weight', 'Home', '-10'),
                            ('output bias', 'End', '10'), ('learning rate', 'ArrowRight', '2')]:
        slider = page.get_by_role('slider', name=name)
        slider.press(key)
        expect(slider).to_have_attribute('aria-valuetext', text)
    for _ in range(3): page.get_by_role('button', name='One step').press('Enter')
    expect(page.locator('strong')).to_have_text(re.compile('^After 3 steps'))
    page.wait_for_timeout(150)
    assert (get(page, 'lr'), get(page, 'steps')) == (2, 3)
    page.get_by_role('button', name='Reset').press('Enter')
    huge = dict(lists(BY_HAND), v=[1e300]*3, w=[[1e300, 0]]*3)
    page.wait_for_timeout(150)
    page.evaluate("net => { for (const k of 'wbvc') model.set(k, net[k]) }", huge)
    page.get_by_role('button', name='Train').click()
    expect(page.locator('strong')).to_have_text(re.compile('beyond all numbers: lower the learning rate'))
    expect(page.get_by_role('button', name='Train')).to_be_visible()
    assert page.errors == []
    page.close()


def touch_dark_and_narrow(browser):
    page = opened(browser, explore_unit(net=BY_HAND), dark=True, width=390)
    assert axe_violations(page, 'main') == []
    assert page.evaluate('document.documentElement.scrollWidth') <= 390
    page.locator('.sgd-map').scroll_into_view_if_needed()
    place, cdp = place_on(page), page.context.new_cdp_session(page)
    for kind, points in ('touchStart', [(-1.2, .08)]), ('touchMove', [(-1.2, .6)]), ('touchEnd', []):   # unit 1, nearly
        points = [dict(zip('xy', place(*p))) for p in points]
        cdp.send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=points))
    assert hand_of(page) == pytest.approx((90, 1, .52), abs=.03)
    assert page.errors == []
    page.close()


# --- in JupyterLab

@pytest.mark.slow
def test_in_jupyterlab(open_book, lab, browser, tmp_path):
    book = open_book('from sgd_course.unit import *', 'e = explore_unit()\ne')
    book.command('notebook:run-all-cells')
    page = book.page
    words = page.locator('.sgd-unit strong')
    expect(words).to_have_text(re.compile(r'^3 units: 69\.2 % right'), timeout=60_000)
    plane = page.locator('.sgd-map')
    plane.focus()
    page.keyboard.press('2')   # JupyterLab leaves the keys to the plane
    for _ in range(12): page.keyboard.press('ArrowLeft')
    page.keyboard.press('3')
    for _ in range(19): page.keyboard.press('ArrowDown')
    book.until('(e.unit, e.accuracy)', '(3, 1.0)')
    expect(words).to_have_text(re.compile('^3 units: all points right'))
    page.get_by_role('button', name='Train').click()
    expect(words).to_have_text(re.compile(r'^After \d\d+ steps'), timeout=30_000)
    page.get_by_role('button', name='Pause').click()
    settled(page)
    loss = re.search(r'loss ([\d.]+)\d\.', words.inner_text())[1]
    book.until(f'str(e.loss).startswith("{loss}"[:-1])', 'True')
    expect(page.locator('.sgd-twin')).to_be_hidden()
    assert axe_violations(page, '.sgd-unit') == []
    book.ask('e.set_params(hand_units([0, 180], [0, 0]))')
    expect(words).to_have_text(re.compile('^2 units: .*Unit 2 is active'))
    page.get_by_role('button', name='Add a unit').click()
    book.until('len(e.w)', '3')

    book.save('<figure', 5)
    alone = with_state(book, tmp_path, browser, lab)   # no kernel, no network
    expect(alone.locator('.sgd-unit strong')).to_have_text(re.compile('^3 units: '))
    alone.get_by_role('button', name='One step').click()
    expect(alone.locator('.sgd-unit strong')).to_have_text(re.compile('^After 1 step, 3 units: '))
    expect(alone.locator('.sgd-twin')).to_be_hidden()
    assert alone.errors == []
    alone.context.close()

    figures_without_state(book, 5, tmp_path, browser, lab)

    lab.api(f'kernels/{book.kernel()}', 'DELETE')
    page.get_by_role('button', name='Remove unit').click()   # the kernel is gone; the plane answers
    expect(words).to_have_text(re.compile('^2 units: '))
    page.get_by_role('button', name='Train').click()
    expect(words).to_have_text(re.compile(r'^After \d\d+ steps, 2 units'), timeout=30_000)
    figures_when_opened_again(open_book, book)
