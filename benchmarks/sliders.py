"""How fast the explorers slide, beside what a user would use instead, in one JupyterLab.

    python benchmarks/sliders.py           # prints the tables, writes sliders.json beside this file
    python benchmarks/sliders.py --pages   # those that the page draws by itself; pages.json
    python benchmarks/sliders.py --quick   # one short round; prints only

Needs what the tests need (the extras `course` and `dev`), Chromium, and two packages to compare
with: pip install ipympl plotly. README.md says how it measures.
"""
import argparse
import asyncio
import json
import os
import platform
import secrets
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from operator import sub, truediv
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent/'tests'))
from browser import BROWSER_FLAGS, Book, Lab, notebook

# --- one figure, shown in several ways: a cell to prepare it, and the cell that is measured

class Case(NamedTuple):
    prepare: str
    show: str
    stops: int=61   # of the slider, or how many of them the mouse goes to
    others: int=0   # of our explorer's second slider; 0: not one of pictures that Python draws
    handle: str='.jp-OutputArea-output input[type=range], .noUi-handle'
    page: str=''    # ours, drawn by the page: the case that does the same with interact
    button: str=''  # to press before anything is measured but the first picture
    beyond: float=0  # the part of the axes, at each end, where moves change nothing


WALK = '''
import matplotlib.pyplot as plt
import numpy as np
RATES = [round(.02*k, 2) for k in range(1, 62)]
X = np.linspace(-2, 2, 201)
def walk(lr): return -1.5*(1 - 2*lr)**np.arange(11)
'''
DRAW = WALK + '''
def draw(lr):
    plt.figure(figsize=(6, 4))
    plt.plot(X, X**2)
    plt.plot(walk(lr), walk(lr)**2, 'o-', color='red')
    plt.xlim(-2, 2)
    plt.ylim(-.2, 4.2)
    plt.title(f'lr = {lr:.2f}')
'''
SLIDER = '''
from IPython.display import display
from ipywidgets import FloatSlider, Layout, VBox, interact
def slider():
    return FloatSlider(value=.02, min=.02, max=1.22, step=.02, layout=Layout(width='640px'))
'''
EMPTY = '''
import anywidget
class Empty(anywidget.AnyWidget):
    _esm = """export default { render({ el }) {
      const make = (tag, props) =>
        el.appendChild(Object.assign(document.createElement(tag), props));
      const range = make('input', { type: 'range', max: 60, value: 0, style: 'width: 600px' });
      const context = make('canvas', { width: 600, height: 400 }).getContext('2d');
      const paint = () => {
        context.fillStyle = `hsl(${6*range.value} 50% 50%)`;
        context.fillRect(0, 0, 600, 400);
      };
      range.dataset.lmSuppressShortcuts = 'true';
      range.addEventListener('input', paint);
      paint();
    } }"""
'''
CASES = {
    'explore': Case(
        DRAW + 'from sgd_course.explore import explore',
        'e = explore(draw, lr=RATES)\ne', others=1),
    'explore_descent': Case(
        WALK + 'from sgd_course.explorers import explore_descent\ndef f(x): return x**2',
        'e = explore_descent(f, RATES, starts=[-1.5])\ne', others=1),
    'explore_sweep': Case(
        'import torch\nfrom sgd_course.selection import lr_sweep\n'
        'from sgd_course.explorers import explore_sweep',
        'e = explore_sweep(lr_sweep(torch.logspace(-3, 2, 41), 20, progress=False))\ne',
        stops=41, others=21),
    'interact, matplotlib': Case(DRAW + SLIDER, 'interact(draw, lr=slider());'),
    'ipympl, artists moved': Case('%matplotlib widget' + WALK + SLIDER, '''
with plt.ioff(): fig, ax = plt.subplots(figsize=(6, 4))
ax.plot(X, X**2)
dots, = ax.plot(walk(.02), walk(.02)**2, 'o-', color='red')
ax.set(xlim=(-2, 2), ylim=(-.2, 4.2), title='lr = 0.02')
def move(change):
    lr = change['new']
    dots.set_data(walk(lr), walk(lr)**2)
    ax.set_title(f'lr = {lr:.2f}')
    fig.canvas.draw_idle()
s = slider()
s.observe(move, 'value')
display(VBox([s, fig.canvas]))'''),
    'plotly FigureWidget': Case(
        WALK + SLIDER + 'import plotly.graph_objects as go', '''
fig = go.FigureWidget([go.Scatter(x=X, y=X**2, mode='lines'),
                       go.Scatter(x=walk(.02), y=walk(.02)**2, line_color='red')])
fig.update_layout(width=600, height=400, title_text='lr = 0.02', showlegend=False,
                  xaxis_range=[-2, 2], yaxis_range=[-.2, 4.2])
def move(change):
    lr = change['new']
    with fig.batch_update():
        fig.data[1].x, fig.data[1].y = walk(lr), walk(lr)**2
        fig.layout.title.text = f'lr = {lr:.2f}'
s = slider()
s.observe(move, 'value')
display(VBox([s, fig]))'''),
    'empty canvas': Case(EMPTY, 'Empty()')}

