"The explorer: its Python in this process, and the widget in a real JupyterLab and a real browser."
import asyncio
import json
import math
import os
import re
import signal
import sys
import time
from contextlib import contextmanager

import matplotlib.pyplot as plt
import pytest
from browser import axe_violations, exported, notebook, shown
from conftest import REPO, run
from playwright.sync_api import expect

from sgd_course import explore as module
from sgd_course.explore import Flipbook, explore

# --- in Python

def line(x):
    "Draws on the current figure; the calls are in `line.calls`."
    line.calls.append(x)
    plt.plot([0, x])
    plt.title(f'to {x}')


@pytest.fixture(autouse=True)
def no_figure_is_left():
    plt.close('all')  # of another file of tests
    line.calls = []
    yield
    assert plt.get_fignums() == []


@contextmanager
def kernel(monkeypatch):
    "As in Jupyter: a running loop, on which the rest is drawn."
    monkeypatch.setattr(module, 'in_jupyter', lambda: True)
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def drawn_in_kernel(monkeypatch, draw, meanwhile=lambda e: None, **sliders):
    "An explorer after its task has ended."
    async def main():
        e = explore(draw, **sliders)
        meanwhile(e)
        await asyncio.sleep(0)
        while e._task is None or not e._task.done(): await asyncio.sleep(.01)
        e._loop = None  # which ends here, unlike that of a kernel
        return e
    with kernel(monkeypatch) as loop: return loop.run_until_complete(main())


def test_import_is_light():
    code = ('import sys, sgd_course.explore; '
            'print([m for m in ("matplotlib", "ipywidgets", "anywidget", "PIL") if m in sys.modules])')
    assert run(sys.executable, '-c', code, cwd=REPO).stdout == '[]\n'


@pytest.mark.parametrize('error, words, sliders', [
    (ValueError, '0 sequences of positions', {}),
    (ValueError, '3 sequences of positions', dict(a=[1], b=[1], c=[1])),
    (ValueError, 'x is empty', dict(x=[])),
    (ValueError, 'x has nan: expected finite', dict(x=[1., math.nan])),
    (ValueError, 'x has -inf: expected finite', dict(x=[-math.inf])),
    (ValueError, 'each value once', dict(x=[1, 2, 1.])),
    (TypeError, 'x is 3: expected a sequence', dict(x=3)),
    (TypeError, "x is 'abc': expected a sequence", dict(x='abc')),
    (TypeError, 'only numbers or only strings', dict(x=[1, 'a'])),
    (TypeError, 'only numbers or only strings', dict(x=[None])),
    (TypeError, 'draw cannot be called with y', dict(y=[1])),
    (TypeError, 'draw cannot be called with x, y', dict(x=[1], y=[1]))])
def test_positions_that_are_none(error, words, sliders):
    with pytest.raises(error, match=words): explore(line, **sliders)
    assert line.calls == []


def test_draw_that_does_not_draw_one_figure():
    def two(x): plt.figure().add_subplot(); plt.figure().add_subplot()
    with pytest.raises(TypeError, match='expected a function'): explore(None, x=[1])
    with pytest.raises(ValueError, match='drew nothing.*return the figure'): explore(lambda x: None, x=[1])
    with pytest.raises(ValueError, match='made 2 figures'): explore(two, x=[1])
    with pytest.raises(ZeroDivisionError): explore(lambda x: plt.plot([1/x]), x=[0, 1])
    for taken in ('layout', 'keys', '_f0'):
        with pytest.raises(ValueError, match=f'{taken} is a name that widgets have'):
            explore(lambda **kw: line(1), **{taken: [1]})


def test_pyplot_is_left_alone():
    mine = plt.figure()
    def shows(x): line(x); plt.show(); plt.figure(mine.number)  # of its own: `mine` is not there
    try:
        with pytest.raises(ValueError, match='drew nothing|made 2'): explore(lambda x: mine and None, x=[1])
        explore(line, x=[1, 2])
        assert plt.gcf() is mine and mine.axes == [] and plt.get_fignums() == [mine.number]
    finally: plt.close(mine)


