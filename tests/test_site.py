"The course as a website: what makes its pages, in Python; all of them in a browser, without a network."
import base64
import hashlib
import io
import json
import os
import re
import sys
import threading
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import REPO, run
from PIL import Image
from playwright.sync_api import expect
from test_draw import DRAWN, Sheet
from test_front_ends import RIGHT

sys.path.append(str(REPO/'site'))
import execute  # noqa: E402
import pages  # noqa: E402
import reference  # noqa: E402
from execute import STATE, key, webp  # noqa: E402

VIEW = pages.VIEW


def png(colour=(10, 200, 30), size=(40, 20)):
    out = io.BytesIO()
    Image.new('RGB', size, colour).save(out, 'PNG')
    return out.getvalue()


def text64(data): return base64.b64encode(data).decode()


def dots(data): return np.array(Image.open(io.BytesIO(data)).convert('RGBA'))


@pytest.fixture
def media(tmp_path): return pages.Media(tmp_path/'_media', tmp_path/'cache')


# --- what makes the pages

def test_pictures_are_files_with_the_same_dots(media):
    html = f'<p><img alt="a &lt; b" width="20" style="max-width:100%" src="data:image/png;base64,{text64(png())}"></p>'
    made = pages.with_files(html, media, '../')
    name = re.search(r'src="\.\./_media/(\w+\.\w+)"', made)[1]
    assert 'alt="a &lt; b"' in made and 'width="20"' in made and 'height="10"' in made and 'loading="lazy"' in made
    assert 'data:' not in made and np.array_equal(dots((media.folder/name).read_bytes()), dots(png()))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 30, 4), dtype=np.uint8))
    out = io.BytesIO()
    noise.save(out, 'PNG')
    assert np.array_equal(dots(webp(out.getvalue())), np.array(noise)), 'hidden colours, too'


MODEL = dict(
    state=dict(_esm='export default {}', _css='p {}', lr=.5, _f0=dict(alt='one'), _f1=None, many=[dict(), dict()]),
    buffers=[dict(path=['_f0', 'png'], data=text64(b'first')), dict(path=['_f1', 'png'], data=text64(b'gone')),
             dict(path=['many', 1, 'values'], data=text64(b'second!'))])


def test_state_of_a_widget_in_files(media):
    name, size = pages.widget_file(json.loads(json.dumps(MODEL)), media)
    said = json.loads((media.folder/name).read_text())
    binary = (media.folder/said['binary']).read_bytes()
    parts = {tuple(b['path']): binary[b['start']:b['start'] + b['length']] for b in said['buffers']}
    assert parts == {('_f0', 'png'): b'first', ('many', 1, 'values'): b'second!'}
    assert said['state']['lr'] == .5 and not {'_esm', '_css'} & set(said['state'])
    assert (media.folder/said['script']).read_text() == 'export default {}'
    assert (media.folder/said['style']).read_text() == 'p {}'
    assert size == len((media.folder/name).read_bytes()) + len(binary)
    assert pages.widget_file(json.loads(json.dumps(MODEL)), media) == (name, size), 'the same again is one file'


def cell(source, *outputs):
    c = nbformat.v4.new_code_cell(source)
    c.outputs = [nbformat.v4.new_output('display_data', o) for o in outputs]
    return c


def test_a_widget_has_its_twin_in_its_place(media):
    twin = f'<div class="sgd-twin sgdabc"><img width="20" src="data:image/png;base64,{text64(png())}"></div>'
    c = cell('x', {'text/html': twin, 'text/plain': 'x'}, {VIEW: dict(model_id='m'), 'text/plain': ''},
             {'application/javascript': 'page()', 'text/plain': ''}, {'text/plain': '3'})
    place, three = pages.outputs(c, '', media, dict(m=json.loads(json.dumps(MODEL))))
    assert three.data == {'text/plain': '3'}
    html = place.data['text/html']
    assert re.match(r'<div class="sgd-place" data-widget="\w+\.json" data-size="\d+"><div class="sgd-twin', html)
    assert html.count('<img') == 1 and html.count('</div>') == 2


def book_of(tmp_path, *cells, state={}):
    book = nbformat.v4.new_notebook(cells=list(cells), metadata=dict(widgets={STATE: dict(state=state)}))
    nbformat.write(book, tmp_path/'02_slope.ipynb')
    return tmp_path/'02_slope.ipynb'