# a ravine and 100 steps of Momentum: the map, the loss at each step, and slices of it
SURFACE = '''
import matplotlib.pyplot as plt
import numpy as np
X, Y = np.linspace(-2, 2, 97), np.linspace(-.4, .4, 97)
def loss(a, b): return (a**2 + 100*b**2)/2
Z = loss(X, Y[:, None])
def walk(start):
    path, total = [np.array([start, .25])], 0
    for _ in range(100):
        total = .9*total + path[-1]*(1, 100)
        path.append(path[-1] - .01*total)
    return np.array(path).T
'''
START = '''
from IPython.display import display
from ipywidgets import FloatSlider, Layout, VBox, interact
def slider(): return FloatSlider(value=-2, min=-2, max=2, step=4/60, layout=Layout(width='640px'))
'''
# three hidden units on 120 points: the plane with the decision boundary, and the response of one
UNITS = '''
import matplotlib.pyplot as plt
import numpy as np
from ipywidgets import FloatSlider, Layout, interact
from sgd_course.layers import make_bullseye
POINTS, LABELS = (t.numpy() for t in make_bullseye())
AXIS = np.linspace(-1.9, 1.9, 81)
PLANE = np.stack(np.meshgrid(AXIS, AXIS), -1)
def scores(points, turn):
    angle = np.deg2rad([turn, 150, 330])
    z = points @ np.stack([np.cos(angle), np.sin(angle)]) - [0, 0, 1.8]
    return 2.8 - 3*np.maximum(0, z).sum(-1)
'''
GRAPH = 'explore_graph(lambda x: (2*x + 1)**2, x=-1.5)'
MAP = 'from sgd_course.surface import explore_surface', "explore_surface('ravine', 'Momentum')"
PAGES = {
    'explore_surface, start': Case(*MAP, handle='.sgd-map', page='surface with interact'),
    'explore_surface, learning rate': Case(*MAP, page='surface with interact'),
    'surface with interact': Case(SURFACE + START + '''
def draw(start):
    fig, axs = plt.subplots(2, 2, figsize=(9, 6))
    a, b = walk(start)
    axs[0, 0].contour(X, Y, Z, 13)
    axs[0, 0].plot(a, b, 'o-')
    axs[0, 1].semilogy(loss(a, b))
    axs[1, 0].plot(X, loss(X, b[-1]))
    axs[1, 1].plot(Y, loss(a[-1], Y))
''', 'interact(draw, start=slider());'),
    'surface with plotly': Case(
        SURFACE + START + 'import plotly.graph_objects as go\n'
        'from plotly.subplots import make_subplots', '''
fig = go.FigureWidget(make_subplots(2, 2))
a, b = walk(-2)
fig.add_contour(x=X, y=Y, z=Z, contours_coloring='lines', row=1, col=1)
fig.add_scatter(x=a, y=b, row=1, col=1)
fig.add_scatter(y=loss(a, b), row=1, col=2)
fig.add_scatter(x=X, y=loss(X, b[-1]), row=2, col=1)
fig.add_scatter(x=Y, y=loss(a[-1], Y), row=2, col=2)
fig.update_layout(width=900, height=600, showlegend=False)
def move(change):
    a, b = walk(change['new'])
    with fig.batch_update():
        fig.data[1].x, fig.data[1].y = a, b
        fig.data[2].y, fig.data[3].y, fig.data[4].y = loss(a, b), loss(X, b[-1]), loss(a[-1], Y)
s = slider()
s.observe(move, 'value')
display(VBox([s, fig]))'''),
    'explore_unit, direction': Case('from sgd_course.unit import explore_unit', 'explore_unit()',
                                    page='units with interact'),
    'units with interact': Case(UNITS + '''
def draw(turn):
    fig, (plane, line) = plt.subplots(1, 2, figsize=(9, 4))
    found = scores(PLANE, turn)
    plane.imshow(1/(1 + np.exp(-found)), 'RdBu', extent=(-1.9, 1.9)*2, origin='lower')
    plane.contour(AXIS, AXIS, found, [0])
    plane.scatter(*POINTS.T, c=LABELS)
    line.plot(AXIS, np.maximum(0, AXIS))
s = FloatSlider(value=0, min=0, max=360, step=6, layout=Layout(width='640px'))
''', 'interact(draw, turn=s);'),
    'units with plotly': Case(
        UNITS + 'from IPython.display import display\nfrom ipywidgets import VBox\n'
        'import plotly.graph_objects as go\nfrom plotly.subplots import make_subplots', '''
fig = go.FigureWidget(make_subplots(1, 2))
z = scores(PLANE, 0)
fig.add_heatmap(x=AXIS, y=AXIS, z=1/(1 + np.exp(-z)), colorscale='RdBu', zmin=0, zmax=1,
                showscale=False, row=1, col=1)
fig.add_contour(x=AXIS, y=AXIS, z=z, contours=dict(type='constraint', value=0), row=1, col=1)
fig.add_scatter(x=POINTS[:, 0], y=POINTS[:, 1], mode='markers', marker_color=LABELS, row=1, col=1)
fig.add_scatter(x=AXIS, y=np.maximum(0, AXIS), row=1, col=2)
fig.update_layout(width=900, height=400, showlegend=False)
def move(change):
    z = scores(PLANE, change['new'])
    with fig.batch_update(): fig.data[0].z, fig.data[1].z = 1/(1 + np.exp(-z)), z
s = FloatSlider(value=0, min=0, max=360, step=6, layout=Layout(width='640px'))
s.observe(move, 'value')
display(VBox([s, fig]))'''),
    'explore_graph, x': Case('from sgd_course.graph import explore_graph', GRAPH,
                             page='graph with interact', button='Show all'),
    'graph with interact': Case(START + '''
import torch
from sgd_course.plot import draw_autograd
def draw(start):
    x = torch.tensor(start).requires_grad_()
    y = (2*x + 1)**2
    y.backward()
    draw_autograd(y, f'x = {start:.2f}, result = {y.item():.4g}, gradient = {x.grad.item():.4g}')
''', 'interact(draw, start=slider());'),
    'graph with plotly': Case(START + '''
import plotly.graph_objects as go
from ipywidgets import VBox
NAMES = ['x', 'multiply by 2', 'add 1', 'power 2']
def words(x):
    values = x, 2*x, 2*x + 1, (2*x + 1)**2
    grads = 4*(2*x + 1), 2*(2*x + 1), 2*(2*x + 1), 1
    return [f'{n}<br>value {v:.4g}<br>gradient {g:.4g}' for n, v, g in zip(NAMES, values, grads)]
''', '''
fig = go.FigureWidget(go.Scatter(x=[0, 1, 2, 3], y=[0]*4, mode='lines+text', text=words(-2)))
fig.update_layout(width=900, height=300)
def move(change): fig.data[0].text = words(change['new'])
s = slider()
s.observe(move, 'value')
display(VBox([s, fig]))'''),
    'explore_slope, x': Case(WALK + 'from sgd_course.explorers import explore_slope',
                             'explore_slope(lambda x: x**2, [.5])', handle='.sgd-map',
                             page='slope with interact', beyond=1/22),
    'slope with interact': Case(WALK + START + '''
def draw(start):
    plt.figure(figsize=(6, 4))
    plt.plot(X, X**2)
    ends = np.array([start, start + .5])
    plt.plot(ends, ends**2, 'ko')
    plt.axline(*zip(ends, ends**2))
    plt.plot([*ends, ends[1]], [ends[0]**2, ends[0]**2, ends[1]**2])
    plt.title(f'slope {2*start + .5:.4g}')
''', 'interact(draw, start=slider());'),
    'slope with plotly': Case(
        WALK + START + 'from ipywidgets import VBox\nimport plotly.graph_objects as go', '''
def lines(x):
    k, (a, b) = 2*x + .5, (x, x + .5)
    return ([a, b], [a*a, b*b]), (X, a*a + k*(X - a)), ([a, b, b], [a*a, a*a, b*b])
fig = go.FigureWidget([go.Scatter(x=x, y=y) for x, y in ((X, X**2), *lines(-2))])
fig.update_layout(width=600, height=400, showlegend=False, xaxis_range=[-2, 2.5],
                  yaxis_range=[-.2, 6])
def move(change):
    with fig.batch_update():
        for line, (x, y) in zip(fig.data[1:], lines(change['new'])): line.x, line.y = x, y
        fig.layout.title.text = f'slope {2*change["new"] + .5:.4g}'
s = slider()
s.observe(move, 'value')
display(VBox([s, fig]))'''),
    'empty canvas': CASES['empty canvas']}

