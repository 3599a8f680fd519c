"Bad input: the error has the right type, and says what was given and what was expected."
import math
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import tensor

from sgd_course import all as c
from sgd_course.validate import real, whole

nan, inf = math.nan, math.inf
each = pytest.mark.parametrize
square = lambda x: (x**2).sum()
t = tensor([0., 1., 2.])
images = torch.rand(8, 784, generator=torch.Generator().manual_seed(42))
labels = tensor([[1.], [0.]]*4)
scores, none = torch.zeros(8, 1), torch.zeros(0, 1)


def fails(call, error, *words):
    "The call raises this error, with these words in it, and does not even begin with a warning."
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with pytest.raises(error) as e: call()
    for word in words: assert word in str(e.value)


def named(**calls):
    "Parameters of a test, each with the name of what it calls."
    return [pytest.param(call, id=name) for name, call in calls.items()]


def with_grad():
    w = tensor([1., 2.]).requires_grad_()
    square(w).backward()
    return w


def linear():
    "A linear model, and its optimizer."
    params = [torch.zeros(784, 1).requires_grad_(), torch.zeros(1).requires_grad_()]
    return lambda xb: c.linear1(xb, *params), c.BasicOptim(params, 1.)


def digits(x=images, y=labels, valid_y=labels): return c.Digits(x, y, images, valid_y)


def fit(lr=.1, steps=1, params=torch.zeros(3), y=t, **kwargs):
    return c.fit(c.quadratic, t, y, params, lr, steps, **kwargs)


def train_epoch(x=images, y=labels, **kwargs): return c.train_epoch(*linear(), x, y, **kwargs)


# --- learning rates and counts

@each('lr, error', [(0, ValueError), (-.1, ValueError), (nan, ValueError), (inf, ValueError),
                    ([], ValueError), ([.1, -1.], ValueError),
                    ('0.1', TypeError), (None, TypeError), (True, TypeError)])
@each('call', named(
    step=lambda lr: c.step(with_grad(), lr),
    descend=lambda lr: c.descend(square, 1., lr, 2),
    plot_descent=lambda lr: c.plot_descent(lambda x: x**2, 1., lr),
    fit=fit,
    regime=lambda lr: c.regime(lr, 2.),
    BasicOptim=lambda lr: c.BasicOptim([with_grad()], lr),
    sweep=lambda lr: c.lr_sweep(lr, 1, digits())))
def test_learning_rate(call, lr, error):
    fails(lambda: call(lr), error, 'lr is', repr(lr), 'expected')


@each('n', [-1, 1.5, '3', None])
@each('call, what', [(lambda n: c.descend(square, 1., .1, n), 'steps'),
                     (lambda n: fit(steps=n), 'steps'),
                     (lambda n: c.train(*linear(), digits(), epochs=n), 'epochs'),
                     (lambda n: c.lr_sweep([.1, 1.], n, digits()), 'epochs')],
      ids=['descend', 'fit', 'train', 'sweep'])
def test_number_of_steps(call, what, n):
    fails(lambda: call(n), (ValueError, TypeError), f'{what} is', repr(n), 'expected')


@each('call, given', [(lambda: c.train(*linear(), digits(), epochs=0), 'epochs is 0'),
                      (lambda: train_epoch(bs=0), 'bs is 0'), (lambda: train_epoch(bs=-1), 'bs is -1')])
def test_none_at_all(call, given):
    fails(call, ValueError, given, 'expected')


# --- where, and of what function

@each('x, given', [(tensor([1, 2]), 'torch.int64'), (tensor([True]), 'torch.bool'),
                   ([1., 2.], '[1.0, 2.0]'), ('x', "'x'"), (None, 'None')])
@each('call', named(
    gradient=lambda x: c.gradient(square, x),
    numerical_gradient=lambda x: c.numerical_gradient(square, x),
    partial_derivative=lambda x: c.partial_derivative(square, x, 0),
    curvature=lambda x: c.hessian_eigenvalues(square, x),
    descend=lambda x: c.descend(square, x, .1, 2)))
def test_not_a_point(call, x, given):
    fails(lambda: call(x), TypeError, 'x is', given, 'expected')


@each('w', [tensor([1, 2]), [1., 2.], None], ids=str)
def test_not_parameters(w):
    fails(lambda: fit(params=w), TypeError, 'params is', str(w), 'expected')
    fails(lambda: c.step(w, .1), (TypeError, ValueError), 'w is', str(w), 'expected')


