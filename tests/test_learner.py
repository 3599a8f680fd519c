"Exercises of lesson 12 as a learner may answer them, and beside what fastai does."
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from conftest import run
from torch import nn
from torch.testing import assert_close

from sgd_course import learner
from sgd_course.classifier import BasicOptim
from sgd_course.exercises import learner as ex
from sgd_course.learner import first_losses


def test_exercises_do_not_need_fastai():
    code = 'import sys, sgd_course.exercises.learner, sgd_course.learner; print("fastai" in sys.modules)'
    assert run(sys.executable, '-c', code).stdout.strip() == 'False'


@pytest.mark.parametrize('n', [0, -1, 1.5, '3', None])
def test_first_losses_refuses(n):
    with pytest.raises(ValueError, match='n is .*: expected a whole number, 1 or more'): first_losses(None, n)


# --- answers

def steps_by_if(event):
    for k, name in enumerate(('pred', 'loss', 'backward', 'step', 'batch', 'fit'), 2):
        if event == f'after_{name}': return k


def batch_without_optimizer(model, xb, yb, loss_func, opt, call):
    p = model(xb); call('after_pred')
    loss = loss_func(p, yb); call('after_loss')
    grads = torch.autograd.grad(loss, opt.params)
    for q, g in zip(opt.params, grads): q.grad = g
    call('after_backward')
    with torch.no_grad():
        for q in opt.params: q -= opt.lr*q.grad
    call('after_step')
    for q in opt.params: q.grad.zero_()
    call('after_batch')


def batch(text, **kwargs): return ex._in_order(text, **kwargs)


def by_loop(names):
    train, valid = [], []
    for name in names:
        *_, part, label, _ = name.split('/')
        if part == 'train': train.append((name, label))
        elif part == 'valid': valid.append((name, label))
    return train, valid


def by_path(names):
    from pathlib import PurePosixPath as P
    parts = {'train': [], 'valid': [], 'test': []}
    for n in names: parts[P(n).parent.parent.name].append((n, P(n).parent.name))
    return [parts['train'], parts['valid']]


def adapt_with_loop(optimizer):
    def make(groups, lr):
        params = []
        for g in groups: params += g
        return optimizer(params, lr=lr)
    return make


RIGHT = [
    (ex.check_step_done, steps_by_if), (ex.check_step_done, lambda event: ex._EVENTS.index(event) + 2),
    (ex.check_one_batch, batch_without_optimizer),
    (ex.check_one_batch, batch('pred loss backward step clear batch')),
    (ex.check_record_lr, lambda learn, lrs: lrs.extend([learn.opt.hypers[-1]['lr']]*learn.training)),
    (ex.check_record_lr, lambda learn, lrs: lrs.append(learn.opt.hypers[len(learn.opt.hypers) - 1]['lr']) if learn.training else 0),
    (ex.check_split_items, by_loop), (ex.check_split_items, by_path),
    (ex.check_adapt, adapt_with_loop), (ex.check_adapt, lambda o: lambda groups, lr: o(sum(groups, []), lr)),
    (ex.check_adapt, lambda o: lambda groups, **kwargs: o([p for g in groups for p in g], **kwargs))]