# --- in the page

WATCH = r'''
(() => {
  const bench = window.bench = { compare: false };
  bench.reset = () => Object.assign(bench, { events: [], pictures: [], sent: [], drawn: [] });
  bench.reset();
  const isOutput = e => e.isConnected && e.closest(".jp-OutputArea-output");
  for (const type of ["keydown", "pointermove"])
    addEventListener(type, e => {
      if (type === "keydown" || e.buttons) bench.events.push(e.timeStamp);
    }, true);

  // What is shown now: points of images and canvases, elements of plots.
  const points = e => {
    const width = e.naturalWidth ?? e.width, height = e.naturalHeight ?? e.height;
    if (!width || !height) return 0;
    const copy = new OffscreenCanvas(width, height);
    const context = copy.getContext("2d");
    context.drawImage(e, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return new Uint32Array(data.buffer).reduce((h, v) => (31*h + v) | 0, 0);
  };
  const SVG = ".main-svg, .sgd-graph svg", PICTURE = `img[src], canvas, ${SVG}`;
  bench.look = () => [...document.querySelectorAll(PICTURE)]
    .filter(e => isOutput(e) && e.checkVisibility())   // the still figure of a live one is not seen
    .map(e => e.matches(SVG) ? e.outerHTML : points(e)).join();

  // The picture has changed: the next frame shows it, and the first task after that is the time.
  let waiting = false;
  const changed = () => {
    if (waiting) return;
    waiting = true;
    const picture = {};
    bench.pictures.push(picture);
    requestAnimationFrame(() => {
      waiting = false;
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        picture.painted = performance.now();
        if (bench.compare) picture.look = bench.look();
      };
      port2.postMessage(0);
    });
  };
  const shown = new WeakMap();
  const seen = e => {
    const image = e.tagName === "IMG";
    if (!isOutput(e) || image && (!e.complete || !e.naturalWidth || shown.get(e) === e.src)) return;
    if (image) shown.set(e, e.src);
    changed();
  };
  document.addEventListener("load", e => { if (e.target.tagName === "IMG") seen(e.target); }, true);

  for (const name of ["drawImage", "fillRect", "putImageData", "stroke"]) {
    const draw = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...args) {
      draw.apply(this, args);
      if (isOutput(this.canvas)) changed();
    };
  }

  let status = "";
  new MutationObserver(records => {
    for (const { target, addedNodes } of records) {
      const e = target.nodeType === 1 ? target : target.parentElement;
      if (e?.closest(SVG) || e?.tagName === "IMG") seen(e);
      for (const n of addedNodes) if (n.nodeType === 1) {
        if (n.matches(PICTURE)) seen(n);
        n.querySelectorAll(PICTURE).forEach(seen);
      }
    }
    const said = document.querySelector(".sgd-status")?.textContent;
    if (!said || said === status) return;
    status = said;
    bench.drawn.push([performance.now(), +(/(\d+) of \d+ drawn/.exec(said)?.[1] ?? -1)]);
  }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });

  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (this.url.includes("/channels")) bench.sent.push(performance.now());
    send.call(this, data);
  };
})();
'''
IDLE = '''() => window.jupyterapp?.shell.currentWidget
  ?.sessionContext?.session?.kernel?.status === 'idle' '''
