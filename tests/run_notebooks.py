"""Run every notebook below a folder with Jupyter's own kernel, and save it with its outputs.

    python run_notebooks.py FOLDER
"""
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run(path):
    nb = nbformat.read(path, as_version=4)
    where = {'metadata': {'path': str(path.parent)}}
    NotebookClient(nb, timeout=600, kernel_name='python3', resources=where).execute()
    nbformat.write(nb, path)


workers = min(4, os.cpu_count())
# torch starts a thread for each core in each kernel; too many of them are 3 times slower than one
os.environ['OMP_NUM_THREADS'] = str(max(1, os.cpu_count()//workers))
with ThreadPoolExecutor(workers) as pool:
    jobs = {f: pool.submit(run, f) for f in sorted(Path(sys.argv[1]).rglob('*.ipynb'))}
    failed = {f: e for f, job in jobs.items() if (e := job.exception())}
for f, e in failed.items(): print(f'{f}\n{e}')
sys.exit(bool(failed))
