"The explorer: its Python in this process, and the widget in a real JupyterLab and a real browser."
import asyncio
import json
import math
import os
import signal
import sys
import time
from contextlib import contextmanager

import matplotlib.pyplot as plt
import pytest
from browser import axe_violations, exported, shown
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
    data, _ = e._repr_mimebundle_()
    assert list(data)[:2] == ['text/plain', 'application/vnd.jupyter.widget-view+json']
    assert data['text/html'].count('<img') == 5
    assert all(f'_f{k}' in e.get_state() for k in range(21)), 'saved with the state of the widget'


def test_error_at_a_position(monkeypatch):
    def picky(x): line(1/(x - 3))
    e = drawn_in_kernel(monkeypatch, picky, x=range(7))
    assert e._f3['error'].startswith('ZeroDivisionError: division by zero\n\n') and 'in picky' in e._f3['error']
    assert 'sgd_course' not in e._f3['error'] and 'png' in e._f4 and 'png' in e._f6
    assert '<pre>ZeroDivisionError' in e._repr_mimebundle_()[0]['text/html']


def test_two_sliders(monkeypatch):
    e = drawn_in_kernel(monkeypatch, lambda lr, epoch: line((lr, epoch)[0]), lr=[.1, 1.], epoch=range(3))
    assert len(line.calls) == 6 and e._f5['alt'] == 'to 1.0'
    e.lr, e.epoch = 1., 1
    assert repr(e) == '<Explorer at lr = 1, epoch = 1>'


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


# --- in the browser

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


def test_run_all_keys_drag_number_box(open_book):
    book = open_book(SETUP, SHOW)
    book.run_all()
    e = book.ready()
    slider, box = e.get_by_role('slider', name='lr', exact=True), e.get_by_role('spinbutton', name='lr, as a number')
    def at(k):
        lr = (k + 1)/20
        expect(slider).to_have_attribute('aria-valuetext', f'{lr:.4g}')
        expect(e.locator('strong')).to_have_text(f'lr = {lr:.4g}')
        expect(e.locator('img')).to_have_attribute('alt', f'The rate is {lr:.3g}')
        assert shown(e) == book.ask(f'picture_of(draw, lr={lr})').strip("'")
        book.until('e.lr', repr(lr))
    at(0)
    assert axe_violations(book) == []
    slider.focus()
    for key, k in [('End', 19), ('ArrowLeft', 18), ('Home', 0), ('ArrowRight', 1), ('ArrowUp', 2),
                   ('PageUp', 4), ('ArrowDown', 3), ('PageDown', 1)]:
        book.page.keyboard.press(key)
        at(k)
    box.fill('0.62')
    box.press('Enter')
    at(11)
    expect(box).to_have_value('0.6')
    box.press('ArrowUp')
    at(12)
    r = slider.bounding_box()
    book.page.mouse.move(r['x'] + 10, r['y'] + r['height']/2)
    book.page.mouse.down()
    book.ask('SEEN.clear()')
    t = time.time()
    for i in range(60):
        book.page.mouse.move(r['x'] + 10 + i*(r['width'] - 20)/60, r['y'] + r['height']/2)
        time.sleep(1/60)
    book.page.mouse.up()
    at(int(slider.input_value()))
    assert int(slider.input_value()) > 15
    updates = json.loads(book.ask('[a for a, b in SEEN]'))
    assert 1 < len(updates) <= 10*(time.time() - t) + 2
    e.get_by_role('button', name='Reset').click()
    at(0)
    assert book.ask('len(set(DRAWN))') == '20' and book.ask('len(plt.get_fignums())') == '0'
    expect(book.page.locator('.jp-OutputArea-output img')).to_have_count(1)  # no second one below


def test_two_explorers_play_and_error(open_book):
    picky = ("def picky(lr):\n    if lr == .15: raise ValueError('not <b>this</b> one')\n    draw(lr)\n"
             "    if lr == .1: plt.gcf().words, plt.gcf().rows = 'said', [['lr'], [lr]]\n")
    book = open_book(SETUP + picky, SHOW, 'f = explore(picky, lr=RATES)\nf')
    book.run_all()
    one, two = book.ready(0), book.ready(1)
    first = shown(one)
    two.get_by_role('slider').focus()
    book.page.keyboard.press('ArrowRight')
    assert shown(two) == book.ask('picture_of(draw, lr=RATES[1])').strip("'") != first
    expect(two.locator('.sgd-words')).to_have_text('said')
    expect(two.locator('table')).to_have_text('lr0.1')
    book.page.keyboard.press('ArrowRight')
    expect(two.locator('pre')).to_contain_text('ValueError: not <b>this</b> one')
    expect(two.locator('pre')).to_contain_text('in picky')
    for hidden in ('img', '.sgd-words', 'table'): expect(two.locator(hidden)).to_be_hidden()
    book.page.keyboard.press('ArrowRight')
    expect(two.locator('pre')).to_be_hidden()
    assert shown(two) == book.ask('picture_of(draw, lr=RATES[3])').strip("'")
    book.until('(e.lr, f.lr)', '(0.05, 0.2)')
    assert shown(one) == first
    one.get_by_role('button', name='Play lr').click()
    expect(one.locator('strong')).to_have_text('lr = 0.25', timeout=10_000)
    one.get_by_role('button', name='Pause lr').click()
    stopped = one.locator('strong').inner_text()
    book.page.wait_for_timeout(700)
    assert one.locator('strong').inner_text() == stopped
    one.get_by_role('button', name='Play lr').click()
    expect(one.locator('strong')).to_have_text('lr = 1', timeout=15_000)
    expect(one.get_by_role('button', name='Play lr')).to_be_visible()  # it has stopped by itself
    expect(two.locator('strong')).to_have_text('lr = 0.2')


