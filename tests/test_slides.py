"The lessons as slides: the rule by which they are made, in Python; each slide in a browser, without a network."
import os
import re
import sys
from importlib.util import find_spec

import pytest
from conftest import NO_SITE, REPO, run
from playwright.sync_api import expect
from test_site import cell, opened, png, served, text64

sys.path.append(str(REPO/'site'))
from pages import Media  # noqa: E402

NO_SLIDES = NO_SITE or not find_spec('sphinx_revealjs')
if not NO_SITE: import slides  # noqa: E402
needs = pytest.mark.skipif(NO_SITE, reason='slides need .[site]')
needs_all = pytest.mark.skipif(NO_SLIDES, reason='slides need .[site]')


# --- what is on a slide

@needs
def test_what_stands_on_a_slide_and_what_is_said():
    source = '## Why\n\nFirst, this.\n\nThen that.\n\n**Predict.** What?\n\n- a\n- b\n\nOn.'
    shown, notes = slides.notes_and_rest(source)
    assert shown == '## Why\n\nFirst, this.\n\n**Predict.** What?\n\n- a\n- b' and notes == 'Then that.\n\nOn.'
    made = list(slides.words('It was off.\n\nSo much.\n\n## Next\n\nNow.'))
    assert [(c.source, c.metadata.slideshow.slide_type) for c in made] == [
        ('It was off.', '-'), ('So much.', 'notes'), ('## Next\n\nNow.', 'slide')]


@needs
def test_links_and_formulas():
    link = '[nan](glossary.md#nan "\\"Not a number\\" (of a computer)"), [05](05_seven_steps.ipynb#Loss), `$a`, `$b`'
    assert slides.prose(link) == 'nan, [05](05_seven_steps.slides.html), `$a`, `$b`'
    made = slides.prose('$x^2$ and\n\n$$\n12{,}396\n$$')
    assert made.count('<math') == 2 and 'display="block"' in made and '12,396' in made and '$' not in made


@needs
def test_which_code_is_shown(tmp_path):
    media = Media(tmp_path/'_media', tmp_path/'cache')
    def shown(source, *said): return [(c.cell_type, c.source, c.metadata.slideshow.slide_type)
                                      for c in slides.program(cell(source, *said), media, {})]
    text = {'text/plain': '3'}
    checks = 'import math\nassert f(1)\nfor k in xs:\n    test_close(k, 1)\nwith a: assert_b(1)\n'
    assert shown(checks) == shown('x = 1') == shown('#| hide\nx', text) == []
    assert shown(checks + 'f(2)', text) == [('code', 'f(2)', '-')]
    assert shown('#| export\ndef f(x): return x') == [('code', 'def f(x): return x', '-')]
    assert shown('def mine(x):\n    raise NotImplementedError\n\ncheck_mine(mine)', text) == [], 'an exercise'
    mixed = 'for k in xs:\n    f(k)\n    assert k'
    assert shown(mixed, text) == [('code', mixed, '-')]
    figure = {'text/html': f'<img alt="a" width="20" src="data:image/png;base64,{text64(png())}">'}
    assert shown('plot(f)', figure) == [('code', 'plot(f)', '-'), ('markdown', '```python\nplot(f)\n```', 'notes')]
    first, _ = slides.program(cell('plot(f)', figure), media, {})
    assert first.metadata.transient.remove_source and '_media/' in first.outputs[0].data['text/html']


@needs_all
def test_a_lesson_that_is_not_there(tmp_path):
    r = run(sys.executable, REPO/'site'/'slides.py', tmp_path/'out', '99', ok=False)
    assert r.returncode == 2 and 'there is no lesson 99' in r.stderr


# --- all lessons, made once