RUN = '''async i => {
  jupyterapp.shell.currentWidget.content.activeCellIndex = i;
  bench.reset();
  const t = performance.now();
  await jupyterapp.commands.execute('notebook:run-cell');
  return t;
}'''
QUIET = '''ms => {
  const last = bench.pictures.at(-1);
  return last?.painted && performance.now() - last.painted > ms;
}'''
TRACK = '''(handle, beyond) => {
  const track = handle.closest('.noUi-base') ?? handle;
  const { x, y, width, height } = track.getBoundingClientRect();
  // half a thumb to each side; our maps have their axes there
  const [left, right] = { INPUT: [8, 8], CANVAS: [60, 8] }[handle.tagName] ?? [0, 0];
  const inner = width - left - right;
  return { x: x + left + beyond*inner, y: y + height/2, width: (1 - 2*beyond)*inner };
}'''


class Bench(Book):
    "A notebook open in JupyterLab, whose page keeps the time of what happens in it."
    def __init__(self, lab, page, path, case):
        self.lab, self.page, self.path, self.case = lab, page, path, case
        self.handle = page.locator(case.handle).first

    async def run(self, cell):
        t = await self.page.evaluate(RUN, cell)
        await self.page.wait_for_function(IDLE, timeout=60_000)
        return t

    async def reset(self, **settings):
        await self.page.evaluate('s => { bench.reset(); Object.assign(bench, s); }', settings)

    async def quiet(self, ms):
        "What has happened since the last reset, when pictures have come and none for a while."
        await self.page.wait_for_function(QUIET, arg=ms, polling=50, timeout=60_000)
        return await self.page.evaluate('bench')

    async def press(self, key):
        await self.reset(compare=True)
        await self.page.keyboard.press(key)
        return await self.quiet(300)

    async def at(self, *stops, rate=60):
        "Move the mouse over these stops, so many a second, whether or not the page keeps up."
        track = await self.handle.evaluate(TRACK, self.case.beyond)
        moves, start = [], perf_counter()
        for i, stop in enumerate(stops):
            await asyncio.sleep(start + i/rate - perf_counter())
            x = track['x'] + track['width']*stop/(self.case.stops - 1)
            moves.append(asyncio.create_task(self.page.mouse.move(x, track['y'])))
        await asyncio.gather(*moves)


