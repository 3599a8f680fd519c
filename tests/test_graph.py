"Computation graphs: what the page computes against PyTorch, its steps and its words, and the widget in use."
import math
import re
from functools import cache

import pytest
import torch
from browser import axe_violations, figures_when_opened_again, figures_without_state, with_state
from conftest import REPO
from playwright.sync_api import expect
from test_surface import opened

from sgd_course.graph import explore_graph


@cache
def nodes_of(name): return explore_graph(GRAPHS[name][0], **GRAPHS[name][1])._nodes


def floats(*v): return torch.tensor(v, dtype=torch.float64)


DATA, SEEN = floats(1, 2, 3), floats(2.5, 4, 7)
GRAPHS = {   # f, its first inputs; all have a value for inputs above 0
    'square': (lambda x: (2*x + 1)**2, dict(x=3.)),
    'line': (lambda w, b: (w*2 + b - 1)**2, dict(w=.5, b=0.)),
    'twice': (lambda x: x*x + 3*x, dict(x=2.)),
    'thrice': (lambda x: x*x*x - x/4, dict(x=2.)),
    'skips': (lambda x, w: x*torch.sigmoid(w*x.exp()) + w, dict(x=.5, w=.3)),
    'constants': (lambda x: 1 - x/4 + 3/(1 + x) - (-x - 5)*.5, dict(x=2.)),
    'powers': (lambda x: x**3 + x**-1 + x**.5 + x**1 + x**0*x + 2**x, dict(x=1.5)),
    'any power': (lambda x, y: x**y, dict(x=1.5, y=2.)),
    'division': (lambda x, y: x/y, dict(x=1.5, y=2.)),
    'waves': (lambda x, y: x.sin()*y.cos() - x.tanh(), dict(x=1.5, y=2.)),
    'logs': (lambda x: x.log() + x.sqrt()*torch.exp(-x), dict(x=1.5)),
    'kinks': (lambda x, y: torch.relu(x - 1) + abs(y - x) + torch.maximum(x, y) - torch.minimum(x, 2*y),
              dict(x=1.5, y=2.)),
    'reciprocal': (lambda x: 2/x, dict(x=1.5)),
    'squares': (lambda x: (x**2).sum(), dict(x=[3., 4., 10.])),
    'mean': (lambda w, b: ((w*DATA + b - SEEN)**2).mean(), dict(w=.5, b=0.)),
    'neuron': (lambda w, b: (torch.sigmoid(w @ DATA[:2] + b) - 1)**2, dict(w=[.5, .1], b=0.)),
    'two layers': (lambda w, b, v, c: (torch.sigmoid(v*torch.relu(w*1.5 + b) + c) - .3)**2,
                   dict(w=.5, b=.2, v=1.2, c=.1)),
    'elements': (lambda w: w[0]*w[-1] + w.sum()*w[1], dict(w=[.5, .1, 2.]))}


def ours(f, inputs):
    "Value, and the gradient for each input, as lists."
    leaves = {n: floats(*v) if isinstance(v, list) else floats(v)[0] for n, v in inputs.items()}
    for t in leaves.values(): t.requires_grad_()
    y = f(**leaves)
    y.backward()
    return [y.item()], [t.grad.flatten().tolist() for t in leaves.values()]


def moved(inputs, g):
    "Other inputs, above 0."
    def one(v): return v*torch.rand((), generator=g).double().mul(1.8).add(.1).item()
    return {n: [one(e) for e in v] if isinstance(v, list) else one(v) for n, v in inputs.items()}


# --- in Python

