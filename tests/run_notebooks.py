"""Run notebooks with Jupyter's own kernel, and save them with their outputs.

    python run_notebooks.py [--torment | --fork] [--workers N] NOTEBOOK_OR_FOLDER...

Prints, for each notebook, what it took; with `--torment`, every cell is run twice in a row, and long
ones are interrupted and run again. With `--fork` there is no kernel: the shell of nbdev-test runs each
notebook in a fork of one process that has imported PyTorch, which saves 3 seconds each. Ends with 1 if
a cell failed.
"""
import argparse
import asyncio
import json
import os
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HEAVY = {'sympy', 'torch._dynamo', 'torch.distributed.tensor'}  # what PyTorch imports only if it must
LONG = .5  # seconds until a cell is interrupted
COST = f'''
import resource, sys
_r = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(r.ru_utime + r.ru_stime for r in _r), _r[0].ru_maxrss, *sorted({HEAVY} & {{*sys.modules}}))
'''


class Impatient(NotebookClient):
    "Runs each cell again at once; one that takes long is interrupted then, and run once more."
    async def async_execute_cell(self, cell, cell_index, **kwargs):
        once = super().async_execute_cell
        await once(cell, cell_index, **kwargs)  # what it imports is there from now on: half an import is no state
        if cell.cell_type != 'code' or not cell.source.strip(): return cell
        # nbclient waits for the reply, and there is none if the interrupt strikes when the cell has just ended
        again = self.kc.execute(cell.source, stop_on_error=False)
        end = asyncio.ensure_future(self.idle(again))
        stopped = not (await asyncio.wait([end], timeout=LONG))[0]
        if stopped: await self.km.interrupt_kernel()
        error = await end
        if not error: return cell
        # matplotlib's C++ asks Python for a rectangle, and makes an error of its own of an interrupt that strikes there
        if not stopped or (error['ename'] != 'KeyboardInterrupt' and error['evalue'] != 'Invalid bounding box'):
            raise CellExecutionError.from_cell_and_msg(cell, error)
        # it can strike torch.no_grad while that ends, and gradients stay off: PyTorch's fault, and rare
        self.kc.execute('import torch; torch.set_grad_enabled(True)', silent=True, store_history=False)
        return await once(cell, cell_index, **kwargs)

    async def idle(self, request):
        "Wait until the kernel is done with a request; give the error, if there was one."
        error = None
        while True:
            said = await self.kc.iopub_channel.get_msg(timeout=self.timeout)
            if said['parent_header'].get('msg_id') != request: continue
            if said['msg_type'] == 'error': error = said['content']
            if said['content'].get('execution_state') == 'idle': return error


def run(path, torment=False):
    "Run a notebook where it is, and save it; give its seconds, of wall clock and CPU, and its peak in MB."
    nb = nbformat.read(path, as_version=4)
    where = {'metadata': {'path': str(path.parent)}}
    client = (Impatient if torment else NotebookClient)(
        nb, timeout=900, kernel_name='python3', resources=where, record_timing=False)
    if sys.platform != 'win32': nb.cells.append(nbformat.v4.new_code_cell(COST))
    start, cpu, peak, heavy = time.perf_counter(), 0, 0, []
    try: client.execute()
    finally:
        if sys.platform != 'win32':
            said = nb.cells.pop().outputs
            if said: cpu, peak, *heavy = ''.join(o['text'] for o in said).split()  # it may come in pieces
        nbformat.write(nb, path)
    # in bytes on a Mac, in kilobytes elsewhere
    return dict(seconds=time.perf_counter() - start, cpu=float(cpu), heavy=heavy,
                peak=float(peak)/(1e6 if sys.platform == 'darwin' else 1e3))


def run_in_fork(path):
    "The same, in a process of its own that begins where this one is."
    import resource

    from execnb.shell import CaptureShell
    read, write = os.pipe()
    start, pid = time.perf_counter(), os.fork()
    if not pid:
        said = dict(error='it ended the process')
        try:
            os.chdir(path.parent)
            late = HEAVY - {*sys.modules}
            CaptureShell(path=path.parent).execute(path, path, exc_stop=True)
            r = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
            said = dict(cpu=sum(x.ru_utime + x.ru_stime for x in r), peak=r[0].ru_maxrss/1e3,
                        heavy=sorted(late & {*sys.modules}))
        except Exception: said = dict(error=traceback.format_exc())
        finally:
            os.write(write, json.dumps(said).encode())
            os._exit(0)  # the tidying up at the end is the parent's
    os.close(write)
    with os.fdopen(read) as f: said = json.load(f)
    os.waitpid(pid, 0)
    return dict(seconds=time.perf_counter() - start, **said)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('paths', nargs='+', type=Path)
    p.add_argument('--torment', action='store_true')
    p.add_argument('--fork', action='store_true')
    p.add_argument('--workers', type=int, default=1)
    args = p.parse_args()
    if args.fork:
        import anywidget, ipywidgets, matplotlib.pyplot, PIL.Image, torch  # noqa: E401, F401
        run_one = run_in_fork
    else: run_one = partial(run, torment=args.torment)
    found = [sorted(p.rglob('*.ipynb')) if p.is_dir() else [p] for p in args.paths]
    failed = False
    with ThreadPoolExecutor(args.workers) as pool:
        jobs = [(f, pool.submit(run_one, f)) for f in sum(found, [])]
        for f, job in jobs:
            said = job.result() if not (e := job.exception()) else dict(error=str(e) or repr(e))
            failed |= 'error' in said
            print(json.dumps(dict(notebook=str(f), **said)), flush=True)
    return int(failed)


if __name__ == '__main__': sys.exit(main())
