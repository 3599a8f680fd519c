"""Each widget, with no kernel behind it: in JupyterLab as it comes, when the kernel has been killed, and in the page
that nbconvert makes of a notebook; in Chromium and in Firefox."""
import os
import re
import sys
import time
from contextlib import suppress

import pytest
from browser import notebook
from conftest import REPO, offline_env, run
from test_front_ends import BOOK, READY, RUN

BUTTON, RADIO = 'button', 'input[type=radio]'
SCRIBBLE = [(.35, .2), (.6, .25), (.5, .45), (.65, .6), (.5, .8), (.3, .75)]
# what it is: the code that shows it; what a reader does, with the mouse or the keys, to which element (and which of
# them); what the widget then says, and did not before
WIDGETS = {
    'prediction': ('from sgd_course.exercises.slope import predict_sign\npredict_sign',
                   [('click', RADIO, 0), ('click', BUTTON, 0), ('click', BUTTON, 1)], 'No, it is: subtract it'),
    'number': ('from sgd_course.exercises.slope import predict_ten\npredict_ten',
               [('type', 'input', 0, [*'-0.2', 'Enter']), ('click', BUTTON, 1)], r'You said -0\.2, it is -0\.1611'),
    'hints and solution': (
        'from sgd_course.exercises.slope import check_step_down\ncheck_step_down(lambda f, x, lr: x + lr*f(x))',
        [('click', BUTTON, 0), ('click', BUTTON, 0), ('click', BUTTON, 1), ('click', BUTTON, 1)],
        r'hint 1 of 2[^$]*hint 2 of 2[^$]*return x - lr\*slope'),
    'flipbook': ('''
import matplotlib.pyplot as plt
from sgd_course.explore import explore
def draw(lr): plt.plot([0, lr]); plt.title(f'Rate {lr}')
explore(draw, lr=[.1, .2, .3])''', [('type', 'input[type=range]', 0, ['Home', 'ArrowRight'])], r'lr = 0\.2'),
    'slope': ('from sgd_course.explorers import explore_slope\nexplore_slope(lambda x: x**2, [1, .5, .1])',
              [('drag', 'canvas', 0, [(.3, .5), (.4, .5), (.6, .5)])], r'At x = 0\.\d+'),
    'drawing': ('''
import torch
from sgd_course.draw import draw_digit
torch.manual_seed(0)
draw_digit(torch.nn.Linear(784, 1))''', [('drag', 'canvas', 0, SCRIBBLE)], r'[37], with probability[^$]*strokes: 1'),
    'surface': ("from sgd_course.surface import explore_surface\nexplore_surface('two minima')",
                [('drag', '.sgd-map', 0, [(.5, .7), (.3, .7)])], r'Start at -[\d.]+, -[\d.]+'),
    'graph': ('from sgd_course.graph import explore_graph\nexplore_graph(lambda x: (2*x + 1)**2, x=3.)',
              [('type', 'input[type=range]', 0, ['Home', 'ArrowRight'])], r'x = -\d'),
    'units': ('from sgd_course.unit import explore_unit\nexplore_unit()',
              [('type', '.sgd-map', 0, ['2', 'ArrowRight'])], 'Unit 2: direction 145 degrees'),
    'filters': ('''
from sgd_course.filters import explore_filters
from sgd_course.schedules import small_cnn
explore_filters(small_cnn())''', [('drag', 'canvas', 0, SCRIBBLE)], 'Your drawing: '),
}
each_browser = pytest.mark.parametrize('kind', ['chromium', 'firefox'])


class Chromium:
    "A page in Chromium with what `firefox.Firefox` has."
    def __init__(self, browser):
        self.page = browser.new_page(viewport=dict(width=1100, height=900))
        self.go, self.evaluate = self.page.goto, self.page.evaluate

    def press(self, key): self.page.keyboard.press(key)

    def mouse(self, *points):
        mouse = self.page.mouse
        mouse.move(*points[0])
        mouse.down()
        for p in points[1:]: mouse.move(*p)
        mouse.up()

    def until(self, true, seconds=90):
        end = time.time() + seconds
        while time.time() < end:
            if found := true(): return found
            self.page.wait_for_timeout(100)
        raise AssertionError(f'nothing within {seconds} seconds')


@pytest.fixture
def front(kind, request):
    if kind == 'firefox': yield request.getfixturevalue('firefox')
    else:
        chromium = Chromium(request.getfixturevalue('browser'))
        yield chromium
        chromium.page.close()


KEYS = dict(Enter='\uE006', ArrowRight='\uE014', Home='\uE011')   # WebDriver's numbers
SAYS = """() => { const all = [...document.querySelectorAll('#asked, #asked [aria-label], #asked [aria-valuetext]')];
    return all.map(e => [e === all[0] && e.innerText, e.ariaLabel, e.ariaValueText].join(' ')).join(' '); }"""


def answers(front, kind, name):
    "Does what a reader does with the widget whose id is 'asked'; it answers."
    _, steps, answer = WIDGETS[name]
    says = lambda: front.evaluate(SAYS)
    assert says() and not re.search(answer, says()), (name, says())
    for what, selector, n, *more in steps:
        x, y, width, height = front.evaluate(f"""() => {{
            const e = document.querySelectorAll('#asked {selector}')[{n}];
            e.scrollIntoView({{ block: 'center' }});
            const r = e.getBoundingClientRect();
            return [r.x, r.y, r.width, r.height]; }}""")
        way = more[0] if what == 'drag' else [(.5, .5)]
        front.mouse(*[(x + a*width, y + b*height) for a, b in way])
        for key in more[0] if what == 'type' else []: front.press(KEYS.get(key, key) if kind == 'firefox' else key)
    end = time.time() + 20
    while not re.search(answer, says()) and time.time() < end: time.sleep(.05)
    assert re.search(answer, says()), (name, says())