def test_values_are_traits():
    import ipywidgets, numpy, torch, traitlets
    e = explore(lambda lr, net: line(lr), lr=torch.tensor([.25, .5, 1.]), net=numpy.array(['flat', 'deep']))
    seen = []
    e.observe(lambda c: seen.append((c['name'], c['new'])), ['lr', 'net'])
    assert (e.lr, e.net) == (.25, 'flat')
    e.lr, e.net = .8, 'deep'
    assert seen == [('lr', 1.), ('net', 'deep')]
    for name, wrong in [('lr', math.nan), ('lr', 'fast'), ('lr', None), ('net', 'wide'), ('net', 1)]:
        with pytest.raises(traitlets.TraitError, match='is no position: expected one of'): setattr(e, name, wrong)
    assert (e.lr, e.net) == (1., 'deep')
    slider = ipywidgets.FloatSlider(min=0, max=1)
    link = traitlets.link((e, 'lr'), (slider, 'value'))
    assert slider.value == 1.
    slider.value = .5
    assert e.lr == .5
    e.lr = .25
    assert slider.value == .25
    link.unlink()


def test_integers_stay_integers():
    e = explore(lambda epoch: line(epoch), epoch=range(3))
    e.epoch = 2.
    assert type(e.epoch) is int and e._texts == [['0', '1', '2']]


def test_twin_without_kernel():
    e = explore(line, x=range(61))
    data, _ = e._repr_mimebundle_()
    assert sorted(data) == ['text/html', 'text/plain'] and line.calls == [0, 15, 30, 45, 60]
    assert [data['text/html'].count(f'alt="to {x}"') for x in line.calls] == [1]*5
    assert [data['text/html'].count(f'<figcaption>x = {x}<') for x in line.calls] == [1]*5
    assert data == explore(line, x=range(61))._repr_mimebundle_()[0], 'the same each time'


def test_words_and_table_below():
    def squared(x):
        line(x)
        plt.gcf().words, plt.gcf().rows = f'{x} < 3', [['x', 'x**2'], [x, x**2]]
    page = explore(squared, x=[1, 2])._repr_mimebundle_()[0]['text/html']
    head = '<th scope="col">x</th><th scope="col">x**2</th>'
    for x in (1, 2):
        assert (f'<figcaption>x = {x}<div>{x} &lt; 3</div><table><tr>{head}</tr>'
                f'<tr><td>{x}</td><td>{x**2}</td></tr></table></figcaption>') in page


def test_kernel_draws_each_position_once(monkeypatch):
    def move(e): e.x = 13
    e = drawn_in_kernel(monkeypatch, line, move, x=range(21))
    assert line.calls[:5] == [0, 5, 10, 15, 20] and sorted(line.calls) == list(range(21))
    assert line.calls[5:10] == [13, 12, 14, 11, 16], 'nearest first'
    book = Flipbook(line, x=range(21))
    for k in range(21): assert getattr(e, f'_f{k}') == book.picture(k)
    assert 'application/vnd.jupyter.widget-view+json' in e._repr_mimebundle_()[0]
    assert e._book.twin().count('<img') == 5
    assert all(f'_f{k}' in e.get_state() for k in range(21)), 'saved with the state of the widget'


def test_error_at_a_position(monkeypatch):
    def picky(x): line(1/(x - 3))
    e = drawn_in_kernel(monkeypatch, picky, x=range(7))
    assert e._f3['error'].startswith('ZeroDivisionError: division by zero\n\n') and 'in picky' in e._f3['error']
    assert 'sgd_course' not in e._f3['error'] and 'png' in e._f4 and 'png' in e._f6
    assert '<pre>ZeroDivisionError' in e._book.twin([3])


def test_two_sliders(monkeypatch):
    e = drawn_in_kernel(monkeypatch, lambda lr, epoch: line((lr, epoch)[0]), lr=[.1, 1.], epoch=range(3))
    assert len(line.calls) == 6 and e._f5['alt'] == 'to 1.0'
    e.lr, e.epoch = 1., 1
    assert repr(e).startswith('<Explorer at lr = 1, epoch = 1')


