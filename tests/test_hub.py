"""deploy/: the files as far as they can be checked, and the real JupyterHub with its proxy and two learners.

The slow ones need what `lacking` in room.py says: CI installs it, a reader's machine may go without.
"""
import json
import os
import re
import shutil
import signal
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from conftest import REPO, copy_tree, missing, run

DEPLOY = REPO/'deploy'
BOOK = 'sgd-course/04_learning_rate.ipynb'
PROGRESS = 'sgd-course/sgd_course_progress.json'
WRONG = 'def x_after(start, lr, steps): return (1 - lr)**steps*start\ncheck_x_after(x_after)'
RIGHT = 'def x_after(start, lr, steps): return (1 - 2*lr)**steps*start\ncheck_x_after(x_after)'

# --- the files


def keys(d, path=''):
    for k, v in d.items():
        if isinstance(v, dict): yield from keys(v, f'{path}{k}.')
        else: yield path + k


# of chart 4.4, from its values.schema.yaml, which refuses a key that it does not know; what is below
# `extraEnv` and `hub.config` is for the environment and JupyterHub
DOCUMENTED = '''
singleuser.image.name singleuser.image.tag singleuser.cmd singleuser.defaultUrl
singleuser.memory.guarantee singleuser.memory.limit singleuser.cpu.guarantee singleuser.cpu.limit
singleuser.startTimeout singleuser.storage.capacity singleuser.storage.homeMountPath
singleuser.networkPolicy.enabled singleuser.networkPolicy.egressAllowRules.nonPrivateIPs
singleuser.networkPolicy.egressAllowRules.cloudMetadataServer
singleuser.networkPolicy.egressAllowRules.privateIPs prePuller.hook.enabled
prePuller.continuous.enabled scheduling.podPriority.enabled scheduling.userPlaceholder.replicas
cull.enabled cull.timeout cull.every proxy.https.enabled'''.split()


def test_values_for_kubernetes_have_keys_of_the_chart():
    values = yaml.safe_load((DEPLOY/'values.yaml').read_text(encoding='utf-8'))
    free = 'hub.config.', 'singleuser.extraEnv.'
    assert set(DOCUMENTED) == {k for k in keys(values) if not k.startswith(free)}
    assert all(isinstance(v, str) for v in values['singleuser']['extraEnv'].values()), 'Kubernetes takes only strings'


def test_every_way_to_start_copies_the_lessons_first():
    start = re.escape('sgd-course lab --copy-only; exec jupyterhub-singleuser')
    for f in ('jupyterhub_config.py', 'values.yaml', 'Dockerfile'):
        assert re.search(start, (DEPLOY/f).read_text(encoding='utf-8')), f


def dockerfile():
    "Instructions of the Dockerfile: name, rest."
    text = (DEPLOY/'Dockerfile').read_text(encoding='utf-8').replace('\\\n', '')
    return [line.split(None, 1) for line in text.splitlines() if line and not line.startswith('#')]


def test_image_does_not_run_as_root():
    names = [name for name, _ in dockerfile()]
    user = next(rest for name, rest in dockerfile() if name == 'USER')
    assert user == '1000' and '--uid 1000' in (DEPLOY/'Dockerfile').read_text()  # Kubernetes wants a number
    assert names.index('USER') < names.index('CMD') and set(names) <= {
        'FROM', 'ARG', 'RUN', 'COPY', 'USER', 'WORKDIR', 'ENV', 'EXPOSE', 'CMD'}
    assert json.loads(dict(dockerfile())['CMD'])[0] == 'sh'


@pytest.mark.slow
def test_image_has_all_that_the_wheel_needs(tmp_path, wheel):
    "Docker is not here: what the Dockerfile copies makes the same wheel."
    tree = copy_tree(tmp_path/'tree')
    for _, rest in (i for i in dockerfile() if i[0] == 'COPY'):
        *sources, to = rest.split()
        to = tmp_path/to.lstrip('/')
        for s in sources:
            if (tree/s).is_dir(): shutil.copytree(tree/s, to)
            else: to.mkdir(parents=True, exist_ok=True), shutil.copy(tree/s, to)
    run(sys.executable, '-m', 'pip', 'wheel', tmp_path/'tmp'/'course', '-w', tmp_path, '--no-deps', '--no-index',
        '--no-build-isolation')
    names = lambda f: run(sys.executable, '-m', 'zipfile', '-l', f).stdout.split('\n', 1)[1].split()[::4]
    built = next(tmp_path.glob('*.whl'))
    assert built.name == wheel.name and names(built) == names(wheel)