def test_page_of_a_lesson(tmp_path, media):
    from sgd_course.check import course
    path = book_of(
        tmp_path, cell('#| default_exp slope'), nbformat.v4.new_markdown_cell('# 02 The slope'),
        cell('#| export\ndef f(x): return x'), cell('#| hide\nimport math'),
        cell('def step_down(f, x, lr):\n    raise NotImplementedError\n\ncheck_step_down(step_down)',
             {'text/plain': 'not yet'}),
        cell('progress()', {'text/html': 'nothing done'}), cell('#| hide\nimport nbdev; nbdev.nbdev_export()'))
    page = pages.page_of(path, path, media, course(), git_url='https://example.org/us/course')
    sources = [c.source for c in page.cells]
    assert sources[0].startswith('# 02 The slope\n\n```{note}') and 'example.org' in sources[0]
    assert sources[1:5] == ['<span id="f"></span>', 'def f(x): return x', 'import math', sources[4]]
    assert page.cells[3].metadata.tags == ['hide-input']
    assert page.cells[4].outputs == [], 'nothing pretends to check'
    folded = sources[5]
    assert folded.count('<details') == 3 and 'x - lr*slope(f, x)' in folded and 'open this lesson in Jupyter' in folded
    assert len(sources) == 6
    assert 'example.org' not in str(pages.page_of(path, path, media, course()))


@pytest.mark.parametrize('git_url, expected', [
    ('', []),
    ('https://github.com/us/course.git', [
        'https://colab.research.google.com/github/us/course/blob/HEAD/nbs/01_pixels.ipynb',
        'https://mybinder.org/v2/gh/us/course/HEAD?labpath=nbs%2F01_pixels.ipynb',
        'https://github.com/us/course/blob/HEAD/nbs/01_pixels.ipynb']),
    ('https://gitlab.com/us/course/', [
        'https://mybinder.org/v2/gl/us%2Fcourse/HEAD?labpath=nbs%2F01_pixels.ipynb',
        'https://gitlab.com/us/course/-/blob/HEAD/nbs/01_pixels.ipynb']),
    ('https://example.org/us/course', [
        'https://mybinder.org/v2/git/https%3A%2F%2Fexample.org%2Fus%2Fcourse/HEAD?labpath=nbs%2F01_pixels.ipynb',
        'https://example.org/us/course/blob/HEAD/nbs/01_pixels.ipynb'])])
def test_addresses(git_url, expected):
    assert [url for _, url in pages.addresses(git_url, '01_pixels')] == expected


def test_what_a_cell_defines():
    source = '@patch\ndef go(self: Book): pass\nA, b = 1, 2\nC = 3\nclass D: pass\nasync def e(): pass'
    assert pages.defined(source) == ['Book.go', 'C', 'D', 'e']
    assert pages.directives('#| export\n\nx = 1\n#| hide\ny') == (['export', 'hide'], 'x = 1\ny')


def test_reference_says_what_the_comments_say():
    from sgd_course.descent import descend
    said = reference.entry('descent', 'descend', descend, '04_learning_rate')
    assert 'descend(f, x, lr, steps)' in said and 'href="../04_learning_rate.html#descend"' in said
    assert re.search(r'<code>steps</code></td><td><code>int</code></td><td></td><td>how many steps, &gt;= 0</td>', said)
    assert 'Raises <code>TypeError</code>' in said and '<td>returns</td><td><code>Tensor</code></td>' in said
    cells = reference.cells_of()
    assert cells['explore', 'Flipbook.picture'] == 'api/explore' and cells['slope', 'slope'] == '02_slope'


def test_a_notebook_runs_again_only_if_its_code_has_changed(tmp_path, monkeypatch):
    path = book_of(tmp_path, nbformat.v4.new_markdown_cell('one'), cell('1 + 1'))
    first, book = key(path), json.loads(path.read_text())
    book['cells'][0]['source'] = 'two'
    path.write_text(json.dumps(book))
    assert key(path) == first
    book['cells'][1]['source'] = '1 + 2'
    path.write_text(json.dumps(book))
    assert key(path) != first
    kept = tmp_path/f'02_slope-{key(path)}.ipynb'
    kept.touch()
    monkeypatch.setattr(execute, 'NotebookClient', None)
    assert execute.execute(path, tmp_path) == kept


# --- the loader, with widgets that it does not know

