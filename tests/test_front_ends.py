"The glossary's links in JupyterLab; an explorer in Firefox and in Notebook 7."
import json
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from browser import notebook
from conftest import REPO, missing

sys.path.append(str(REPO/'tools'))
from glossary_links import anchor, definitions, titled  # noqa: E402

# --- the glossary, in JupyterLab as it comes

GLOSSARY = REPO/'nbs'/'glossary.md'
TERMS = re.findall(r'^### (.+)', GLOSSARY.read_text(encoding='utf-8'), re.M)

# Follows the link to a term, from the far end of the glossary or with the glossary closed, and waits
# until the entry is where a reader looks: at the top, or in sight where the glossary ends before that.
FOLLOW = """async ([term, closed]) => {
    const until = async f => {
        const end = performance.now() + 60000;
        while (!f() && performance.now() < end) await new Promise(r => setTimeout(r, 20));
        return f();
    };
    const glossary = () => [...jupyterapp.shell.widgets('main')].find(w => w.title.label === 'glossary.md');
    const viewer = () => glossary()?.node.querySelector('.jp-MarkdownViewer');
    const scroller = () => [...viewer().querySelectorAll('*'), viewer()].find(e => e.scrollHeight > e.clientHeight + 50
        && getComputedStyle(e).overflowY === 'auto');
    if (closed) glossary()?.dispose();
    else { const s = scroller(); s.scrollTop = s.scrollTop > s.scrollHeight/2 ? 0 : s.scrollHeight; }
    const link = [...document.querySelectorAll('.jp-Notebook a')].find(a => a.textContent === term);
    link.click();
    const there = () => {
        const head = [...(viewer()?.querySelectorAll('h3') ?? [])].find(h => h.textContent.replace('¶', '') === term);
        const s = head && scroller();
        if (!s) return false;
        const below = head.getBoundingClientRect().top - s.getBoundingClientRect().top;
        const end = s.scrollHeight - s.clientHeight - s.scrollTop < 2;
        return Math.abs(below) < 40 || end && below > 0 && below < s.clientHeight - 40;
    };
    return [await until(there), link.title];
}"""


@pytest.mark.slow
def test_links_land_on_every_term_of_the_glossary(open_book, lab):
    "Whether the glossary is open already or not; hovering over a link shows the definition."
    (lab.root/'nb'/GLOSSARY.name).write_bytes(GLOSSARY.read_bytes())
    path, said = notebook(lab.root/'nb'/'links.ipynb', ''), definitions()
    links = '\n\n'.join(f'[{term}](glossary.md#{anchor(term)})' for term in TERMS)
    nb = json.loads(path.read_text())
    nb['cells'] = [dict(cell_type='markdown', id='links', metadata={}, source=titled(links, said))]
    path.write_text(json.dumps(nb))
    book = open_book(path=path)
    for i, term in enumerate(TERMS):
        assert book.page.evaluate(FOLLOW, [term, i % 20 == 0]) == [True, said[anchor(term)]], term


# --- an explorer, elsewhere than in JupyterLab and Chromium

EXPLORER = '''
import matplotlib.pyplot as plt
from sgd_course.explore import explore
def draw(lr): plt.plot([0, lr])
explore(draw, lr=[.1, .2, .3])'''
PICTURE = '''() => {
    const [img, input] = ['img', 'input[type=range]'].map(s => document.querySelector('.sgd-explore ' + s));
    if (!input || !img?.complete || !img.naturalWidth) return '';
    const c = Object.assign(document.createElement('canvas'), {width: img.naturalWidth, height: img.naturalHeight});
    c.getContext('2d').drawImage(img, 0, 0);
    return c.toDataURL();
}'''
FOCUS = '() => document.querySelector(".sgd-explore input[type=range]").focus()'
RIGHT = '\uE014'  # WebDriver's number of the key
IDLE, CELL = '.jp-Notebook-ExecutionIndicator[data-status=idle]', '.jp-Notebook .jp-Cell'
# a window that nobody sees never gets the focus, by which JupyterLab knows which notebook to run
BOOK = "[...(window.jupyterapp?.shell.widgets('main') ?? [])].find(w => w.sessionContext)"
READY = f"""() => {{
    const book = {BOOK};
    return book?.context.isReady && book.isRevealed && book.sessionContext.session?.kernel?.status === 'idle';
}}"""
RUN = f"""() => {{
    {BOOK}.node.dispatchEvent(new FocusEvent('focus'));
    return jupyterapp.commands.execute('notebook:run-all-cells');
}}"""
ERROR = re.compile('Error displaying|not found|Traceback|nothing|failed|[A-Z][a-z]+Error')