@pytest.fixture(scope='session')
def decks(once, site):
    "The folder of the slides, made of what the website has run."
    env = os.environ | dict(PYTHONPATH=os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH')])))
    def make(folder):
        run(sys.executable, REPO/'site'/'slides.py', folder, '--cache', site/'cache', env=env, timeout=1800)
    return once('slides', make)


# what is outside of the slide, or wider than it may be; the smallest letters of its text
SEEN = '''() => {
    const slide = Reveal.getCurrentSlide(), box = slide.getBoundingClientRect(), outside = [];
    const unseen = "[hidden], .sgd-twin, math, details:not([open]) > :not(summary)";
    let least = 99;
    for (const e of slide.querySelectorAll(":not(aside, aside *)")) {
        const r = e.getBoundingClientRect();
        if (!r.width || !r.height || e.closest(unseen)) continue;
        const wide = e.matches("pre") && e.scrollWidth > e.clientWidth + 1;
        if (r.right > box.right + 1 || r.bottom > box.bottom + 1 || wide)
            outside.push(e.outerHTML.slice(0, 80));
        if (e.matches("p, pre, td, li, label")) {
            const zoom = e.currentCSSZoom ?? 1;
            least = Math.min(least, parseFloat(getComputedStyle(e).fontSize) * zoom);
        }
    }
    if (slide.scrollHeight > slide.clientHeight + 1) outside.push("too high");
    const { h, v } = Reveal.getIndices(slide);
    return { at: `${h}/${v}`, outside, least, last: Reveal.isLastSlide() };
}'''


def show(page, address):
    page.goto(address)
    page.wait_for_function('window.Reveal?.isReady()')


def alive(page):
    "Wait until the widgets of a slide are; give how many there are."
    places = page.locator('section.present:not(.stack) .sgd-place')
    for k in range(places.count()): expect(places.nth(k)).to_have_attribute('data-live', '', timeout=60_000)
    return places.count()


def walk(page):
    "Go through all slides. Nothing is outside, nothing too small; give how many slides there are, and widgets."
    n = live = 0
    while True:
        found = alive(page)
        page.wait_for_timeout(150 if found else 20)   # in which a widget finds its size
        page.evaluate('''async () => { for (let k = 0; k < 3; k++)
            await new Promise(done => requestAnimationFrame(() => setTimeout(done))); }''')
        seen = page.evaluate(SEEN)
        assert seen['outside'] == [], (page.url, seen)
        assert seen['least'] >= 10, (page.url, seen)
        n, live = n + 1, live + found
        if seen['last']: return n, live
        page.keyboard.press('PageDown')
        page.wait_for_function('at => { const { h, v } = Reveal.getIndices(); return `${h}/${v}` !== at; }',
                               arg=seen['at'])


@needs_all
@pytest.mark.slow
@pytest.mark.parametrize('size', [(1280, 720), (1920, 1080)], ids=str)
def test_every_slide_fits(decks, browser, size):
    with served(decks) as base, opened(browser, base, viewport=dict(width=size[0], height=size[1])) as page:
        files, slides_seen, widgets = sorted(f.name for f in decks.glob('*.html')), 0, 0
        assert len(files) == 15
        for name in files if size[0] == 1280 else [f for f in files if f[:2] in ('02', '04', '06')]:
            show(page, base + name)
            n, live = walk(page)
            assert n > 20
            slides_seen, widgets = slides_seen + n, widgets + live
        assert widgets > 12


def turn_to(page, part):
    page.evaluate('''part => {
        const slide = document.querySelector(part).closest("section"), { h, v } = Reveal.getIndices(slide);
        Reveal.slide(h, v);
    }''', part)
    alive(page)


def at(page): return page.evaluate('JSON.stringify(Reveal.getIndices())')


@needs_all
@pytest.mark.slow
def test_sliders_slide_and_predictions_answer(decks, browser):
    with served(decks) as base, opened(browser, base, viewport=dict(width=1280, height=720)) as page:
        show(page, base + '04_learning_rate.slides.html')
        page.evaluate('''() => {   // that of the learning rate is the first that loads much
            [...document.querySelectorAll(".sgd-place")].find(p => p.dataset.size > 1e5).id = "explorer"; }''')
        turn_to(page, '#explorer')
        picture, slider = page.locator('#explorer img').last, page.locator('#explorer input[type=range]').first
        there, before = at(page), picture.get_attribute('src')
        slider.focus()
        page.keyboard.press('ArrowRight')
        expect(picture).not_to_have_attribute('src', before)
        assert at(page) == there, 'a key of the slider turns no page'
        page.keyboard.press('PageDown')
        page.wait_for_function('there => JSON.stringify(Reveal.getIndices()) !== there', arg=there)

        show(page, base + '02_slope.slides.html')
        turn_to(page, '.sgd-place:has(.sgd-twin canvas, .sgd-twin figure)')
        canvas, table = page.locator('section.present canvas'), page.locator('section.present .sgd-secant table')
        box, before = canvas.bounding_box(), table.inner_text()
        page.mouse.move(box['x'] + .5*box['width'], box['y'] + .5*box['height'])
        page.mouse.down()
        page.mouse.up()
        expect(table).not_to_have_text(before, use_inner_text=True)

        turn_to(page, '.sgd-place')
        there = at(page)
        ask = page.locator('section.present .sgd-ask')
        ask.locator('input[type=radio]').first.check()
        page.keyboard.press('ArrowDown')
        assert at(page) == there
        ask.get_by_role('button', name='Lock in').click()
        expect(ask).to_contain_text(re.compile('Locked in|You predicted|prediction', re.I))


@needs_all
@pytest.mark.slow
def test_what_is_said_is_in_the_notes(decks):
    text = (decks/'02_slope.slides.html').read_text(encoding='utf-8')
    notes = re.findall('<aside class="notes">(.+?)</aside>', text, re.S)
    assert any('plot_function' in n for n in notes) and any('static view' in n for n in notes)
    assert 'check_step_down' not in text and 'unpkg.com' not in text and 'cdnjs' not in text
