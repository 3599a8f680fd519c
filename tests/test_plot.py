"Pictures: the same whatever the user has set, of whatever holds numbers, and without warnings."
import inspect
import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from sgd_course import plot
from sgd_course.plot import LivePlot, draw_autograd, plot_steps, plot_function, plot_trajectory, show_digit, \
    show_digits, show_error, show_weights, subplots, table


@pytest.fixture(autouse=True)
def alone():
    with mpl.rc_context():
        yield
        plt.close('all')


RAMP = torch.linspace(0, 1, 784).reshape(28, 28)


# --- the user's settings

def lesson():
    "As lessons draw: on axes that they were given, by their methods and by plt."
    fig, (a, b, c) = subplots(1, 3, figsize=(8, 2.5))
    a.plot([1, 3, 2], 'o-', label='one')
    a.set(title='A title', xlabel='x', ylabel='y')
    a.legend()
    fig.colorbar(b.imshow(RAMP.numpy()), ax=b)
    c.scatter([1, 2], [3, 4])
    c.annotate('here', (1, 3))
    c.hist([1, 1, 2])
    plt.title('by plt')
    c.twinx().plot([1e6, 2e6])
    fig.suptitle('All')
    return fig


def live():
    shown = LivePlot(lambda ax, ys: ax.plot(ys, 'o-'))
    shown.args = ([1, 2, 4],)
    shown.ax.clear()
    shown.draw(shown.ax, *shown.args)
    return shown.fig


def graph(): return draw_autograd((torch.ones(2).requires_grad_()**2).sum()).figure


DRAWN = {
    'function': lambda: plot_function(lambda x: x**2, 'x', 'x**2').figure,
    'path': lambda: plot_trajectory(lambda x: x**2, [-1.5, .9, -.54]).figure,
    'digit': lambda: show_digit(RAMP, 'a ramp').figure,
    'digits': lambda: show_digits([RAMP, RAMP], ['a', 'b'])[0].figure,
    'weights': lambda: show_weights(RAMP - .5, 'w').figure,
    'steps': lambda: plot_steps().figure,
    'graph': graph, 'live': live, 'lesson': lesson,
}
SETTINGS = {
    'dark': lambda: plt.style.use(['dark_background', 'seaborn-v0_8-poster']),
    'xkcd': plt.xkcd,
    'all kinds': lambda: mpl.rcParams.update({
        'figure.autolayout': True, 'image.origin': 'lower', 'figure.dpi': 60, 'savefig.dpi': 50,
        'savefig.facecolor': 'red', 'savefig.pad_inches': 2, 'savefig.transparent': True, 'savefig.bbox': 'tight',
        'font.size': 20, 'font.family': 'serif', 'axes.unicode_minus': False, 'mathtext.fontset': 'cm',
        'axes.formatter.useoffset': False, 'text.antialiased': False, 'text.hinting': 'none'}),
}
_plain = {}


def plain(name):
    if name not in _plain: _plain[name] = DRAWN[name]()._repr_html_()
    return _plain[name]


@pytest.mark.long
@pytest.mark.parametrize('setting', SETTINGS)
@pytest.mark.parametrize('name', DRAWN)
def test_settings_of_the_user_change_no_picture(name, setting):
    expected = plain(name)
    SETTINGS[setting]()
    before = dict(mpl.rcParams)
    assert DRAWN[name]()._repr_html_() == expected
    assert dict(mpl.rcParams) == before, 'her settings are hers again'


def test_settings_changed_after_drawing_change_no_picture():
    expected, fig = plain('lesson'), lesson()
    for change in SETTINGS.values(): change()
    assert fig._repr_html_() == expected


def test_usetex_of_the_user_is_not_used():
    "TeX may not be there, and would take seconds."
    mpl.rcParams['text.usetex'] = True
    assert DRAWN['function']()._repr_html_() == plain('function')


def test_figures_of_the_user_keep_her_settings():
    plt.style.use('dark_background')
    plot_function(lambda x: x)
    assert plt.subplots()[1].get_facecolor() == (0, 0, 0, 1)
    with pytest.raises(ZeroDivisionError), plot.style():
        assert mpl.rcParams['axes.facecolor'] == 'white'
        1/0
    assert mpl.rcParams['axes.facecolor'] == 'black'


def test_axes_of_another_projection():
    assert subplots(subplot_kw=dict(projection='polar'))[1].name == 'polar'


# --- what can be drawn

def line(ax): return ax.lines[0].get_ydata()


@pytest.mark.parametrize('f', [
    torch.sin, lambda x: x if x > 0 else -x, lambda x: max(x, 0), math.sin,
    lambda x: x.item()**2, lambda x: 1 if x > 0 else 0., lambda x: (x*torch.ones(1, requires_grad=True)[0]),
], ids=['torch.sin', 'if', 'max', 'math.sin', 'item', 'step', 'recorded'])
def test_function_of_single_numbers(f):
    ys = line(plot_function(f))
    one = [float(torch.as_tensor(f(v)).detach()) for v in torch.linspace(-2, 2, 201)]
    assert np.allclose(ys, one, atol=1e-6)
    plot_trajectory(f, [-1.5, .9])