def test_nothing_to_step_with():
    fails(lambda: c.step(tensor([1.]), .1), ValueError, 'expected', 'requires_grad_()')
    w = tensor([1.]).requires_grad_()
    fails(lambda: c.step(w, .1), ValueError, 'no gradient', 'backward()')
    fails(lambda: c.BasicOptim([], .1), ValueError, 'params', 'expected')
    fails(lambda: c.BasicOptim([torch.zeros(3)], .1), ValueError, 'expected', 'requires_grad_()')


@each('f, given', [(lambda x: x**2, 'shape (3,)'), (lambda x: square(x)[None], 'shape (1,)'),
                   (lambda x: 3., '3.0'), (lambda x: None, 'None')],
      ids=['vector', 'list of one', 'float', 'None'])
@each('call', named(
    gradient=lambda f: c.gradient(f, t),
    numerical_gradient=lambda f: c.numerical_gradient(f, t),
    partial_derivative=lambda f: c.partial_derivative(f, t, 0),
    curvature=lambda f: c.hessian_eigenvalues(f, t),
    descend=lambda f: c.descend(f, t, .1, 2),
    descend_many=lambda f: c.descend(f, t, [.1, .2], 2),
    fit=lambda f: fit(loss_func=lambda preds, targets: f(preds - targets))))
def test_function_that_gives_no_number(call, f, given):
    fails(lambda: call(f), ValueError, given, 'expected one number')


def test_slope():
    fails(lambda: c.slope(lambda x: tensor([x, x]), 1.), TypeError, 'f(x) is', 'expected one')
    fails(lambda: c.slope(lambda x: None, 1.), TypeError, 'None', 'expected one finite number')
    fails(lambda: c.slope(lambda x: nan, 1.), ValueError, 'nan', 'expected one finite number')
    for x in tensor([1, 2]), tensor([True]), [1., 2.], 'x', None:
        fails(lambda: c.slope(abs, x), TypeError, f'x is {x!r}', 'expected one finite number')
    for h in 0, nan, 'small', 1e-17:
        fails(lambda: c.slope(abs, 1., h), (ValueError, TypeError), 'h is', 'expected')
    assert 1 - 1e-16 < 1  # below 1 there are more numbers than above it
    fails(lambda: c.slope(abs, 1., 1e-16), ValueError, 'too small to change x = 1')


def test_bounds_of_numbers():
    assert [whole('n', 0), whole('n', 2, 2), real('lr', .1, above=0)] == [0, 2, .1]
    fails(lambda: whole('n', 1, 2), ValueError, 'n is 1', 'expected a whole number, 2 or more')
    for v in 0, -1: fails(lambda: real('lr', v, above=0), ValueError, 'expected one finite number greater than 0.')
    fails(lambda: real('lr', nan), ValueError, 'expected one finite number.')


def test_gradient():
    fails(lambda: c.gradient(lambda x: tensor(3.), t), ValueError, 'not depend on x', 'expected')
    fails(lambda: c.partial_derivative(square, t, 3), IndexError, 'i=3', 'expected 0 to 2')


# --- shapes that do not fit, though PyTorch would make them

@each('call, shapes', [
    (lambda: c.mnist_loss(scores, labels[:, 0]), [(8, 1), (8,)]),
    (lambda: c.mnist_loss(scores[:, 0], labels), [(8,), (8, 1)]),
    (lambda: c.mnist_loss(scores, tensor(1.)), [(8, 1), ()]),
    (lambda: c.mse(t, t[:, None]), [(3,), (3, 1)]),
    (lambda: fit(y=t[:, None]), [(3,), (3, 1)]),
    (lambda: c.quadratic(t, torch.zeros(2)), [(2,), (3,)]),
    (lambda: c.accuracy(scores, labels[:, 0]), [(8, 1), (8,)]),
    (lambda: c.validate(linear()[0], images, labels[:, 0]), [(8, 1), (8,)]),
    (lambda: train_epoch(y=labels[:, 0]), [(8, 1), (8,)]),
    (lambda: c.linear_score(images, torch.zeros(784, 1)), [(8, 784), (784, 1)]),
    (lambda: c.mean_absolute_error(images, torch.zeros(8, 1)), [(8, 784), (8, 1)]),
    (lambda: c.root_mean_squared_error(images, torch.zeros(8, 1)), [(8, 784), (8, 1)]),
    (lambda: c.nearest_centroid(images, [torch.zeros(8, 1)]*2), [(8, 784), (8, 1)])])
