"""JupyterHub with its proxy on loopback and accounts of its own, and learners without a browser.

It needs Linux and root, as a hub that starts processes of several accounts does. What it does to the
system (accounts, homes, folders that others may enter) it does in a mount namespace: nobody else sees
it, and all ends with `Hub.stop`.
"""
import json
import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import requests
import websocket

REPO = Path(__file__).resolve().parent.parent
DEPLOY = REPO/'deploy'

ROOM = '''set -e
cp -a /etc etc && mount --bind etc /etc
mount -t tmpfs -o mode=755 tmpfs /home
{closed}
(cd srv; {accounts})
touch ready
while :; do sleep 1000 & wait $!; done'''  # bash as process 1: it takes what a hub that ended leaves
OPEN = '''mkdir -p -m 755 {n}/up {n}/work
mount -t overlay overlay -o lowerdir={dir},upperdir={n}/up,workdir={n}/work {dir}'''


def accounts():
    "The commands by which README.md makes an account for each name in learners.txt."
    blocks = re.findall(r'^ *```sh\n(.*?)^ *```', (DEPLOY/'README.md').read_text(encoding='utf-8'), re.M | re.S)
    return re.search(r'^ *groupadd learners\n.*useradd.*$', next(b for b in blocks if 'useradd' in b), re.M)[0]


def unit(name):
    "The command of a systemd unit in README.md."
    text = (DEPLOY/'README.md').read_text(encoding='utf-8')
    return re.search(rf'{name}\.service\n.*?^ExecStart=(.*?)$', text, re.M | re.S)[1]


def closed(*paths):
    "The folders on the way to these that only their owner may enter, outermost first."
    return [d for d in sorted({p for f in paths for p in [Path(f).resolve(), *Path(f).resolve().parents]})
            if d.is_dir() and not d.stat().st_mode & 1]


def free_ports(n):
    sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets: s.close()
    return ports


def proxy_program():
    "Where npm has put configurable-http-proxy; `None` if nowhere."
    return shutil.which('configurable-http-proxy')


def lacking():
    "What this machine lacks to start the hub; '' if nothing."
    if not sys.platform.startswith('linux') or os.geteuid(): return 'root on Linux'
    for program in ('unshare', 'nsenter', 'useradd'):
        if not shutil.which(program): return program
    if not proxy_program(): return 'configurable-http-proxy'
    return '' if subprocess.run(['unshare', '-m', 'true'], capture_output=True).returncode == 0 else 'mount namespaces'