# --- the configuration, without a hub

@pytest.fixture
def config(tmp_path, monkeypatch):
    "A function that loads jupyterhub_config.py for these learners, with members of the group `learners`."
    import grp
    from types import SimpleNamespace

    from traitlets.config.loader import PyFileConfigLoader
    def config(learners='ada\nbob\n', members=('ada', 'bob'), **env):
        monkeypatch.chdir(tmp_path)
        for k, v in env.items(): monkeypatch.setenv(k, v)
        monkeypatch.setattr(grp, 'getgrnam', lambda name: SimpleNamespace(gr_mem=list(members)))
        if learners is not None: (tmp_path/'learners.txt').write_text(learners)
        return PyFileConfigLoader(str(DEPLOY/'jupyterhub_config.py')).load_config()
    return config


@pytest.mark.parametrize('given, said', [
    (dict(learners=None), 'learners.txt is missing or empty'),
    (dict(learners=' \n'), 'is missing or empty'),
    (dict(learners='ada\nBob\n'), "'Bob': expected a small letter"),
    (dict(learners='ada ../root'), "'../root': expected"),
    (dict(learners='ada\nroot\n'), 'No accounts in the group "learners": root'),
    (dict(members=()), 'No accounts in the group "learners": ada, bob'),
    (dict(SGD_SPAWNER='kubernetes'), "SGD_SPAWNER is 'kubernetes': expected local, systemd or docker"),
])
def test_configuration_says_what_is_wrong(config, given, said):
    with pytest.raises(SystemExit, match=re.escape(said)): config(**given)


@pytest.mark.slow
@pytest.mark.parametrize('spawner, of', [('docker', 'dockerspawner.DockerSpawner'),
                                         ('systemd', 'systemdspawner.SystemdSpawner')])
def test_spawners_know_what_they_are_told(config, spawner, of):
    c = config(SGD_SPAWNER=spawner, SGD_MEMORY='1500M', members=() if spawner == 'docker' else ('ada', 'bob'))
    assert c.JupyterHub.spawner_class == of and c.Spawner.mem_limit == '1500M'
    module, name = of.split('.')
    if not find_spec(module): missing(module)
    cls = getattr(__import__(module), name)
    for section in (c.Spawner, c[name]):
        for k, v in section.items(): cls.class_traits(config=True)[k]._validate(cls.__new__(cls), v)


def test_hub_starts_the_proxy_unless_it_runs_by_itself(config, monkeypatch):
    monkeypatch.delenv('CONFIGPROXY_AUTH_TOKEN', raising=False)
    c = config(SGD_SPAWNER='docker')
    assert c.ConfigurableHTTPProxy.should_start and c.JupyterHub.cleanup_servers and c.JupyterHub.cleanup_proxy
    c = config(SGD_SPAWNER='docker', CONFIGPROXY_AUTH_TOKEN='x')
    assert not (c.ConfigurableHTTPProxy.should_start or c.JupyterHub.cleanup_servers or c.JupyterHub.cleanup_proxy)


def test_readme_names_the_variables_of_the_configuration():
    text = (DEPLOY/'jupyterhub_config.py').read_text(encoding='utf-8')
    readme = (DEPLOY/'README.md').read_text(encoding='utf-8')
    assert set(re.findall(r'SGD_\w+', text)) == set(re.findall(r'SGD_\w+', readme))


# --- the hub

@pytest.fixture(scope='module')
def hub():
    from room import Hub, lacking
    if os.geteuid(): pytest.skip('a hub that starts processes of other accounts needs root')
    for what in filter(None, [lacking(), *('' if find_spec(m) else m for m in (
            'jupyterhub', 'firstuseauthenticator', 'jupyterhub_idle_culler'))]): missing(what)
    hub = Hub(['ada', 'bob'])
    yield hub
    hub.stop()


@contextmanager
def arrived(hub, name):
    "A learner who has logged in and opened lesson 04."
    from room import Learner
    learner = Learner(hub, name, password=f'{name}-was-here')
    assert learner.login() == 302
    learner.spawn()
    learner.book = learner.open(BOOK)
    imports = next(c for c in learner.book['cells'] if 'import check_x_after' in ''.join(c['source']))
    assert learner.run(''.join(imports['source'])) == []
    yield learner
    learner.leave()


