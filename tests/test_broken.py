"What lesson 08 says beside its cases, and its game: the other faults that look alike, and every wrong diagnosis."
import pytest
import torch
from fastcore.test import test_close as close

from sgd_course import broken
from sgd_course.broken import FAULTS, SYMPTOM_RANGES, contradiction, diagnose, faulty_loss, faulty_train, first_step
from sgd_course.broken import measure_symptoms, mystery
from sgd_course.classifier import BasicOptim, init_params, linear1, mnist_loss


@pytest.fixture(scope='module')
def data(): return broken._data()


def several(*faults, n=2, **kwargs): return [faulty_train(*faults, seed=seed, **kwargs) for seed in range(n)]


# --- the loop

def test_without_a_fault_the_loss_is_that_of_lesson_06(data):
    g = torch.Generator().manual_seed(42)
    w, b = init_params((784, 1), generator=g), init_params(1, generator=g)
    i = torch.arange(0, len(data.train_x), 50)
    x, y = data.train_x[i], data.train_y[i]
    close(faulty_loss((), x, y, w, b).item(), mnist_loss(linear1(x, w, b), y).item())


@pytest.mark.parametrize('go', [faulty_train, first_step])
def test_a_fault_of_another_name_is_refused(go):
    with pytest.raises(ValueError, match=r"faults are \('no sigmiod',\): expected names from"): go('no sigmiod')


def test_the_faults_are_listed_so_that_their_order_tells_nothing():
    assert list(FAULTS) == sorted(FAULTS)
    assert set(FAULTS) - {'test set used to stop'} == set(SYMPTOM_RANGES) - {'healthy'}


# --- what a case could be as well

@pytest.mark.long
def test_a_lower_learning_rate_hides_a_missing_sigmoid(data):
    "The loss falls, and the accuracy is poor, unless the threshold is where this loss has put it, at one half."
    for run in several('no sigmoid', n=3, lr=.003):
        scores = data.valid_x @ run.weights[-1, :784] + run.weights[-1, 784]
        assert measure_symptoms([run]).loss < .25 and run.accuracy[-1] < .85
        assert ((scores > .5) == (data.valid_y[:, 0] == 1)).float().mean() > .95
        assert (scores > 0).float().mean() > .7


def test_accuracy_has_no_gradient(data):
    w, b = init_params((784, 1), std=0), init_params(1, std=0)
    with pytest.raises(RuntimeError, match='does not require grad'):
        ((linear1(data.train_x, w, b) > 0) == data.train_y).float().mean().backward()
    faulty_loss(('accuracy as the loss',), data.train_x, data.train_y, w, b).backward()
    assert (w.grad == 0).all() and (b.grad == 0).all()


def test_a_step_that_does_not_reach_the_weights(data):
    "Other than with accuracy as the loss, there is a gradient."
    w, b = init_params((784, 1), std=0), init_params(1, std=0)
    copies = [p.detach().clone().requires_grad_() for p in (w, b)]
    faulty_loss((), data.train_x[:256], data.train_y[:256], w, b).backward()
    BasicOptim(copies, lr=1.).step()
    assert w.grad.abs().max() > .01 and w.abs().max() == 0


@pytest.mark.long
@pytest.mark.parametrize('seed', range(3))
def test_labels_of_other_images_look_like_shapes_that_broadcast(data, seed):
    order = torch.randperm(len(data.train_y), generator=torch.Generator().manual_seed(seed))
    s = measure_symptoms([faulty_train(data=data._replace(train_y=data.train_y[order]))])
    assert abs(s.loss - .5) < .03 and s.norm > .3
    assert [k for k in SYMPTOM_RANGES if contradiction(k, s) is None] == ['shapes broadcast']


@pytest.mark.long
def test_some_pairs_show_the_symptoms_of_both():
    s = measure_symptoms(several('wrong direction', 'gradients not cleared'))
    assert (s.accuracy < .05).all() and (abs(s.growth - 2) < .1).all() and (s.norm > 100).all()


@pytest.mark.long
def test_some_pairs_fit_no_name():
    "So what the lesson asks to look for is there."
    s = measure_symptoms([faulty_train('learning rate too high', 'gradients not cleared')])
    assert all(contradiction(fault, s) is not None for fault in SYMPTOM_RANGES)


# --- the game

def test_every_diagnosis_of_every_mystery():
    met = []
    for k in range(8):
        name, _ = broken._mystery(k)
        met.append(name)
        for said in SYMPTOM_RANGES:
            answer = diagnose(k, said)
            assert answer.startswith('Right') == (said == name)
            if said != name: assert name not in answer, 'the right one is not given away'
    assert sorted(met) == sorted(SYMPTOM_RANGES), 'the first eight have each once'


@pytest.mark.parametrize('wrong', [None, 'flu', 3, []], ids=repr)
def test_what_is_no_diagnosis(wrong):
    assert 'no diagnosis' in diagnose(1, wrong).lower()
    for name in SYMPTOM_RANGES: assert repr(name) in diagnose(1, wrong)


def test_no_curve_shows_the_test_set():
    assert diagnose(1, 'test set used to stop').startswith('No curve')


@pytest.mark.parametrize('wrong', [-1, 1.5, True], ids=repr)
def test_mysteries_are_numbered(wrong):
    for go in (mystery, diagnose):
        with pytest.raises(ValueError, match='expected a whole number'): go(wrong)


def test_mysteries_with_one_fault_are_different_runs():
    by_name = {}
    for k in range(16): by_name.setdefault(broken._mystery(k)[0], []).append(broken._mystery(k)[1])
    assert all(len(rs) == 2 for rs in by_name.values()) and len(by_name) == 8
    same = [name for name, (a, b) in by_name.items() if torch.equal(a.loss, b.loss)]
    assert same in ([], ['not shuffled']), 'each has an order of its own'
