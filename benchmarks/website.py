"""What each page of the website weighs, and how soon it shows something.

    python site/build.py _site && python benchmarks/website.py _site

Prints a table: bytes before anybody scrolls or touches, the widgets that wait for it and what the heaviest
of them loads, and the first contentful paint from loopback with the CPU slowed fourfold (median of three).
"""
import argparse
import shutil
import statistics
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import sync_playwright

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


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('site', type=Path)
    root = p.parse_args().site
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chromium = shutil.which('chromium') or shutil.which('google-chrome')
    names = ['index', *sorted(f.stem for f in root.glob('[0-9]*.html')), *OTHERS]
    print('| page | MB | requests | widgets | the heaviest, MB | first paint |\n| :-- | --: | --: | --: | --: | --: |')
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=['--headless', '--no-sandbox', '--disable-gpu'])
        for name in names:
            mb, n, places, ms = weigh(browser, f'http://127.0.0.1:{server.server_port}/{name}.html')
            most = f'{max(places)/1e6:.2f}' if places else ''
            print(f'| {name} | {mb:.2f} | {n} | {len(places)} | {most} | {ms/1e3:.2f} s |', flush=True)
        browser.close()


if __name__ == '__main__': main()