def zigzag(n, stops, start=0):
    "`n` stops, each beside the one before it, to and fro over the slider."
    turn = stops - 1
    return [turn - abs((start + i) % (2*turn) - turn) for i in range(1, n + 1)]


def first_as_it_stays(seen):
    "When the picture was first as it is in the end."
    pictures = seen['pictures']
    return next(p['painted'] for p in pictures if p['look'] == pictures[-1]['look'])


async def frames(bench, start):
    "When the pictures that an explorer draws beforehand were there, and their bytes."
    await bench.page.wait_for_function('bench.drawn.at(-1)?.[1] < 0', polling=100, timeout=300_000)
    drawn = await bench.page.evaluate('bench.drawn')
    assert bench.ask('e._on_demand') == 'False'
    order, here = (json.loads(bench.ask(x)) for x in ('list(e._sent)', 'e._here()'))
    size = bench.case.others    # of the second slider
    needed = 1 + max(i for i, k in enumerate(order) if k % size == here % size)
    return dict(row=next(t for t, n in drawn if n >= needed or n < 0) - start,
                all=drawn[-1][0] - start, count=len(order),
                bytes=int(bench.ask('sum(e._sent.values())')))


WARM_UP, BURST, DRAG = 3, 60, 120   # steps and mouse moves, 60 a second

async def visit(bench, steps):
    "Everything that is measured of one case in one round; times in ms."
    page, stops = bench.page, bench.case.stops
    await bench.run(0)
    await bench.reset(compare=True)
    start = await bench.run(1)
    seen = await bench.quiet(1000)
    r = dict(first=first_as_it_stays(seen) - start)
    if bench.case.others: r |= await frames(bench, start)
    if bench.case.button: await page.get_by_role('button', name=bench.case.button).click()
    await bench.handle.focus()
    r['steps'] = []
    for _ in range(WARM_UP + steps):
        seen = await bench.press('ArrowRight')
        r['steps'].append(first_as_it_stays(seen) - seen['events'][0])
    del r['steps'][:WARM_UP]

    await bench.at(WARM_UP + steps)
    await page.mouse.down()
    await bench.at(*range(WARM_UP + steps, -1, -1))
    await bench.quiet(1000)
    await bench.reset(compare=False)
    await bench.at(*zigzag(BURST, stops))
    seen = await bench.quiet(2000)
    r['lag'] = seen['pictures'][-1]['painted'] - seen['events'][-1]
    await bench.reset()
    await bench.at(*zigzag(DRAG, stops, BURST))
    seen = await bench.quiet(1000)
    ended = seen['events'][-1]
    painted = [p['painted'] for p in seen['pictures'] if p['painted'] <= ended]
    sent = [t for t in seen['sent'] if t <= ended]
    span = ended - seen['events'][0]
    r |= dict(pictures=1e3*len(painted)/span, events=1e3*len(seen['events'])/span,
              messages=1e3*(len(sent) - 1)/(sent[-1] - sent[0]) if len(sent) > 1 else 0)
    await page.mouse.up()
    await bench.quiet(3000)   # four axes of matplotlib take their time

    here = await page.evaluate('bench.look()')
    await bench.handle.focus()
    away, back = [(await bench.press(key))['pictures'][-1]['look']
                  for key in ('ArrowLeft', 'ArrowRight')]
    assert away != here == back, 'the last picture of the drag is not that of where the slider is'
    return r