def test_too_many_positions(monkeypatch):
    monkeypatch.setattr(module, 'MAX_PICTURES', 20)
    e = drawn_in_kernel(monkeypatch, line, lambda e: setattr(e, 'x', 7), x=range(21))
    assert line.calls == [0, 7, 5, 10, 15, 20], 'where the slider is, and the twin'
    assert e._now['k'] == 7 and e._now['alt'] == 'to 7' and not hasattr(e, '_f0')
    assert '21 positions are too many' in e._note


def test_too_many_bytes(monkeypatch):
    monkeypatch.setattr(module, 'MAX_BYTES', 50_000)
    e = drawn_in_kernel(monkeypatch, line, x=range(100))
    sent = [len(getattr(e, f'_f{k}')['png']) for k in range(100) if getattr(e, f'_f{k}')]
    assert 50_000 < sum(sent) < 50_000 + max(sent) + 1
    assert len(line.calls) <= len(sent) + 1, 'one was being drawn when the limit was reached'
    assert '100 positions are too many' in e._note


def test_a_long_error_is_cut():
    def deepest(): return 1/0
    def deeper(): return deepest()
    def deep(): return deeper()
    def flat(): return deep()
    said = Flipbook(lambda x: flat(), x=[0]).picture(0)['error']
    assert said.startswith('ZeroDivisionError') and re.findall(r'in (\S+)$', said, re.M) == ['flat', 'deep', 'deeper', 'deepest']
    def draw(x): raise ValueError('x'*10_000)
    assert len(Flipbook(draw, x=[0]).picture(0)['error']) == 4000


def test_a_second_display_has_all_of_the_twin_at_once(monkeypatch):
    e, said = drawn_in_kernel(monkeypatch, line, x=range(21)), []
    e._renewals = [said.append]
    monkeypatch.setattr(type(e), '_go_on', lambda self: None)
    e._begin()
    assert said == [e._book.twin(e._five())] and e._renewals == []


def test_the_last_picture_is_never_one_too_many(monkeypatch):
    book = Flipbook(line, x=range(8))
    monkeypatch.setattr(module, 'MAX_BYTES', sum(len(book.picture(k)['png']) for k in range(8)) - 1)
    e = drawn_in_kernel(monkeypatch, line, x=range(8))
    assert not e._note and not e._on_demand and all(getattr(e, f'_f{k}') for k in range(8))


def test_show_by_any_name(monkeypatch, capsys):
    "`from matplotlib.pyplot import *` gives a `show` that nobody can replace in pyplot."
    from matplotlib.pyplot import show
    def shows(x): line(x); show()
    monkeypatch.setenv('MPLBACKEND', 'agg')
    plt.switch_backend('module://matplotlib_inline.backend_inline')   # as in Jupyter: shows, and closes all
    try: explore(shows, x=[1, 2])._repr_mimebundle_()
    finally: plt.switch_backend('agg')
    assert line.calls == [1, 2] and capsys.readouterr().out == ''


def test_numbers_of_others():
    import numpy, torch
    for values in (numpy.arange(3), numpy.float32([.1, .2, .5]), [numpy.int64(1), 2], list(torch.tensor([.5, 1.])),
                   numpy.array(['flat', 'deep']), [numpy.float64(.1), torch.tensor(.2)]):
        e = explore(lambda v: line(0), v=values)
        for v in (values[-1], numpy.array(values)[-1]):
            e.v = v
            assert type(e.v) in (int, float, str) and e.v == values[-1], 'what JSON has'
    e = explore(line, x=[0., 1.])
    for v in (numpy.float32(.9), torch.tensor(.9), numpy.int64(3), numpy.array(1)):
        e.x = 0.
        e.x = v
        assert e.x == 1.
    for wrong in ([numpy.bool_(True)], [torch.tensor(False)], [torch.ones(2)], [1j]):
        with pytest.raises(TypeError, match='only numbers'): explore(line, x=wrong)


