"The website, built once: all of its pages in Chromium and in Firefox, without a network. It needs .[site]."
import base64
import hashlib
import html
import itertools
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import build_site
from playwright.sync_api import expect
from test_draw import DRAWN, Sheet
from test_front_ends import RIGHT
from test_site import SERVE, dots, opened, served

pytestmark = pytest.mark.slow


@pytest.fixture
def base(site):
    with served(site) as address: yield address + 'sub/path/'


def pages_in(folder): return sorted(str(f.relative_to(folder)) for f in folder.rglob('*.html'))


def lessons_of(site): return [n for n in pages_in(site/'sub'/'path') if re.match(r'\d\d_|index', n)]


# --- each page

def wake(page):
    "Scroll to each widget, until all are live; give how many there are."
    places = page.locator('.sgd-place')
    for k in range(places.count()):
        places.nth(k).scroll_into_view_if_needed()
        expect(places.nth(k)).to_have_attribute('data-live', '', timeout=60_000)
    return places.count()


# Code has thousands of coloured words, and axe-core takes 3 ms for each: one of a kind is enough
THIN = """() => {
    const seen = new Set();
    for (const word of document.querySelectorAll('.highlight span')) {
        const kind = word.className + ' in ' + word.closest('pre').parentElement.parentElement.className;
        if (word.className && !seen.has(kind)) seen.add(kind);
        else word.replaceWith(...word.childNodes);
    }
}"""
# What ends beyond the right edge, but for what scrolls by itself: the article should not
CUT_OFF = """() => {
    const scrolls = e => e.tagName !== 'ARTICLE'
        && (['auto', 'scroll'].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
    return [...document.querySelectorAll('article *')]
        .filter(e => e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().right > innerWidth + 1
                     && e.getBoundingClientRect().width > 1 && !scrolls(e))
        .map(e => e.outerHTML.slice(0, 200));
}"""


@pytest.mark.parametrize('kind', ['lessons', 'others'])
@pytest.mark.parametrize('width, scheme', [(1280, 'light'), (390, 'dark')])
def test_every_page(site, base, browser, width, scheme, kind):
    "No error, nothing from elsewhere, at most 1 MB before a touch, nothing cut off, and no violation of axe-core."
    lessons, every = lessons_of(site), pages_in(site/'sub'/'path')
    assert {'glossary.html', 'solutions.html', 'teaching.html', 'benchmarks.html', 'reference/index.html',
            'search.html'} < set(every) - set(lessons) and len(lessons) == 16
    found, live = {}, 0
    with opened(browser, base, viewport=dict(width=width, height=900), color_scheme=scheme) as page:
        weights = []
        page.on('response', lambda r: weights.append(int(r.headers.get('content-length', 0))))
        for name in lessons if kind == 'lessons' else sorted(set(every) - set(lessons)):
            weights.clear()
            page.goto(base + name)
            if kind == 'lessons': page.wait_for_load_state('networkidle')
            assert sum(weights) < 1e6, (name, sum(weights))
            live += wake(page)
            assert page.evaluate('document.documentElement.scrollWidth') <= width, name
            page.evaluate(THIN)
            violations = Axe().run(page, options=dict(resultTypes=['violations'])).response['violations']
            found[name] = [(v['id'], n['html'][:200]) for v in violations for n in v['nodes']]
            found[name] += [('cut off', e) for e in page.evaluate(CUT_OFF)]
    assert {k: v for k, v in found.items() if v} == {}
    assert live > 60 if kind == 'lessons' else live == 0


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
    assert all(f.stat().st_size < 3.1e6 for f in (root/'_media').iterdir())


@pytest.mark.parametrize('width', [390, 1280])
def test_a_link_lands(base, browser, width):
    "On the entry or heading, and stays there while widgets above it come alive."
    for name in ('glossary.html#learning-rate', '02_slope.html#Which-way-to-go', '11_layers.html#Summary',
                 '13_optimizers.html#Exercises', '04_learning_rate.html#descend'):
        with opened(browser, base, viewport=dict(width=width, height=900)) as page:
            page.goto(base + name)
            page.wait_for_load_state('networkidle')
            page.wait_for_timeout(300)
            top = "id => document.getElementById(id).getBoundingClientRect().top"
            assert 0 <= page.evaluate(top, name.partition('#')[2]) < 150, name