@pytest.mark.parametrize('error, words, f, inputs', [
    (ValueError, 'there is no input: expected such as', lambda: 1, {}),
    (TypeError, 'f is 3: expected a function', 3, dict(x=1.)),
    (TypeError, 'f cannot be called with y: .*Expected a value for each', lambda x: x, dict(y=1.)),
    (ValueError, 'f does not use y: expected', lambda x, y: 2*x, dict(x=1., y=2.)),
    (ValueError, 'x is nan: expected one finite number', lambda x: 2*x, dict(x=math.nan)),
    (ValueError, r'x\[1\] is inf: expected one finite number', lambda x: x.sum(), dict(x=[1., math.inf])),
    (TypeError, "x is 'one': expected one finite number", lambda x: 2*x, dict(x='one')),
    (ValueError, 'x is .1.0.: expected one number, such as 3., or a list of 2 to 4', lambda x: x.sum(), dict(x=[1.])),
    (ValueError, 'keys is a name that widgets have', lambda keys: 2*keys, dict(keys=1.)),
    (ValueError, 'value is a name that widgets have', lambda value: 2*value, dict(value=1.)),
    (ValueError, 'f returned shape .2,.: expected one number', lambda x: 2*x, dict(x=[1., 2.])),
    (ValueError, 'f returned 3: expected one number', lambda x: 3, dict(x=1.)),
    (ValueError, 'f returned its input as it is', lambda x: x, dict(x=1.)),
    (ValueError, 'does not depend on x', lambda x: (2*x).detach(), dict(x=1.)),
    (ValueError, 'f uses erf, which the page cannot compute: expected only', lambda x: torch.erf(x), dict(x=1.)),
    (ValueError, 'f uses sum with', lambda x: x.sum(0, keepdim=True)[0], dict(x=[1., 2.])),
    (ValueError, 'f uses add with alpha', lambda x: torch.add(x, x, alpha=2), dict(x=1.)),
    (ValueError, 'f uses stack', lambda x: torch.stack([x, x]).sum(), dict(x=1.)),
    (ValueError, 'f uses mse_loss, which', lambda x: torch.nn.functional.mse_loss(x, x*2), dict(x=1.)),
    (ValueError, 'f uses TwiceBackward, a function of its own', lambda x: Twice.apply(x)*x, dict(x=1.)),
    (ValueError, 'f uses mul of shape .9,.', lambda x: (x*torch.ones(9).double()).sum(), dict(x=1.)),
    (ValueError, 'f has 30 operations: expected at most 24', lambda x: sum([x]*30), dict(x=1.)),
    (ValueError, 'computes mul with torch.float32: expected torch.float64', lambda x: (x*torch.ones(3)).sum(),
     dict(x=1.)),
    (ValueError, 'f looks at a value, as an if', lambda x: x if x > 0 else -x, dict(x=1.)),
    (ValueError, 'f looks at a value', lambda x: x.item()*x, dict(x=1.)),
    (ValueError, 'a value that autograd does not follow', lambda x: x*x.detach(), dict(x=1.)),
    (ValueError, 'a value that autograd does not follow', lambda x: x*(x > 0), dict(x=1.)),
    (ValueError, 'each call gives another value', lambda x: x*torch.rand(()).double(), dict(x=1.)),
    (ValueError, 'f is not one expression; at x = .* it is another one', lambda x: x*x.detach().numpy().item(),
     dict(x=2.)),
    (ValueError, r'f changes a tensor in place \(add_\)', lambda x: (2*x).add_(1), dict(x=1.)),
    (ValueError, 'f fails at x = 1, with RuntimeError: a leaf Variable', lambda x: x.add_(1), dict(x=1.)),
    (ValueError, 'at x = -1 the value of result = log.x. is nan: expected finite', lambda x: x.log(), dict(x=-1.)),
    (ValueError, 'at x = 0 the gradient of x is inf: expected finite', lambda x: x.sqrt(), dict(x=0.))])
def test_what_is_no_graph(error, words, f, inputs):
    with pytest.raises(error, match=words) as raised: explore_graph(f, **inputs)
    assert raised.type is error


class Twice(torch.autograd.Function):
    "What the page could not know."
    @staticmethod
    def forward(ctx, x): return 2*x
    @staticmethod
    def backward(ctx, grad): return 2*grad


