"A page in Firefox, which is told what to do by WebDriver BiDi: JSON over a WebSocket."
import json
import re
import subprocess
import time

import websocket  # the client that Jupyter's server brings


class Firefox:
    "Headless, with a profile of its own in `folder`."
    def __init__(self, program, folder, env):
        settings = dict.fromkeys(['app.update.enabled', 'network.captive-portal-service.enabled',
                                  'network.connectivity-service.enabled', 'extensions.update.enabled',
                                  'datareporting.policy.dataSubmissionEnabled'], 'false')
        (folder/'user.js').write_text(''.join(f'user_pref("{k}", {v});\n' for k, v in settings.items()))
        self.log, self.n, self.heard = folder/'log', 0, []
        with self.log.open('w') as log:
            self.process = subprocess.Popen([program, '--headless', '--no-remote', '--profile', folder,
                                             '--remote-debugging-port=0'], env=env, stdout=log, stderr=log)
        try:
            found = self.until(lambda: re.search(r'BiDi listening on (ws://\S+)', self.log.read_text()))
            self.socket = websocket.create_connection(f'{found[1]}/session', timeout=90, suppress_origin=True)
            self.ask('session.new', capabilities={})
            self.page = self.ask('browsingContext.getTree')['contexts'][0]['context']
        except BaseException:
            self.process.kill()
            raise

    def ask(self, method, **params):
        "Send a command, and give the answer to it."
        self.n += 1
        self.socket.send(json.dumps(dict(id=self.n, method=method, params=params)))
        while (reply := json.loads(self.socket.recv())).get('id') != self.n:
            if reply['type'] == 'event': self.heard.append((reply['method'], reply['params']))
        assert reply['type'] == 'success', reply
        return reply['result']

    def listen(self, *events):
        "From now on, put what happens into `heard`: a list of names and what is said of them."
        self.ask('session.subscribe', events=list(events))

    def go(self, url): self.ask('browsingContext.navigate', context=self.page, url=url, wait='complete')

    def evaluate(self, function):
        "The value of a JavaScript function without arguments, sent as JSON."
        r = self.ask('script.evaluate', expression=f'(async () => JSON.stringify(await ({function})() ?? null))()',
                     target=dict(context=self.page), awaitPromise=True)
        assert r['type'] == 'success', r
        return json.loads(r['result']['value'])

    def press(self, key):
        "Press a key of the keyboard, by its number in WebDriver's list."
        keys = [dict(type=t, value=key) for t in ('keyDown', 'keyUp')]
        self.ask('input.performActions', context=self.page, actions=[dict(type='key', id='keyboard', actions=keys)])

    def mouse(self, *points):
        "Press at the first of these points of the window, go to the others, and let go at the last."
        move = lambda p: dict(type='pointerMove', x=round(p[0]), y=round(p[1]))
        (first, *others), button = map(move, points), dict(button=0)
        actions = [first, dict(type='pointerDown', **button), *others, dict(type='pointerUp', **button)]
        self.ask('input.performActions', context=self.page, actions=[dict(type='pointer', id='mouse', actions=actions)])

    def until(self, true, seconds=90):
        "Wait until a function gives something, and give that."
        end = time.time() + seconds
        while time.time() < end:
            if found := true(): return found
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(.1)
        raise AssertionError(f'nothing within {seconds} seconds')

    def stop(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)