def test_links_to_where_the_files_are(site, tmp_path):
    "Only with an address; what was executed before is not executed again."
    lesson = Links(site/'sub'/'path'/'02_slope.html').links
    assert not [a for a in lesson if 'colab' in a or 'mybinder' in a]
    ran = {f.name: f.stat().st_mtime for f in (site/'cache'/'executed').iterdir()}
    build_site(tmp_path/'out', site/'cache', '--git-url', 'https://github.com/us/course')
    lesson = Links(tmp_path/'out'/'02_slope.html').links
    assert 'https://colab.research.google.com/github/us/course/blob/HEAD/nbs/02_slope.ipynb' in lesson
    assert 'https://github.com/us/course/blob/HEAD/nbs/02_slope.ipynb' in lesson
    assert ran == {f.name: f.stat().st_mtime for f in (site/'cache'/'executed').iterdir()}


def test_from_a_file_and_without_scripts(site, browser):
    root = site/'sub'/'path'
    with opened(browser, 'file:') as page:
        for name in lessons_of(site):
            page.goto((root/name).as_uri())
            places = page.locator('.sgd-place')
            for place in places.all(): expect(place).to_contain_text(SERVE)
            for image in page.locator('.sgd-twin img').all():
                image.evaluate('i => { i.loading = "eager"; }')
                assert image.evaluate('async i => { await i.decode(); return i.naturalWidth; }') >= 28, name
    with opened(browser, 'file:', java_script_enabled=False) as page:
        page.goto((root/'index.html').as_uri())
        first = page.locator('.sgd-twin img').first
        expect(first).to_be_in_viewport()
        assert first.bounding_box()['height'] > 100


def test_on_paper(site, base, browser):
    "It cannot scroll sideways, and has only what is to be read."
    with opened(browser, base, viewport=dict(width=720, height=1000)) as page:
        page.emulate_media(media='print')
        for name in lessons_of(site):
            page.goto(base + name)
            cut = "[...document.querySelectorAll('.highlight pre')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
            assert page.evaluate(cut) == 0, name
            wake(page)
            for what in '.skip-to-content', '.sidebar-drawer', '.toc-drawer', '.sgd-place button':
                expect(page.locator(what).locator('visible=true')).to_have_count(0)


def test_search(base, browser):
    with opened(browser, base) as page:
        page.goto(base + 'search.html?q=saddle')
        expect(page.locator('#search-results li').first).to_be_visible(timeout=20_000)
        page.goto(page.locator('#search-results li a').first.evaluate('a => a.href'))
        expect(page.locator('article')).to_contain_text('saddle')


# --- explorers: each picture has the dots that Python drew

def sha(picture): return hashlib.sha256(dots(picture).tobytes()).hexdigest()


class Explorer:
    "What the page of an explorer should show: pictures from its file, and `drawn`, in the notebook; by caption."
    def __init__(self, state, files, media, drawn):
        self.sizes, binary = list(map(len, state['_texts'])), (media/files['binary']).read_bytes()
        names = [n.replace('_', ' ') for n in state['_names']]
        captions = [', '.join(map(' = '.join, zip(names, texts))) for texts in itertools.product(*state['_texts'])]
        parts = {b['path'][0]: binary[b['start']:b['start'] + b['length']] for b in files['buffers']}
        self.at = {caption: k for k, caption in enumerate(captions) if f'_f{k}' in parts}
        self.pictures = {caption: (parts[f'_f{k}'], state[f'_f{k}']['alt']) for caption, k in self.at.items()}
        self.drawn = {caption: seen for caption, seen in drawn.items() if caption in self.at}
        self.stops = [sorted({self.split(k)[a] for k in self.at.values()}) for a in range(len(names))]

    def loaded(self, caption): return [sha(self.pictures[caption][0]), self.pictures[caption][1]]

    def split(self, k): return divmod(k, self.sizes[1]) if len(self.sizes) > 1 else (k,)

    def places(self, caption):
        "Where the sliders are: numbers of their stops."
        return [stops.index(i) for stops, i in zip(self.stops, self.split(self.at[caption]))]


PICTURE = re.compile(r'<img alt="([^"]*)"[^>]*base64,([^"]+)"><figcaption>(.+?)(?=<div>|<table>|</figcaption>)')


def explorers_of(site, name):
    "The explorers of a page, in their order."
    media, page = site/'sub'/'path'/'_media', (site/'sub'/'path'/name).read_text(encoding='utf-8')
    book = json.loads(next((site/'cache'/'executed').glob(f'{name[:-5]}-*.ipynb')).read_text(encoding='utf-8'))
    said = [''.join(o.get('data', {}).get('text/html', '')) for c in book['cells'] for o in c.get('outputs', [])]
    for file in re.findall(r'class="sgd-place" data-widget="(\w+\.json)"', page):
        files = json.loads((media/file).read_text(encoding='utf-8'))
        if '_texts' not in files['state']: continue
        twin = next(s for s in said if f'class="sgd-twin {files["state"]["_twin"]}"' in s)
        drawn = {html.unescape(caption): [sha(base64.b64decode(png)), html.unescape(alt)]
                 for alt, png, caption in PICTURE.findall(twin)}
        yield Explorer(files['state'], files, media, drawn)


