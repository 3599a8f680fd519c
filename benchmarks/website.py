"""What each page of the website weighs, and how soon it shows something.

    python site/build.py _site && python benchmarks/website.py _site

Prints a table: bytes before anybody scrolls or touches, the widgets that wait for it and what the heaviest
of them loads, and the first contentful paint from loopback with the CPU slowed fourfold (median of three).

    python benchmarks/website.py _site --steps

How long a step of lesson 04's explorer takes, on its page and in JupyterLab, in turn: sliders.py's step.
"""
import argparse
import shutil
import statistics
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sliders import IDLE, QUIET, RUN, WARM_UP, WATCH, Lab, first_as_it_stays, notebook  # noqa: E402

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
PLACES = "[...document.querySelectorAll('.sgd-place')].map(p => +p.dataset.size)"
OTHERS = ['glossary', 'solutions', 'reference/explore', 'api/explore', 'search']


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


def weigh(browser, url: str) -> tuple:  # MB, requests, bytes of each widget, ms
    paints = []
    for _ in range(3):
        context = browser.new_context(viewport=dict(width=1280, height=900))
        page, sizes = context.new_page(), []
        page.on('response', lambda r: sizes.append(int(r.headers.get('content-length', 0))))
        context.new_cdp_session(page).send('Emulation.setCPUThrottlingRate', dict(rate=4))
        page.goto(url)
        page.wait_for_load_state('networkidle')
        page.wait_for_function(PAINT)
        paints.append(page.evaluate(PAINT))
        places = page.evaluate(PLACES)
        context.close()
    return sum(sizes)/1e6, len(sizes), places, statistics.median(paints)


EXPLORER = '''
import torch
from sgd_course.explorers import explore_descent
def f(x): return x**2
''', '''
e = explore_descent(f, lrs=LRS, starts=STARTS)
e'''


VALUES = """async url => {   // where the explorer's sliders stop
  const page = new DOMParser().parseFromString(await (await fetch(url)).text(), 'text/html');
  for (const { dataset } of page.querySelectorAll('.sgd-place')) {
    const { state } = await (await fetch(new URL(`_media/${dataset.widget}`, url))).json();
    if (state._texts) return state._values;
  }
}"""


def steps_of(page, slider, n=20) -> list:  # ms
    "From an arrow key to the painted picture that stays, one step at a time."
    slider.focus()
    times = []
    for _ in range(WARM_UP + n):
        page.evaluate('() => { bench.reset(); bench.compare = true; }')
        page.keyboard.press('ArrowRight')
        page.wait_for_function(QUIET, arg=300, polling=50)
        seen = page.evaluate('() => bench')
        times.append(first_as_it_stays(seen) - seen['events'][0])
    return times[WARM_UP:]


def compare_steps(launch, url, rounds=6):
    "Print a table: a step on the page and in JupyterLab, a browser each, by turns."
    root = Path(tempfile.mkdtemp(prefix='website'))
    lab, times = Lab(root), dict(page=[], JupyterLab=[])

    def on_the_page(page):
        page.goto(url)
        page.locator('.sgd-place:has(figure)').first.scroll_into_view_if_needed()
        page.locator('.sgd-explore img').wait_for(timeout=60_000)

    def in_jupyter(page):
        page.goto(url)   # whose data it may fetch
        values = page.evaluate(VALUES, url)
        cells = EXPLORER[0], EXPLORER[1].replace('LRS', str(values[0])).replace('STARTS', str(values[1]))
        path = notebook(root/'nb'/f'{len(times["JupyterLab"])}.ipynb', *cells)
        page.goto(f'http://127.0.0.1:{lab.port}/doc/tree/{path.name}?token={lab.token}&reset')
        for cell in range(2):
            page.wait_for_function(IDLE, timeout=90_000)
            page.evaluate(RUN, cell)
        page.wait_for_function("bench.drawn.at(-1)?.[1] < 0", polling=100, timeout=120_000)

    for k in range(rounds):
        for what, ready in [('page', on_the_page), ('JupyterLab', in_jupyter)][::(-1)**k]:
            browser = launch()
            page = browser.new_page(viewport=dict(width=1100, height=1400))
            page.add_init_script(WATCH.replace('.jp-OutputArea-output', '.jp-OutputArea-output, .sgd-place'))
            ready(page)
            times[what] += steps_of(page, page.locator('.sgd-explore input[type=range]').first)
            browser.close()
    lab.end_kernels()
    lab.stop()
    shutil.rmtree(root, ignore_errors=True)
    print('| | steps | p50 | p95 |\n| :-- | --: | --: | --: |')
    for what, ts in times.items():
        p95 = statistics.quantiles(ts, n=20, method='inclusive')[-1]
        print(f'| {what} | {len(ts)} | {statistics.median(ts):.1f} ms | {p95:.1f} ms |')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('site', type=Path)
    p.add_argument('--steps', action='store_true')
    args = p.parse_args()
    root = args.site
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chromium = shutil.which('chromium') or shutil.which('google-chrome')
    names = ['index', *sorted(f.stem for f in root.glob('[0-9]*.html')), *OTHERS]
    base = f'http://127.0.0.1:{server.server_port}/'
    with sync_playwright() as play:
        flags = ['--headless', '--no-sandbox', '--disable-gpu']
        launch = lambda: play.chromium.launch(executable_path=chromium, args=flags)
        if args.steps: return compare_steps(launch, base + '04_learning_rate.html')
        print('| page | MB | requests | widgets | the heaviest, MB | first paint |')
        print('| :-- |' + ' --: |'*5)
        browser = launch()
        for name in names:
            mb, n, places, ms = weigh(browser, f'{base}{name}.html')
            most = f'{max(places)/1e6:.2f}' if places else ''
            print(f'| {name} | {mb:.2f} | {n} | {len(places)} | {most} | {ms/1e3:.2f} s |', flush=True)
        browser.close()


if __name__ == '__main__': main()