@pytest.fixture(scope='module')
def ada(hub):
    with arrived(hub, 'ada') as ada: yield ada


@pytest.fixture(scope='module')
def bob(hub):
    with arrived(hub, 'bob') as bob: yield bob


def work(book):
    "What a learner has written, and seen; not whether the server takes it for trusted."
    return [(''.join(c['source']), c.get('outputs')) for c in book['cells']]


def progress(learner):
    return json.loads(learner.api(f'contents/{PROGRESS}', 'GET')['content'])


@pytest.mark.slow
class TestHub:
    def test_only_those_in_the_list_come_in_and_with_their_password(self, hub, ada):
        from room import Learner
        for name, password, status in (('ada', 'ada-is-else', 403), ('root', 'ada-was-here', 403),
                                       ('eve', 'eve-was-here', 403), ('ada', 'ada-was-here', 302)):
            learner = Learner(hub, name, password)
            assert learner.login() == status, name
            if status == 403: assert 'The password that you type now' in learner.http.get(f'{hub.url}/hub/login').text
            learner.leave()

    def test_a_server_has_only_what_is_needed(self, hub, ada):
        "Its options are known to it: it would only warn."
        assert re.search(r'"extensionManager": \{[^}]*"can_install": false', ada.http.get(f'{ada.base}/lab').text)
        assert ada.http.get(f'{ada.base}/lsp/status', timeout=60).status_code == 404
        assert 'kernel_info_timeout=' in ' '.join(hub.processes('ada').values())
        assert 'not recognized' not in hub.log('hub')

    def test_lesson_is_done_and_saved(self, ada):
        from room import said
        assert 'You forgot the 2' in said(ada.run(WRONG)) and 'x_after: correct' in said(ada.run(RIGHT))
        assert progress(ada) == {'04 x_after': dict(correct=True, tries=2)}
        cell = next(c for c in ada.book['cells'] if ''.join(c['source']).endswith('check_x_after(x_after)'))
        cell['source'], cell['outputs'] = RIGHT, ada.run(RIGHT)
        ada.save(BOOK, ada.book)
        assert work(ada.api(f'contents/{BOOK}')['content']) == work(ada.book)

    def test_nobody_gets_at_another_s_server(self, hub, ada, bob):
        assert ada.api(f'contents/{BOOK}')['name'] == Path(BOOK).name
        theirs = f'{hub.url}/user/bob'
        ada.http.get(f'{theirs}/lab', timeout=60)  # a cookie for it, if there is one to be had
        for path in ('contents', f'contents/{BOOK}', 'kernels', f'kernels/{bob.kernel}', 'sessions'):
            assert ada.api(path, base=theirs, ok=False).status_code in (302, 403), path
            final = ada.http.get(f'{theirs}/api/{path}', timeout=60)
            assert final.status_code in (403, 404) and 'cells' not in final.text, path
        for path in ('users', 'users/bob', 'users/bob/server/progress', 'proxy'):
            assert ada.http.get(f'{hub.url}/hub/api/{path}', timeout=60).status_code in (403, 404), path
        import websocket
        with pytest.raises(websocket.WebSocketBadStatusException, match='403'):
            websocket.create_connection(f'{theirs.replace("http", "ws")}/api/kernels/{bob.kernel}/channels', timeout=60,
                                        cookie='; '.join(f'{c.name}={c.value}' for c in ada.http.cookies))

    def test_nobody_gets_at_another_s_files_and_processes(self, hub, ada, bob):
        "From her kernel, where a learner can run anything that her account may."
        from room import said
        port = re.findall(r'Adding user bob to proxy /user/bob/ => http://127.0.0.1:(\d+)', hub.log('hub'))[-1]
        server = int(said(bob.run('import os; print(os.getppid())')))
        ways = [f'open("/home/bob/{BOOK}")', 'os.listdir("/home/bob")', f'os.kill({server}, 9)',
                f'open("/proc/{server}/environ")', 'os.kill(1, 9)', 'open("/home/bob/x", "w")',
                *(f'open("{hub.home}/{f}")' for f in ('jupyterhub.sqlite', 'jupyterhub_cookie_secret', 'learners.txt')),
                *(f'open("{f}")' for f in hub.home.glob('passwords.dbm*'))]
        assert len(ways) > 8
        for way in ways:
            found = said(ada.run(f'import os\ntry: {way}; print("done")\nexcept OSError as e: print(type(e).__name__)'))
            assert found.strip() == 'PermissionError', way
        for url in (f'127.0.0.1:{port}/user/bob/api/contents', f'127.0.0.1:{hub.api_port}/api/routes',
                    f'127.0.0.1:{hub.hub_port}/hub/api/users'):
            code = f'import requests; print(requests.get("http://{url}", allow_redirects=False).status_code)'
            assert said(ada.run(code)).strip() == '403', url
        env = said(ada.run('import os; print(*os.environ)'))
        assert 'JUPYTERHUB_API_TOKEN' in env and 'CONFIGPROXY' not in env

    def test_limits_are_set(self, ada):
        from room import said
        found = said(ada.run('import resource as r; print(r.getrlimit(r.RLIMIT_DATA), r.getrlimit(r.RLIMIT_NPROC))'))
        assert found.split() == '(2147483648, 2147483648) (512, 512)'.split()
        assert 'MemoryError' in said(ada.run('x = bytearray(3*2**30)'))
        assert said(ada.run('print(1)')) == '1\n'

    @pytest.mark.parametrize('what, how', [('hub', signal.SIGTERM), ('hub', signal.SIGKILL), ('proxy', signal.SIGKILL)])
    def test_restart_in_the_middle_loses_nothing(self, hub, ada, what, how):
        from room import said
        ada.run(RIGHT)
        before, kept = set(hub.processes('ada')), progress(ada)
        ada.run('import time; kept = 0')
        ada.run('time.sleep(4); kept = "still here"', wait=False)
        while ada.receive()['msg_type'] != 'execute_input': pass  # it has arrived
        hub.end(what, how)
        if what == 'hub': ada.save(BOOK, ada.book)  # nobody who works needs the hub
        hub.start(what)
        ada.reconnect()  # a proxy that was restarted is told after 10 s
        assert said(ada.run('print(kept)')) == 'still here\n'
        assert set(hub.processes('ada')) == before
        assert work(ada.api(f'contents/{BOOK}')['content']) == work(ada.book) and progress(ada) == kept
        assert ada.login() == 302  # and newcomers come in
        ada.spawn()

    def test_killed_kernel_costs_only_its_variables(self, hub, ada):
        from room import said, until
        pid = int(said(ada.run('import os; kept = 1; print(os.getpid())')))
        kept = progress(ada)
        # its number in the learners' world; ours is another
        number = next(p for p in hub.kernels('ada')
                      if re.search(rf'^NSpid:.*\t{pid}$', Path(f'/proc/{p}/status').read_text(), re.M))
        os.kill(number, signal.SIGKILL)
        until(lambda: number not in hub.processes('ada'), lambda: 'still there', 10)
        until(lambda: hub.kernels('ada'), lambda: 'no new kernel', 30)
        ada.reconnect()
        assert 'NameError' in said(ada.run('kept'))
        assert work(ada.api(f'contents/{BOOK}')['content']) == work(ada.book) and progress(ada) == kept

    def test_new_server_replaces_no_file(self, hub, bob):
        from room import until
        bob.book['cells'][1]['source'] = 'mine'
        bob.save(BOOK, bob.book)
        bob.api('contents/sgd-course/index.ipynb', 'DELETE')
        before = set(hub.processes('bob'))
        def stop():
            return bob.http.delete(f'{hub.url}/hub/api/users/bob/server', timeout=60,
                                   headers={'X-XSRFToken': bob._xsrf('/hub/')}).status_code
        assert stop() in (202, 204)   # 202: the hub still waits for its end, and starts no other
        until(lambda: stop() == 204 and not hub.processes('bob'), lambda: str(hub.processes('bob')), 60)
        bob.spawn()
        assert not before & set(hub.processes('bob'))
        assert work(bob.api(f'contents/{BOOK}')['content']) == work(bob.book)
        assert bob.api('contents/sgd-course/index.ipynb')['type'] == 'notebook'  # what is missing comes back

    def test_culler_may_do_its_work(self, hub):
        from room import until
        asked = r'200 GET /hub/api/users\S* \(cull@'
        until(lambda: re.search(asked, hub.log('hub')), lambda: hub.log('hub')[-3000:], 20)
        assert not re.search(r'\] 4\d\d .*\(cull@', hub.log('hub'))
