"Training by several workers: the same weights as one gets, whatever happens; clear errors; no process left behind."
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from conftest import run
from torch import nn

from sgd_course import launch as launch_module
from sgd_course import parallel
from sgd_course.launch import Worker, launch, load_checkpoint, save_checkpoint, this_worker
from sgd_course.parallel import estimate_step_time, ring_all_reduce, shard_batches, train_distributed, weights_hash

EPOCHS = 10
slow = pytest.mark.slow  # they start, kill and await other processes; lesson 15 starts two of these runs, too
SETTINGS = dict(bs=256, lr=.02, seed=42, hidden=30)
TORCHRUN = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--local-addr=127.0.0.1']
ENV = {k: v for k, v in os.environ.items() if k not in ('RANK', 'WORLD_SIZE')} | dict(OMP_NUM_THREADS='1')


def far(a, b): return max((a['model'][k] - b['model'][k]).abs().max().item() for k in a['model'])


def processes(marker):
    "Command lines of the processes that run and have `marker` in theirs."
    if not Path('/proc/self/cmdline').exists():
        lines = subprocess.run(['ps', '-Awwo', 'args'], capture_output=True, text=True).stdout.splitlines()
        return [line for line in lines if str(marker) in line and 'ps -Awwo' not in line]
    found = []
    for f in Path('/proc').glob('[0-9]*/cmdline'):
        try: found.append(f.read_bytes().replace(b'\0', b' ').decode(errors='replace'))
        except OSError: pass  # it has just ended
    return [line for line in found if str(marker) in line]


def until(done, seconds=30):
    "Wait for a condition, for so long; give it."
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end: time.sleep(.05)
    return done()


@pytest.mark.long
def test_a_worker_may_import_it():
    "Only the program itself ends its process when it is done."
    code = 'import sgd_course.parallel; print("still here")'
    assert run(sys.executable, '-c', code, env=ENV | dict(RANK='0', WORLD_SIZE='1')).stdout == 'still here\n'


def test_last_words_name_the_first_signal(tmp_path):
    killed = 'Signal 15 (SIGTERM) received by PID 1\nSignal 9 (SIGKILL) received by PID 2\nSignal 6 (SIGABRT) received by PID 3\n'
    (tmp_path/'0.txt').write_text(killed + 'the end')
    assert launch_module._last_words(tmp_path) == 'the end\nSignal 9 (SIGKILL) received by PID 2'


class Accident:
    "Kill worker 1 when the second epoch is done; keep the lines and the numbers of the processes."
    def __init__(self): self.pids, self.lines = [], []

    def __call__(self, line):
        self.lines.append(line)
        if found := re.match(r'worker 1 of 2: process (\d+), cpu, gloo', line): self.pids.append(int(found[1]))
        if line.startswith('epoch 2:') and len(self.pids) == 1: os.kill(self.pids[0], signal.SIGKILL)


@pytest.fixture(scope='module')
def alone(): return train_distributed(EPOCHS, quiet=True)


@pytest.fixture(scope='module')
def folder(tmp_path_factory): return tmp_path_factory.mktemp('parallel')


@pytest.fixture(scope='module')
def runs(folder):
    "Runs that several tests look at, two at a time: name -> its lines, or its error."
    accidents = dict(nodes=Accident(), killed=Accident(), lost=Accident())
    (folder/'damaged').write_bytes(b'PK not really')
    cases = dict(
        two=lambda: launch(2, epochs=EPOCHS, checkpoint=folder/'two'),
        nodes=lambda: launch(1, nodes=2, restarts=1, epochs=EPOCHS, checkpoint=folder/'nodes', on_line=accidents['nodes']),
        killed=lambda: launch(2, restarts=1, epochs=EPOCHS, checkpoint=folder/'killed', on_line=accidents['killed']),
        five=lambda: run(*TORCHRUN, '--nproc-per-node=5', '-m', 'sgd_course.parallel', '--epochs=1', '--bs=255',
                         f'--checkpoint={folder/"five"}', env=ENV).stdout,
        lost=lambda: launch(2, epochs=10**6, checkpoint=folder/'lost', on_line=accidents['lost']),
        odd=lambda: launch(2, bs=255, checkpoint=folder/'odd'),
        damaged=lambda: launch(2, checkpoint=folder/'damaged'),
        late=lambda: launch(2, epochs=10**6, timeout=3, checkpoint=folder/'late'))
    def outcome(case):
        try: return case()
        except Exception as e: return e
    with ThreadPoolExecutor(2) as pool: out = dict(zip(cases, pool.map(outcome, cases.values())))
    return out | dict(accidents=accidents)


