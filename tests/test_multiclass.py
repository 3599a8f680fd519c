"Ten digits: worked values, SciPy, scikit-learn and PyTorch as oracles, and what bad input is told."
import math

import numpy as np
import pytest
import scipy.special
import sklearn.calibration
import sklearn.linear_model
import sklearn.metrics
import torch
from torch import nn, tensor

from sgd_course.data import Digits
from sgd_course.draw import ClassReader, draw_digit
from sgd_course.explorers import explore_softmax
from sgd_course.multiclass import (confusion_matrix, reliability, softmax, softmax_cross_entropy,
                                   sweep_softmax, train_softmax)
from sgd_course.validate import class_numbers, float_rows

each = pytest.mark.parametrize


def near(ours, theirs, tol=1e-5): np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=tol, atol=tol)


@pytest.fixture(scope='module')
def some():
    "Logits of 200 images and their classes, of which there are six."
    g = torch.Generator().manual_seed(0)
    return 3*torch.randn(200, 6, generator=g), torch.randint(6, (200,), generator=g)


@pytest.fixture(scope='module')
def few():
    "Ninety points of five numbers in three overlapping classes, 60 of them for training."
    g = torch.Generator().manual_seed(1)
    y = torch.arange(90) % 3
    x = torch.randn(90, 5, generator=g) + 1.5*torch.eye(5)[y]
    return Digits(x[:60], y[:60], x[60:], y[60:])


# --- softmax and cross-entropy

def test_softmax_by_hand():
    near(softmax(tensor([[0., math.log(3.)]])), [[.25, .75]])
    near(softmax(tensor([1., 1., 1., 1.])), [.25]*4)
    assert softmax(tensor([[1000., 0.], [-1000., 0.]])).tolist() == [[1, 0], [0, 1]]


@each('shape', [(3,), (1, 1), (7, 4), (2, 3, 5)])
def test_softmax_as_scipy_has_it(shape):
    s = 5*torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.double)
    near(softmax(s), scipy.special.softmax(s.numpy(), axis=-1), 1e-12)
    assert softmax(s).dtype == torch.double and softmax(s.float()).dtype == torch.float32


def test_gradient_of_softmax_as_pytorch_has_it(some):
    weights = torch.arange(6.)
    grads = []
    for f in softmax, lambda s: s.softmax(-1):
        s = some[0].clone().requires_grad_()
        (f(s)*weights).sum().backward()
        grads.append(s.grad)
    near(*grads)


def test_cross_entropy_by_hand():
    near(softmax_cross_entropy(tensor([[0., math.log(3.)]]*2), tensor([0, 1])), (math.log(4) + math.log(4/3))/2)
    near(softmax_cross_entropy(torch.zeros(5, 10), torch.arange(5)), math.log(10))
    near(softmax_cross_entropy(tensor([[0., 1000.]]), tensor([0])), 1000)


def test_cross_entropy_as_pytorch_and_scikit_learn_have_it(some):
    scores, y = some
    ours = softmax_cross_entropy(scores, y)
    near(ours, nn.functional.cross_entropy(scores, y))
    near(ours, sklearn.metrics.log_loss(y.numpy(), softmax(scores.double()).numpy()))
    for kind in (torch.uint8, torch.int32): near(softmax_cross_entropy(scores, y.to(kind)), ours)


# --- what is confused, what is claimed

def test_confusion_matrix(some):
    assert confusion_matrix(tensor([1, 1, 0, 2]), tensor([1, 0, 0, 1]), 3).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    preds, y = some[0].argmax(1), some[1]
    assert confusion_matrix(preds, y, 6).tolist() == sklearn.metrics.confusion_matrix(y, preds).tolist()
    assert confusion_matrix(preds, y).shape == (10, 10) and confusion_matrix(preds, y).sum() == 200


def test_reliability_by_hand():
    probs = tensor([[.75, .25], [.25, .75], [.5, .5], [1., 0.]])
    r = reliability(probs, tensor([0, 0, 0, 0]), [0, .5, .75, 1])
    assert r.count.tolist() == [0, 1, 3], 'an interval has its lower limit, the last also its upper one'
    near(r.claimed, [math.nan, .5, 2.5/3])
    near(r.right, [math.nan, 1, 2/3])
    near(r.error, (1*.5 + 3*(2.5 - 2)/3)/4)


def test_reliability_as_scikit_learn_has_it(some):
    probs, y = softmax(some[0]), some[1]
    r = reliability(probs, y)
    claimed, winner = probs.max(1)
    right, mean = sklearn.calibration.calibration_curve((winner == y).numpy(), claimed.numpy(), n_bins=10)
    full = r.count > 0
    near(r.right[full], right)
    near(r.claimed[full], mean)
    assert r.count.sum() == 200 and r.right[~full].isnan().all()