SERVE = 'serve the folder: python -m http.server'
COUNTER = '''
let begun = 0;
export default () => ({
  initialize({ model }) { begun = model.get("n"); },
  render({ model, el }) {
    const button = document.createElement("button");
    const show = () => { button.textContent = `${begun} ${model.get("n")} ${model.get("bytes")?.getUint8(1) ?? "-"}`; };
    model.on("change:n", show);
    button.onclick = () => { model.set("n", model.get("n") + 1); model.save_changes(); };
    show();
    el.append(button);
  },
});'''


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@contextmanager
def served(folder):
    "The address of a folder that a server in another thread shows."
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try: yield f'http://127.0.0.1:{server.server_port}/'
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def opened(browser, base, **context):
    "A page that reaches nothing but `base`; in the end, no error and no request elsewhere."
    context = browser.new_context(**dict(viewport=dict(width=1280, height=900)) | context)
    page, page_errors, asked = context.new_page(), [], []
    page.asked = asked
    context.route(lambda url: not url.startswith(base), lambda route: route.abort())
    page.on('request', lambda r: asked.append(r.url))
    page.on('pageerror', lambda e: page_errors.append(f'{page.url}: {e}'))
    page.on('console', lambda m: m.type == 'error' and page_errors.append(f'{page.url}: {m.text}'))
    yield page
    context.close()
    assert page_errors == []
    assert [u for u in asked if not u.startswith((base, 'blob:', 'data:'))] == []


@pytest.mark.long
def test_loader(browser, tmp_path):
    media = pages.Media(tmp_path/'_media', tmp_path/'cache')
    def place(esm, **state):
        buffers = [dict(path=['bytes'], data=text64(b'\x01\x07'))] if state.pop('buffer', 0) else []
        state |= dict(_esm=esm, _css='button { color: rgb(1, 2, 3) }')
        name, size = pages.widget_file(dict(state=state, buffers=buffers), media)
        return f'<div class="sgd-place" data-widget="{name}" data-size="{size}"><div class="sgd-twin">still</div></div>'
    (tmp_path/'_static').mkdir()
    (tmp_path/'_static'/'widgets.js').write_bytes((REPO/'site'/'static'/'widgets.js').read_bytes())
    html = [place(COUNTER, n=3, bytes=None, buffer=1), place('throw new Error("broken")'),
            '<div style="height:3000px"></div>', place(COUNTER, n=5)]
    (tmp_path/'page.html').write_text('<!doctype html><script defer src="_static/widgets.js"></script>' + ''.join(html))
    with served(tmp_path) as base, opened(browser, base) as page:
        page.goto(base + 'page.html')
        places = page.locator('.sgd-place')
        button = places.nth(0).locator('button')
        expect(button).to_have_text('3 3 7')
        assert button.evaluate('b => getComputedStyle(b).color') == 'rgb(1, 2, 3)'
        button.click()
        expect(button).to_have_text('3 4 7')
        expect(places.nth(1)).to_contain_text('could not be made live (broken). These are still pictures.')
        expect(places.nth(1)).to_contain_text('still')
        far = places.nth(2).get_attribute('data-widget')
        assert not any(far in url for url in page.asked), 'not before it is near'
        places.nth(2).scroll_into_view_if_needed()
        expect(places.nth(2).locator('button')).to_have_text('5 5 -')
    with opened(browser, 'file:') as page:
        page.goto((tmp_path/'page.html').as_uri())
        for k in range(3): expect(page.locator('.sgd-place').nth(k)).to_contain_text(SERVE)
        expect(page.locator('.sgd-place').nth(0)).to_contain_text('still')


# --- the whole site, built once

NO_SITE = not all(map(find_spec, ('sphinx', 'myst_nb', 'furo', 'latex2mathml')))


