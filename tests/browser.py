"JupyterLab on loopback, notebooks open in it, and what is on the page."
import ast
import base64
import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request

from axe_playwright_python.sync_playwright import Axe
from conftest import REPO, offline_env, run
from playwright.sync_api import expect

BROWSER_FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
                 '--disable-background-networking', '--disable-component-update', '--disable-sync']


class Lab:
    "JupyterLab on loopback, with a home of its own."
    def __init__(self, root):
        self.root, self.token, self.clients = root, secrets.token_hex(16), {}
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        for folder, settings in {
                '@jupyterlab/apputils-extension/notification': dict(fetchNews='false', checkForUpdates=False)}.items():
            file = root/'settings'/f'{folder}.jupyterlab-settings'
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(settings))
        for folder in ('nb', 'home', 'cfg'): (root/folder).mkdir()
        (root/'cfg'/'labconfig').mkdir()  # a learner's JupyterLab has no menus of nbgrader's, which is for other tests
        (root/'cfg'/'labconfig'/'page_config.json').write_text('{"disabledExtensions": {"@jupyter/nbgrader": true}}')
        env = offline_env(root/'home', root)
        env['PYTHONPATH'] += os.pathsep + str(REPO)
        self.env = env | dict(JUPYTERLAB_SETTINGS_DIR=str(root/'settings'), JUPYTER_RUNTIME_DIR=str(root/'rt'),
                              JUPYTERLAB_WORKSPACES_DIR=str(root/'ws'), JUPYTER_CONFIG_DIR=str(root/'cfg'))
        self.log = open(root/'lab.log', 'w')
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--ip=127.0.0.1',
             f'--port={self.port}', '--ServerApp.port_retries=0', f'--IdentityProvider.token={self.token}',
             f'--ServerApp.root_dir={root/"nb"}', '--LabApp.expose_app_in_browser=True'],
            env=self.env, stdout=self.log, stderr=subprocess.STDOUT)
        for _ in range(240):
            try: return self.api('status') and None
            except OSError: time.sleep(.5)
        raise AssertionError((root/'lab.log').read_text()[-2000:])

    def api(self, what, method='GET'):
        r = urllib.request.Request(f'http://127.0.0.1:{self.port}/api/{what}', method=method,
                                   headers={'Authorization': f'token {self.token}'})
        body = urllib.request.urlopen(r, timeout=20).read()
        return json.loads(body) if body else True

    def client(self, kernel):
        "A connection to a kernel, which stays open; only for what is asked and replied."
        from jupyter_client import BlockingKernelClient
        if kernel not in self.clients:
            c = BlockingKernelClient(connection_file=str(self.root/'rt'/f'kernel-{kernel}.json'))
            c.load_connection_file()
            c.start_channels(iopub=False, stdin=False, hb=False, control=False)
            self.clients[kernel] = c
        return self.clients[kernel]

    def end_kernels(self):
        for s in self.api('sessions'): self.api(f'sessions/{s["id"]}', 'DELETE')

    def stop(self):
        for c in self.clients.values(): c.stop_channels()
        self.process.terminate()
        try: self.process.wait(20)
        except subprocess.TimeoutExpired: self.process.kill()
        self.log.close()


