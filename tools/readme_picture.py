"Draw the picture of the README: `python tools/readme_picture.py`"
from pathlib import Path

from sgd_course.descent import descend
from sgd_course.plot import _png, plot_trajectory, show_weights, subplots
from sgd_course.selection import lr_sweep

fig, axs = subplots(2, 4, figsize=(11, 5))
for ax, lr in zip(axs[0], (.05, .4, .9, 1.03)):
    plot_trajectory(lambda x: x**2, descend(lambda x: x**2, -1.5, lr, 10), f'learning rate {lr}', ax=ax, ty='x**2')
s = lr_sweep([1.])
for ax, epoch in zip(axs[1], (1, 2, 5, 20)):
    show_weights(s.weights[epoch, 0], f'epoch {epoch}: {s.accuracy[epoch, 0]:.1%}', ax=ax)
Path(__file__).parent.with_name("readme.png").write_bytes(_png(fig))