# --- the same as one process

def test_one_process_gives_the_same_each_time_and_learns(alone):
    again = train_distributed(EPOCHS, quiet=True)
    assert again['fingerprints'] == alone['fingerprints'] == [weights_hash(alone['model'])]
    assert alone['accuracy'][-1] > .975 and len(alone['loss']) == alone['epoch'] == EPOCHS


def test_the_training_is_that_of_the_lessons():
    "Written out: the sampler's order, batches of 256, the mean loss, momentum."
    from sgd_course.classifier import flatten_digits
    from sgd_course.data import threes_and_sevens
    data = flatten_digits(threes_and_sevens())
    torch.manual_seed(7)
    model = nn.Sequential(nn.Linear(784, 5), nn.ReLU(), nn.Linear(5, 1))
    opt = torch.optim.SGD(model.parameters(), lr=.02, momentum=.9)
    for epoch in range(2):
        order = torch.randperm(12396, generator=torch.Generator().manual_seed(7 + epoch))
        for i in order.split(256):
            opt.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(data.train_x[i]), data.train_y[i]).backward()
            opt.step()
    ours = train_distributed(2, seed=7, hidden=5, quiet=True)
    assert far(ours, dict(model=model.state_dict())) < 1e-6


@slow
@pytest.mark.parametrize('name', ['two', 'nodes', 'killed'])
def test_two_workers_get_the_weights_of_one(name, runs, folder, alone):
    "On one node, on two, and when one of them was killed on the way."
    assert isinstance(runs[name], list), runs[name]
    state = load_checkpoint(folder/name, SETTINGS)
    assert far(state, alone) < 1e-6 and far(state, train_distributed(1, quiet=True)) > .01
    assert state['fingerprints'] == [weights_hash(state['model'])]*2
    assert state['loss'] == pytest.approx(alone['loss'], abs=1e-6)
    said = [line.split(':')[0] for line in runs[name]]
    assert [line for line in said if line.startswith('epoch')] == [f'epoch {e}' for e in range(1, EPOCHS + 1)]
    assert {'worker 0 of 2', 'worker 1 of 2'} <= set(said)


@slow
def test_five_workers_with_a_repeated_image_do_too(runs, folder):
    assert isinstance(runs['five'], str), runs['five']
    assert 12396 % 5 == 1, 'four of them get an image a second time'
    state = load_checkpoint(folder/'five', SETTINGS | dict(bs=255))
    assert far(state, train_distributed(1, bs=255, quiet=True)) < 1e-6
    assert state['fingerprints'] == [weights_hash(state['model'])]*5
    assert len(re.findall('worker . of 5: process', runs['five'])) == 5


@slow
@pytest.mark.parametrize('name', ['killed', 'nodes'])
def test_after_a_worker_was_killed_it_is_the_same_to_the_last_bit(name, runs, folder):
    accident = runs['accidents'][name]
    assert len(accident.pids) == 2, 'one that was killed, and one that came after it'
    resumed = int(re.search(r'goes on after epoch (\d+)', '\n'.join(accident.lines))[1])
    assert 2 <= resumed < EPOCHS, 'in the middle'
    states = [load_checkpoint(folder/n, SETTINGS) for n in (name, 'two')]
    assert states[0]['fingerprints'] == states[1]['fingerprints'] and states[0]['loss'] == states[1]['loss']
    memory = [s['opt']['state'] for s in states]
    assert all(torch.equal(a['sum'], b['sum']) for a, b in zip(*memory)) and len(memory[0]) == 4


@slow
def test_what_aborts_as_python_shuts_down_fails_nothing(tmp_path, monkeypatch):
    "Gloo's threads live until then, and PyTorch can abort in them: \"terminate called without an active exception\"."
    (tmp_path/'sitecustomize.py').write_text("""import atexit, os
if 'RANK' in os.environ: atexit.register(os.abort)""")
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=os.pathsep)
    assert launch(2, epochs=1, hidden=5)[-1].startswith('epoch 1: loss')


@slow
def test_command_alone(tmp_path):
    out = run(sys.executable, '-m', 'sgd_course.parallel', '--epochs=2', '--hidden=5', f'--checkpoint={tmp_path/"c"}',
              cwd=tmp_path, env=ENV).stdout
    assert re.findall(r'^epoch (\d): loss 0\.\d+, accuracy 0\.\d+$', out, re.M) == ['1', '2'] and 'worker' not in out
    state = load_checkpoint(tmp_path/'c', SETTINGS | dict(hidden=5))
    assert far(state, train_distributed(2, hidden=5, quiet=True)) < 1e-6


gpus = torch.cuda.device_count()