@pytest.mark.parametrize('name', GRAPHS)
def test_the_graph_is_the_function(name):
    "Run again from other inputs, it has PyTorch's own values and gradients; so has the widget."
    f, inputs = GRAPHS[name]
    e, g = explore_graph(f, **inputs), torch.Generator().manual_seed(2)
    for _ in range(3):
        for n, v in moved(inputs, g).items(): setattr(e, n, v)
        at = {n: getattr(e, n) for n in inputs}
        value, grads = ours(f, at)
        leaves = [torch.tensor(v, dtype=torch.float64) for v in at.values()]
        assert e._graph.again(leaves)[-1].item() == pytest.approx(value[0], rel=1e-12)
        assert [e.value] == value and list(e.grads) == list(inputs)
        assert [[v] if isinstance(v, float) else v for v in e.grads.values()] == grads


def test_boxes_say_what_was_written():
    def titles(f, **inputs):
        g = explore_graph(f, **inputs)._graph
        return [g.title(k) for k in range(len(g.nodes))], [n['fn'] for n in g.nodes]
    assert titles(lambda x: (x*2 + 1)**2, x=3.) == (
        ['x', 'a = 2*x', 'b = a + 1', 'result = b**2'], ['leaf', 'MulBackward0', 'AddBackward0', 'PowBackward0'])
    assert titles(lambda a, result: (1 - a)/result + -2., a=3., result=1.)[0] == [
        'a', 'result', 'b = 1 - a', 'c = b/result', 'loss = c + (-2)']
    assert titles(lambda w: torch.relu(w[-1])*w[0]/-4, w=[1., 2.])[0] == [
        'w', 'a = w[1]', 'b = relu(a)', 'c = w[0]', 'd = b*c', 'result = d/(-4)']


def test_only_what_backward_passes_is_shown():
    def f(x):
        (x*7).sin()   # used by nobody
        return x.log() + torch.tensor(2.).exp()
    e = explore_graph(f, x=1.)
    assert [n['op'] for n in e._nodes] == ['', 'log', 'add'] and e.value == pytest.approx(math.e**2)


def test_with_gradients_off():
    with torch.no_grad(): e = explore_graph(lambda x: x**2, x=3.)
    assert e.value == 9


def test_traits():
    from traitlets import TraitError
    e = explore_graph(lambda w, b: (w**2).sum()*b, w=[1, 2], b=torch.tensor(3))
    assert (e.w, e.b, e.value, e.grads) == ([1., 2.], 3., 15., dict(w=[6., 12.], b=5.))
    e.w, e.b = torch.tensor([0., 1.]), 2
    assert (e.w, e.b, e.value) == ([0., 1.], 2., 2.)
    assert repr(e).startswith('<Graph at w = [0, 1], b = 2: value 2, gradient w = [0, 4], b = 1')
    for name, wrong in [('w', 1.), ('b', [1., 2.]), ('w', (1., math.nan)), ('w', (1., 2., 3.)), ('b', 'x')]:
        with pytest.raises(TraitError, match=f'{name}.* expected'): setattr(e, name, wrong)


def test_twin():
    data, _ = explore_graph(*GRAPHS['square'][:1], x=3.)._repr_mimebundle_()
    page = data['text/html']
    assert sorted(data) == ['text/html', 'text/plain'] and page.count('<img') == page.count('<table') == 2
    assert 'alt="Computation graph, backward pass: x, value 3, gradient 28; a = 2*x, value 6, gradient 14;' in page
    assert '<tr><td>b = a + 1</td><td>7</td><td>14</td></tr>' in page


# --- in a page: no JupyterLab, and no kernel

def test_in_a_page(browser):
    the_page_and_pytorch_agree(browser)
    steps_and_words(browser)
    boxes_lie_apart(browser)
    a_page_that_is_wrong_says_so(browser)


@pytest.mark.slow
def test_used_in_a_page(browser):
    a_graph_in_use(browser)
    touch_dark_and_narrow(browser)


def computing(browser):
    "A page that has what needs no page."
    page = browser.new_page()
    for name in ('backprop.js', 'layout.js'):
        page.add_script_tag(content=(REPO/'sgd_course'/name).read_text(encoding='utf-8'))
    return page