def test_shapes_that_would_broadcast(call, shapes):
    fails(call, ValueError, *map(str, shapes), 'expected')


def test_fewer_labels_than_images():
    fails(lambda: train_epoch(y=labels[:3]), ValueError, '8', '3', 'expected')
    fails(lambda: c.lr_sweep([.1, 1.], 1, digits(y=labels[:3])), ValueError, '8', '3', 'expected')


@each('call', named(
    mnist_loss=lambda: c.mnist_loss(none, none),
    mse=lambda: c.mse(none, none),
    accuracy=lambda: c.accuracy(none, none),
    validate=lambda: c.validate(linear()[0], images[:0], none),
    train_epoch=lambda: train_epoch(images[:0], none),
    sweep=lambda: c.lr_sweep([.1, 1.], 1, digits(images[:0], none)),
    sweep_valid=lambda: c.lr_sweep([.1, 1.], 1, c.Digits(images, labels, images[:0], none))))
def test_empty_batch(call):
    fails(call, ValueError, 'expected', 'at least one')


@each('value', [7., -1., .5, nan])
@each('call', named(
    mnist_loss=lambda y: c.mnist_loss(scores, y),
    validate=lambda y: c.validate(linear()[0], images, y),
    train_epoch=lambda y: train_epoch(y=y),
    sweep=lambda y: c.lr_sweep([.1, 1.], 1, digits(y=y)),
    sweep_valid=lambda y: c.lr_sweep([.1, 1.], 1, digits(valid_y=y))))
def test_labels_that_are_none(call, value):
    y = labels.clone()
    y[5] = value
    fails(lambda: call(y), ValueError, f'{value:g}', 'expected only 0 and 1')


# --- and the rest

def test_parameters_of_the_lessons():
    for std in -1, nan:
        fails(lambda: c.init_params((784, 1), std=std), ValueError, f'std is {std}', 'expected')
    for curvature in 0, [-1., 2.]:
        fails(lambda: c.regime(.1, curvature), ValueError, f'curvature is {curvature}', 'expected')
    fails(lambda: c.steps_to_converge(t, 0), ValueError, 'tol is 0', 'expected')
    fails(lambda: c.standardize(torch.ones(4)), ValueError, '0.0', 'expected values that differ')
    fails(lambda: c.train_valid_split(digits(), 8), ValueError, 'n is 8', 'expected 1 to 7')
    fails(lambda: c.nearest_centroid(images, [images[0]]), ValueError, '1 centroid', 'at least two')
    fails(lambda: c.mnist_pair(3, 3), ValueError, 'mnist_pair(3, 3)', 'expected two different digits')
    fails(lambda: c.mnist_pair('3', '7'), ValueError, "'3'", 'expected two different digits')


def test_pictures():
    fails(lambda: c.plot_function(abs, min=2, max=1), ValueError, 'min=2', 'expected')
    fails(lambda: c.plot_function(square), ValueError, 'shape ()', 'expected one value for each x')
    fails(lambda: c.show_digit(torch.zeros(28)), ValueError, '(28,)', 'expected')
    fails(lambda: c.show_digits(images, ['a']), ValueError, '8 images', '1 titles', 'expected')
    fails(lambda: c.show_weights(torch.zeros(5)), ValueError, '(5,)', 'expected')
    fails(lambda: c.gv('a b'), ValueError, "'a b'", 'expected')
    fails(lambda: c.draw_autograd(tensor(1.)), ValueError, 'expected', 'requires_grad_()')
    fails(lambda: c.table(a=[1], b=[1, 2]), ValueError, "'b': 2", 'expected')


# --- numbers of NumPy and PyTorch are numbers, arrays are tensors

@pytest.fixture(autouse=True)
def no_figure_stays():
    yield
    plt.close('all')


def parabola(x): return x**2


@each('one', [np.float32, np.float64, np.array, tensor, lambda v: tensor(v).double()],
      ids=['float32', 'float64', 'array', 'tensor', 'double tensor'])
