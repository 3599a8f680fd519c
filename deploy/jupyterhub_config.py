"""JupyterHub for a class on one machine. README.md beside this file says what to type.

Passwords, cookies and the database are kept in the folder in which the hub is started.
"""
import grp
import os
import re
import resource
import sys
from pathlib import Path

c = get_config()  # noqa: F821
os.umask(0o077)  # what the hub and the learners write is nobody else's

# --- what an instructor may want to change; each also as a variable of the environment

spawner = os.environ.get('SGD_SPAWNER', 'local')              # local, systemd or docker: see below
address = os.environ.get('SGD_ADDRESS', 'http://127.0.0.1:8000')  # a reverse proxy adds TLS
memory = os.environ.get('SGD_MEMORY', '2G')                   # a learner's server and kernels
cores = float(os.environ.get('SGD_CORES', 1))
image = os.environ.get('SGD_IMAGE', 'sgd-course')             # docker: from Dockerfile
HOUR = 3600

# --- who may come in: the names in learners.txt, one a line

try: names = Path('learners.txt').read_text(encoding='utf-8').split()
except FileNotFoundError: names = []
if not names: sys.exit(f'{Path("learners.txt").resolve()} is missing or empty: one name a line.')
for name in names:
    if not re.fullmatch('[a-z][a-z0-9-]{0,30}', name):
        sys.exit(f'learners.txt has {name!r}: expected a small letter, then small letters, digits '
                 'and hyphens, at most 31 of them.')

c.Authenticator.allowed_users = set(names)
c.Authenticator.allow_all = False
# The password that a learner types first is hers from then on. For a room; elsewhere take the
# passwords that there are: 'pam' for those of the machine, or an authenticator for OAuth.
FIRST_USE = 'firstuseauthenticator.FirstUseAuthenticator'
c.JupyterHub.authenticator_class = os.environ.get('SGD_AUTHENTICATOR', FIRST_USE)
c.FirstUseAuthenticator.create_users = False  # no passwords for those who are not in the list
if c.JupyterHub.authenticator_class == FIRST_USE:
    c.JupyterHub.template_vars = {
        'announcement_login': 'For the first time here? The password that you type now will be '
                              'yours: at least 7 characters.'}

# --- how a learner's server starts: lessons that are not there yet are copied, none is replaced

c.Spawner.cmd = [
    'sh', '-c', 'sgd-course lab --copy-only; exec jupyterhub-singleuser "$@"', 'sh']
c.Spawner.default_url = '/lab/tree/sgd-course/index.ipynb'
c.Spawner.args = [  # what was forgotten is ended, so that its memory serves others; files stay
    f'--MappingKernelManager.cull_idle_timeout={HOUR}',
    '--MappingKernelManager.cull_connected=True',
    '--MappingKernelManager.kernel_info_timeout=300',  # s: a class comes all at once
    # what nobody needs here: to install extensions, and to ask language servers that there are none of
    '--LabApp.extension_manager=readonly', '--ServerApp.jpserver_extensions={"jupyter_lsp": False}']
c.Spawner.environment = {  # one heap instead of one a thread, and what is free goes back: 25 MB less
    'OMP_NUM_THREADS': str(max(1, int(cores))), 'MALLOC_ARENA_MAX': '1',
    'MALLOC_TRIM_THRESHOLD_': '131072'}
c.Spawner.mem_limit, c.Spawner.cpu_limit = memory, cores
c.Spawner.start_timeout = c.Spawner.http_timeout = 300
c.JupyterHub.load_roles = [dict(
    name='cull', services=['cull'], scopes=['list:users', 'read:users:activity', 'read:servers',
                                            'delete:servers'])]
c.JupyterHub.services = [dict(name='cull', command=[
    sys.executable, '-m', 'jupyterhub_idle_culler', f'--timeout={HOUR}', '--cull-every=300'])]

if spawner == 'docker':  # a container each, with a volume for the home: limits are enforced
    c.JupyterHub.spawner_class = 'dockerspawner.DockerSpawner'
    c.DockerSpawner.image = image
    c.DockerSpawner.remove = True  # the container; its volume stays
    c.DockerSpawner.volumes = {'sgd-course-{username}': '/home/jovyan'}
    c.DockerSpawner.extra_host_config = {
        'security_opt': ['no-new-privileges'], 'pids_limit': 512, 'cpu_shares': 512}
    c.JupyterHub.hub_ip = '172.17.0.1'  # of Docker's bridge: containers have to reach the hub
elif spawner in ('local', 'systemd'):  # a process each, of an account of its own
    try: ours = grp.getgrnam('learners').gr_mem
    except KeyError: ours = []
    strangers = sorted(set(names) - set(ours))
    if strangers:  # or else somebody who calls himself root would be root
        sys.exit(f'No accounts in the group "learners": {", ".join(strangers)}. '
                 'README.md says how to make them.')
    if spawner == 'systemd':  # limits are enforced for all processes of a learner together
        c.JupyterHub.spawner_class = 'systemdspawner.SystemdSpawner'
        c.SystemdSpawner.isolate_tmp = c.SystemdSpawner.disable_user_sudo = True
        c.SystemdSpawner.unit_extra_properties = {'CPUWeight': '50'}  # the hub has 100
        c.SystemdSpawner.extra_paths = [str(Path(sys.executable).parent)]
    else:
        from jupyterhub.spawner import LocalProcessSpawner

        class Spawner(LocalProcessSpawner):
            "The memory is each process's own limit, not that of all together; cores have none."
            def make_preexec_fn(self, name):
                become, most = super().make_preexec_fn(name), self.mem_limit
                def preexec():
                    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
                    resource.setrlimit(resource.RLIMIT_NPROC, (512, 512))  # and threads
                    os.nice(10)  # or else twenty kernels that compute keep the hub from its work
                    become()
                return preexec

        c.JupyterHub.spawner_class = Spawner
else: sys.exit(f'SGD_SPAWNER is {spawner!r}: expected local, systemd or docker.')

# --- the proxy, and what may be restarted: neither hub nor proxy ends a learner's kernel

c.JupyterHub.bind_url = address
c.JupyterHub.last_activity_interval = 10  # s after which a proxy that was restarted is told again
apart = 'CONFIGPROXY_AUTH_TOKEN' in os.environ  # the proxy runs by itself; else the hub starts it
c.ConfigurableHTTPProxy.should_start = not apart
c.ConfigurableHTTPProxy.api_url = os.environ.get('SGD_PROXY_API', 'http://127.0.0.1:8001')
c.JupyterHub.cleanup_servers = c.JupyterHub.cleanup_proxy = not apart
c.JupyterHub.hub_port = int(os.environ.get('SGD_HUB_PORT', 8081))