def build(out, cache, *options):
    env = os.environ | dict(PYTHONPATH=os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH')])))
    return run(sys.executable, REPO/'site'/'build.py', out, '--cache', cache, *options, env=env, timeout=1800)


@pytest.fixture(scope='session')
def site(once):
    "The folder with the pages, two folders below what is served; beside it what the next build needs."
    if NO_SITE: pytest.skip('the website needs .[site]')
    return once('site', lambda folder: build(folder/'sub'/'path', folder/'cache'))


@pytest.fixture
def base(site):
    with served(site) as address: yield address + 'sub/path/'


def pages_in(folder): return sorted(str(f.relative_to(folder)) for f in folder.rglob('*.html'))


def wake(page):
    "Scroll to each widget, until all are live; give how many there are."
    places = page.locator('.sgd-place')
    for k in range(places.count()):
        places.nth(k).scroll_into_view_if_needed()
        expect(places.nth(k)).to_have_attribute('data-live', '', timeout=60_000)
    return places.count()


@pytest.mark.slow
@pytest.mark.parametrize('width, scheme', [(1280, 'light'), (390, 'dark')])
def test_every_page(site, base, browser, width, scheme):
    "No error, nothing from elsewhere, at most 1 MB before a touch, nothing cut off, and no violation of axe-core."
    found, live, names = {}, 0, pages_in(site/'sub'/'path')
    assert {'index.html', 'glossary.html', 'solutions.html', 'teaching.html', 'benchmarks.html', 'reference/index.html',
            '15_many_machines.html', 'search.html'} < set(names)
    if width < 400: names = [n for n in names if not re.match('(reference|api)/[f-z]', n)]   # the others are like them
    with opened(browser, base, viewport=dict(width=width, height=900), color_scheme=scheme) as page:
        weights = []
        page.on('response', lambda r: weights.append(int(r.headers.get('content-length', 0))))
        for name in names:
            weights.clear()
            page.goto(base + name)
            page.wait_for_load_state('networkidle')
            assert sum(weights) < 1e6, (name, sum(weights))
            live += wake(page)
            assert page.evaluate('document.documentElement.scrollWidth') <= width, name
            violations = Axe().run(page).response['violations']
            found[name] = [(v['id'], n['html'][:200]) for v in violations for n in v['nodes']]
    assert {k: v for k, v in found.items() if v} == {}
    assert live > 60


class Links(HTMLParser):
    "What a page links to, what it loads, and the places in it."
    def __init__(self, file):
        super().__init__()
        self.links, self.loads, self.ids = [], [], set()
        self.feed(file.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if 'id' in attrs: self.ids.add(attrs['id'])
        if tag == 'a' and 'href' in attrs: self.links.append(attrs['href'])
        if tag == 'link' and attrs.get('rel') in ('stylesheet', 'icon', 'search'): self.loads.append(attrs['href'])
        self.loads += [v for k, v in attrs.items() if k == 'src']


@pytest.mark.slow
def test_no_link_is_broken(site):
    root = site/'sub'/'path'
    parsed = {name: Links(root/name) for name in pages_in(root)}
    broken, inside = [], 0
    for name, page in parsed.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme in ('http', 'https', 'mailto') and link not in page.loads: continue
            to = unquote(urljoin(name, parts.path)) if parts.path else name
            if to.endswith('/') or to == '': to += 'index.html'
            there = not parts.scheme and (root/to).is_file()
            if there and parts.fragment and to in parsed: there = unquote(parts.fragment) in parsed[to].ids
            inside += 1
            if not there: broken.append((name, link))
    assert broken == [] and inside > 2000
    glossary = [a for name, p in parsed.items() if re.match(r'\d\d_', name) for a in p.links if 'glossary.html#' in a]
    assert len(glossary) > 100
    assert not (root/'_media'/'x').exists() and all(f.stat().st_size < 3.1e6 for f in (root/'_media').iterdir())


SEEN = """async img => {
    await img.decode();
    const c = Object.assign(document.createElement('canvas'), {width: img.naturalWidth, height: img.naturalHeight});
    const pen = c.getContext('2d');
    pen.drawImage(img, 0, 0);
    const sum = await crypto.subtle.digest('SHA-256', pen.getImageData(0, 0, c.width, c.height).data);
    return [...new Uint8Array(sum)].map(v => v.toString(16).padStart(2, '0')).join('');
}"""


@pytest.mark.slow
def test_an_explorer_shows_what_python_draws(site, base, browser):
    from sgd_course.explorers import explore_descent
    def f(x): return x**2
    lrs = [.01, .05, .1, .3, .5, .7, .9, 1., 1.05]   # as on the contents
    drawn = explore_descent(f, lrs=lrs, starts=[-1.5])._book
    with opened(browser, base) as page:
        page.goto(base + 'index.html')
        explorer = page.locator('.sgd-explore')
        slider = explorer.get_by_role('slider').first
        slider.focus()
        for k, lr in enumerate(lrs):
            expect(slider).to_have_attribute('aria-valuetext', str(lr) if lr != 1 else '1')
            expected = drawn.picture(k)
            there = hashlib.sha256(dots(expected['png']).tobytes()).hexdigest()
            assert explorer.locator('img').evaluate(SEEN) == there, lr
            expect(explorer.locator('img')).to_have_attribute('alt', expected['alt'])
            page.keyboard.press('ArrowRight')


@pytest.mark.slow
def test_explorers_slide_and_predictions_answer(site, base, browser):
    "On every lesson: each stop of each slider has its own picture; each question its answer."
    slid = asked = 0
    for name in pages_in(site/'sub'/'path'):
        if not re.match(r'\d\d_', name): continue
        with opened(browser, base) as page:
            page.goto(base + name)
            wake(page)
            for explorer in page.locator('.sgd-explore').all():
                image = explorer.locator('img')
                for slider in explorer.get_by_role('slider').all():
                    stops, seen = int(slider.get_attribute('max')) + 1, set()
                    slider.focus()
                    page.keyboard.press('Home')
                    for k in range(stops):
                        expect(slider).to_have_js_property('value', str(k))
                        expect(image).not_to_have_class('sgd-waiting')
                        seen.add(image.evaluate(SEEN))
                        page.keyboard.press('ArrowRight')
                    assert len(seen) > stops/2, (name, stops, len(seen))
                    slid += stops
            for ask in page.locator('.sgd-ask').all():
                options = ask.get_by_role('radio')
                if options.count(): options.first.check()
                elif ask.get_by_role('textbox').count(): ask.get_by_role('textbox').fill('1')
                else: continue
                ask.get_by_role('button', name='Lock in').click()
                if 'out of range' in ask.inner_text():
                    ask.get_by_role('textbox').fill('0.5')
                    ask.get_by_role('button', name='Lock in').click()
                expect(ask.get_by_role('log')).to_contain_text(re.compile('You said'))
                asked += 1
    assert slid > 150 and asked > 40


@pytest.mark.slow
def test_a_3_and_a_7_are_read(base, browser):
    with opened(browser, base, viewport=dict(width=390, height=900), has_touch=True, is_mobile=True) as page:
        page.goto(base + 'index.html')
        wake(page)
        sheet = Sheet(type('Book', (), dict(page=page)))
        for name, digit in ('round 3', '3'), ('plain 7', '7'):
            sheet.clear.click()
            sheet.touch(DRAWN[name])
            expect(sheet.words).to_have_text(re.compile(f'^{digit}, with probability'))
            expect(sheet.el).to_contain_text('Answered in this page')


@pytest.mark.slow
def test_from_a_file_and_without_scripts(site, browser):
    address = (site/'sub'/'path'/'index.html').as_uri()
    with opened(browser, 'file:') as page:
        page.goto(address)
        expect(page.locator('.sgd-place').first).to_contain_text(SERVE)
        for image in page.locator('.sgd-twin img').all():
            image.scroll_into_view_if_needed()
            assert image.evaluate('async i => { await i.decode(); return i.naturalWidth; }') > 100
    with opened(browser, 'file:', java_script_enabled=False) as page:
        page.goto(address)
        first = page.locator('.sgd-twin img').first
        expect(first).to_be_in_viewport()
        assert first.bounding_box()['height'] > 100


@pytest.mark.slow
def test_search(base, browser):
    with opened(browser, base) as page:
        page.goto(base + 'search.html?q=saddle')
        expect(page.locator('#search-results li').first).to_be_visible(timeout=20_000)
        page.goto(page.locator('#search-results li a').first.evaluate('a => a.href'))
        expect(page.locator('article')).to_contain_text('saddle')


@pytest.mark.slow
def test_in_firefox(base, firefox):
    def go(name, widget):
        "Open a page, and scroll until the widget is there."
        firefox.go(base + name)
        firefox.until(lambda: firefox.evaluate(
            "() => { for (const p of document.querySelectorAll('.sgd-place')) p.scrollIntoView();"
            f" return !!document.querySelector('{widget} input'); }}"))
    go('index.html', '.sgd-explore')
    picture = "() => document.querySelector('.sgd-explore img').src"
    before = firefox.evaluate(picture)
    firefox.evaluate("() => document.querySelector('.sgd-explore input').focus()")
    firefox.press(RIGHT)
    firefox.until(lambda: firefox.evaluate(picture) != before)
    go('02_slope.html', '.sgd-ask')
    firefox.evaluate("() => { const a = document.querySelector('.sgd-ask'); a.querySelector('input').click();"
                     " a.querySelector('button').click(); }")
    assert 'You said: to the left. No' in firefox.evaluate("() => document.querySelector('.sgd-ask').innerText")


@pytest.mark.slow
def test_links_to_where_the_files_are(site, tmp_path):
    "Only with an address; what was executed before is not executed again."
    lesson = Links(site/'sub'/'path'/'02_slope.html').links
    assert not [a for a in lesson if 'colab' in a or 'mybinder' in a]
    ran = {f.name: f.stat().st_mtime for f in (site/'cache'/'executed').iterdir()}
    build(tmp_path/'out', site/'cache', '--git-url', 'https://github.com/us/course')
    lesson = Links(tmp_path/'out'/'02_slope.html').links
    assert 'https://colab.research.google.com/github/us/course/blob/HEAD/nbs/02_slope.ipynb' in lesson
    assert 'https://github.com/us/course/blob/HEAD/nbs/02_slope.ipynb' in lesson
    assert ran == {f.name: f.stat().st_mtime for f in (site/'cache'/'executed').iterdir()}