class Hub:
    "JupyterHub with deploy/jupyterhub_config.py, its proxy, and an account for each of `names`."
    def __init__(self, names, python=sys.executable, **env):
        self.names, self.running = names, {}
        self.folder = Path(tempfile.mkdtemp())
        self.folder.chmod(0o755)
        self.port, self.hub_port, self.api_port = free_ports(3)
        self.url = f'http://127.0.0.1:{self.port}'
        self.home = self.folder/'srv'
        self.home.mkdir(mode=0o700)
        (self.home/'learners.txt').write_text('\n'.join(names) + '\n')
        bins = [Path(python).parent, Path(sys.executable).parent, Path(proxy_program()).parent]
        own = 'JUPYTER', 'XDG_', 'MPL', 'SGD_', 'NOTEBOOK'
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(own)} | dict(
            HOME=str(self.home), PYTHONPATH=str(REPO), PYTHONDONTWRITEBYTECODE='1',
            PATH=os.pathsep.join(map(str, [*bins, os.environ['PATH']])),
            CONFIGPROXY_AUTH_TOKEN=secrets.token_hex(32), SGD_ADDRESS=self.url, SGD_HUB_PORT=str(self.hub_port),
            SGD_PROXY_API=f'http://127.0.0.1:{self.api_port}') | env
        prefix = subprocess.check_output([python, '-c', 'import sys; print(sys.base_prefix)'], text=True).strip()
        roots = closed(prefix, Path(python).parent.parent, sys.prefix, REPO, Path(proxy_program()).parent)
        script = ROOM.format(accounts=accounts(), closed='\n'.join(
            OPEN.format(n=self.folder/f'open{i}', dir=d) for i, d in enumerate(roots)))
        # a group for the processor, as a systemd service is: in it, and only there, learners give way to the hub
        self.group = Path('/sys/fs/cgroup/cpu')/self.folder.name
        try: self.group.mkdir()
        except OSError: self.group = None
        self.room = self._begin('room', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc',
                                'bash', '-c', script)
        until((self.folder/'ready').exists, lambda: self.log('room'), 30,
              lambda: self.room.poll() is not None)
        self.inner = child(self.room.pid)
        self.python = python
        self.start('proxy')
        self.start('hub')

    def _begin(self, name, *command):
        if self.group: command = ['sh', '-c', f'echo $$ >{self.group}/tasks; exec "$@"', 'sh', *command]
        with open(self.folder/f'{name}.log', 'a') as log:
            return subprocess.Popen(command, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=subprocess.STDOUT)

    def start(self, what):
        proxy = unit('sgd-proxy').replace('8000', str(self.port)).replace('8001', str(self.api_port))
        command = dict(hub=f'{self.python} -m jupyterhub -f {DEPLOY}/jupyterhub_config.py',
                       proxy=proxy.replace('8081', str(self.hub_port)))[what].split()
        self.running[what] = self._begin(what, 'nsenter', f'--target={self.inner}', '--mount', '--pid',
                                         f'--wd={self.home}', *command)
        ready = self.hub_ready if what == 'hub' else lambda: self.answers('') is not None
        until(ready, lambda: self.log(what), 60, lambda: self.running[what].poll() is not None)

    def answers(self, path):
        try: return requests.get(f'{self.url}/{path}', timeout=5, allow_redirects=False).status_code
        except requests.RequestException: return None

    def hub_ready(self): return self.answers('hub/health') == 200

    def end(self, what, how=signal.SIGTERM):
        "End the hub or the proxy; what learners run goes on."
        p = self.running.pop(what)
        os.kill(child(p.pid), how)
        p.wait(30)

    def log(self, what): return (self.folder/f'{what}.log').read_text()

    def processes(self, name):
        "What an account runs in the room: number of a process -> its command line."
        uid = next(line.split(':')[2] for line in (self.folder/'etc'/'passwd').read_text().splitlines()
                   if line.startswith(f'{name}:'))
        found = {}
        for d in Path('/proc').glob('[0-9]*'):
            try:
                mine = (d/'ns'/'pid').readlink() == Path(f'/proc/{self.inner}/ns/pid').readlink()
                if mine and f'\nUid:\t{uid}\t' in (d/'status').read_text():
                    found[int(d.name)] = (d/'cmdline').read_text().replace('\0', ' ')
            except OSError: pass  # it has ended meanwhile
        return found

    def kernels(self, name): return {pid for pid, command in self.processes(name).items() if 'ipykernel' in command}

    def _leave_group(self):
        try: self.group.rmdir()
        except OSError: return False
        return True

    def stop(self):
        self.room.kill()  # --kill-child: and with it all that runs in the room
        self.room.wait()
        for p in self.running.values(): p.wait(30)
        if self.group: until(self._leave_group, lambda: f'{self.group} is in use', 10)
        shutil.rmtree(self.folder, ignore_errors=True)


def child(pid):
    "The process that this one has started."
    file = Path(f'/proc/{pid}/task/{pid}/children')
    until(lambda: file.read_text().strip(), lambda: f'{pid} has no child', 10)
    return int(file.read_text().split()[0])


def until(true, said, seconds, never=lambda: False):
    end = time.monotonic() + seconds
    while not (found := true()):
        assert not never() and time.monotonic() < end, said()
        time.sleep(.1)
    return found