def opened(front, lab, path):
    "In JupyterLab with its own settings."
    front.go(f'http://127.0.0.1:{lab.port}/doc/tree/{path.name}?token={lab.token}&reset')
    front.until(lambda: front.evaluate(READY))


def found(front, n):
    "Scroll to cell number n, as a reader does, and give its widget the id; true when it has all its pictures."
    return front.evaluate(f"""async () => {{
        const book = {BOOK}.content, cell = book.widgets[{n}].node;
        await book.scrollToItem({n}, 'center');
        document.querySelector('#asked')?.removeAttribute('id');
        const widget = cell.querySelector('.sgd-live');
        if (!widget) return false;
        widget.id = 'asked';
        return !/drawn/.test(widget.innerText); }}""")


def all_answer(front, kind):
    for n, name in enumerate(WIDGETS):
        front.until(lambda: found(front, n))
        answers(front, kind, name)


def kill(front, lab, path):
    kernel, = [s['kernel']['id'] for s in lab.api('sessions') if s['path'] == path.name]
    lab.api(f'kernels/{kernel}', 'DELETE')
    front.until(lambda: front.evaluate(f"() => {BOOK}.sessionContext.session?.kernel?.connectionStatus !== 'connected'"))
    assert kernel not in [k['id'] for k in lab.api('kernels')]


@pytest.mark.browser
@pytest.mark.slow
@each_browser
def test_in_jupyterlab_when_the_kernel_is_killed(front, kind, lab):
    path = notebook(lab.root/'nb'/f'alone-{kind}.ipynb', *(code for code, *_ in WIDGETS.values()))
    opened(front, lab, path)
    assert front.evaluate(RUN) is True
    for n in range(len(WIDGETS)): front.until(lambda: found(front, n))
    kill(front, lab, path)
    all_answer(front, kind)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    "A notebook with all widgets that was run, with their state, and beside it the page that nbconvert makes of it."
    folder = tmp_path_factory.mktemp('alone')
    path = notebook(folder/'alone.ipynb', *(code for code, *_ in WIDGETS.values()))
    env = offline_env(folder, folder) | dict(JUPYTER_CONFIG_DIR=str(folder))
    env['PYTHONPATH'] += os.pathsep + str(REPO)
    convert = sys.executable, '-m', 'jupyter', 'nbconvert', '--to'
    run(*convert, 'notebook', '--execute', '--inplace', path, env=env)
    run(*convert, 'html', path, env=env)
    return path


@pytest.mark.browser
@pytest.mark.slow
@each_browser
def test_in_jupyterlab_from_the_state_that_was_saved(front, kind, lab, saved):
    "Opened again, and not run."
    path = lab.root/'nb'/f'saved-{kind}.ipynb'
    path.write_bytes(saved.read_bytes())
    run(sys.executable, '-m', 'jupyter', 'trust', path, env=lab.env)   # as what was saved in this JupyterLab is
    for again in range(7):   # on a busy machine, JupyterLab does not always find the state of all widgets at first
        opened(front, lab, path)
        with suppress(AssertionError):
            for n in range(len(WIDGETS)): front.until(lambda: found(front, n), 20)
            break
    else: raise AssertionError('there is a widget without its state each time')
    kill(front, lab, path)
    all_answer(front, kind)


@pytest.mark.browser
@pytest.mark.slow
@each_browser
def test_in_a_saved_page(front, kind, saved):
    front.go(saved.with_suffix('.html').as_uri())
    front.until(lambda: front.evaluate('() => document.querySelectorAll(".sgd-live").length') == len(WIDGETS))
    for n, name in enumerate(WIDGETS):
        front.evaluate(f"""() => {{ document.querySelector('#asked')?.removeAttribute('id');
            document.querySelectorAll('.sgd-live')[{n}].id = 'asked'; }}""")
        answers(front, kind, name)


LOOKS = '''() => [...document.querySelectorAll('main, main *')].map(e => {
    const style = getComputedStyle(e);
    return [e.tagName + '.' + e.className, Object.fromEntries([...style].map(name => [name, style[name]]))];
})'''


@pytest.mark.slow
def test_the_style_of_one_does_not_change_another(browser):
    "In a notebook each brings its own, in the order in which they are shown."
    from sgd_course.check import CheckResult, Prediction, _page_class
    from test_surface import opened
    made = {}
    for name in 'prediction', 'hints and solution', 'slope', 'surface', 'graph', 'units', 'filters':
        *lines, last = WIDGETS[name][0].strip().splitlines()
        exec('\n'.join(lines), names := {})
        e = eval(last, names)
        made[name] = _page_class()(e) if isinstance(e, Prediction | CheckResult) else e
    every = [str(w._css) for w in made.values()] + [(REPO/'sgd_course'/f).read_text(encoding='utf-8')
                                                    for f in ('draw.css', 'explore.css')]
    for name, w in made.items():
        page = opened(browser, w)
        page.wait_for_timeout(100)
        before = page.evaluate(LOOKS)
        for css in every: page.add_style_tag(content=css)
        for (element, looks), (_, now) in zip(before, page.evaluate(LOOKS), strict=True):
            assert looks == now, (name, element, {k: (v, now[k]) for k, v in looks.items() if now[k] != v})
        page.close()