# --- all of it

def cpu_used():
    "CPU seconds that the machine has spent since it started; where it does not say, 0."
    stat = Path('/proc/stat')
    if not stat.exists(): return 0
    return sum(map(int, stat.read_text().split()[1:4]))/os.sysconf('SC_CLK_TCK')


async def open_case(lab, playwright, case, steps):
    "One case in a browser and a kernel of its own, so that none pays for those before it."
    busy = cpu_used()
    await asyncio.sleep(1)
    busy = cpu_used() - busy
    names = 'chromium', 'chromium-browser', 'google-chrome'
    browser = await playwright.chromium.launch(
        executable_path=next(filter(None, map(shutil.which, names)), None), args=BROWSER_FLAGS)
    page, errors = await browser.new_page(viewport=dict(width=1100, height=1400)), []
    page.on('pageerror', lambda e: errors.append(str(e)))
    await page.add_init_script(WATCH)
    path = notebook(lab.root/'nb'/f'{secrets.token_hex(4)}.ipynb', case.prepare, case.show)
    await page.goto(f'http://127.0.0.1:{lab.port}/doc/tree/{path.name}?token={lab.token}&reset')
    await page.wait_for_function(IDLE, timeout=90_000)
    r = await visit(Bench(lab, page, path, case), steps)
    assert not (errors and (case.others or case.page)), errors
    await browser.close()
    for s in lab.api('sessions'): lab.api(f'sessions/{s["id"]}', 'DELETE')
    return r | dict(busy=busy), browser.version


async def measure(cases, rounds, steps):
    "{case: [what was measured, a round each]}; the cases take turns, in one order and the other."
    from playwright.async_api import async_playwright
    root = Path(tempfile.mkdtemp(prefix='sliders'))
    lab, results, names = Lab(root), {name: [] for name in cases}, list(cases)
    try:
        async with async_playwright() as playwright:
            for i in range(rounds):
                for name in names[::(-1)**i]:
                    r, chromium = await open_case(lab, playwright, cases[name], steps)
                    results[name].append(r)
                    print(f'round {i + 1} of {rounds}, {name}: {median(r["steps"]):.1f} ms',
                          file=sys.stderr)
    finally:
        lab.stop()
        shutil.rmtree(root, ignore_errors=True)
    return results, chromium


def each(results, name, key): return [r[key] for r in results[name]]


def p50_p95(results, name):
    steps = [t for r in results[name] for t in r['steps']]
    return median(steps), quantiles(steps, n=20, method='inclusive')[-1]


def line(*cells): return f'| {" | ".join(cells)} |'


def table(results, cases):
    def row(name):
        m = lambda key: median(each(results, name, key))
        p50, p95 = p50_p95(results, name)
        drawn = ['', '']
        if cases[name].others:
            drawn = f'{m("count"):.0f} in {m("all")/1e3:.1f} s', f'{m("bytes")/1e6:.1f} MB'
        return line(name, f'{p50:.1f} ms', f'{p95:.1f} ms',
                    f'{m("pictures"):.1f} of {m("events"):.1f}', f'{m("lag"):.0f} ms',
                    f'{max(each(results, name, "lag")):.0f} ms', f'{m("messages"):.1f}',
                    f'{m("first")/1e3:.2f} s', *drawn)
    return '\n'.join([
        '| | step, p50 | p95 | pictures of moves, 1/s | lag | worst | messages, 1/s |'
        ' first picture | all pictures | bytes |', '| :-- |' + ' --: |'*9, *map(row, results)])