@slow
@pytest.mark.parametrize('workers', [
    pytest.param(n, marks=pytest.mark.skipif(gpus < n, reason=f'not {n} CUDA devices here')) for n in (1, 2)])
def test_nccl(workers, tmp_path, alone):
    lines = launch(workers, epochs=EPOCHS, device='cuda', checkpoint=tmp_path/'c')
    assert f'cuda:{workers - 1}, nccl' in '\n'.join(lines)
    state = load_checkpoint(tmp_path/'c', SETTINGS)
    assert far(state, alone) < 1e-4 and len(set(state['fingerprints'])) == 1


# --- which images

@pytest.mark.parametrize('n, bs, world', [(12396, 256, 2), (12396, 256, 8), (12396, 250, 5), (257, 256, 2),
                                          (100, 64, 64), (3, 8, 8), (10, 4, 4), (1, 2, 2), (16, 8, 1)])
@pytest.mark.parametrize('epoch', [0, 3])
def test_parts_are_the_batch(n, bs, world, epoch):
    parts = [shard_batches(n, bs, Worker(r, world), 42, epoch) for r in range(world)]
    whole = torch.randperm(n, generator=torch.Generator().manual_seed(42 + epoch)).split(bs)
    assert {len(p) for p in parts} == {len(whole)}, 'all take equally many steps'
    value = torch.rand(n)
    for k, batch in enumerate(whole):
        mean = sum(weight*value[i].mean() for i, weight in (p[k] for p in parts))/world
        torch.testing.assert_close(mean, value[batch].mean())
        seen = torch.cat([i for i, weight in (p[k] for p in parts) if weight])
        assert sorted(seen.tolist()) == sorted(batch.tolist())


def test_every_epoch_has_its_own_order():
    a, b = (shard_batches(100, 10, Worker(), 42, epoch) for epoch in (0, 1))
    assert not torch.equal(a[0][0], b[0][0])


# --- ring and model of the time

@pytest.mark.parametrize('workers, n', [(1, 5), (2, 7), (3, 9), (4, 2), (7, 7)])
def test_ring_adds_up(workers, n):
    rows = torch.randn(workers, n).double()
    before = rows.clone()
    sums, sent = ring_all_reduce(rows)
    torch.testing.assert_close(sums, before.sum(0).expand(workers, -1))
    assert torch.equal(rows, before) and all(torch.equal(s, sums[0]) for s in sums)
    if n % workers == 0: assert (sent*workers == 2*(workers - 1)*n).all()
    assert sent.sum() == 2*(workers - 1)*n


def test_step_time():
    assert estimate_step_time(1, 1000, bs=10, flops=6e4) == (1., 0, 0)
    assert estimate_step_time(4, 1000, bs=10, flops=6e4, bandwidth=6000., latency=.5) == (.25, 3., 1.)


# --- checkpoints

@slow
def test_goes_on_with_as_many_or_as_few(tmp_path, runs, folder, alone):
    train_distributed(2, checkpoint=tmp_path/'c', quiet=True)
    state = train_distributed(EPOCHS, checkpoint=tmp_path/'c', quiet=True)
    assert state['fingerprints'] == alone['fingerprints'] and state['loss'] == alone['loss']
    assert os.listdir(tmp_path) == ['c']
    again = train_distributed(EPOCHS, checkpoint=tmp_path/'c', quiet=True)  # nothing left to do
    assert again['fingerprints'] == alone['fingerprints']
    more = train_distributed(EPOCHS + 1, checkpoint=folder/'nodes', quiet=True)  # that was of two workers
    assert far(more, train_distributed(EPOCHS + 1, quiet=True)) < 1e-6


def test_without_its_memory_it_would_be_another_training(tmp_path, alone):
    train_distributed(2, checkpoint=tmp_path/'c', quiet=True)
    state = load_checkpoint(tmp_path/'c', SETTINGS)
    state['opt']['state'] = [{} for _ in state['opt']['state']]
    save_checkpoint(tmp_path/'c', state)
    assert far(train_distributed(EPOCHS, checkpoint=tmp_path/'c', quiet=True), alone) > 1e-3


@pytest.mark.parametrize('contents', [b'', b'PK', b'text', b'\x80\x04.', None, 'list', 'half'])
def test_damaged_checkpoint(contents, tmp_path):
    f = tmp_path/'c'
    if contents is None: torch.save(dict(weights=torch.ones(2)), f)
    elif contents == 'list': torch.save([1, 2], f)
    elif contents == 'half':
        train_distributed(1, checkpoint=f, quiet=True)
        f.write_bytes(f.read_bytes()[:5000])
    else: f.write_bytes(contents)
    before = f.read_bytes()
    with pytest.raises(ValueError, match=rf'{re.escape(str(f))} is (damaged, or )?no checkpoint.* Name another file'):
        train_distributed(1, checkpoint=f, quiet=True)
    assert f.read_bytes() == before


