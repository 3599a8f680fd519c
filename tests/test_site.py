"What makes the pages of the website, in Python; the loader of its widgets. The pages are in test_website.py."
import base64
import io
import json
import re
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import nbformat
import numpy as np
import pytest
from conftest import REPO
from PIL import Image
from playwright.sync_api import expect

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