def test_loop_without_jupyter():
    "marimo, a Shiny app: there is a loop, and nobody who lets us work on it. Each position is drawn when asked for."
    async def main():
        e = explore(line, x=range(12))
        assert line.calls == [0] and 'Python draws each position' in e._note
        e.x = 7
        assert e._f7['alt'] == 'to 7' and line.calls == [0, 7]
        e.x = 0
        e.x = 7
        assert line.calls == [0, 7], 'once'
    asyncio.run(main())


def test_kernel_without_a_loop(monkeypatch):
    monkeypatch.setattr(module, 'in_jupyter', lambda: True)
    e = explore(line, x=range(12))
    e.x = 7
    assert e._f7['alt'] == 'to 7'


def test_what_a_terminal_says(tmp_path):
    e = explore(line, x=[1, 2])
    assert repr(e) == "<Explorer at x = 1: sliders in a notebook, or its figures with .save('page.html')>"
    e.save(tmp_path/'page.html')
    page = (tmp_path/'page.html').read_text(encoding='utf-8')
    assert page.startswith('<!doctype html><meta charset="utf-8">') and page.count('<img alt="to ') == 2


def test_nobody_waits(monkeypatch):
    "nbclient loses what comes after the cell: all that is shown is there when it ends, and no more is drawn."
    shown = []
    class Handle:
        def update(self, *args, **kwargs): raise AssertionError('nbclient would not see this')
    monkeypatch.setattr('IPython.display.display', lambda data, **kwargs: shown.append(data) or Handle())
    monkeypatch.setattr(module, '_somebody_there', lambda: False)
    async def main():
        e = explore(lambda lr, epoch: line(lr), lr=range(21), epoch=range(3))
        e.epoch = 2
        e._ipython_display_()
        await asyncio.sleep(2*module._HEAD_START)
        return e
    with kernel(monkeypatch) as loop: e = loop.run_until_complete(main())
    assert sorted(e._sent) == [0, 2, 17, 32, 47, 62] and len(line.calls) == 6
    twin, view, script = shown
    assert twin['text/html'].count('<img') == 5 and 'text/html' not in view
    assert twin['text/html'].startswith(f'<div class="sgd-twin {e._twin}">')


# --- in the browser

def look(page):
    "What a reader sees of a notebook whose widgets have been looked for."
    page.wait_for_function("() => document.querySelector('.jp-Notebook .jp-OutputArea-output') &&"
                           " !document.querySelector('.jp-Notebook').textContent.includes('Loading widget')")
    return page.locator('.jp-Notebook').inner_text()


SETUP = '''
import hashlib, time
import matplotlib.pyplot as plt
from sgd_course.explore import _dots, _picture, explore
def picture_of(draw, **values): return hashlib.sha256(_picture(*_dots(draw, values))['png']).hexdigest()
SEEN, DRAWN = [], []
def draw(lr):
    DRAWN.append(lr)
    plt.plot([0, 1], [0, lr], 'o-')
    plt.title(f'The rate is {lr:.3g}')
RATES = [i/20 for i in range(1, 21)]
'''
SHOW = '''
e = explore(draw, lr=RATES)
e.observe(lambda c: SEEN.append((time.time(), c['new'])), 'lr')
e
'''


PICKY = """
def picky(lr):
    if lr == .15: raise ValueError('not <b>this</b> one')
    draw(lr)
    if lr == .1: plt.gcf().words, plt.gcf().rows = 'said', [['lr'], [lr]]
"""
LINKED = """
import ipywidgets
s = ipywidgets.FloatSlider(min=0, max=1, step=.05)
ipywidgets.link((e, 'lr'), (s, 'value'))
t = ipywidgets.FloatText()
ipywidgets.jslink((e, 'lr'), (t, 'value'))
ipywidgets.VBox([s, t])
"""


def showing(book, e, k, name='e'):
    "The explorer is at position number `k`, on the page and in Python, and shows what Python draws there."
    lr = (k + 1)/20
    expect(e.get_by_role('slider')).to_have_attribute('aria-valuetext', f'{lr:.4g}')
    expect(e.locator('strong')).to_have_text(f'lr = {lr:.4g}')
    expect(e.locator('img')).to_have_attribute('alt', f'The rate is {lr:.3g}')
    assert shown(e) == book.ask(f'picture_of(draw, lr={lr})').strip("'")
    book.until(f'{name}.lr', repr(lr))