def test_slow_drawing_blocks_nothing(open_book):
    slow = "def slow(lr):\n    time.sleep(.4)\n    draw(lr)"
    book = open_book(SETUP + slow, 'e = explore(slow, lr=RATES)\ne', 'T = time.time()')
    began = time.time()
    book.run_all()
    e = book.explorer()
    expect(e).to_contain_text('of 20 drawn')
    expect(e.locator('img')).to_be_visible()
    e.get_by_role('slider').focus()
    book.page.keyboard.press('End')
    book.page.keyboard.press('ArrowLeft')
    expect(e).to_contain_text('lr = 0.95 not drawn yet, this is lr =')
    expect(e.locator('img')).to_have_class('sgd-waiting')
    expect(e).not_to_contain_text('not drawn yet', timeout=20_000)
    assert shown(e) == book.ask('picture_of(draw, lr=.95)').strip("'")
    expect(e.locator('img')).not_to_have_class('sgd-waiting')
    assert float(book.ask('T')) - began < 12, 'the next cell did not wait for all pictures'
    book.ready()
    expect(e).not_to_contain_text('drawn')


@pytest.mark.skipif(not hasattr(signal, 'SIGSTOP'), reason='no SIGSTOP here')
def test_late_answers_do_not_pull_the_slider_back(open_book):
    book = open_book(SETUP, SHOW)
    book.run_all()
    slider, pid = book.ready().get_by_role('slider'), int(book.ask('__import__("os").getpid()'))
    slider.focus()
    slider.evaluate("""s => {
        const stops = window.stops = [s.value];
        const look = () => { if (s.value !== stops.at(-1)) stops.push(s.value); requestAnimationFrame(look); };
        look(); }""")
    book.page.wait_for_timeout(500)
    os.kill(pid, signal.SIGSTOP)
    try:
        for key in ('End', 'ArrowLeft', 'ArrowLeft'):
            book.page.keyboard.press(key)
            book.page.wait_for_timeout(250)   # each is sent by itself, and none is answered yet
    finally: os.kill(pid, signal.SIGCONT)
    book.until('e.lr', '0.9')
    book.page.wait_for_timeout(500)
    assert book.page.evaluate('stops') == ['0', '19', '18', '17']
    book.ask('e.set_trait("lr", .5)')
    expect(slider).to_have_value('9')


def test_restart_out_of_order_and_reload(open_book):
    book = open_book(SETUP, SHOW, 'e.lr = .5')
    book.run_all()
    expect(book.ready().locator('strong')).to_have_text('lr = 0.5')
    book.command('docmanager:save')
    book.page.wait_for_timeout(1500)
    book.page.reload()
    book.page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session"
                                "?.kernel?.status === 'idle'", timeout=90_000)
    e = book.ready()
    expect(e.locator('strong')).to_have_text('lr = 0.5')
    assert shown(e) == book.ask('picture_of(draw, lr=.5)').strip("'")
    book.page.evaluate("() => { const p = jupyterapp.shell.currentWidget.content; p.activeCellIndex = 1;"
                       " return jupyterapp.commands.execute('notebook:run-cell'); }")
    expect(book.explorer().locator('strong')).to_have_text('lr = 0.05')
    book.ready()
    kernel = book.kernel()
    book.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    book.page.wait_for_timeout(1000)
    book.run_all()
    expect(book.explorer().locator('strong')).to_have_text('lr = 0.5', timeout=60_000)
    e = book.ready()
    assert book.kernel() == kernel and book.ask('len(DRAWN)') == '20'
    assert shown(e) == book.ask('picture_of(draw, lr=.5)').strip("'")


def test_linked_with_other_widgets(open_book):
    book = open_book(SETUP, SHOW, 'import ipywidgets\ns = ipywidgets.FloatSlider(min=0, max=1, step=.05)\n'
                                  'ipywidgets.link((e, "lr"), (s, "value"))\n'
                                  't = ipywidgets.FloatText()\nipywidgets.jslink((e, "lr"), (t, "value"))\n'
                                  'ipywidgets.VBox([s, t])')
    book.run_all()
    e, text = book.ready(), book.page.locator('.widget-text input')
    e.get_by_role('slider').focus()
    book.page.keyboard.press('End')
    expect(book.page.locator('.widget-readout')).to_have_text('1.00')
    expect(text).to_have_value('1')
    book.ask('setattr(s, "value", .25)')
    expect(e.locator('strong')).to_have_text('lr = 0.25')
    text.fill('0.75')
    text.press('Enter')
    expect(e.locator('strong')).to_have_text('lr = 0.75')
    assert shown(e) == book.ask('picture_of(draw, lr=.75)').strip("'")
    book.until('s.value', '0.75')