# The caption, the SHA-256 of the picture's dots, and its words
SEEN = """async explorer => {
    const img = explorer.querySelector('img');
    await img.decode();
    const c = Object.assign(document.createElement('canvas'), {width: img.naturalWidth, height: img.naturalHeight});
    const pen = c.getContext('2d');
    pen.drawImage(img, 0, 0);
    const sum = await crypto.subtle.digest('SHA-256', pen.getImageData(0, 0, c.width, c.height).data);
    const hex = [...new Uint8Array(sum)].map(v => v.toString(16).padStart(2, '0')).join('');
    return [explorer.querySelector('strong').textContent, hex, img.alt];
}"""
GO = """async (explorer, places) => {
    const ranges = [...explorer.querySelectorAll('input[type=range]')];
    places.forEach((value, a) => { ranges[a].value = value; ranges[a].dispatchEvent(new Event('input')); });
}"""


def compare(explorer, name, go):
    "At the positions of the still pictures, there are those that Python drew."
    assert len(explorer.drawn) >= 2, name
    for caption, expected in explorer.drawn.items():
        assert explorer.loaded(caption) == expected, (name, caption)
        assert go(explorer.places(caption)) == [caption, *expected], name


def test_explorers_slide_and_predictions_answer(site, base, browser):
    "On every page: each stop of each slider has its own picture, dot for dot; each question its answer."
    slid = compared = asked = 0
    with opened(browser, base) as page:
        for name in lessons_of(site):
            page.goto(base + name)
            wake(page)
            live = [e for e in page.locator('.sgd-explore').all() if e.locator('img').count()]
            for explorer, there in zip(live, explorers_of(site, name), strict=True):
                for slider in explorer.get_by_role('slider').all():
                    stops, pictures = int(slider.get_attribute('max')) + 1, {}
                    slider.focus()
                    page.keyboard.press('Home')
                    for k in range(stops):
                        expect(slider).to_have_js_property('value', str(k))
                        caption, *seen = explorer.evaluate(SEEN)
                        assert seen == there.loaded(caption), (name, caption)
                        pictures[caption] = seen[0]
                        page.keyboard.press('ArrowRight')
                    assert len(pictures) == stops and len(set(pictures.values())) > stops/2, name
                    slid += stops
                def go(places):
                    explorer.evaluate(GO, places)
                    return explorer.evaluate(SEEN)
                compare(there, name, go)
                compared += len(there.drawn)
            for ask in page.locator('.sgd-ask').all():
                radio, box, lock = ask.get_by_role('radio'), ask.get_by_role('textbox'), ask.get_by_role('button').first
                if radio.count(): radio.first.check()
                else: box.fill('1')
                lock.click()
                if 'out of range' in ask.inner_text():
                    box.fill('0.5')
                    lock.click()
                expect(ask.get_by_role('log')).to_contain_text(re.compile('You said'))
                asked += 1
    assert slid > 150 and compared > 45 and asked > 40


# --- drawings, fingers

PHONE = dict(viewport=dict(width=390, height=900), has_touch=True, is_mobile=True)


def test_a_3_and_a_7_are_read(base, browser):
    with opened(browser, base, **PHONE) as page:
        page.goto(base + 'index.html')
        wake(page)
        sheet = Sheet(type('Book', (), dict(page=page)))
        for name, digit in ('round 3', '3'), ('plain 7', '7'):
            sheet.clear.click()
            sheet.touch(DRAWN[name])
            expect(sheet.words).to_have_text(re.compile(f'^{digit}, with probability'))
            expect(sheet.el).to_contain_text('Answered in this page')


def finger(page, element, x0, x1):
    "Drag a finger across an element, between these fractions of its width."
    element.scroll_into_view_if_needed()
    cdp, r = page.context.new_cdp_session(page), element.bounding_box()
    at = lambda f: [dict(x=r['x'] + f*r['width'], y=r['y'] + r['height']/2)]
    steps = [at(x0 + (x1 - x0)*k/8) for k in range(9)]
    for kind, points in ('touchStart', steps[0]), *(('touchMove', s) for s in steps[1:]), ('touchEnd', []):
        cdp.send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=points))