@pytest.mark.parametrize('other', [dict(bs=128), dict(lr=.1), dict(seed=1), dict(hidden=31)])
def test_checkpoint_of_another_training(other, tmp_path):
    train_distributed(1, checkpoint=tmp_path/'c', quiet=True)
    with pytest.raises(ValueError, match='is of a training with .* and this one has .*: expected the same'):
        train_distributed(2, checkpoint=tmp_path/'c', quiet=True, **other)


def test_checkpoint_of_a_longer_training(tmp_path):
    train_distributed(2, checkpoint=tmp_path/'c', quiet=True)
    with pytest.raises(ValueError, match='has 2 epochs, and epochs is 1: expected at least as many'):
        train_distributed(1, checkpoint=tmp_path/'c', quiet=True)


@pytest.mark.parametrize('where', ['no such folder/c', 'a file/c', '.'])
def test_checkpoint_that_cannot_be_written(where, tmp_path):
    (tmp_path/'a file').write_text('')
    with pytest.raises(OSError, match='cannot be (written|read) .*(expected the name of a file|Name another file)'):
        train_distributed(1, checkpoint=tmp_path/where, quiet=True)
    assert os.listdir(tmp_path) == ['a file']


def test_full_disk_leaves_the_old_one(tmp_path, monkeypatch):
    save_checkpoint(tmp_path/'c', dict(n=1))
    def full(*args): raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'): save_checkpoint(tmp_path/'c', dict(n=2))
    assert torch.load(tmp_path/'c') == dict(n=1) and os.listdir(tmp_path) == ['c']


def test_workers_that_differ_are_noticed(monkeypatch):
    monkeypatch.setattr(dist, 'is_initialized', lambda: True)
    monkeypatch.setattr(dist, 'all_reduce', lambda loss: None)
    def gather(prints, mine): prints[:] = [mine, mine[::-1]]
    monkeypatch.setattr(dist, 'all_gather_object', gather)
    with pytest.raises(RuntimeError, match='The workers have different weights'):
        parallel._compare(nn.Linear(2, 1), torch.tensor(1.), Worker(0, 2))


# --- what is refused