BOTH = '''([nodes, cases]) => cases.map(inputs => {
    const values = forward(nodes, inputs), { grads } = backward(nodes, values);
    return [values.at(-1), grads.slice(0, inputs.length)];
})'''


def the_page_and_pytorch_agree(browser):
    "Each operation at twenty inputs, and at the kinks."
    page, g, used = computing(browser), torch.Generator().manual_seed(3), set()
    for name, (f, inputs) in GRAPHS.items():
        nodes = nodes_of(name)
        used |= {n['op'] for n in nodes}
        cases = [inputs] + [moved(inputs, g) for _ in range(20)]
        if name == 'kinks': cases += [dict(x=1., y=1.), dict(x=2., y=1.)]
        lists = [[v if isinstance(v, list) else [v] for v in case.values()] for case in cases]
        for case, (value, grads) in zip(cases, page.evaluate(BOTH, [nodes, lists])):
            expected = ours(f, case)
            assert value == pytest.approx(expected[0], rel=1e-9, abs=1e-12), (name, case)
            for a, b in zip(grads, expected[1], strict=True):
                assert a == pytest.approx(b, rel=1e-9, abs=1e-12), (name, case)
    known = page.evaluate('[...Object.keys(OPS), ...Object.keys(OF_VECTORS)]')
    from sgd_course.graph import _OPS
    assert sorted(known) == sorted(_OPS) == sorted(used - {''})
    page.close()


STEPS = '''([nodes, inputs]) => {
    const values = forward(nodes, inputs), run = { values, ...backward(nodes, values) };
    return stepsOf(nodes).map(s => [s.kind, s.at ?? -1, sentence(s, nodes, run)]);
}'''
WORDS = {
    'square': ['The forward pass begins at the inputs: x = 3. Press Step to go on.', 'a = 2*x = 2*3 = 6.',
               'b = a + 1 = 6 + 1 = 7.', 'result = b**2 = 7**2 = 49.',
               'The backward pass begins at the end: the slope of result for itself is 1.',
               'result = b**2 has gradient 1. Its slope for b is 2*b = 14; 1 × 14 = 14 arrives at b.',
               'b = a + 1 has gradient 14. Its slope for a is 1; 14 × 1 = 14 arrives at a.',
               'a = 2*x has gradient 14. Its slope for x is 2; 14 × 2 = 28 arrives at x.',
               'result = 49. Its gradient is 28 for x: nudge x a little, and result moves 28 times as far.'],
    'twice': ['a = x*x = 2*2 = 4.', 'b = 3*x has gradient 1. Its slope for x is 3; 1 × 3 = 3 arrives at x.',
              'a = x*x has gradient 1. Its slope for x in its first place is x = 2; 1 × 2 = 2 arrives at x. Its slope '
              'for x in its second place is x = 2; 1 × 2 = 2 arrives at x.',
              'Three gradients arrive at x and are added: 3 + 2 + 2 = 7.'],
    'kinks': ['Its slope for a is 1 above 0, else 0: here 1;',
              'Its slope for y is 1 if it is the larger, else 0: here 1;',
              '-1 × 1 = -1 arrives at x', 'Four gradients arrive at x and are added'],
    'mean': ['a = [1, 2, 3]*w = [1, 2, 3]*0.5 = [0.5, 1, 1.5].',
             '[1, 1, 1] = [-1.33, -2, -3.67], added up -7, arrives at b.'],
    'squares': ['Its slope for a is 1 for each element: here [1, 1, 1]; 1 × [1, 1, 1] = [1, 1, 1] arrives at a.',
                'result = 125. Its gradient is [6, 8, 20] for x.'],
    'powers': ['Its slope for x is 3*x**2 = 6.75;', 'Its slope for x is -1*x**(-2) = -0.4444;'],
    'logs': ['Its slope for x is 1/x = 0.6667;', 'c = -x = -1.5.'],
    'two layers': ['*(1 - ', ' - 0.3 has gradient']}