def slides(until, evaluate, press_right):
    "An explorer on a page: each press of the key shows another picture, and nowhere is an error."
    pictures = [until(lambda: evaluate(PICTURE))]
    for _ in range(2):
        evaluate(FOCUS)
        press_right()
        pictures.append(until(lambda: (p := evaluate(PICTURE)) not in pictures and p))
    assert '' not in pictures and len(set(pictures)) == 3
    text = evaluate('() => document.querySelector(".jp-Notebook").innerText')
    assert text and not ERROR.search(text), text


@pytest.mark.browser
@pytest.mark.long
def test_explorer_in_firefox(firefox, lab):
    path = notebook(lab.root/'nb'/'firefox.ipynb', EXPLORER)
    firefox.go(f'http://127.0.0.1:{lab.port}/doc/tree/{path.name}?token={lab.token}&reset')
    firefox.until(lambda: firefox.evaluate(READY))
    assert firefox.evaluate(RUN) is True
    slides(firefox.until, firefox.evaluate, lambda: firefox.press(RIGHT))


@pytest.mark.browser
@pytest.mark.slow
def test_surface_in_firefox(firefox, tmp_path):
    "A page with nothing but the map: its words, and the arrow keys."
    from sgd_course.surface import explore_surface
    from test_surface import RENDER, state_of
    e = explore_surface(['two minima', lambda a, b: a**2 + b**2])
    (tmp_path/'map.html').write_text(f'<!doctype html><style>{e._css}</style><main></main>', encoding='utf-8')
    firefox.go((tmp_path/'map.html').as_uri())
    firefox.evaluate(f'() => ({RENDER})({json.dumps([e._esm, state_of(e)])})')
    words = lambda: firefox.evaluate('() => document.querySelector("strong").textContent')
    assert firefox.until(words).startswith('SGD reaches a local minimum (another is lower) after')
    firefox.evaluate('() => document.querySelector(".sgd-map").focus()')
    for _ in range(20): firefox.press('\uE012')   # to the left
    firefox.until(lambda: words().startswith('SGD reaches the lowest minimum after'))
    painted = """() => { const c = document.querySelector('.sgd-map');
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0); }"""
    assert firefox.evaluate(painted)


@pytest.mark.browser
@pytest.mark.slow
def test_unit_in_firefox(firefox, tmp_path):
    "A page with nothing but the units: set up with keys, and trained."
    from sgd_course.unit import explore_unit
    from test_surface import RENDER, state_of
    e = explore_unit()
    (tmp_path/'unit.html').write_text(f'<!doctype html><style>{e._css}</style><main></main>', encoding='utf-8')
    firefox.go((tmp_path/'unit.html').as_uri())
    firefox.evaluate(f'() => ({RENDER})({json.dumps([e._esm, state_of(e)])})')
    words = lambda: firefox.evaluate('() => document.querySelector("strong").textContent')
    assert firefox.until(words).startswith('3 units: 69.2 % right')
    firefox.evaluate('() => document.querySelector(".sgd-map").focus()')
    for key in ('2', *['\uE012']*12, '3', *['\uE015']*19): firefox.press(key)   # to the left, down
    firefox.until(lambda: words().startswith('3 units: all points right'))
    firefox.evaluate('() => document.querySelector(".sgd-acts button").click()')
    assert firefox.until(lambda: re.match(r'After \d\d+ steps, 3 units: all points right', words()))