def test_reliability_leaves_out_what_is_outside(some):
    r = reliability(softmax(some[0]), some[1], [.5, .6])
    assert r.count.shape == (1,) and 0 < r.count < 100


# --- training

def test_training_as_pytorch_does_it(few):
    net = nn.Linear(5, 3)
    for p in net.parameters(): nn.init.zeros_(p)
    opt = torch.optim.SGD([dict(params=[net.weight], weight_decay=2*.03), dict(params=[net.bias])], lr=.2)
    for _ in range(20):
        opt.zero_grad()
        nn.functional.cross_entropy(net(few.train_x), few.train_y).backward()
        opt.step()
    run = train_softmax(few, 20, .2, bs=60, weight_decay=.03, k=3)
    near(run.w, net.weight.T.detach())
    near(run.b, net.bias.detach())
    near(run.train_loss[-1], nn.functional.cross_entropy(net(few.train_x), few.train_y).item())
    near(run.valid_loss[-1], nn.functional.cross_entropy(net(few.valid_x), few.valid_y).item())
    near(run.accuracy[-1], (run(few.valid_x).argmax(1) == few.valid_y).float().mean())
    near(run.train_loss[0], math.log(3))
    assert run.accuracy.shape == (21,)


def test_training_ends_where_scikit_learn_does(few):
    run = train_softmax(few, 600, .5, bs=60, weight_decay=.01, k=3)
    theirs = sklearn.linear_model.LogisticRegression(C=1/(2*.01*60), tol=1e-8, max_iter=1000)
    theirs.fit(few.train_x.numpy(), few.train_y.numpy())
    near(run.w.T, theirs.coef_, 2e-3)
    probs = theirs.predict_proba(few.valid_x.numpy())
    near(softmax(run(few.valid_x)), probs, 2e-3)


def test_training_takes_grids_and_another_loss(few):
    grids = few._replace(train_x=few.train_x.reshape(60, 1, 5), valid_x=few.valid_x.reshape(30, 1, 5))
    near(train_softmax(grids, 2, k=3).w, train_softmax(few, 2, k=3).w)
    twice = train_softmax(few, 2, .25, k=3, loss_func=lambda s, y: 2*softmax_cross_entropy(s, y))
    near(twice.w, train_softmax(few, 2, .5, k=3).w)


def test_sweep_is_training_with_each(few):
    s = sweep_softmax([.1, 1.], few, epochs=3, bs=16, seed=4, k=3, progress=False)
    assert s.weights.shape == (4, 2, 5, 3) and s.bias.shape == (4, 2, 3) and s.loss.shape == (3, 2)
    for j, lr in enumerate((.1, 1.)):
        run = train_softmax(few, 3, lr, bs=16, seed=4, k=3)
        near(s.weights[-1, j], run.w)
        near(s.bias[-1, j], run.b)
        near(s.accuracy[:, j], run.accuracy)
    first = sweep_softmax([.1, 1.], few, epochs=1, bs=16, seed=4, k=3, progress=False)
    for all_epochs, one in ((s.weights, first.weights), (s.bias, first.bias)):  # each epoch has its own
        assert torch.equal(all_epochs[:2], one) and (one[0] == 0).all()


# --- bad input

def fails(call, error, *words):
    with pytest.raises(error) as e: call()
    for word in words: assert word in str(e.value)


rows, right = torch.zeros(2, 3), tensor([0, 2])


@each('scores, error, words', [
    ([[1.]], TypeError, 'scores are list'), (rows.long(), TypeError, 'scores are torch.int64'), (None, TypeError, 'NoneType'),
    (tensor(1.), ValueError, 'shape ()'), (torch.zeros(0, 3), ValueError, 'not empty')])
def test_no_scores(scores, error, words):
    fails(lambda: softmax(scores), error, words, 'expected a tensor of floating-point numbers')
    fails(lambda: softmax_cross_entropy(scores, right), error, words)
    fails(lambda: float_rows('scores', scores, ndim=2), error, words)


@each('y, error, words', [
    (tensor([0, 3]), ValueError, 'contain 3: expected classes 0 to 2'), (tensor([-1, 0]), ValueError, 'contain -1'),
    (tensor([0., 2.]), TypeError, 'torch.float32: expected a tensor of whole numbers'), ([0, 2], TypeError, 'list'),
    (tensor([True, False]), TypeError, 'torch.bool'), (tensor([[0], [2]]), ValueError, 'shape (2, 1): expected (n,)'),
    (tensor([], dtype=torch.long), ValueError, 'expected (n,)')])
def test_no_classes(y, error, words):
    for call in (lambda: softmax_cross_entropy(rows, y), lambda: confusion_matrix(right, y, 3),
                 lambda: confusion_matrix(y, right, 3), lambda: reliability(softmax(rows), y),
                 lambda: class_numbers('y', y, 3)):
        fails(call, error, words)