def test_in_a_living_kernel(open_book):
    book = open_book(SETUP + PICKY, SHOW, 'f = explore(picky, lr=RATES)\nf', LINKED)
    book.run_all()
    one, two = book.ready(0), book.ready(1)
    keys_number_box_and_drag(book, one)
    another_one_with_an_error(book, two)
    play(book, one)
    linked(book, one)
    if hasattr(signal, 'SIGSTOP'): late_answers_do_not_pull_the_slider_back(book, one)
    without_its_kernel(book, one)


def keys_number_box_and_drag(book, e):
    slider, box = e.get_by_role('slider', name='lr', exact=True), e.get_by_role('spinbutton', name='lr, as a number')
    showing(book, e, 0)
    assert axe_violations(book.page, '.sgd-explore') == []
    slider.focus()
    for key, k in [('End', 19), ('ArrowLeft', 18), ('Home', 0), ('ArrowRight', 1), ('ArrowUp', 2),
                   ('PageUp', 4), ('ArrowDown', 3), ('PageDown', 1)]:
        book.page.keyboard.press(key)
        expect(slider).to_have_attribute('aria-valuetext', f'{(k + 1)/20:.4g}')
    showing(book, e, 1)
    said = e.get_by_role('status')
    for typed, k, words in [('0.62', 11, '0.62 is between positions; the nearest is 0.6.'), ('0.5', 9, ''),
                            ('7', 19, '7 is between positions; the nearest is 1.'), ('', 19, 'That is no number.')]:
        box.fill(typed)
        box.press('Enter')
        expect(said).to_have_text(words)
        expect(box).to_have_value(f'{(k + 1)/20:.4g}')
    showing(book, e, 19)
    box.press('ArrowDown')
    showing(book, e, 18)
    expect(said).to_have_text('')
    r = slider.bounding_box()
    book.page.mouse.move(r['x'] + 10, r['y'] + r['height']/2)
    book.page.mouse.down()
    book.ask('SEEN.clear()')
    t = time.time()
    for i in range(60): book.page.mouse.move(r['x'] + 10 + i*(r['width'] - 20)/60, r['y'] + r['height']/2)
    book.page.mouse.up()
    k = int(slider.input_value())
    assert k > 15
    showing(book, e, k)
    updates = json.loads(book.ask('[a for a, b in SEEN]'))
    assert 1 <= len(updates) <= 10*(time.time() - t) + 2
    e.get_by_role('button', name='Reset').click()
    showing(book, e, 0)
    assert book.ask('len(set(DRAWN))') == '20' and book.ask('len(plt.get_fignums())') == '0'
    expect(book.page.locator('.jp-OutputArea-output img').filter(visible=True)).to_have_count(2)  # no twin beside them


def another_one_with_an_error(book, e):
    e.get_by_role('slider').focus()
    book.page.keyboard.press('ArrowRight')
    showing(book, e, 1, 'f')
    expect(e.locator('.sgd-words')).to_have_text('said')
    expect(e.locator('table')).to_have_text('lr0.1')
    book.page.keyboard.press('ArrowRight')
    expect(e.locator('pre')).to_contain_text('ValueError: not <b>this</b> one')
    expect(e.locator('pre')).to_contain_text('in picky')
    for hidden in ('img', '.sgd-words', 'table'): expect(e.locator(hidden)).to_be_hidden()
    book.page.keyboard.press('ArrowRight')
    expect(e.locator('pre')).to_be_hidden()
    showing(book, e, 3, 'f')
    assert book.ask('(e.lr, f.lr)') == '(0.05, 0.2)'