@pytest.mark.browser
@pytest.mark.slow
def test_graph_in_firefox(firefox, tmp_path):
    "A page with nothing but the graph: its steps, and an arrow key."
    from sgd_course.graph import explore_graph
    from test_surface import RENDER, state_of
    e = explore_graph(lambda x: (2*x + 1)**2, x=3.)
    (tmp_path/'graph.html').write_text(f'<!doctype html><style>{e._css}</style><main></main>', encoding='utf-8')
    firefox.go((tmp_path/'graph.html').as_uri())
    firefox.evaluate(f'() => ({RENDER})({json.dumps([e._esm, state_of(e)])})')
    words = lambda: firefox.evaluate('() => document.querySelector(".sgd-sentence").textContent')
    assert firefox.until(words).startswith('The forward pass begins at the inputs: x = 3.')
    for _ in range(7): firefox.evaluate('() => document.querySelectorAll(".sgd-steps button")[4].click()')
    assert words().endswith('Its slope for x is 2; 14 × 2 = 28 arrives at x.')
    firefox.evaluate('() => document.querySelector("input[type=range]").focus()')
    firefox.press(RIGHT)
    assert words().endswith('14.4 × 2 = 28.8 arrives at x.')
    drawn = """() => { const box = document.querySelector('.sgd-paper svg').getBoundingClientRect();
        return [...document.querySelectorAll('.sgd-node rect')].filter(r => {
            const b = r.getBoundingClientRect();
            return b.width > 100 && b.left >= box.left && b.right <= box.right; }).length; }"""
    assert firefox.evaluate(drawn) == 4


def test_explorer_in_notebook_7(browser, lab):
    "The server of JupyterLab has it too, where it is installed."
    if not find_spec('notebook'): missing('notebook>=7')
    path = notebook(lab.root/'nb'/'seven.ipynb', EXPLORER)
    page = browser.new_page(viewport=dict(width=1100, height=1000))
    page.goto(f'http://127.0.0.1:{lab.port}/notebooks/{path.name}?token={lab.token}')
    page.locator(IDLE).wait_for(timeout=90_000)
    page.locator(CELL).click()
    def until(true):
        for _ in range(900):
            if found := true(): return found
            page.wait_for_timeout(100)
    def begun():
        "Keys that are pressed before the shortcuts are there do nothing."
        page.keyboard.press('Control+Enter')
        return page.locator('.jp-InputPrompt').inner_text().strip(' []:')
    until(begun)
    slides(until, page.evaluate, lambda: page.keyboard.press('ArrowRight'))
    page.close()


# --- each lesson in JupyterLab as it comes: run, saved, and opened again when its kernel is gone

RAN = """() => {
    const book = jupyterapp.shell.currentWidget, cells = book.content.widgets.filter(c => c.model.type === 'code');
    const failed = cells.some(c => c.model.outputs.toJSON().some(o => o.output_type === 'error'));
    return book.sessionContext.session?.kernel?.status === 'idle' && (failed || cells.every(
        c => !c.model.sharedModel.source.trim() || c.model.executionCount)); }"""
# goes through the notebook as a reader does, since JupyterLab leaves out what is far from the screen
SEEN = """async () => { const found = {}, book = jupyterapp.shell.currentWidget.content;
    for (const [i, cell] of book.widgets.entries()) {
        if (cell.model.type !== 'code' || !cell.model.outputs.length) continue;
        const node = cell.outputArea.node, end = performance.now() + 30000;
        const text = () => node.isConnected ? node.innerText.trim() : '';
        const pictures = () => [...node.querySelectorAll('img')].filter(img => img.checkVisibility()).length;
        const blank = () => !(text() || pictures()) || node.querySelector('.jp-RenderedMarkdown:empty');  // drawn last
        do {
            await book.scrollToItem(i);
            await new Promise(r => setTimeout(r, 50));
        } while ((blank() || /Loading widget|drawn/.test(text())) && performance.now() < end);
        found[cell.model.id] = [text(), pictures()];
    }
    return found; }"""
BROKEN = re.compile('Error displaying|model not found|Loading widget|Traceback')


@pytest.mark.slow
@pytest.mark.parametrize('name', [f.name for f in sorted((REPO/'nbs').glob('[0-9]*.ipynb'))])
def test_a_lesson_opened_again(name, open_book, lab, classroom):
    path = Path(shutil.copy(classroom[0]/'learner'/name, lab.root/'nb'))
    book = open_book(path=path)
    book.command('notebook:run-all-cells')
    book.page.wait_for_function(RAN, timeout=600_000)
    first = book.page.evaluate(SEEN)
    book.command('docmanager:save')
    book.page.wait_for_function('() => !jupyterapp.shell.currentWidget.context.model.dirty')
    book.page.close()
    lab.end_kernels()
    again = open_book(path=path).page.evaluate(SEEN)
    for text, _ in [*first.values(), *again.values()]: assert not BROKEN.search(text), text
    assert len(first) > 15 and [k for k in first if first[k][0] and not again[k][0]] == []
    assert [k for k in first if first[k][1] and not again[k][1]] == [], 'where there was a picture, there is one'
    assert path.stat().st_size < 1_500_000