class Learner:
    "Somebody at a browser, as far as hub and server can see: cookies, requests, messages to a kernel."
    def __init__(self, hub, name, password='first-come'):
        self.hub, self.name, self.password = hub, name, password
        self.http, self.base = requests.Session(), f'{hub.url}/user/{name}'
        self.comms, self.kernel, self.socket = {}, None, None

    def login(self):
        "The page and the form; gives the answer's status, 302 if the password was right."
        self.http.get(f'{self.hub.url}/hub/login', timeout=60).raise_for_status()
        return self.http.post(f'{self.hub.url}/hub/login', timeout=60, allow_redirects=False, data=dict(
            username=self.name, password=self.password, _xsrf=self._xsrf('/hub/'))).status_code

    def spawn(self, seconds=300):
        "Start the server, unless it runs, and get JupyterLab's page."
        page = self.http.get(f'{self.hub.url}/hub/spawn', timeout=60)
        end = time.monotonic() + seconds
        while f'/user/{self.name}/lab' not in page.url:
            assert time.monotonic() < end and page.status_code < 400, (page.status_code, page.url, page.text[-2000:])
            time.sleep(.25)
            page = self.http.get(f'{self.hub.url}/hub/spawn-pending/{self.name}', timeout=60)
        page.raise_for_status()

    def _xsrf(self, path):
        return next(c.value for c in self.http.cookies if c.name == '_xsrf' and c.path == path)

    def api(self, what, method='GET', /, base=None, ok=True, **body):
        base = base or self.base
        headers = {'X-XSRFToken': self._xsrf(f'/user/{self.name}/')} if method != 'GET' else {}
        r = self.http.request(method, f'{base}/api/{quote(what)}', json=body or None, headers=headers,
                              timeout=60, allow_redirects=False)
        if not ok: return r
        assert r.ok and r.status_code < 300, (method, what, r.status_code, r.text[:500])
        return r.json() if r.content else None

    def open(self, path):
        "The notebook, with a kernel as JupyterLab starts one, or the one that it has already."
        book = self.api(f'contents/{path}')['content']
        self.kernel = self.api('sessions', 'POST', path=path, type='notebook', name=path,
                               kernel=dict(name='python3'))['kernel']['id']
        self.connect()
        return book

    def connect(self):
        self.session = secrets.token_hex(8)
        # from websocket-client: messages as JupyterLab's own, each a text, or bytes if there are buffers
        self.socket = websocket.create_connection(
            f'{self.base.replace("http", "ws", 1)}/api/kernels/{self.kernel}/channels?session_id={self.session}',
            cookie='; '.join(f'{c.name}={c.value}' for c in self.http.cookies if c.path == f'/user/{self.name}/'),
            origin=self.hub.url, timeout=400)

    def reconnect(self, seconds=40):
        "As JupyterLab does when a connection is lost: to the same kernel, as soon as the server answers."
        def answers():
            try: return self.api('kernels', ok=False).status_code == 200
            except requests.RequestException: return False
        until(answers, lambda: self.hub.log('hub')[-3000:], seconds)
        self.socket.close()
        self.connect()

    def send(self, kind, **content):
        header = dict(msg_id=secrets.token_hex(16), msg_type=kind, username='', session=self.session, version='5.3',
                      date='2026-01-01T00:00:00Z')
        self.socket.send(json.dumps(dict(header=header, parent_header={}, metadata={}, content=content,
                                         channel='shell', buffers=[])))
        return header['msg_id']

    def receive(self):
        raw = self.socket.recv()
        if isinstance(raw, bytes):  # how many parts, where each begins, and the parts: the first is the message
            n = struct.unpack('!I', raw[:4])[0]
            at = struct.unpack(f'!{n}I', raw[4:4*n + 4])
            raw = raw[at[0]:at[1] if n > 1 else None]
        message = json.loads(raw)
        if message['msg_type'] == 'comm_open': self.comms[message['content']['comm_id']] = message['content']['data']
        return message

    def wait(self, *ids):
        "The messages that answer these, until the kernel has dealt with each."
        found, open_ones = [], set(ids)
        while open_ones:
            m = self.receive()
            about = m['parent_header'].get('msg_id')
            if about in ids: found.append(m)
            if m['msg_type'] == 'status' and m['content']['execution_state'] == 'idle': open_ones.discard(about)
        return found

    def run(self, code, wait=True):
        "Run a cell; gives its outputs as a notebook keeps them."
        id = self.send('execute_request', code=code, silent=False, store_history=True, user_expressions={},
                       allow_stdin=True, stop_on_error=True)
        return outputs(self.wait(id)) if wait else id

    def run_all(self, book):
        "All code cells at once, as JupyterLab does it; fills in their outputs."
        cells = [c for c in book['cells'] if c['cell_type'] == 'code']
        ids = [self.run(''.join(c['source']), wait=False) for c in cells]
        messages = self.wait(*ids)
        of = lambda id: [m for m in messages if m['parent_header']['msg_id'] == id]
        for id, c in zip(ids, cells): c['outputs'] = outputs(of(id))

    def slide(self, name, values, pause=.1):
        "Move a slider of the first explorer that has it; gives the seconds until Python has taken each value."
        id = next(k for k, v in self.comms.items() if name in v.get('state', {}) and '_esm' in v['state'])
        took = []
        for v in values:
            start = time.perf_counter()
            self.wait(self.send('comm_msg', comm_id=id, data=dict(method='update', state={name: v}, buffer_paths=[])))
            took.append(time.perf_counter() - start)
            time.sleep(max(0, pause - took[-1]))
        return took

    def save(self, path, book): self.api(f'contents/{path}', 'PUT', type='notebook', format='json', content=book)

    def leave(self):
        "Close the tab: the kernel goes on."
        if self.socket: self.socket.close()
        self.http.close()


def outputs(messages):
    kinds = 'stream', 'display_data', 'execute_result', 'error'
    found = [dict(m['content'], output_type=m['msg_type']) for m in messages if m['msg_type'] in kinds]
    for o in found: o.pop('transient', None)
    return found


def said(outputs):
    "All that is to be read in a cell's outputs."
    text = lambda o: o.get('text') or ' '.join(o.get('traceback', [])) or ' '.join(
        map(str, o.get('data', {}).values()))
    return '\n'.join(map(text, outputs))