def test_a_finger_slides(base, browser):
    with opened(browser, base, **PHONE) as page:
        page.goto(base + 'index.html')
        wake(page)
        explorer = page.locator('.sgd-explore').first
        slider = explorer.get_by_role('slider').first
        first = explorer.evaluate(SEEN)
        finger(page, slider, .04, .6)
        assert 2 < int(slider.input_value()) < 8 and explorer.evaluate(SEEN) != first
        page.goto(base + '02_slope.html')
        wake(page)
        point = page.get_by_role('slider', name='point x')
        finger(page, point, .4, .8)
        expect(point).to_have_attribute('aria-valuenow', re.compile(r'^(0\.[5-9]|1|2)'))


# --- Firefox

FOX_WAKE = """async () => {
    const places = [...document.querySelectorAll('.sgd-place')];
    for (const p of places) {
        p.scrollIntoView();
        for (let k = 0; k < 600 && p.dataset.live !== ''; k++) await new Promise(r => setTimeout(r, 50));
    }
    return places.map(p => p.dataset.live);
}"""
FOX_SLIDE = """async () => {
    const [seen, go] = [%s, %s];
    const explorer = [...document.querySelectorAll('.sgd-explore')].filter(e => e.querySelector('img'))[%d];
    const all = [];
    for (const places of %s) { await go(explorer, places); all.push(await seen(explorer)); }
    return all;
}"""
FOX_ASK = """() => [...document.querySelectorAll('.sgd-ask')].map(ask => {
    const [input, lock] = [ask.querySelector('input'), ask.querySelector('button')];
    if (input.type === 'radio') input.click();
    else input.value = '1';
    lock.click();
    if (ask.textContent.includes('out of range')) { input.value = '0.5'; lock.click(); }
    return ask.querySelector('[role=log]').innerText;
})"""


def fox_draws(firefox, strokes):
    "With the mouse, on the first sheet; gives what it is read as."
    firefox.evaluate("() => { const d = document.querySelector('.sgd-draw'); d.scrollIntoView({behavior: 'instant'});"
                     " [...d.querySelectorAll('button')].find(b => b.textContent === 'Clear').click(); }")
    canvas = "() => { const r = document.querySelector('.sgd-draw canvas').getBoundingClientRect(); return "
    x, y, w, h = firefox.evaluate(canvas + "[r.x, r.y, r.width, r.height]; }")
    for s in strokes: firefox.mouse(*[(x + w*a/100, y + h*b/100) for a, b in s])
    words = "() => document.querySelector('.sgd-draw strong').textContent"
    return firefox.until(lambda: (said := firefox.evaluate(words)).find('with probability') > 0 and said)


def test_in_firefox(site, base, firefox):
    "On every page: no error, nothing from elsewhere; widgets live, predictions answered, the right pictures."
    firefox.listen('log.entryAdded', 'network.beforeRequestSent')
    live = asked = compared = 0
    for name in pages_in(site/'sub'/'path'):
        firefox.go(base + name)
        woken = firefox.evaluate(FOX_WAKE)
        assert set(woken) <= {''}, (name, woken)
        live += len(woken)
        if not woken: continue
        for n, explorer in enumerate(explorers_of(site, name)):
            there = {caption: explorer.places(caption) for caption in explorer.drawn}
            seen = firefox.evaluate(FOX_SLIDE % (SEEN, GO, n, json.dumps(list(there.values()))))
            assert seen == [[caption, *explorer.drawn[caption]] for caption in there], name
            compared += len(seen)
        said = firefox.evaluate(FOX_ASK)
        assert all('You said' in s for s in said), (name, said)
        asked += len(said)
    assert live > 60 and asked > 40 and compared > 45
    firefox.go(base + 'index.html')
    firefox.evaluate(FOX_WAKE)
    firefox.evaluate("() => document.querySelector('.sgd-explore input').focus()")
    caption = "() => document.querySelector('.sgd-explore strong').textContent"
    before = firefox.evaluate(caption)
    firefox.press(RIGHT)
    firefox.until(lambda: firefox.evaluate(caption) != before)
    for drawn, digit in ('round 3', '3'), ('plain 7', '7'):
        assert fox_draws(firefox, DRAWN[drawn]).startswith(digit)
    errors = [e['text'] for kind, e in firefox.heard if kind == 'log.entryAdded' and e['level'] == 'error']
    asked = [e['request']['url'] for kind, e in firefox.heard if kind == 'network.beforeRequestSent']
    assert errors == [] and len(asked) > 500
    assert [u for u in asked if not u.startswith((base, 'blob:', 'data:'))] == []