def targets(results, cases):
    """What the explorers are to reach: {target: {case: (what was measured, whether it is met)}}.

    Comparisons are made round by round; what counts is the median of the rounds.
    """
    ours = [name for name in results if cases[name].others or cases[name].page]
    beside = lambda name, other, key, f: median(
        f(a[key], b[key]) for a, b in zip(results[name], results[other]))
    m = lambda name, key: median(each(results, name, key))
    def one(name):
        page = cases[name].page
        other = page or 'interact, matplotlib'
        times = beside(name, other, 'steps', lambda a, b: median(b)/median(a))
        yield "step p50, ours / interact's ≤ 1/15", f'1/{times:.0f}', times >= 15
        p50, _ = p50_p95(results, name)
        yield 'step p50 ≤ 10 ms', f'{p50:.1f} ms', p50 <= 10
        fast = m(name, 'pictures')
        share = beside(name, 'empty canvas', 'pictures', truediv)
        least = 55 if page else 50
        yield (f'pictures a second ≥ {least}, or 9/10 of the empty canvas',
               f'{fast:.1f}, {share:.2f}', fast >= least or share >= .9)
        lag = m(name, 'lag')
        yield 'last picture ≤ 50 ms behind the burst', f'{lag:.0f} ms', lag <= 50
        yield 'messages a second ≤ 10', f'{m(name, "messages"):.1f}', m(name, 'messages') <= 10
        if name == 'explore_sweep':
            row = m(name, 'row')
            yield 'all rates at one epoch ≤ 5 s', f'{row/1e3:.1f} s', row <= 5e3
            return
        later = beside(name, other, 'first', sub)
        yield "first picture no later than interact's", f'{later:+.0f} ms', later <= 0
        if name == 'explore_descent':  # a function that makes a new figure each time takes its time
            yield '61 pictures ≤ 2 s', f'{m(name, "all")/1e3:.1f} s', m(name, 'all') <= 2e3
    rows = {}
    for name in ours:
        for target, value, met in one(name): rows.setdefault(target, {})[name] = value, met
    return rows


def target_table(rows):
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    cell = lambda found: f'{found[0]}: {"met" if found[1] else "**missed**"}' if found else ''
    return '\n'.join([line('target', *names), '| :-- |' + ' :-- |'*len(names),
                      *(line(target, *(cell(row.get(name)) for name in names))
                        for target, row in rows.items())])


def rounded(x):
    if isinstance(x, float): return round(x, 2)
    if isinstance(x, dict): return {k: rounded(v) for k, v in x.items()}
    return [rounded(v) for v in x] if isinstance(x, list) else x


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='one short round; writes no file')
    parser.add_argument('--pages', action='store_true', help='what the page draws by itself')
    parser.add_argument('--rounds', type=int, default=5, help='how many, instead of 5')
    args = parser.parse_args()
    packages = ('sgd_course', 'jupyterlab', 'ipywidgets', 'anywidget', 'ipykernel', 'matplotlib',
                'playwright', 'ipympl', 'plotly')
    try: versions = {p: version(p) for p in packages}
    except PackageNotFoundError as e:
        raise SystemExit(f'{e.name} is missing: pip install ipympl plotly, beside the extras '
                         'course and dev.') from None
    rounds = (1, 4) if args.quick else (args.rounds, 15)
    cases, file = (PAGES, 'pages.json') if args.pages else (CASES, 'sliders.json')
    results, chromium = asyncio.run(measure(cases, *rounds))
    about = dict(python=platform.python_version(), chromium=chromium, **versions,
                 machine=platform.machine(), cores=os.cpu_count())
    busy = [r['busy'] for rs in results.values() for r in rs]
    rows = targets(results, cases)
    if not args.quick:
        data = rounded(dict(about=about, targets=rows, rounds=results))
        (HERE/file).write_text(json.dumps(data, indent=1) + '\n')
    print(table(results, cases), '', target_table(rows), '',
          ', '.join(f'{k} {v}' for k, v in about.items()) + '.',
          f'Cores in use in the second before each: {median(busy):.2f}, at most {max(busy):.2f}.',
          sep='\n')


if __name__ == '__main__': main()