@each('n', [np.int64(3), np.array(3), tensor(3)], ids=['int64', 'array', 'tensor'])
def test_numbers_of_numpy_and_torch(one, n):
    path = c.descend(parabola, -1.5, .25, 3)
    assert c.slope(parabola, one(1.5), one(.5)) == 3.5
    assert torch.equal(c.descend(parabola, one(-1.5), one(.25), n).double(), path)
    assert torch.equal(c.descend(parabola, np.int64(-3), .25, n), 2*path)
    assert c.steps_to_converge(path, one(.5)) == 2
    assert c.classify_trajectory(path) == c.regime(one(.25), one(2.)) == 'converges slowly'
    assert c.partial_derivative(square, t.double(), n - 1, one(.5)) == 4
    assert torch.equal(c.gradient(parabola, one(1.5)), c.numerical_gradient(parabola, one(1.5), .5))
    few = c.fit(c.quadratic, t, t, torch.zeros(3), one(.125), n)
    assert torch.equal(few.losses, fit(.125, 3).losses)
    assert torch.equal(c.make_roller_coaster(n)[1], c.make_roller_coaster(3)[1])
    losses = c.plot_descent(parabola, one(-1.5), one(.25), n)[1]
    assert losses.get_title() == 'The loss ends at 0.0352'


@each('rates', [np.arange(1, 4)/8, np.array([.375, .25, .125])[::-1],
                [tensor(v/8) for v in (1, 2, 3)],
                torch.arange(1, 4).div(8).requires_grad_(), (np.float32(.125), .25, .375)],
      ids=['array', 'backwards', 'tensors', 'requires grad', 'tuple'])
def test_several_rates(rates):
    path = c.descend(parabola, 1., rates, 2)
    assert torch.equal(path, c.descend(parabola, 1., [.125, .25, .375], 2))
    assert not path.requires_grad
    assert c.regime(.5, rates) == 'converges slowly'


@each('v', [True, np.True_, tensor(True), 1j, tensor(1j), '1', None], ids=repr)
@each('call, name', [(lambda v: c.slope(parabola, v), 'x'),
                     (lambda v: c.slope(parabola, 1., v), 'h'),
                     (lambda v: c.slope(lambda x: v, 1.), 'f(x)'),
                     (lambda v: c.descend(parabola, v, .1, 2), 'x'),
                     (lambda v: c.descend(parabola, 1., v, 2), 'lr'),
                     (lambda v: c.gradient(parabola, v), 'x'),
                     (lambda v: c.steps_to_converge(t, v), 'tol'),
                     (lambda v: c.steps_to_converge(t, 1., v), 'target'),
                     (lambda v: c.regime(v, 1.), 'lr'), (lambda v: c.regime(1., v), 'curvature'),
                     (lambda v: c.plot_descent(parabola, v, .1), 'start')],
      ids=['x', 'h', 'value', 'start', 'rate', 'gradient', 'tol', 'target', 'regime',
           'curvature', 'plot'])
def test_no_numbers(call, name, v):
    fails(lambda: call(v), TypeError, f'{name} is', 'expected')


def test_numbers_that_cannot_be():
    for huge in 10**400, nan, -inf:
        fails(lambda: c.descend(parabola, huge, .1, 2), ValueError, 'x is')
    fails(lambda: c.descend(parabola, 1., 10**400, 2), ValueError, 'lr is', 'expected')
    for i in 1.5, '1', True:
        fails(lambda: c.partial_derivative(square, t, i), ValueError, 'i is', 'expected a whole')
    for h in 0, -1., nan:
        for call in (lambda: c.partial_derivative(square, t, 0, h),
                     lambda: c.numerical_gradient(square, t, h)):
            fails(call, ValueError, 'h is', 'expected')
    fails(lambda: c.make_roller_coaster(.5), ValueError, 'seed is 0.5', 'expected a whole number')


def frozen(v):
    "An array that PyTorch does not take as it is: backwards, and not to be written to."
    v = np.asarray(v)[::-1].copy()[::-1]
    v.flags.writeable = False
    return v


@each('make', [np.array, frozen, list], ids=['array', 'frozen', 'list'])
def test_arrays(make):
    time, speed, guess = (v.tolist() for v in c.make_roller_coaster())
    tensors = tensor(time).double(), tensor(speed).double()
    time, speed = make(time), make(speed)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert c.mse(time, speed) == c.mse(*tensors) == c.mse(tensors[0], speed)
        ours = c.fit(c.quadratic, time, speed, tensor(guess), 1e-5, 3)
        assert torch.equal(ours.losses, c.fit(c.quadratic, *tensors, tensor(guess), 1e-5, 3).losses)
        ax = c.plot_fit(time, speed, time, 'lists')
        assert [list(line.get_ydata()) for line in ax.lines] == [list(speed), list(time)]
        if make is not list:
            assert torch.equal(c.standardize(time), c.standardize(tensors[0]))
            assert torch.equal(c.gradient(square, speed), 2*tensors[1])
            begun = c.fit(c.quadratic, time, speed, make(guess), 1e-5, 3)
            torch.testing.assert_close(begun.losses, ours.losses, rtol=1e-6, atol=0)


