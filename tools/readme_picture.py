"""Draw the moving picture of the README: `python tools/readme_picture.py [FILE]`

It is a GIF, because a code host gives that a button to pause, and lets it stand still for readers
who want less motion. It is shown twice, and begins and ends with the same frame.
"""
import io
import sys
from pathlib import Path

import torch
from PIL import Image

from sgd_course.descent import classify_trajectory, descend
from sgd_course.plot import BLACK, BLUE, RED, plot_function, subplots
from sgd_course.selection import lr_sweep

STEPS, EPOCHS = 10, 10
LRS = [.01, *(k/20 for k in range(1, 22))]             # of x**2, up to 1.05
RATES = torch.logspace(-3, 3, 19)                      # of the digits
FIRST, START = LRS.index(.2), 9                        # where the two sliders stand at first
HOLD, MOVE, REST = 1000, 100, 1600                     # ms that a frame is shown


def f(x): return x**2


class Slider:
    "A drawn one, over a row of pictures: the row's name, a track, its knob and the learning rate."
    def __init__(self, fig, bottom, name, positions):
        self.positions, end = positions, len(positions) - 1
        fig.text(.08, bottom + .02, name, fontsize=13, fontweight='bold', va='center')
        ax = fig.add_axes([.58, bottom, .4, .04], xlim=(-.5, end + .5), ylim=(-1, 1))
        ax.axis('off')
        ax.plot([0, end], [0, 0], color='0.75', lw=5, solid_capstyle='round')
        self.knob, = ax.plot([], [], 'o', color=BLUE, ms=13)
        self.said = ax.text(0, 1.6, '', fontsize=12)

    def put(self, k):
        self.knob.set_data([k], [0])
        self.said.set_text(f'Learning rate {float(f"{self.positions[k]:.2g}"):g}')


class Descent:
    "The upper row: ten steps down a parabola."
    def __init__(self, fig, curve, loss):
        plot_function(f, 'x', 'x**2', 'Where do ten steps lead?', -2, 2, ax=curve)
        curve.set(xlim=(-2, 2), ylim=(-.2, 4))
        loss.set(title=' ', xlabel='step', ylabel='loss', xlim=(-.3, STEPS + .3), ylim=(-.2, 4))
        self.steps, = curve.plot([], [], 'o-', color=RED, lw=1, ms=6, alpha=.8)
        curve.plot([-1.5], [2.25], 'o', color=BLACK, ms=8)
        self.losses, = loss.plot([], [], 'o-', color=RED, lw=1, ms=6)
        self.title = loss.title
        self.slider = Slider(fig, .91, 'One weight: x**2', LRS)

    def show(self, k):
        path = descend(f, torch.tensor(-1.5, dtype=torch.float64), LRS[k], STEPS)
        kind = classify_trajectory(path)
        self.steps.set_data(path, f(path))
        self.losses.set_data(range(len(path)), f(path))
        self.title.set_text(f'It {kind}')
        self.slider.put(k)


class Digits:
    "The lower row: ten epochs with 12,396 handwritten digits."
    def __init__(self, fig, weights, accuracy):
        self.sweep = lr_sweep(RATES, epochs=EPOCHS, progress=False)
        self.image = weights.imshow(torch.zeros(28, 28), cmap='RdBu')
        weights.set(title='Ink on blue says 3, on red 7', xticks=[], yticks=[])
        accuracy.set(title=' ', xlabel='epoch', ylabel='accuracy', xlim=(.8, EPOCHS + .2),
                     ylim=(.95, .99))
        accuracy.set_yticks([.95, .96, .97, .98, .99], ['95%', '96%', '97%', '98%', '99%'])
        self.line, = accuracy.plot([], [], 'o-', color=RED, lw=1, ms=6)
        self.title = accuracy.title
        self.slider = Slider(fig, .41, '785 weights: real digits', RATES.tolist())

    def show(self, k):
        w, right = self.sweep.weights[-1, k], self.sweep.accuracy[1:, k]
        self.image.set_data(w.reshape(28, 28))
        self.image.set_clim(-w.abs().max(), w.abs().max())
        self.line.set_data(range(1, EPOCHS + 1), right)
        self.title.set_text(f'{right[-1]:.1%} of digits never seen are read right')
        self.slider.put(k)


def way(first, holds):
    "Positions of a slider, and how long each is shown, through `holds` and back to `first`."
    at = first
    for to in (*holds, first):
        while at != to:
            at += 1 if to > at else -1
            yield at, HOLD if at == to else MOVE


def frames():
    "Each frame, and how many ms it is shown."
    room = dict(left=.08, right=.98, top=.84, bottom=.09, hspace=1, wspace=.25)
    fig, axs = subplots(2, 2, figsize=(8.4, 6.2), shown=False, layout=None, gridspec_kw=room)
    upper, lower = Descent(fig, *axs[0]), Digits(fig, *axs[1])

    def drawn():
        out = io.BytesIO()
        fig.savefig(out, format='png', dpi=120, facecolor='white')
        return Image.open(out).convert('RGB')
    upper.show(FIRST), lower.show(START)
    yield drawn(), REST
    for row, begin, holds in ((upper, FIRST, (0, LRS.index(.5), LRS.index(.9), len(LRS) - 1)),
                              (lower, START, (0, 12, len(RATES) - 1))):
        for k, ms in way(begin, holds):
            row.show(k)
            yield drawn(), ms


def main(file):
    images, times = zip(*frames())
    w, h = images[0].size
    together = Image.new('RGB', (w, 3*h))  # one palette for all
    for i in range(3): together.paste(images[i*len(images)//3], (0, i*h))
    palette = together.quantize(255, dither=Image.Dither.NONE)
    palette.putpalette(palette.getpalette()[:3*255] + 3*[255])

    def few(image):
        "In the colours of the palette, white as white."
        made = image.quantize(palette=palette, dither=Image.Dither.NONE)
        made.paste(255, mask=image.convert('L').point(lambda v: 255*(v == 255)))
        return made
    first, *others = map(few, images)
    first.save(file, 'GIF', save_all=True, append_images=others, duration=times, loop=1)


if __name__ == '__main__':
    main(sys.argv[1] if sys.argv[1:] else Path(__file__).parent.with_name('readme.gif'))