def test_lengths_that_differ():
    three = tensor([0, 1, 2])
    fails(lambda: softmax_cross_entropy(rows, three), ValueError, '2 rows of scores, 3 classes')
    fails(lambda: confusion_matrix(right, three), ValueError, '2 predictions, 3 classes')
    fails(lambda: reliability(softmax(rows), three), ValueError, '2 rows of probs', '3 classes')


def test_no_probabilities_and_no_limits():
    fails(lambda: reliability(rows - 1, right), ValueError, 'from -1 to -1', 'expected 0 to 1')
    fails(lambda: reliability(rows*math.nan, right), ValueError, 'nan')
    for edges in ([.5], [.5, .5], [.6, .5], [[0., 1.]]):
        fails(lambda: reliability(softmax(rows), right, edges), ValueError, 'edges are', 'numbers that rise')


def test_bad_training(few):
    for decay, error in ((-1, ValueError), (math.nan, ValueError), ('0', TypeError)):
        fails(lambda: train_softmax(few, 1, k=3, weight_decay=decay), error, 'weight_decay is')
    fails(lambda: confusion_matrix(right, right, 0), ValueError, 'k is 0')
    for call in train_softmax, sweep_softmax:
        args = (few,) if call is train_softmax else ([.1], few)
        fails(lambda: call(*args, epochs=0, k=3), ValueError, 'epochs is 0')
        fails(lambda: call(*args, epochs=1, k=2), ValueError, 'expected classes 0 to 1')
        fails(lambda: call(*args, epochs=1, k=3, seed=-1), ValueError, 'seed is -1')
    fails(lambda: train_softmax(few, 1, lr=0, k=3), ValueError, 'lr is 0')
    fails(lambda: sweep_softmax([.1, -1.], few, k=3), ValueError, 'lr is')
    fails(lambda: train_softmax(few._replace(train_y=few.train_y[:5]), 1, k=3), ValueError, '5 classes')


# --- an explorer, and paper for more than two digits

@pytest.fixture(scope='module')
def noise():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(40, 28, 28, generator=g)
    return Digits(x, torch.arange(40) % 10, x, torch.arange(40) % 10)


def test_explorer_shows_what_the_sweep_found(noise):
    s = sweep_softmax([.01, .1], noise, epochs=2, progress=False)
    e = explore_softmax(s)
    assert (e.epoch, len(e._book)) == (2, 6)
    k = e._book.number(lr=.1, epoch=1)
    alt = f'Learning rate 0.1, epoch 1: loss {s.loss[0, 1]:.3f}, accuracy {s.accuracy[1, 1]:.4f}'
    assert e._book.picture(k)['alt'].startswith(alt)


def test_a_sheet_for_ten_digits(noise):
    torch.manual_seed(0)
    net = nn.Linear(784, 10)
    sheet = draw_digit(net, noise, range(10))
    assert len(sheet._samples) == 20 and [s['name'].split(',')[0][-1] for s in sheet._samples] == 2*[*'0123456789']
    for k in (0, 13):
        sheet.sample = k
        m, scores = sheet._answer, net(sheet.image.reshape(1, 784))[0].detach()
        two, which = scores.topk(2)
        near([p for _, p in m['bars']], scores.softmax(0), 1e-3)
        near(sheet.probability, scores.softmax(0).max())
        near(sheet.score, two[0] - two[1])
        assert m['words'].startswith(f'{which[0]}, with probability ')
        assert ('Wrong' in m['words']) == (which[0].item() != k % 10)
        values = [float(v) for _, v in m['rows']]
        near(sum(values[:3]), values[3], .03)
        assert m['rows'][-1][0] == f'lead of {which[0]} over {which[1]}'
        shares = (net.weight[which[0]] - net.weight[which[1]]).detach()*sheet.image.flatten()
        near(sheet._reader.answer(sheet.image).attributions.flatten(), shares)
    sheet.strokes = [[(.3, .2), (.7, .2), (.5, .8)]]
    assert len(sheet._answer['bars']) == 10 and sheet._repr_mimebundle_()[0]['text/html'].count('<figure') == 4


@each('model, names, words', [(nn.Linear(784, 10), range(9), 'returned no 9 scores'), (nn.Linear(784, 1), range(10), '(3, 10)'),
                              (nn.Linear(784, 3), '112', 'names are')])
def test_a_sheet_that_cannot_be(noise, model, names, words):
    fails(lambda: draw_digit(model, noise, names), ValueError, words)


def test_a_model_of_classes_without_gradient(noise):
    net = nn.Linear(784, 10)
    reader = ClassReader(lambda xb: net(xb).detach(), noise, range(10))
    assert reader.sample(3)['spoke'] == '' and len(reader.sample(3)['rows']) == 1