def test_whole_numbers_do_not_wrap_around():
    small = tensor([0, 1, 3], dtype=torch.uint8)
    assert c.mse(small, small.flip(0)) == c.mse(small.numpy(), small.flip(0).numpy()) == 6
    assert c.mean_absolute_error(small, small.flip(0)) == 2
    assert c.root_mean_squared_error(small, small.flip(0)) == 6**.5
    assert c.linear_score(tensor([0, 100, 100], dtype=torch.uint8), small) == 400
    fails(lambda: c.mse(['a'], ['b']), TypeError, 'a', 'expected')
    fails(lambda: fit(params=np.arange(3)), TypeError, 'params is', 'expected')


# --- what diverges is drawn

def drawn(ax):
    "The points of each line, once it was drawn without a warning."
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        ax.figure._repr_html_()
    assert all(map(math.isfinite, ax.get_xlim() + ax.get_ylim()))
    return [tensor(line.get_xydata()) for line in ax.lines]


@each('f, start, lr, steps, seen', [
    (lambda x: x**4, 2., .5, 10, [2, -14]), (parabola, -1.5, 100., 20, [-1.5, 298.5]),
    (parabola, -1.5, 1e10, 50, [-1.5]), (parabola, -1.5, 1e300, 5, [-1.5]),
    (lambda x: -x**2, 1., 1., 2000, [1, 3, 9, 27, 81, 243, 729]), (parabola, 1e30, .1, 2, [1e30]),
    (torch.exp, 5., 100., 3, [5]), (parabola, 100., 1.5, 30, [100*(-2.)**k for k in range(10)]),
    (lambda x: x**4 - 3*x**2, 1., 5., 9, [1, 11])])
def test_divergence_is_drawn(f, start, lr, steps, seen):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        curve, losses = c.plot_descent(f, start, lr, steps)
    walked = [p for p in drawn(curve) if len(p) != 201][0][:, 0]
    torch.testing.assert_close(walked, tensor(seen).double(), rtol=1e-6, atol=0)
    assert f'{len(seen) - 1} of {steps} steps' in curve.get_title()
    assert len(drawn(losses)[0]) == steps + 1
    assert 'The loss ends at' in losses.get_title()


def test_a_loss_that_explodes_is_a_straight_line():
    curve, losses = c.plot_descent(parabola, -1.5, 2., 10)
    assert losses.get_yscale() == 'log'
    torch.testing.assert_close(drawn(losses)[0][:, 1], 2.25*9.**torch.arange(11).double())
    for lr in .1, 1.1:
        assert c.plot_descent(parabola, -1.5, lr)[1].get_yscale() == 'linear'
    assert c.plot_descent(parabola, .1, 2., 10)[1].get_yscale() == 'log'  # also if it begins below 1


def test_a_loss_of_tensors_that_learn_is_drawn():
    a = tensor(1.).requires_grad_()
    curve, losses = c.plot_descent(lambda x: a*x**2, -1.5, .1, 10)
    assert len(drawn(losses)[0]) == 11


def test_new_pictures_say_what_they_show():
    "To those who do not see them."
    for axs, said in ((c.plot_descent(parabola, -1.5, .1)[0], '10 steps from -1.5 to -0.161'),
                      (c.plot_fit(t, t, t, 'A line'), 'A line: measurements as dots'),
                      (c.plot_contours(c.ravine, (-1, 1), (-1, 1), 'A ravine'), 'A ravine')):
        assert said in repr(axs.figure)


@each('preds', [[nan, 1., inf], [1., -inf, 1e39], [nan]*3, [1e308, -1e308, 0]], ids=str)
def test_predictions_that_diverged_are_drawn(preds):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        ax = c.plot_fit(t, t, tensor(preds).double().requires_grad_(), 'Diverged')
    dots, line = drawn(ax)
    assert torch.equal(dots[:, 1], t.double()) and len(line) == 3