def steps_and_words(browser):
    page = computing(browser)
    for name, (_, inputs) in GRAPHS.items():
        nodes = nodes_of(name)
        steps = page.evaluate(STEPS, [nodes, [v if isinstance(v, list) else [v] for v in inputs.values()]])
        kinds = [k for k, _, _ in steps]
        ops = [k for k, n in enumerate(nodes) if n['op']]
        used = [(o, k) for k in ops for o in nodes[k]['operands'] if isinstance(o, int)]
        # forward: each after what it takes; backward: each when all that takes it has been there, and it has been added
        there = {kind: {at: i for i, (k, at, _) in enumerate(steps) if k == kind}
                 for kind in ('forward', 'backward', 'meet')}
        assert list(there['forward']) == ops and sorted(there['backward']) == ops, name
        assert all(o not in ops or there['forward'][o] < there['forward'][k] for o, k in used), name
        several = {o for o, _ in used if sum(p == o for p, _ in used) > 1}
        assert set(there['meet']) == several, name
        for o, k in used:
            ready = there['meet'].get(o, there['backward'][k])
            assert there['backward'][k] <= ready and (o not in ops or ready < there['backward'][o]), name
        assert (kinds[0], kinds[len(ops) + 1], kinds[-1]) == ('inputs', 'begin', 'all'), name
        said = [s for _, _, s in steps]
        for words in WORDS.get(name, []): assert any(words in s for s in said), (words, said)
        assert not any(re.search(r'undefined|NaN|\{|null', s) for s in said), said
        if name == 'square': assert said == WORDS[name]
    nodes = explore_graph(lambda x: x.log()*2, x=1.)._nodes
    assert page.evaluate(STEPS, [nodes, [[-1]]])[-1][2] == 'There is no number here: a = log(x) = log(-1) = nan.'
    page.close()


LAID = '''([nodes, sizes]) => { const lie = layout(nodes, sizes); return [lie.boxes, lie.length, lie.breadth]; }'''
THROUGH = '''() => {
    const boxes = [...document.querySelectorAll('.sgd-node rect')].map(r => r.getBoundingClientRect());
    return [...document.querySelectorAll('.sgd-line path')].filter(path => {
        const at = path.getScreenCTM(), n = path.getTotalLength();
        return Array.from({ length: 100 }, (_, i) => path.getPointAtLength(i * n / 99).matrixTransform(at)).some(
            p => boxes.some(b => p.x > b.left + 2 && p.x < b.right - 2 && p.y > b.top + 2 && p.y < b.bottom - 2));
    }).length; }'''


def boxes_lie_apart(browser):
    "No box on another, and no line through one."
    page = computing(browser)
    for along, across in ((140, 64), (64, 140)):
        sizes = dict(along=along, across=across, gap=80, aside=24, **{'pass': 24})
        for name in GRAPHS:
            boxes, length, breadth = page.evaluate(LAID, [nodes_of(name), sizes])
            for i, (a, m) in enumerate(boxes):
                assert a >= 0 and a + along <= length + 1e-6 and across/2 - 1e-6 <= m <= breadth - across/2 + 1e-6
                assert all(a != b or abs(m - n) > across for b, n in boxes[:i])
    page.close()
    for width in (1600, 390):
        page = opened(browser, explore_graph(GRAPHS['skips'][0], x=.5, w=.3), width=width)
        assert page.evaluate(THROUGH) == 0
        page.close()


def text(page, selector): return [' '.join(t.split()) for t in page.locator(selector).all_text_contents()]


def no_violations(page):
    assert axe_violations(page, 'main') == []