def test_too_many_positions_in_the_browser(open_book):
    book = open_book(SETUP, 'e = explore(draw, lr=[i/2000 for i in range(2000)])\ne')
    book.run_all()
    e = book.explorer()
    expect(e).to_contain_text('2000 positions are too many')
    book.until('len(e._book.done)', '5')   # the twin
    before = int(book.ask('len(DRAWN)'))
    assert before <= 6
    box = e.get_by_role('spinbutton')
    box.fill('0.6')
    box.press('Enter')
    expect(e.locator('img')).to_have_attribute('alt', 'The rate is 0.6', timeout=10_000)
    expect(e.locator('img')).not_to_have_class('sgd-waiting')
    assert shown(e) == book.ask('picture_of(draw, lr=.6)').strip("'") and int(book.ask('len(DRAWN)')) == before + 2


def test_killed_kernel(open_book, lab):
    book = open_book(SETUP, SHOW)
    book.run_all()
    e = book.ready()
    pictures = [book.ask(f'picture_of(draw, lr=RATES[{k}])').strip("'") for k in (19, 18)]
    os.kill(int(book.ask('__import__("os").getpid()')), signal.SIGKILL)
    book.page.get_by_role('dialog').get_by_role('button').click()  # 'has died, will restart'
    slider = e.get_by_role('slider')
    slider.focus()
    for key, picture in zip(('End', 'ArrowLeft'), pictures):
        book.page.keyboard.press(key)
        assert shown(e) == picture
    book.page.wait_for_timeout(500)
    expect(e.locator('strong')).to_have_text('lr = 0.95')


def test_saved_notebook(open_book, lab, browser, tmp_path):
    book = open_book(SETUP, SHOW)
    book.run_all()
    e = book.ready()
    e.get_by_role('slider').focus()
    book.page.keyboard.press('End')
    pictures = [book.ask(f'picture_of(draw, lr=RATES[{k}])').strip("'") for k in (19, 18)]
    book.page.wait_for_timeout(500)
    book.command('docmanager:save')
    book.page.wait_for_timeout(2000)
    saved = json.loads(book.path.read_text())
    (output, script) = saved['cells'][1]['outputs']
    assert ''.join(output['data']['text/html']).count('<img alt="The rate is ') == 5
    (tmp_path/'live.ipynb').write_text(json.dumps(saved))
    del saved['metadata']['widgets']
    for path in (tmp_path/'still.ipynb', lab.root/'nb'/'still.ipynb'): path.write_text(json.dumps(saved))

    page = exported(tmp_path/'live.ipynb', tmp_path, browser, lab)
    live = page.locator('.sgd-explore')
    expect(live.locator('strong')).to_have_text('lr = 1')
    assert shown(live) == pictures[0]
    live.get_by_role('slider').focus()
    page.keyboard.press('ArrowLeft')
    assert shown(live) == pictures[1]
    assert page.errors == []
    page.context.close()
    page = exported(tmp_path/'still.ipynb', tmp_path, browser, lab)
    expect(page.get_by_role('figure')).to_have_count(5)
    expect(page.get_by_role('img', name='The rate is 0.05')).to_be_visible()
    assert page.errors == []
    page.context.close()

    again = open_book(path=lab.root/'nb'/'still.ipynb')   # in JupyterLab, before it is run
    expect(again.page.get_by_role('img', name='The rate is 0.05')).to_be_visible(timeout=20_000)


# --- opened again, with no kernel that knows the widget

def look(page):
    "What a reader sees of a notebook whose widgets have been looked for."
    page.wait_for_function("() => document.querySelector('.jp-Notebook .jp-OutputArea-output') &&"
                           " !document.querySelector('.jp-Notebook').textContent.includes('Loading widget')")
    return page.locator('.jp-Notebook').inner_text()


def test_opened_again_without_its_kernel(open_book, lab):
    book = open_book(SETUP, SHOW, 'explore(draw, lr=[.2, .4, .6])')
    book.run_all()
    for n in (0, 1): book.ready(n)
    expect(book.page.get_by_role('figure')).to_have_count(0)   # the widget hides its twin
    book.until('(e._renewals, e._book.five())', '([], [0, 5, 10, 14, 19])')
    book.save('<img ', 8)
    book.page.close()
    for s in lab.api('sessions'): lab.api(f'sessions/{s["id"]}', 'DELETE')
    assert book.path.stat().st_size < 300_000
    again = open_book(path=book.path)
    text = look(again.page)
    assert 'Error' not in text and 'Loading' not in text and 'Explorer at' not in text
    for lr in ('0.05', '0.3', '0.55', '0.75', '1', '0.2', '0.4', '0.6'):
        expect(again.page.get_by_role('img', name=f'The rate is {lr}', exact=True)).to_be_visible()
    assert axe_violations(again) == []