def given(**changes):
    env = dict(RANK='0', WORLD_SIZE='2', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1', MASTER_PORT='1') | changes
    return {k: v for k, v in env.items() if v is not None}


@pytest.mark.parametrize('env, bs, said', [
    (given(), 255, 'bs is 255 for 2 workers: expected a multiple of 2'), (given(), 0, 'bs is 0: expected a whole number, 1 or more'),
    (given(), 2.5, 'bs is 2.5: expected a whole'), (given(RANK='2'), 256, 'RANK is 2, WORLD_SIZE is 2: expected a rank'),
    (given(RANK=None), 256, "'RANK': None.*expected all of them"), (given(MASTER_PORT=None), 256, 'expected all of'),
    (given(WORLD_SIZE='two'), 256, "'two'.*expected all of them"), (given(RANK='-1'), 256, "'-1'.*expected all"),
    (given(WORLD_SIZE='0'), 256, 'RANK is 0, WORLD_SIZE is 0: expected'), ({}, 0, 'bs is 0: expected')])
def test_wrong_place(env, bs, said, monkeypatch):
    with pytest.raises(ValueError, match=said): this_worker(bs, env)
    for k, v in env.items(): monkeypatch.setenv(k, v)
    with pytest.raises(ValueError, match=said): train_distributed(1, bs=bs, quiet=True)


@pytest.mark.parametrize('changes', [dict(is_available=lambda: False), dict(is_gloo_available=lambda: False)])
def test_no_gloo(changes, monkeypatch):
    for k, v in changes.items(): monkeypatch.setattr(dist, k, v)
    with pytest.raises(RuntimeError, match='has no gloo.* python -m sgd_course.parallel'): launch(2)
    assert train_distributed(1, hidden=5, quiet=True)['epoch'] == 1, 'a single process needs none'
    for k, v in given().items(): monkeypatch.setenv(k, v)
    with pytest.raises(RuntimeError, match='has no gloo'): train_distributed(1, quiet=True)


@pytest.mark.parametrize('wrong, said', [
    (dict(epochs=0), 'epochs is 0: expected'), (dict(epochs=1.5), 'epochs is 1.5'), (dict(hidden=0), 'hidden is 0: expected'),
    (dict(hidden=-1), 'hidden is -1'), (dict(lr=0.), 'greater than 0')])
def test_wrong_numbers(wrong, said):
    with pytest.raises(ValueError, match=said): train_distributed(**dict(dict(epochs=1, quiet=True), **wrong))


@pytest.mark.parametrize('kind', [np.int64, torch.tensor])
def test_whole_numbers_of_others(kind, tmp_path):
    "They are written to the checkpoint as Python's own, which alone can be read from it."
    state = train_distributed(kind(1), kind(256), np.float32(.5), kind(3), kind(2), tmp_path/'c', quiet=True)
    same = train_distributed(1, 256, .5, 3, 2, tmp_path/'c', quiet=True)
    assert same['fingerprints'] == state['fingerprints'] and same['seconds'] == state['seconds'], 'it was read'
    assert this_worker(kind(8), given(WORLD_SIZE='4')) == Worker(0, 4, 0)
    assert ring_all_reduce(torch.ones(2, 2), kind(1))[1].tolist() == [1, 1]


def test_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    with pytest.raises(RuntimeError, match='0 GPUs for worker 0 of this machine: expected one each'):
        train_distributed(1, device='cuda', quiet=True)
    with pytest.raises(ValueError, match="device is 'tpu': expected cpu or cuda"): train_distributed(1, device='tpu')


@pytest.mark.parametrize('nodes', [1, 2])
def test_port_in_use(nodes, folder):
    with socket.create_server(('127.0.0.1', 0)) as s:
        port = s.getsockname()[1]
        with pytest.raises(OSError, match=rf'Port {port} of 127.0.0.1 cannot be used .* Leave `port` out'):
            launch(2, nodes, port=port, checkpoint=folder/'port')


@pytest.mark.parametrize('wrong', [dict(workers=0), dict(nodes=0), dict(workers=1.5), dict(workers='gpu')])
def test_launch_refuses(wrong):
    with pytest.raises(ValueError, match='expected a whole number, 1 or more'): launch(**wrong)


@slow
@pytest.mark.parametrize('name, kind, said', [
    ('odd', RuntimeError, 'torchrun failed .*\nValueError: bs is 255 for 2 workers: expected a multiple of 2'),
    ('damaged', RuntimeError, r'\nValueError: .*/damaged is damaged, or no checkpoint .* Name another file'),
    ('lost', RuntimeError, r'Signal 9 \(SIGKILL\) received by PID \d+'),
    ('late', TimeoutError, 'Ended after 3 seconds, before it was done')])
def test_errors_of_workers_are_told(name, kind, said, runs):
    assert type(runs[name]) is kind and re.search(said, str(runs[name])), runs[name]
    assert len(str(runs[name]).splitlines()) < 6 and 'Traceback' not in str(runs[name])


# --- no process is left

@slow
def test_no_process_is_left(runs, folder): assert processes(folder) == []


@slow
def test_interrupt_ends_all(tmp_path):
    def interrupt(line):
        if line.startswith('epoch 1:'):
            assert len(processes(tmp_path)) == 3, 'torchrun and its workers: the test can see them'
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt): launch(2, epochs=10**6, restarts=3, checkpoint=tmp_path/'c', on_line=interrupt)
    assert processes(tmp_path) == []


@slow
def test_workers_end_when_the_launcher_is_killed(tmp_path):
    code = f'from sgd_course.launch import launch; launch(2, epochs=10**6, quiet=True, checkpoint="{tmp_path/"c"}")'
    with subprocess.Popen([sys.executable, '-c', code], env=ENV) as p:  # quiet: no broken pipe must be needed
        try: assert until((tmp_path/'c').exists, 60) and len(processes(tmp_path)) >= 4
        finally: p.kill()
    assert until(lambda: not processes(tmp_path))


# --- as many threads for one as for each of two

def test_small_networks_train_with_one_thread():
    "So the lesson compares like with like; what else runs in the process keeps its threads."
    seen, before = [], torch.get_num_threads()
    torch.set_num_threads(2)
    class Seen(nn.Module):
        def forward(self, xb):
            seen.append(torch.get_num_threads())
            return xb
    network = parallel._network
    try:
        with pytest.MonkeyPatch.context() as m:
            m.setattr(parallel, '_network', lambda *args: nn.Sequential(Seen(), network(*args)))
            train_distributed(1, hidden=3, quiet=True)
        assert set(seen) == {1} and torch.get_num_threads() == 2
    finally: torch.set_num_threads(before)


def test_batch_norm_makes_it_another_step_and_the_lessons_network_has_none():
    assert not [m for m in parallel._network(30, 0).modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