def play(book, e):
    stopped_at = """play => new Promise(done => {   // faster than we could look
        const value = play.closest('.sgd-explore').querySelector('strong');
        const observer = new MutationObserver(() => {
            if (value.textContent !== 'lr = 0.25') return;
            observer.disconnect();
            play.click();
            done(play.textContent);
        });
        observer.observe(value, { childList: true });
        play.click(); })"""
    assert e.get_by_role('button', name='Play lr').evaluate(stopped_at) == 'Play'
    for _ in range(3): showing(book, e, 4)
    e.get_by_role('button', name='Play lr').click()
    expect(e.locator('strong')).to_have_text('lr = 1', timeout=30_000)
    expect(e.get_by_role('button', name='Play lr')).to_be_visible()  # it has stopped by itself


def linked(book, e):
    text = book.page.locator('.widget-text input')
    expect(book.page.locator('.widget-readout')).to_have_text('1.00')
    expect(text).to_have_value('1')
    book.ask('setattr(s, "value", .25)')
    expect(e.locator('strong')).to_have_text('lr = 0.25')
    text.fill('0.75')
    text.press('Enter')
    showing(book, e, 14)
    book.until('s.value', '0.75')
    book.ask('setattr(e, "lr", .05)')
    showing(book, e, 0)


def late_answers_do_not_pull_the_slider_back(book, e):
    slider, pid = e.get_by_role('slider'), int(book.ask('__import__("os").getpid()'))
    slider.focus()
    slider.evaluate("""s => {
        const send = WebSocket.prototype.send;
        window.messages = 0;
        WebSocket.prototype.send = function(...a) { window.messages++; return send.apply(this, a); };
        const stops = window.stops = [s.value];
        const look = () => { if (s.value !== stops.at(-1)) stops.push(s.value); requestAnimationFrame(look); };
        look(); }""")
    os.kill(pid, signal.SIGSTOP)
    try:
        book.page.keyboard.press('End')
        book.page.wait_for_function('() => messages && stops.at(-1) === "19"')   # sent and seen, not answered
        for _ in range(2): book.page.keyboard.press('ArrowLeft')
    finally: os.kill(pid, signal.SIGCONT)
    book.until('e.lr', '0.9')
    book.ask('e.set_trait("lr", .5)')   # comes after all answers
    book.page.wait_for_function('() => stops.at(-1) === "9"')   # the loop that notes them has seen it too
    assert book.page.evaluate('stops.filter(s => s !== "18")') == ['0', '19', '17', '9']


def without_its_kernel(book, e):
    pictures = [book.ask(f'picture_of(draw, lr=RATES[{k}])').strip("'") for k in (19, 18)]
    os.kill(int(book.ask('__import__("os").getpid()')), signal.SIGKILL)
    book.page.get_by_role('dialog').get_by_role('button').click()  # 'has died, will restart'
    slider = e.get_by_role('slider')
    slider.focus()
    for key, picture in zip(('End', 'ArrowLeft'), pictures):
        book.page.keyboard.press(key)
        expect(e.locator('strong')).to_have_text('lr = 1' if key == 'End' else 'lr = 0.95')
        assert shown(e) == picture


SLOW = "def slow(lr):\n    time.sleep(.4)\n    draw(lr)"


@pytest.mark.slow
def test_slow_drawing_blocks_nothing_and_too_many(open_book):
    book = open_book(SETUP + SLOW, 'e = explore(slow, lr=RATES)\ne', 'late = len(e._sent)',
                     'f = explore(draw, lr=[i/2000 for i in range(2000)])\nf')
    book.run_all()
    e = book.explorer()
    expect(e).to_contain_text('of 20 drawn')
    expect(e.locator('img')).to_be_visible()
    e.get_by_role('slider').focus()
    book.page.keyboard.press('End')
    book.page.keyboard.press('ArrowLeft')
    expect(e).to_contain_text('lr = 0.95not drawn yet, this is lr =')
    expect(e.locator('img')).to_have_class('sgd-waiting')
    expect(e).not_to_contain_text('not drawn yet', timeout=60_000)
    assert shown(e) == book.ask('picture_of(draw, lr=.95)').strip("'")
    expect(e.locator('img')).not_to_have_class('sgd-waiting')
    assert int(book.ask('late')) < 10, 'the next cell did not wait for all pictures'

    f = book.explorer(1)
    expect(f).to_contain_text('2000 positions are too many')
    book.until('len(f._book.done)', '5')   # the twin
    book.until('len(e._sent)', '20')
    before = int(book.ask('len(DRAWN)'))
    box = f.get_by_role('spinbutton')
    box.fill('0.6')
    box.press('Enter')
    expect(f.locator('img')).to_have_attribute('alt', 'The rate is 0.6', timeout=30_000)
    expect(f.locator('img')).not_to_have_class('sgd-waiting')
    assert shown(f) == book.ask('picture_of(draw, lr=.6)').strip("'") and int(book.ask('len(DRAWN)')) == before + 2