def a_graph_in_use(browser):
    "Mouse, keyboard; forward and back; set from Python; a table."
    page = opened(browser, explore_graph(GRAPHS['twice'][0], x=2.))
    words, value, grad = page.locator('.sgd-sentence'), '.sgd-node .sgd-value', '.sgd-node .sgd-gradient'
    button = lambda name: page.get_by_role('button', name=name, exact=True)
    expect(words).to_have_text(re.compile('^The forward pass begins at the inputs: x = 2. Press Step'))
    button('Show all').click()
    expect(words).to_have_text(re.compile('^result = 10. Its gradient is 7 for x'))
    assert (text(page, value), text(page, grad)) == (['2', '4', '6', '10'], ['7', '1', '1', '1'])
    assert text(page, '.sgd-line .sgd-gradient') == ['← 2', '← 2', '← 3', '← 1', '← 1']
    expect(page.locator('p')).to_contain_text('it has the same values and gradients')
    button('Forward pass').press('Enter')   # by the keyboard
    expect(button('Forward pass')).to_have_attribute('aria-pressed', 'true')
    expect(words).to_have_text('The forward pass begins at the inputs: x = 2. Press Step to go on.')
    assert (text(page, value), text(page, grad)) == (['2', '', '', ''], ['', '', '', ''])
    step, seen = button('Step'), []
    for _ in range(8):
        step.press('Enter')
        seen.append((text(page, value), text(page, grad)))
    assert [v for v, _ in seen[:3]] == [['2', '4', '', ''], ['2', '4', '6', ''], ['2', '4', '6', '10']]
    assert [g for _, g in seen[3:]] == [['', '', '', '1'], *3*[['', '1', '1', '1']], ['7', '1', '1', '1']]
    expect(words).to_have_text('Three gradients arrive at x and are added: 3 + 2 + 2 = 7.')
    expect(page.locator('.sgd-line.sgd-now')).to_have_count(3)
    button('Step back').click()
    expect(words).to_have_text(re.compile('^a = x.x has gradient 1'))
    expect(page.locator('.sgd-node.sgd-now')).to_contain_text('a = x*x')
    slider = page.get_by_role('slider', name='x')
    slider.press('ArrowRight')   # while a step is shown
    expect(slider).to_have_attribute('aria-valuetext', '2.1')
    expect(words).to_have_text(re.compile('1 × 2.1 = 2.1 arrives at x'))
    button('Backward pass').click()
    expect(words).to_have_text(re.compile('^The backward pass begins'))
    button('Show all').click()
    box = page.get_by_role('spinbutton', name='x, as a number')
    box.fill('-30')   # further than the slider goes
    expect(words).to_have_text(re.compile('^result = 810. Its gradient is -57 for x'))
    box.fill('')
    box.press('Tab')
    expect(box).to_have_value('-30')
    page.get_by_text('As a table').click()
    assert text(page, 'tr')[1:3] == ['x leaf -30 -57'.replace(' ', ''), 'a = x*xMulBackward09001']
    no_violations(page)
    r = page.locator('.sgd-leaf').bounding_box()
    button('Reset').click()
    page.mouse.move(r['x'] + 40, r['y'] + 20)
    page.mouse.down()
    page.evaluate('sent.length = 0')
    for i in range(1, 31): page.mouse.move(r['x'] + 40 + 4*i, r['y'] + 20)
    page.mouse.up()
    page.mouse.move(r['x'] + 300, r['y'])
    assert text(page, value)[0] == '5'
    page.wait_for_timeout(250)
    times = page.evaluate('sent')
    assert times and all(b - a > 90 for a, b in zip(times, times[1:])), 'at most ten messages a second'
    assert page.evaluate("model.get('x')") == 5, 'and the last one is sent'
    page.wait_for_timeout(150)
    page.evaluate("model.set('x', 1)")
    button('Show all').click()
    expect(words).to_have_text(re.compile('^result = 4. Its gradient is 5 for x'))
    assert page.errors == []
    page.close()


