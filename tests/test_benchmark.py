"The file with how good each model is, and the command that writes it."
import importlib
import importlib.util
import json
import math
import re
import sys

import pytest
from conftest import REPO, run
from torch.testing import assert_close

from sgd_course.benchmark import BENCHMARK, load_benchmark
from sgd_course.layers import CONFIGS


def test_benchmark_is_whole():
    entries = load_benchmark()
    assert list(entries)[0] == 'baseline' and {*CONFIGS, *(f'tuned {n}' for n in CONFIGS), 'resnet18'} <= set(entries)
    for name, r in entries.items():
        assert len(r.accuracy) == len(r.seconds) == 5 and r.parameters > 0, name
        assert {'python', 'torch', 'threads'} <= set(r.made_with) <= {
            'python', 'torch', 'threads', 'machine', 'torchvision', 'fastai'}
        assert_close(r.accuracy*2038, (r.accuracy*2038).round(), rtol=0, atol=1e-3)  # of 2038 digits
        if name.startswith('tuned'): assert len(r.lr) == 5
    assert len(entries['resnet18'].first_losses) == 3
    assert BENCHMARK.stat().st_size < 10_000


GOOD = dict(accuracy=[.9, .8], seconds=[1., 2.], parameters=3, made_with={})


@pytest.mark.parametrize('text', [
    '', '{', '[]', '3', '{"net": 3}', '{"net": {}}', json.dumps({'net': GOOD | dict(accuracy=[.9])}),
    json.dumps({'net': GOOD | dict(accuracy=[.9, 1.1])}), json.dumps({'net': GOOD | dict(accuracy=[], seconds=[])}),
    json.dumps({'net': GOOD | dict(accuracy=[.9, math.nan])}), json.dumps({'net': GOOD | dict(parameters='3')}),
    json.dumps({'net': GOOD | dict(accuracy='high')}), json.dumps({'net': GOOD | dict(seconds=[1., -2.])}),
    json.dumps({'net': GOOD | dict(more=1)}), b'\xff\xfe'])
def test_damaged_benchmark_is_refused(text, tmp_path):
    path = tmp_path/'benchmark.json'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match='is damaged.*Run benchmarks/models.py'): load_benchmark(path)


def test_good_and_missing_benchmark(tmp_path):
    path = tmp_path/'benchmark.json'
    with pytest.raises(FileNotFoundError, match='there is no'): load_benchmark(path)
    path.write_text(json.dumps({'net': GOOD}))
    assert load_benchmark(path)['net'].accuracy.tolist() == [.9, .8]


def benchmark(name):
    "The module of a command."
    spec = importlib.util.spec_from_file_location(name, REPO/'benchmarks'/f'{name}.py')
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    return command


def test_command_refuses_an_unknown_entry(monkeypatch, capsys):
    command = benchmark('models')
    monkeypatch.setattr(sys, 'argv', ['models.py', '--entries', 'net,nets'])
    with pytest.raises(SystemExit) as e: command.main()
    assert e.value.code == 2 and "no entries: ['nets']" in capsys.readouterr().err


BENCHMARKS = sorted((REPO/'benchmarks').glob('*.py'))


@pytest.mark.parametrize('path', BENCHMARKS, ids=lambda p: p.stem)
def test_what_benchmarks_import_is_there(path):
    "Also what they give to a kernel or to another process, as text."
    for module, names in re.findall(r"from (sgd_course[.\w]*) import ([\w, ]+)", path.read_text(encoding='utf-8')):
        for name in names.split(', '):
            if not hasattr(importlib.import_module(module), name): importlib.import_module(f'{module}.{name}')


@pytest.mark.slow
@pytest.mark.parametrize('part', ['import', 'data', 'epoch', 'sweep'])
def test_speed_is_measured(part):
    said = run(sys.executable, REPO/'benchmarks'/'speed.py', '--quick', '--only', part).stdout
    assert said.startswith('| | median |') and len(said.splitlines()) > 5