@pytest.mark.slow
def test_by_touch_on_a_narrow_screen(open_book, tmp_path):
    "A finger drags while Python puts the twin into the output; and all is large enough, and nothing covered."
    gate = f"""
import os
def gated(lr):
    while lr == 1 and not os.path.exists({str(tmp_path/'open')!r}): time.sleep(.02)
    draw(lr)
"""
    book = open_book(SETUP + gate, 'e = explore(gated, lr=RATES)\ne')
    book.run_all()
    e, slider = book.explorer(), book.explorer().get_by_role('slider')
    touch = book.page.context.new_cdp_session(book.page)
    touch.send('Emulation.setDeviceMetricsOverride', dict(width=390, height=844, deviceScaleFactor=2, mobile=True))
    touch.send('Emulation.setTouchEmulationEnabled', dict(enabled=True))
    expect(e).to_contain_text(re.compile('[34] of 20 drawn'), timeout=60_000)   # the twin's last waits for us, and Python with it
    slider.scroll_into_view_if_needed()
    r = slider.bounding_box()
    def finger(kind, part=None):
        points = [] if part is None else [dict(x=r['x'] + 8 + part*(r['width'] - 16), y=r['y'] + r['height']/2)]
        touch.send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=points))
    finger('touchStart', 0)
    for i in range(10): finger('touchMove', i/20)
    expect(slider).to_have_value('9')
    (tmp_path/'open').touch()
    book.ready()
    for i in range(10, 21): finger('touchMove', i/20)
    finger('touchEnd')
    showing(book, e, 19)
    assert book.ask('e._renewals') == '[]'
    boxes = [x.bounding_box() for x in (slider, e.get_by_role('spinbutton'), *e.get_by_role('button').all())]
    assert boxes[0]['width'] > 150
    for i, b in enumerate(boxes):
        assert b['height'] >= 24 and b['x'] >= 0 and b['x'] + b['width'] <= 390, boxes
        for c in boxes[:i]:
            assert (b['x'] >= c['x'] + c['width'] or c['x'] >= b['x'] + b['width']
                    or b['y'] >= c['y'] + c['height'] or c['y'] >= b['y'] + b['height']), boxes