def test_function_with_a_fault_raises_its_own_error():
    with pytest.raises(RuntimeError, match='size of tensor'): plot_function(lambda x: x + torch.ones(3))
    with pytest.raises(TypeError, match='unsupported operand'): plot_function(lambda x: x + 'a')
    with pytest.raises(ValueError, match='expected one value for each x'): plot_function(lambda x: 3.)


@pytest.mark.parametrize('number', [np.float32(1), np.int64(1), torch.tensor(1.), 1])
def test_range_of_any_number(number):
    assert plot_function(lambda x: x, min=-number, max=number).lines[0].get_xdata()[-1] == 1
    plot_trajectory(lambda x: x, [0., 1.], min=-number, max=number)


@pytest.mark.parametrize('lo, hi', [(1, 1), (2, 1), (float('nan'), 1), (0, float('inf')), ('a', 'b'), (None, 2)])
def test_no_range(lo, hi):
    with pytest.raises((TypeError, ValueError), match='expected'): plot_function(lambda x: x, min=lo, max=hi)


def walk(dtype):
    x, out = torch.tensor(2., dtype=dtype), []
    for _ in range(20):
        out.append(x)
        x = x - .5*4*x**3
    return torch.stack(out)


@pytest.mark.parametrize('path', [walk(torch.float32), walk(torch.float64), [2., 3e38], [1, float('nan')],
                                  np.array([1, 2]), torch.tensor([1., 2.], requires_grad=True)])
def test_any_path_is_drawn(path):
    plot_trajectory(lambda x: x**4, path).figure._repr_html_()


def test_no_path():
    for path in [], torch.ones(2, 2), [float('nan')]:
        with pytest.raises(ValueError, match='path.*expected'): plot_trajectory(lambda x: x, path)


BYTES = np.arange(784, dtype=np.uint32).reshape(28, 28).astype(np.uint8)
IMAGES = {'PIL': Image.fromarray(BYTES), 'colour': Image.fromarray(BYTES).convert('RGB'), 'bytes': BYTES,
          'torch bytes': torch.tensor(BYTES), 'int64': BYTES.astype(np.int64), 'list': (BYTES/255).tolist(),
          'double': BYTES/255, 'big-endian': (BYTES/255).astype('>f8'), 'vector': BYTES.reshape(-1)/255,
          'recorded': torch.tensor(BYTES/255, requires_grad=True), 'strided': (BYTES/255)[::-1][::-1]}


@pytest.mark.parametrize('kind', IMAGES)
def test_image_of_any_kind(kind):
    expected = show_digit(torch.tensor(BYTES)/255)._children[0].get_array()
    assert np.allclose(show_digit(IMAGES[kind])._children[0].get_array(), expected, atol=1e-6)
    assert np.allclose(show_digits([IMAGES[kind]])[0]._children[0].get_array(), expected, atol=1e-6)


def test_image_of_zeros_and_ones():
    for kind in bool, np.uint8, np.int64:
        assert show_digit((BYTES > 99).astype(kind))._children[0].get_array().max() == 1


@pytest.mark.parametrize('x', [torch.ones(3, 28, 28), torch.ones(5), 'text.png', None, torch.ones(28, 28)*1j])
def test_no_image(x):
    with pytest.raises((TypeError, ValueError), match='expected one image'): show_digit(x)


def test_weights_as_arrays():
    w = np.linspace(-1, 1, 784).astype(np.float32)
    for same in w, w[:, None], w.reshape(28, 28), w.tolist():
        assert show_weights(same)._children[0].get_clim() == (-1, 1)


def test_whole_numbers_of_any_kind():
    assert len(show_digits([RAMP]*3, ncols=np.int64(2))) == 3
    plot_steps(marked=torch.tensor([1, 5])), plot_steps(marked=[np.int64(2)])
    for wrong in [8], [1.5], [True], ['1']:
        with pytest.raises(ValueError, match='marked'): plot_steps(marked=wrong)
    for wrong in 0, 2.5, True:
        with pytest.raises(ValueError, match='ncols'): show_digits([RAMP], ncols=wrong)


# --- tables and errors

def test_table_in_a_terminal_is_text():
    t = table(digit=['3', 'seven'], mean_ink=[.14159265, np.float32(2)], n=torch.tensor([1, 20]))
    assert repr(t) == 'digit  mean ink   n\n    3    0.1416   1\nseven         2  20'
    assert t._repr_markdown_() == t.data == (
        '| digit | mean ink | n |\n| --: | --: | --: |\n| 3 | 0.1416 | 1 |\n| seven | 2 | 20 |')
    assert 'IPython' not in repr(table(a=[]))


def test_table_escapes_for_markdown_only():
    t = table(what=['a|b'])
    assert 'a\\|b' in t.data and repr(t) == 'what\n a|b'


def test_show_error_checks_with_optimization_too():
    "As python -O compiles it."
    optimized = dict(vars(plot))
    exec(compile(inspect.getsource(show_error), 'plot', 'exec', optimize=2), optimized)
    shows = optimized['show_error']
    with pytest.raises(AssertionError, match="expected an error with 'not what it says'"):
        with shows(ZeroDivisionError, 'not what it says'): 1/0
    with pytest.raises(AssertionError, match='nothing went wrong'):
        with shows(ZeroDivisionError): pass


def test_show_error_lets_another_error_through():
    with pytest.raises(KeyError), show_error(ValueError): {}['a']