WRONG = [
    (ex.check_step_done, '', lambda event: len(event)), (ex.check_step_done, '', lambda event: 2),
    (ex.check_step_done, '', lambda event: None), (ex.check_step_done, 'one too small', lambda event: steps_by_if(event) - 1),
    (ex.check_step_done, 'not a string', lambda event: f'{steps_by_if(event)}'),
    (ex.check_step_done, 'mixed up', lambda event: {6: 7, 7: 6}.get(steps_by_if(event), steps_by_if(event))),
    (ex.check_one_batch, '', batch('pred loss backward')), (ex.check_one_batch, '', lambda *args: None),
    (ex.check_one_batch, 'not cleared', batch('pred loss backward step batch')),
    (ex.check_one_batch, 'last event', batch('pred loss backward step clear')),
    (ex.check_one_batch, '', batch('pred loss backward step clear batch pred')),
    (ex.check_one_batch, '', lambda model, xb, yb, loss_func, opt, call: loss_func(model(xb), yb).backward()),
    (ex.check_record_lr, 'validation, too', lambda learn, lrs: lrs.append(learn.opt.hypers[-1]['lr'])),
    (ex.check_record_lr, '', lambda learn, lrs: lrs.append(learn.opt.hypers[-1]['mom']) if learn.training else None),
    (ex.check_record_lr, 'first group', lambda learn, lrs: lrs.append(learn.opt.hypers[0]['lr']) if learn.training else None),
    (ex.check_record_lr, '', lambda learn, lrs: lrs.insert(0, learn.opt.hypers[-1]['lr']) if learn.training else None),
    (ex.check_record_lr, '', lambda learn, lrs: learn.opt.hypers[-1]['lr'] if learn.training else None),
    (ex.check_record_lr, 'error', lambda learn, lrs: lrs.append(learn.opt.lr)),
    (ex.check_split_items, 'swapped', lambda names: by_loop(names)[::-1]), (ex.check_split_items, '', lambda names: names),
    (ex.check_split_items, '', lambda names: sum(by_loop(names), [])),
    (ex.check_split_items, 'is missing', lambda names: [[n for n, _ in p] for p in by_loop(names)]),
    (ex.check_split_items, '', lambda names: [sorted(p) for p in by_loop(names)]),
    (ex.check_split_items, '', lambda names: [[(lab, n) for n, lab in p] for p in by_loop(names)]),
    (ex.check_adapt, 'list of lists', lambda o: o), (ex.check_adapt, '', lambda o: lambda groups, lr: None),
    (ex.check_adapt, 'first group', lambda o: lambda groups, lr: o(groups[0], lr)),
    (ex.check_adapt, '', lambda o: lambda groups, lr: [o(g, lr) for g in groups]),
    (ex.check_adapt, '', lambda o: lambda groups, lr: o(sum(groups, [])[::-1], lr)),
    (ex.check_adapt, '', lambda o: lambda groups, lr: o(sum(groups, []), lr/len(groups)))]


@pytest.mark.parametrize('check, answer', RIGHT)
def test_right_one_is_accepted(check, answer):
    for _ in range(3):
        result = check.examine(answer)
        assert result.status == 'correct', result


@pytest.mark.parametrize('check, words, answer', WRONG)
def test_wrong_one_is_refused(check, words, answer):
    for _ in range(2):
        result = check.examine(answer)
        assert result.status == 'wrong' and words in result.message, result


def test_every_exercise_is_attacked():
    there = [v for v in vars(ex).values() if hasattr(v, 'mistakes')]
    assert len(there) == 5
    for e in there:
        assert sum(c is e for c, _ in RIGHT) >= 2 and sum(c is e for c, _, _ in WRONG) >= 5, e.name


# --- beside fastai

def with_fastai(test):
    "A test that takes seconds, and is not about what fastai's imports warn of."
    return pytest.mark.long(pytest.mark.filterwarnings('ignore')(test))


@pytest.fixture
def fastai_learner(tmp_path):
    "A function that makes a quiet Learner of a linear model on 8 examples, in batches of 4."
    pytest.importorskip('fastai')
    from fastai.callback.core import Callback
    from fastai.callback.progress import ProgressCallback
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper
    torch.manual_seed(0)
    x, y, model = torch.randn(8, 3), torch.randn(8, 1), nn.Linear(3, 1, bias=False)
    def make(opt=torch.optim.SGD, splitter=lambda m: list(m.parameters()), **events):
        dls = DataLoaders(*(DataLoader(list(zip(x, y)), bs=4) for _ in range(2)), device='cpu')
        learn = Learner(dls, model, loss_func=nn.functional.mse_loss, opt_func=partial(OptimWrapper, opt=opt), path=tmp_path,
                        splitter=splitter, cbs=Callback(**events))
        learn.remove_cb(ProgressCallback)
        learn.logger = lambda *args: None
        return learn, x, y, model
    return make