@pytest.mark.slow
def test_saved_reloaded_restarted_and_opened_again(open_book, lab, browser, tmp_path):
    book = open_book(SETUP, SHOW, 'e.lr = .5', 'g = explore(draw, lr=[.2, .4, .6])\ng')
    book.run_all()
    expect(book.ready().locator('strong')).to_have_text('lr = 0.5')
    book.ready(1)
    expect(book.page.locator('.sgd-twin img').filter(visible=True)).to_have_count(0)   # the widget hides its twin
    outputs = book.save('<img ', 8)
    assert ['<img' in ''.join(o['data'].get('text/html', '')) for o in outputs] == [True, False, False]*2

    book.page.reload()   # while the kernel lives
    book.page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session"
                                "?.kernel?.status === 'idle'", timeout=90_000)
    e = book.ready()
    expect(e.locator('strong')).to_have_text('lr = 0.5')
    assert 'Error' not in look(book.page)
    expect(book.page.locator('.sgd-twin img').filter(visible=True)).to_have_count(0)
    e.get_by_role('slider').focus()
    book.page.keyboard.press('End')
    showing(book, e, 19)

    book.page.evaluate("() => { const p = jupyterapp.shell.currentWidget.content; p.activeCellIndex = 1;"
                       " return jupyterapp.commands.execute('notebook:run-cell'); }")
    expect(book.explorer().locator('strong')).to_have_text('lr = 0.05')
    book.ready()
    kernel = book.kernel()
    book.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    book.run_all()
    book.until("[globals().get(n) and len(globals()[n]._sent) for n in 'eg']", '[20, 3]')
    expect(book.explorer().locator('strong')).to_have_text('lr = 0.5', timeout=60_000)
    e = book.ready()
    assert book.kernel() == kernel and book.ask('len(set(DRAWN))') == '20'
    showing(book, e, 9)

    outputs = book.save('<img ', 8)
    book.page.close()
    lab.end_kernels()
    assert book.path.stat().st_size < 300_000
    others = lab.root/'nb'/'others.ipynb'   # not trusted: no signature of its own
    others.write_text(book.path.read_text().replace('e.lr = .5', 'e.lr = .50'))
    for path in (book.path, others):
        again = open_book(path=path)
        text = look(again.page)
        assert not re.search('Error|Loading|Explorer at|scripts', text), text
        for lr in ('0.05', '0.3', '0.55', '0.75', '1', '0.2', '0.4', '0.6'):
            expect(again.page.get_by_role('img', name=f'The rate is {lr}', exact=True)).to_be_visible()
        assert axe_violations(again.page) == []
        again.page.close()

    page = exported(book.path, tmp_path, browser, lab)
    expect(page.get_by_role('figure')).to_have_count(8)
    expect(page.get_by_role('img', name='The rate is 0.05')).to_be_visible()
    assert page.errors == [] and not re.search('Error|Explorer at', page.locator('body').inner_text())
    page.context.close()


def test_executed_by_nbconvert(browser, lab, tmp_path):
    "nbclient loses what Python says after a cell. The page offers what it has, and no more; also where it is dark."
    several = ('def two(lr, epoch):\n    draw(lr*(1 + epoch))\n    plt.gcf().words = f"epoch {epoch}"\n'
               'e = explore(two, lr=RATES, epoch=range(7))\ne.epoch = 6\ne')
    path = notebook(tmp_path/'several.ipynb', SETUP, several, 'explore(draw, lr=[.2, .4])')
    page = exported(path, tmp_path, browser, lab, '--execute')
    one, two = (page.locator('.sgd-explore').nth(n) for n in (0, 1))
    expect(one.locator('strong')).to_have_text('lr = 0.05, epoch = 6')
    expect(one).to_contain_text('6 of 140 positions are saved here')   # the twin's five, and the start
    expect(two).not_to_contain_text('positions')
    slider = one.get_by_role('slider', name='lr', exact=True)
    slider.focus()
    seen = []
    for key in ('End', *['ArrowLeft']*4):
        page.keyboard.press(key)
        seen.append((slider.get_attribute('aria-valuetext'), one.locator('img').get_attribute('alt')))
        expect(one.locator('.sgd-words')).to_have_text('epoch 6')
        expect(one.locator('img')).not_to_have_class('sgd-waiting')
    assert seen == [(x, f'The rate is {7*float(x):.3g}') for x in ('1', '0.75', '0.55', '0.3', '0.05')]
    page.keyboard.press('ArrowLeft')
    expect(slider).to_have_value('0')
    one.get_by_role('spinbutton', name='lr, as').fill('0.5')
    page.keyboard.press('Enter')
    expect(one.locator('strong')).to_have_text('lr = 0.55, epoch = 6')
    assert page.locator('.sgd-twin img').count() == 7
    expect(page.locator('.sgd-twin img').filter(visible=True)).to_have_count(0)
    page.add_style_tag(content='body, .jp-Notebook, .jp-Cell { background: #222 !important; color: #ddd }'
                               ' :root { --jp-ui-font-color1: #ddd; --jp-content-font-color1: #ddd }')
    assert axe_violations(page, '.sgd-explore') == []
    assert page.errors == []
    page.context.close()