def touch_dark_and_narrow(browser):
    page = opened(browser, explore_graph(GRAPHS['two layers'][0], **GRAPHS['two layers'][1]), dark=True, width=390)
    no_violations(page)
    assert page.evaluate('document.documentElement.scrollWidth') <= 390
    tops = page.locator('.sgd-node').evaluate_all('l => l.map(g => g.getBoundingClientRect().top)')
    assert tops[-1] == max(tops), 'from top to bottom'
    cdp, leaf = page.context.new_cdp_session(page), page.locator('.sgd-leaf').first
    leaf.scroll_into_view_if_needed()
    r = leaf.bounding_box()
    for kind, x in ('touchStart', 30), ('touchMove', 50), ('touchMove', 70), ('touchEnd', None):
        points = [] if x is None else [dict(x=r['x'] + x, y=r['y'] + 30)]
        cdp.send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=points))
    expect(page.locator('.sgd-node .sgd-value').first).to_have_text('1')   # ten steps of 0.05
    assert page.errors == []
    page.close()
    page = opened(browser, explore_graph(GRAPHS['mean'][0], w=.5, b=0.), width=320)
    assert page.evaluate('document.documentElement.scrollWidth') <= 320
    scrolls = page.locator('.sgd-paper').evaluate('e => [e.scrollWidth > e.clientWidth, e.tabIndex]')
    assert scrolls == [True, 0]
    no_violations(page)
    page.close()
    page = opened(browser, explore_graph(GRAPHS['square'][0], x=3.))
    page.get_by_role('button', name='Show all').click()
    lefts = page.locator('.sgd-node').evaluate_all('l => l.map(g => g.getBoundingClientRect().left)')
    assert lefts == sorted(lefts) and lefts[-1] > 500, 'from left to right, where there is room'
    page.set_viewport_size(dict(width=390, height=800))
    expect(page.locator('.sgd-line .sgd-gradient').first).to_have_text('↑ 28')
    page.close()


def a_page_that_is_wrong_says_so(browser):
    e = explore_graph(GRAPHS['square'][0], x=3.)
    e._said = dict(e._said, grads=[[27.], [14.], [14.], [1.]])
    page = opened(browser, e)
    expect(page.locator('p')).to_contain_text('it has OTHER values or gradients than this page')
    page.close()


# --- in JupyterLab

@pytest.mark.slow
def test_in_jupyterlab(open_book, lab, browser, tmp_path):
    book = open_book('from sgd_course.graph import explore_graph\nSEEN = []',
                     'e = explore_graph(lambda w, b: (w*2 + b - 1)**2, w=1., b=0.)\n'
                     "e.observe(lambda c: SEEN.append(c['name']), ['w', 'b'])\ne")
    book.command('notebook:run-all-cells')
    page = book.page
    words = page.locator('.sgd-sentence')
    expect(words).to_have_text(re.compile('^The forward pass begins at the inputs: w = 1, b = 0.'), timeout=60_000)
    page.get_by_role('button', name='Step', exact=True).press('Enter')   # JupyterLab leaves the keys to the graph
    expect(words).to_have_text('a = 2*w = 2*1 = 2.')
    page.get_by_role('button', name='Show all').press('Space')
    slider = page.get_by_role('slider', name='w')
    for _ in range(4): slider.press('ArrowRight')
    book.until('(round(e.w, 6), e.b, round(e.value, 6))', '(1.2, 0.0, 1.96)')
    expect(words).to_have_text('result = 1.96. Its gradient is 5.6 for w, 2.8 for b.')
    book.until('{n: round(v, 6) for n, v in e.grads.items()}', "{'w': 5.6, 'b': 2.8}")
    expect(page.locator('.sgd-twin')).to_be_hidden()
    assert axe_violations(page, '.sgd-graph') == []
    book.ask("setattr(e, 'b', -1.)")
    expect(words).to_have_text(re.compile('^result = 0.16. '))

    book.save('<figure', 2)
    alone = with_state(book, tmp_path, browser, lab)   # no kernel, no network
    alone.get_by_role('spinbutton', name='b, as a number').fill('3')
    alone.get_by_role('button', name='Show all').click()
    expect(alone.locator('.sgd-sentence')).to_have_text(re.compile('^result = 19.36. '))
    expect(alone.locator('.sgd-twin')).to_be_hidden()
    assert alone.errors == []
    alone.context.close()

    figures_without_state(book, 2, tmp_path, browser, lab)

    lab.api(f'kernels/{book.kernel()}', 'DELETE')
    slider.press('ArrowLeft')   # the kernel is gone; the graph answers
    expect(words).to_have_text(re.compile('^result = 0.09. '))
    figures_when_opened_again(open_book, book)