@with_fastai
def test_one_batch_is_what_fastai_does(fastai_learner):
    seen = []
    def note(event, learn):
        if learn.training: seen.append((event, learn.model.weight.detach().clone()))
    named = {e: (lambda cb, e=e: note(e, cb.learn)) for e in ex._EVENTS[:5]}
    learn, x, y, model = fastai_learner(**named)
    start = model.weight.detach().clone()
    learn.fit(1, lr=.1)
    by_fastai, seen[:] = list(seen), []
    with torch.no_grad(): model.weight.copy_(start)
    opt = BasicOptim(model.parameters(), .1)
    stand_in = SimpleNamespace(training=True, model=model)
    for i in (slice(4), slice(4, 8)):
        ex.one_batch(model, x[i], y[i], nn.functional.mse_loss, opt, lambda e: note(e, stand_in))
    assert [e for e, _ in seen] == [e for e, _ in by_fastai] == 2*ex._EVENTS[:5]
    for (_, ours), (_, theirs) in zip(seen, by_fastai): assert_close(ours, theirs)


@with_fastai
def test_recorded_rates_are_those_of_fastai(fastai_learner):
    import fastai.callback.schedule  # noqa: F401, fit_one_cycle
    lrs = []
    learn, *_ = fastai_learner(after_batch=lambda cb: ex.record_lr(cb.learn, lrs))
    learn.fit_one_cycle(2, .1)
    assert len(lrs) == 4 and lrs == pytest.approx(learn.recorder.lrs)


@with_fastai
def test_an_adapted_optimizer_trains_all_groups(fastai_learner):
    from fastai.learner import Learner
    learn, x, y, _ = fastai_learner()
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    before = [p.detach().clone() for p in model.parameters()]
    made = []
    def opt_func(groups, lr):
        from fastai.optimizer import OptimWrapper
        class Grouped(BasicOptim):
            param_groups = property(lambda self: [vars(self)])
        made.append(ex.adapt(Grouped)(groups, lr))
        return OptimWrapper(opt=made[-1])
    split = Learner(learn.dls, model, loss_func=nn.functional.mse_loss, opt_func=opt_func, path=learn.path,
                    splitter=lambda m: [list(part.parameters()) for part in m])
    with split.no_bar(), split.no_logging(): split.fit(1, lr=.1)
    assert len(made[0].params) == 4
    assert all(not torch.equal(p, q) for p, q in zip(model.parameters(), before))


@with_fastai
def test_items_are_split_as_fastai_splits_them():
    pytest.importorskip('fastai')
    from pathlib import PurePosixPath as Path
    from fastai.data.transforms import GrandparentSplitter, parent_label
    for seed in range(20):
        names, = ex._any_names(torch.Generator().manual_seed(seed))
        parts = GrandparentSplitter()([Path(n) for n in names])
        assert ex.split_items(names) == tuple([(names[i], parent_label(names[i])) for i in part] for part in parts)


@with_fastai
def test_first_losses_stop_the_training():
    from fastai.callback.core import CancelFitException
    batches = []
    class Learn:
        def fit_one_cycle(self, epochs, lr, cbs):
            assert (epochs, lr) == (1, .1)
            cbs.learn = self
            try:
                for loss in 5., 4., 3., 2.:
                    self.loss = torch.tensor(loss)
                    batches.append(loss)
                    cbs.after_batch()
            except CancelFitException: pass
    assert first_losses(Learn(), 2) == batches == [5., 4.]


@with_fastai
def test_the_learner_is_where_it_is_told_to_be(monkeypatch):
    from fastai.vision.all import ImageDataLoaders
    asked = []
    def from_folder(path, *args, device=None, **kwargs):
        asked.append(device)
        raise FileNotFoundError
    monkeypatch.setattr(ImageDataLoaders, 'from_folder', from_folder)
    monkeypatch.setattr(learner, 'default_device', lambda: 'the fastest')
    for device in None, 'the slowest':
        with pytest.raises(FileNotFoundError): learner.resnet_learner('folder', device=device)
    assert asked == ['the fastest', 'the slowest']