class Book:
    "A notebook open in JupyterLab."
    def __init__(self, lab, page, path):
        self.lab, self.page, self.path, self.errors = lab, page, path, []
        page.on('pageerror', lambda e: self.errors.append(str(e)))
        page.goto(f'http://127.0.0.1:{lab.port}/doc/tree/{path.name}?token={lab.token}&reset')
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session"
                               "?.kernel?.status === 'idle'", timeout=90_000)

    def command(self, name): self.page.evaluate('c => jupyterapp.commands.execute(c)', name)

    def run_all(self):
        self.command('notebook:run-all-cells')
        self.explorer().wait_for(timeout=60_000)

    def explorer(self, n=0): return self.page.locator('.sgd-explore').nth(n)

    def ready(self, n=0):
        "Wait until every picture is there."
        expect(self.explorer(n)).not_to_contain_text('drawn', timeout=120_000)
        return self.explorer(n)

    def save(self, part, times):
        "Save the notebook, and wait until its outputs hold `part` so many times."
        end = time.time() + 30
        while True:
            self.command('docmanager:save')
            outputs = [o for c in json.loads(self.path.read_text())['cells'] for o in c['outputs']]
            if json.dumps(outputs).count(part) == times: return outputs
            assert time.time() < end, (part, times, str(outputs)[:2000])
            self.page.wait_for_timeout(100)

    def kernel(self):
        path = self.path.name
        return next(s['kernel']['id'] for s in self.lab.api('sessions') if s['path'] == path)

    def until(self, expression, value):
        "Wait until an expression in the kernel has this value: what the page sends takes a while."
        end, found = time.time() + 60, None
        while found != value and time.time() < end:
            self.page.wait_for_timeout(20)  # in which the page's events are seen
            found = self.ask(expression)
        assert found == value

    def ask(self, expression):
        "The value of an expression in the kernel, over a connection of its own."
        c = self.lab.client(self.kernel())
        asked = c.execute('', silent=True, store_history=False, user_expressions=dict(v=expression))
        reply = {}
        while reply.get('parent_header', {}).get('msg_id') != asked: reply = c.get_shell_msg(timeout=30)
        v = reply['content']['user_expressions']['v']
        assert v['status'] == 'ok', v
        return v['data']['text/plain']


def axe_violations(page, context='.jp-OutputArea-output'):
    "What axe-core, the accessibility checker, finds in a part of a page; an error where there is no such part."
    found = Axe().run(page, context=context).response['violations']
    return [(v['id'], v['help'], [n['html'][:200] for n in v['nodes']]) for v in found]


def shown(explorer):
    "SHA-256 of the bytes of the picture on the screen."
    data = explorer.locator('img').evaluate(
        "async i => { await i.decode(); const b = await (await fetch(i.src)).arrayBuffer();"
        " let s = ''; new Uint8Array(b).forEach(c => s += String.fromCharCode(c)); return btoa(s); }")
    return hashlib.sha256(base64.b64decode(data)).hexdigest()


def notebook(path, *cells):
    code = lambda i, s: dict(cell_type='code', id=f'c{i}', metadata={}, execution_count=None, outputs=[], source=s)
    path.write_text(json.dumps(dict(
        nbformat=4, nbformat_minor=5, cells=[code(i, s.strip()) for i, s in enumerate(cells)],
        metadata=dict(kernelspec=dict(name='python3', display_name='Python 3', language='python')))))
    return path


def exported(path, folder, browser, lab, *options):
    "The page that nbconvert makes of a notebook, opened without a network; its errors are in `errors`."
    env = lab.env | dict(JUPYTER_CONFIG_DIR=str(folder))
    run(sys.executable, '-m', 'jupyter', 'nbconvert', '--to', 'html', *options, '--output-dir', folder, path, env=env)
    page = browser.new_context(offline=True).new_page()
    page.errors = []
    page.on('pageerror', lambda e: page.errors.append(str(e)))
    page.goto((folder/f'{path.stem}.html').as_uri())
    return page


def with_state(book, folder, browser, lab):
    "The page that nbconvert makes of an open notebook that was saved together with the state of its widgets."
    state = book.ask('__import__("json").dumps(__import__("ipywidgets").Widget.get_manager_state())')
    saved = json.loads(book.path.read_text())
    saved['metadata']['widgets'] = {
        'application/vnd.jupyter.widget-state+json': json.loads(ast.literal_eval(state))}
    (folder/'live.ipynb').write_text(json.dumps(saved))
    return exported(folder/'live.ipynb', folder, browser, lab)


def figures_without_state(book, n, folder, browser, lab):
    "In the page that nbconvert makes of it as JupyterLab saves it, without that state, n still figures are seen."
    page = exported(book.path, folder, browser, lab)
    expect(page.locator('figure:visible')).to_have_count(n)
    assert page.errors == []
    page.context.close()


def figures_when_opened_again(open_book, book):
    "Before it is run, with the kernel gone."
    again = open_book(path=book.path)
    expect(again.page.locator('.sgd-twin figure').first).to_be_visible(timeout=30_000)
    expect(again.page.get_by_text('model not found').locator('visible=true')).to_have_count(0)
