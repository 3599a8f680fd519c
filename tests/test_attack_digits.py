"Answers to the exercises of lessons 06 to 15, by somebody who did not write those: wrong ones are refused, right ones are not."
import functools
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data.distributed import DistributedSampler

from sgd_course.broken import SYMPTOM_RANGES, _mystery, contradiction, measure_symptoms
from sgd_course.classifier import BasicOptim, linear1, mnist_loss
from sgd_course.exercises import broken, classifier, layers, optimizers, parallel, schedules, selection

pytestmark = [  # some hundred answers; the mistakes that exercises list are in test_check
    pytest.mark.slow, pytest.mark.filterwarnings('ignore:The .grad attribute of a Tensor that is not a leaf')]
RIGHT, WRONG = [], []  # (exercise, label, answer), and for wrong ones words of the message, or ''


def attack(ex, right, wrong, named):
    "Keep `label -> answer`; of `named` ones `label -> (words of the message, answer)`."
    RIGHT.extend(pytest.param(ex, f, id=f'{ex.name}-{k}') for k, f in right.items())
    both = {k: ('', f) for k, f in wrong.items()} | named
    WRONG.extend(pytest.param(ex, *v, id=f'{ex.name}-{k}') for k, v in both.items())


# --- 06 miss_rates

def missed_by_loop(scores, yb):
    wrong, total = [0, 0], [0, 0]
    for s, y in zip(scores.flatten().tolist(), yb.flatten().tolist()):
        kind = 0 if y == 1 else 1
        total[kind] += 1
        wrong[kind] += (s > 0) != (y == 1)
    return wrong[0]/total[0], wrong[1]/total[1]


def missed_by_numpy(scores, yb):
    s, y = scores.numpy().ravel(), yb.numpy().ravel()
    return (s[y == 1] <= 0).mean(), (s[y == 0] > 0).mean()


attack(classifier.check_miss_rates,
    dict(loop=missed_by_loop, numpy=missed_by_numpy,
         double=lambda scores, yb: [(scores[yb == v] > 0).double().sub(v).abs().mean() for v in (1, 0)],
         probabilities=lambda scores, yb: (1 - scores.sigmoid().round()[yb == 1].mean(),
                                           scores.sigmoid().round()[yb == 0].mean()),
         sums=lambda scores, yb: (((scores <= 0)*yb).sum()/yb.sum(), ((scores > 0)*(1 - yb)).sum()/(1 - yb).sum())),
    dict(all_errors_twice=lambda scores, yb: (((scores > 0) != (yb == 1)).float().mean(),)*2,
         of_the_larger_kind=lambda scores, yb: tuple(
             n/max(yb.sum(), (1 - yb).sum()) for n in classifier._missed(scores, yb, count=True)),
         mean_scores=lambda scores, yb: (scores[yb == 1].mean(), scores[yb == 0].mean()),
         doubts=lambda scores, yb: (1 - scores.sigmoid()[yb == 1].mean(), scores.sigmoid()[yb == 0].mean()),
         second_twice=lambda scores, yb: (classifier.miss_rates(scores, yb)[1],)*2,
         labels_ignored=lambda scores, yb: ((scores <= 0).float().mean(), (scores > 0).float().mean())),
    dict(zero_is_a_3=('exactly 0', lambda scores, yb: ((scores[yb == 1] < 0).float().mean(),
                                                       (scores[yb == 0] >= 0).float().mean())),
         second_right=('second', lambda scores, yb: (1 - (scores > 0)[yb == 1].float().mean(),
                                                     1 - (scores > 0)[yb == 0].float().mean())),
         first_right=('first', lambda scores, yb: tuple((scores > 0)[yb == v].float().mean() for v in (1, 0))),
         percent=('ercentages', lambda scores, yb: tuple(100*v for v in classifier.miss_rates(scores, yb))),
         all_are_3=('above 0', lambda scores, yb: classifier.miss_rates(scores.sigmoid(), yb))))


# --- 06 loss_slopes

def sigmoid_by_hand(s): return 1/(1 + (-s).exp())


def slopes_by_loop(scores, yb):
    out = []
    for s, y in zip(scores[:, 0].tolist(), yb[:, 0].tolist()):
        p = 1/(1 + math.exp(-s))
        out.append([(-1 if y == 1 else 1)*p*(1 - p)/len(yb)])
    return torch.tensor(out)


def nudged(loss, scores, yb, h=1e-4):
    "Central differences, one score after another."
    def moved(k, by):
        s = scores.double().clone()
        s[k] += by
        return loss(s, yb.double())
    return torch.stack([(moved(k, h) - moved(k, -h))/(2*h) for k in range(len(scores))])[:, None]


def by_backward(loss):
    def answer(scores, yb):
        s = scores.clone().requires_grad_()
        loss(s, yb).backward()
        return s.grad
    return answer


def by_grad(loss):
    def answer(scores, yb):
        s = scores.clone().requires_grad_()
        return torch.autograd.grad(loss(s, yb), s)[0]
    return answer


def by_func(loss): return lambda scores, yb: torch.func.grad(loss)(scores, yb)


attack(classifier.check_loss_slopes,
    dict(loop=slopes_by_loop, differences=lambda scores, yb: nudged(mnist_loss, scores, yb),
         double=lambda scores, yb: (1 - 2*yb.double())*scores.double().sigmoid()*(-scores.double()).sigmoid()/len(yb),
         cosh=lambda scores, yb: (1 - 2*yb)/(2*(scores/2).cosh())**2/len(yb),
         masks=lambda scores, yb: ((yb == 0).float() - (yb == 1).float())*(
             sigmoid_by_hand(scores) - sigmoid_by_hand(scores)**2)/yb.numel()),
    dict(squared_distance=lambda scores, yb: 2*(scores.sigmoid() - yb)*scores.sigmoid()*(1 - scores.sigmoid())/len(yb),
         mean_of_each_kind=lambda scores, yb: torch.where(
             yb == 1, -1/yb.sum(), 1/(1 - yb).sum())*scores.sigmoid()*(1 - scores.sigmoid()),
         flat=lambda scores, yb: classifier.loss_slopes(scores, yb)[:, 0],
         mean_of_them=lambda scores, yb: classifier.loss_slopes(scores, yb).mean(),
         half=lambda scores, yb: classifier.loss_slopes(scores, yb)*len(yb)/2,
         squares=lambda scores, yb: (1 - 2*yb)*scores.sigmoid()*(1 - scores.sigmoid()**2)/len(yb),
         autograd=by_grad(mnist_loss), func=by_func(mnist_loss)),
    dict(all_minus=('right for a 3', lambda scores, yb: -scores.sigmoid()*(1 - scores.sigmoid())/len(yb)),
         backward=('without `backward()`', by_backward(mnist_loss)),
         not_divided_by_yb=('mean', lambda scores, yb: (1 - 2*yb)*scores.sigmoid()*(1 - scores.sigmoid()))))


# --- 06 one_epoch

def torchs_order(x, y, w, b, lr, batches):
    losses = []
    for i in batches:
        for p in (w, b):
            if p.grad is not None: p.grad.zero_()
        loss = mnist_loss(linear1(x[i], w, b), y[i])
        loss.backward()
        with torch.no_grad():
            w -= lr*w.grad
            b -= lr*b.grad
        losses.append(loss.item())
    return sum(losses)/len(losses)


def with_optimizer(make):
    def answer(x, y, w, b, lr, batches):
        opt, losses = make([w, b], lr), []
        for i in batches:
            opt.zero_grad()
            loss = (linear1(x[i], w, b).sigmoid() - y[i]).abs().mean()
            loss.backward()
            opt.step()
            losses.append(loss.detach())
        return torch.stack(losses).mean()
    return answer


def by_data(x, y, w, b, lr, batches):
    total = 0
    for i in batches:
        loss = mnist_loss(linear1(x[i], w, b), y[i])
        loss.backward()
        w.data.sub_(w.grad, alpha=lr)
        b.data = b.data - lr*b.grad
        w.grad.zero_(), b.grad.zero_()
        total = total + loss
    return total/len(batches)


def by_autograd(x, y, w, b, lr, batches):
    losses = []
    for xb, yb in ((x[i], y[i]) for i in batches):
        losses.append(mnist_loss(linear1(xb, w, b), yb))
        grads = torch.autograd.grad(losses[-1], (w, b))
        with torch.no_grad():
            for p, g in zip((w, b), grads): p.copy_(p - lr*g)
    return torch.stack(losses).mean()


def by_functional(x, y, w, b, lr, batches):
    loss = lambda p, i: mnist_loss(linear1(x[i], *p), y[i])
    losses = []
    for i in batches:
        params = w.detach(), b.detach()
        grads, value = torch.func.grad_and_value(loss)(params, i)
        for p, g in zip(params, grads): p -= lr*g  # shares its memory with `w` or `b`
        losses.append(value)
    return sum(losses)/len(losses)


def epoch(give='mean', step=None, clear='wb', each=None, skip=slice(None)):
    "`one_epoch` with something else in one place."
    def answer(x, y, w, b, lr, batches):
        losses = []
        for i in batches[skip]:
            loss = mnist_loss(linear1(x[i], w, b), y[i])
            loss.backward()
            if step: step(w, b, lr, i)
            else:
                with torch.no_grad():
                    w -= lr*w.grad
                    b -= lr*b.grad
            if 'w' in clear: w.grad = None
            if 'b' in clear: b.grad = None
            losses.append(loss.detach() if not each else each(loss, x, y, w, b, i).detach())
        ls, ns = torch.stack(losses), torch.tensor([float(len(i)) for i in batches[skip]])
        return dict(mean=ls.mean(), last=ls[-1], sum=ls.sum(), images=(ls*ns).sum()/ns.sum(), first=ls[0])[give]
    return answer


def rebinds(x, y, w, b, lr, batches):
    losses = []
    for i in batches:
        losses.append(mnist_loss(linear1(x[i], w, b), y[i]))
        losses[-1].backward()
        w = w - lr*w.grad
        b = b - lr*b.grad
        w.grad = b.grad = None
    return torch.stack(losses).mean()


def rebinds_unrecorded(x, y, w, b, lr, batches):
    losses = []
    for i in batches:
        losses.append(mnist_loss(linear1(x[i], w, b), y[i]))
        losses[-1].backward()
        with torch.no_grad():
            w = w - lr*w.grad
            b = b - lr*b.grad
            w.grad = b.grad = None
    return torch.stack(losses).mean()


def rebinds_p(x, y, w, b, lr, batches):
    losses = []
    for i in batches:
        losses.append(mnist_loss(linear1(x[i], w, b), y[i]))
        losses[-1].backward()
        for p in (w, b):
            p = p - lr*p.grad
            p.grad = None
    return torch.stack(losses).mean()


def clears_first(x, y, w, b, lr, batches):
    losses = []
    for i in batches:
        losses.append(mnist_loss(linear1(x[i], w, b), y[i]))
        losses[-1].backward()
        w.grad = b.grad = None
        with torch.no_grad():
            w -= lr*w.grad
            b -= lr*b.grad
    return torch.stack(losses).mean()


def predicts_first(x, y, w, b, lr, batches):
    losses = [mnist_loss(linear1(x[i], w, b), y[i]) for i in batches]
    for loss in losses:
        loss.backward()
        with torch.no_grad():
            for p in (w, b):
                p -= lr*p.grad
                p.grad = None
    return torch.stack(losses).mean()


def with_end(f):
    def answer(x, y, w, b, lr, batches):
        loss = f(x, y, w, b, lr, batches)
        w.grad = b.grad = None
        return loss
    return answer


def zeroes_nothing(x, y, w, b, lr, batches):
    for i in batches:
        w.grad.zero_(), b.grad.zero_()
        mnist_loss(linear1(x[i], w, b), y[i]).backward()


def none_times_rate(x, y, w, b, lr, batches):
    for i in batches:
        mnist_loss(linear1(x[i], w, b), y[i]).backward()
        w = w - w.grad*lr


def step_by(sign=(1, 1), per_image=False):
    def step(w, b, lr, i):
        with torch.no_grad():
            for s, p in zip(sign, (w, b)): p -= s*lr*p.grad/(len(i) if per_image else 1)
    return step


after_step = lambda loss, x, y, w, b, i: mnist_loss(linear1(x[i], w, b), y[i])

attack(classifier.check_one_epoch,
    dict(torchs_order=torchs_order, basic=with_optimizer(BasicOptim), optim=with_optimizer(torch.optim.SGD),
         data=by_data, autograd=by_autograd, func=by_functional, plain=epoch()),
    dict(loss_after_the_step=epoch(each=after_step), bias_uphill=epoch(step=step_by((1, -1))),
         rate_by_images=epoch(step=step_by(per_image=True)), without_the_last=epoch(skip=slice(0, -1)),
         backwards=epoch(skip=slice(None, None, -1)), first_loss=epoch('first'),
         weights_not_cleared=epoch(clear='b'), rate_twice=lambda *args: epoch()(*args[:4], 2*args[4], args[5]),
         returns_nothing=lambda *args: epoch()(*args) and None),
    dict(new_tensor=('new tensor', rebinds), new_tensor_in_no_grad=('new tensor', rebinds_unrecorded),
         p_is_new=('new tensor', rebinds_p), last_loss=('last', epoch('last')), sum_of_losses=('sum', epoch('sum')),
         mean_of_images=('one number for each batch', epoch('images')), bias_not_cleared=('bias', epoch(clear='w')),
         clears_before_step=('cleared', clears_first), predicts_first=('first weights', predicts_first), clears_at_the_end=('clear for each', with_end(epoch(clear=''))),
         zeroes_nothing=('no gradient to be made zero', zeroes_nothing), none_times_rate=('`None`', none_times_rate)))


# --- 07 early_stopping_epoch

def by_counting(accuracies, patience):
    best, bad = -1., 0
    for epoch, accuracy in enumerate(accuracies):
        if accuracy > best: best, bad = accuracy, 0
        else: bad += 1
        if bad == patience: return epoch
    return len(accuracies) - 1


def by_windows(accuracies, patience):
    for e in range(patience, len(accuracies)):
        if max(accuracies[e - patience + 1:e + 1]) <= max(accuracies[:e - patience + 1]): return e
    return len(accuracies) - 1


def by_index(accuracies, patience):
    epoch = 0
    while epoch < len(accuracies) - 1:
        seen = accuracies[:epoch + 1]
        if epoch - seen.index(max(seen)) >= patience: return epoch
        epoch += 1
    return epoch


def by_argmax(accuracies, patience):
    a = torch.tensor(accuracies).double()
    ago = torch.tensor([e - int((a[:e + 1] == a[:e + 1].max()).nonzero()[0]) for e in range(len(a))])
    out = (ago == patience).nonzero()
    return out[0, 0] if len(out) else torch.tensor(len(a) - 1)


def declines(accuracies, patience):
    bad = 0
    for e in range(1, len(accuracies)):
        bad = bad + 1 if accuracies[e] < accuracies[e - 1] else 0
        if bad == patience: return e
    return len(accuracies) - 1


def not_reset(accuracies, patience):
    best, bad = -1., 0
    for e, a in enumerate(accuracies):
        if a > best: best = a
        else: bad += 1
        if bad == patience: return e
    return e


def says_at(found, end):
    "`early_stopping_epoch` that gives something else where it stops, or where patience never runs out."
    def answer(accuracies, patience):
        best = 0
        for e, a in enumerate(accuracies):
            if a > accuracies[best]: best = e
            if e - best == patience: return found(e)
        return end(e, best)
    return answer


attack(selection.check_early_stopping_epoch,
    dict(counting=by_counting, windows=by_windows, index=by_index, argmax=by_argmax),
    dict(declines=declines, not_reset=not_reset, against_patience_ago=lambda a, patience: next(
             (e for e in range(patience, len(a)) if a[e] <= a[e - patience]), len(a) - 1),
         first_fall=lambda accuracies, patience: next(
             (e for e in range(1, len(accuracies)) if accuracies[e] < accuracies[e - 1]), len(accuracies) - 1),
         always_last=lambda accuracies, patience: len(accuracies) - 1,
         best_plus_patience=lambda accuracies, patience: min(
             accuracies.index(max(accuracies)) + patience, len(accuracies) - 1),
         best_at_the_end=says_at(lambda e: e, lambda e, best: best),
         nothing_at_the_end=says_at(lambda e: e, lambda e, best: None),
         accuracy=lambda accuracies, patience: accuracies[selection.early_stopping_epoch(accuracies, patience)]),
    dict(one_too_many=('counted from 0', says_at(lambda e: e + 1, lambda e, best: e + 1)),
         length_at_the_end=('counted from 0', says_at(lambda e: e, lambda e, best: e + 1))))


# --- 07 fold, mean_and_error

attack(selection.check_fold,
    dict(tensors=lambda n, k, i: (torch.tensor([j for j in range(n) if j % k != i]), torch.arange(i, n, k)),
         sets=lambda n, k, i: (sorted(set(range(n)) - set(range(i, n, k))), range(i, n, k)),
         mask=lambda n, k, i: ((torch.arange(n) % k != i).nonzero()[:, 0], (torch.arange(n) % k == i).nonzero()[:, 0])),
    dict(falling=lambda n, k, i: tuple(part[::-1] for part in selection.fold(n, k, i)),
         last_left_out=lambda n, k, i: tuple(part[:-1] for part in selection.fold(n, k, i)),
         counted_from_1=lambda n, k, i: tuple([j + 1 for j in part] for part in selection.fold(n, k, i)),
         held_out_alone=lambda n, k, i: list(range(i, n, k)),
         nothing_held_out=lambda n, k, i: (list(range(n)), []), k_of_them=lambda n, k, i: (list(range(k, n)), list(range(k))),
         masks=lambda n, k, i: ([j % k != i for j in range(n)], [j % k == i for j in range(n)])),
    dict(both=('trained on', lambda n, k, i: (list(range(n)), list(range(i, n, k)))),
         swapped=('other way round', lambda n, k, i: selection.fold(n, k, i)[::-1])))

attack(selection.check_mean_and_error,
    dict(torchs=lambda a: (torch.tensor(a).double().mean(), torch.tensor(a).double().std()/len(a)**.5),
         lists=lambda a: [sum(a)/len(a), (sum((v - sum(a)/len(a))**2 for v in a)/(len(a)*(len(a) - 1)))**.5]),
    dict(twice=lambda a: (selection.mean_and_error(a)[0], 2*selection.mean_and_error(a)[1]),
         median=lambda a: (sorted(a)[len(a)//2] + .01, selection.mean_and_error(a)[1]),
         range_=lambda a: (sum(a)/len(a), max(a) - min(a)), mean_alone=lambda a: sum(a)/len(a),
         deviation_from_first=lambda a: (sum(a)/len(a), (sum((v - a[0])**2 for v in a)/(len(a) - 1)/len(a))**.5),
         per_cent=lambda a: tuple(100*v for v in selection.mean_and_error(a))),
    dict(swapped=('First the mean', lambda a: selection.mean_and_error(a)[::-1]),
         best=('the best', lambda a: (max(a), selection.mean_and_error(a)[1]))))


# --- 06 accumulated_step

def sums_of_losses(x, y, w, b, lr, parts):
    w.grad = b.grad = None
    total = 0.
    for i in parts:
        loss = (linear1(x[i], w, b).sigmoid() - y[i]).abs().sum()
        loss.backward()
        total += loss.item()
    with torch.no_grad():
        for p in (w, b): p -= lr*p.grad/len(y)
    w.grad, b.grad = None, None
    return total/len(y)


def with_torchs(x, y, w, b, lr, parts):
    opt, total = torch.optim.SGD([w, b], lr), 0
    opt.zero_grad()
    for i in parts:
        loss = mnist_loss(x[i] @ w + b, y[i])*(len(i)/len(x))
        loss.backward()
        total += loss.detach()
    opt.step()
    return total


def own_sum(x, y, w, b, lr, parts):
    gw, gb, losses = torch.zeros_like(w), torch.zeros_like(b), []
    for i in parts:
        loss = mnist_loss(linear1(x[i], w, b), y[i])
        one = torch.autograd.grad(loss, (w, b))
        gw, gb = gw + one[0]*len(i), gb + one[1]*len(i)
        losses.append(loss.detach()*len(i))
    w.data -= lr*gw/len(x)
    b.data -= lr*gb/len(x)
    return sum(losses)/len(x)


def single_images(x, y, w, b, lr, parts):
    losses = []
    for part in parts:
        for i in part.tolist():
            losses.append(mnist_loss(linear1(x[i:i + 1], w, b), y[i:i + 1])/x.shape[0])
            losses[-1].backward()
    with torch.no_grad():
        for p in w, b:
            p.add_(p.grad, alpha=-lr)
            p.grad.zero_()
    return torch.stack(losses).sum()


def whole(look):
    def answer(x, y, w, b, lr, parts):
        loss = look(x, y, w, b, parts)
        loss.backward()
        BasicOptim((w, b), lr).step()
        w.grad = b.grad = None
        return loss
    return answer


def big(give=None, step=lambda w, b, lr: BasicOptim((w, b), lr).step()):
    "`accumulated_step` with another loss in its place, or another step."
    def answer(x, y, w, b, lr, parts):
        losses = [mnist_loss(linear1(x[i], w, b), y[i]) for i in parts]
        for loss, i in zip(losses, parts): (loss*len(i)/len(x)).backward()
        step(w, b, lr)
        w.grad = b.grad = None
        return give(losses, parts) if give else sum(
            mnist_loss(linear1(x[i], w, b), y[i])*len(i) for i in parts)/len(x)
    return answer


def weighted(losses, parts): return sum(loss*len(i) for loss, i in zip(losses, parts))/sum(map(len, parts))


def sum_then_backward(x, y, w, b, lr, parts):
    loss = weighted([mnist_loss(linear1(x[i], w, b), y[i]) for i in parts], parts)
    loss.backward()
    BasicOptim((w, b), lr).step()
    w.grad = b.grad = None
    return loss


def big_rebinds(x, y, w, b, lr, parts):
    total = 0
    for i in parts:
        loss = mnist_loss(linear1(x[i], w, b), y[i])*len(i)/len(x)
        loss.backward()
        total += loss.item()
    w = w - lr*w.grad
    b = b - lr*b.grad
    w.grad = b.grad = None
    return total


attack(classifier.check_accumulated_step,
    dict(sums=sums_of_losses, optim=with_torchs, own_sum=own_sum, single_images=single_images, weighted=big(weighted),
         other_order=lambda x, y, w, b, lr, parts: sums_of_losses(x, y, w, b, lr, parts[::-1])),
    dict(whole_rate_for_each=lambda *args: classifier._accumulated_step(*args, share=.2),
         longest_part_only=lambda x, y, w, b, lr, parts: big(weighted)(x, y, w, b, lr, [max(parts, key=len)]),
         sum_of_images=lambda x, y, w, b, lr, parts: sums_of_losses(x, y, w, b, lr*len(x), parts),
         rate_twice=lambda x, y, w, b, lr, parts: sums_of_losses(x, y, w, b, 2*lr, parts),
         first_part_forgotten=lambda x, y, w, b, lr, parts: sums_of_losses(x, y, w, b, lr, parts[1:]),
         other_labels=lambda x, y, w, b, lr, parts: sums_of_losses(x, 1 - y, w, b, lr, parts)),
    dict(all_at_once=('at once', whole(lambda x, y, w, b, parts: mnist_loss(linear1(x, w, b), y))),
         all_by_linear=('at once', whole(lambda x, y, w, b, parts: mnist_loss(F.linear(x, w.T, b), y))),
         all_by_cat=('at once', whole(lambda x, y, w, b, parts: mnist_loss(
             linear1(x[torch.cat(parts)], w, b), y[torch.cat(parts)]))),
         backward_of_the_sum=('at once', sum_then_backward),
         mean_of_losses=('loss', big(lambda losses, parts: sum(losses)/len(losses))),
         last_loss=('loss', big(lambda losses, parts: losses[-1])),
         sum_of_losses=('loss', big(lambda losses, parts: sum(losses))), loss_after_the_step=('from after', big()),
         uphill=('uphill', lambda x, y, w, b, lr, parts: sums_of_losses(x, y, w, b, -lr, parts)),
         bias_not_cleared=('bias', lambda *args: (
             classifier._accumulated_step(*args, clear=''), setattr(args[2], 'grad', None))[0]),
         bias_stays=('bias', big(weighted, step=lambda w, b, lr: BasicOptim([w], lr).step())),
         new_tensor=('new tensor', big_rebinds)))


# --- 08 fixed_loss

def of_loss(f): return lambda xb, yb, w, b: f(linear1(xb, w, b).sigmoid(), yb)


attack(broken.check_fixed_loss,
    dict(mnist=lambda xb, yb, w, b: mnist_loss(linear1(xb, w, b), yb), l1=of_loss(F.l1_loss),
         where=of_loss(lambda p, y: torch.where(y == 1, 1 - p, p).mean()),
         both_flat=of_loss(lambda p, y: (p[:, 0] - y[:, 0]).abs().mean()),
         by_hand=lambda xb, yb, w, b: (1/(1 + (-(xb @ w + b)).exp()) - yb).abs().sum()/len(xb),
         double=lambda xb, yb, w, b: (linear1(xb.double(), w.double(), b.double()).sigmoid() - yb).abs().mean()),
    dict(squares=of_loss(lambda p, y: ((p - y)**2).mean()), sums=of_loss(lambda p, y: (p - y).abs().sum()),
         without_abs=of_loss(lambda p, y: (p - y).mean()), one_minus=of_loss(lambda p, y: (1 - p - y).abs().mean()),
         clamp=lambda xb, yb, w, b: (linear1(xb, w, b).clamp(0, 1) - yb).abs().mean(),
         right_for_3s=of_loss(lambda p, y: (1 - p)[y == 1].mean()), each=of_loss(lambda p, y: (p - y).abs()),
         median=of_loss(lambda p, y: (p - y).abs().median())),
    dict(cross_entropy=('another loss', of_loss(F.binary_cross_entropy)),
         detached=('detach', of_loss(lambda p, y: (p - y).abs().mean().detach())),
         squeezed=('shapes that broadcast', of_loss(lambda p, y: (p.squeeze() - y).abs().mean())),
         rounds_the_score=('accuracy as the loss', lambda xb, yb, w, b: (
             (linear1(xb, w, b) > 0).float() + 0*w.sum() - yb).abs().mean())))


# --- 08 fixed_step

def by_optimizer(make):
    def answer(w, b, lr):
        opt = make([w, b], lr)
        opt.step()
        opt.zero_grad()
        return w.norm()
    return answer


def by_both(w, b, lr):
    w.data = w.data - lr*w.grad
    b.data -= lr*b.grad
    w.grad.zero_()
    b.grad = torch.zeros_like(b)
    return (w**2).sum().sqrt()


def foreach(w, b, lr):
    with torch.no_grad(): torch._foreach_add_([w, b], [w.grad, b.grad], alpha=-lr)
    w.grad = b.grad = None
    return torch.linalg.vector_norm(w).item()


def decorated(w, b, lr):
    for p in (w, b):
        p.add_(-lr*p.grad)
        p.grad = None
    return w.norm()


def stepped(move=True, clear='wb', give=None, sign=(1, 1)):
    def answer(w, b, lr):
        before = w.norm().item()
        with torch.no_grad():
            if move: [p.sub_(s*lr*p.grad) for s, p in zip(sign, (w, b))]
        new = (w - lr*w.grad).norm().item()
        if 'w' in clear: w.grad = None
        if 'b' in clear: b.grad = None
        return dict(before=before, new=new, both=torch.cat([w.flatten(), b]).norm().item(), b=b.norm()).get(give, w.norm())
    return answer


attack(broken.check_fixed_step,
    dict(optim=by_optimizer(torch.optim.SGD), basic=by_optimizer(BasicOptim), data=by_both, foreach=foreach, plain=stepped(),
         decorated=torch.no_grad()(decorated)),
    dict(norm_of_both=stepped(give='both'), norm_of_b=stepped(give='b'), bias_uphill=stepped(sign=(1, -1)),
         twice=stepped(sign=(2, 2)), weights_stay=stepped(sign=(0, 1)), weights_not_cleared=stepped(clear='b'),
         squares=lambda w, b, lr: stepped()(w, b, lr)**2),
    dict(norm_before=('before the step', stepped(give='before')), bias_stays=('bias', stepped(sign=(1, 0))),
         bias_not_cleared=('bias', stepped(clear='w')),
         nothing_moves_but_cleared=('Nothing has moved', stepped(move=False)),
         new_tensor_but_cleared=('of the caller has not', stepped(move=False, give='new')),
         uphill=('wrong direction', stepped(sign=(-1, -1)))))


# --- 08 honest_report

attack(broken.check_honest_report,
    dict(zip=lambda holdout, test: max(zip(holdout, test))[1],
         key=lambda holdout, test: test[max(range(len(test)), key=holdout.__getitem__)],
         torch=lambda holdout, test: torch.tensor(test)[torch.tensor(holdout).argmax()],
         sort=lambda holdout, test: sorted(zip(holdout, test), reverse=True)[0][1]),
    dict(worst=lambda holdout, test: test[holdout.index(min(holdout))],
         mean=lambda holdout, test: sum(test)/len(test),
         both=lambda holdout, test: (max(holdout), test[holdout.index(max(holdout))]),
         epoch_after=lambda holdout, test: (test + test[:1])[holdout.index(max(holdout)) + 1],
         best_sum=lambda holdout, test: max((h + t, t) for h, t in zip(holdout, test))[1],
         smaller=lambda holdout, test: min(max(holdout), test[holdout.index(max(holdout))]),
         lowest=lambda holdout, test: min(test), median=lambda holdout, test: sorted(test)[len(test)//2]),
    dict(by_test=('chosen by the test', lambda holdout, test: test[test.index(max(test))])))


# --- 08 examine_step

def found(left=lambda left: left, up=lambda before, after: after > before, flat=lambda grad: not grad.any()):
    def answer(before, grad, after, left_):
        names = []
        if left(left_): names.append('gradients not cleared')
        if up(before, after): names.append('wrong direction')
        if flat(grad): names.append('accuracy as the loss')
        return names
    return answer


attack(broken.check_examine_step,
    dict(any=found(), norm=found(flat=lambda grad: grad.norm() == 0), most=found(flat=lambda grad: grad.abs().max() == 0),
         unique=found(flat=lambda grad: grad.unique().tolist() == [0]), minus=found(up=lambda before, after: after - before > 0),
         comprehension=lambda before, grad, after, left: [n for n, bad in {
             'gradients not cleared': left, 'wrong direction': before < after,
             'accuracy as the loss': torch.equal(grad, torch.zeros_like(grad))}.items() if bad],
         other_order=lambda *step: found()(*step)[::-1], tuple=lambda *step: tuple(found()(*step))),
    dict(one_pixel=found(flat=lambda grad: grad[0] == 0), none_positive=found(flat=lambda grad: grad.max() <= 0),
         most_are_zero=found(flat=lambda grad: (grad == 0).float().mean() > .5),
         same_loss_is_flat=lambda before, grad, after, left: found(flat=lambda g: after == before)(before, grad, after, left),
         never_left=found(left=lambda left: False), names_of_one=lambda *step: (found()(*step) or [''])[0],
         none_if_healthy=lambda *step: found()(*step) or None, healthy=lambda *step: found()(*step) or ['healthy'],
         twice=lambda *step: found()(*step)*2, small=found(flat=lambda grad: grad.abs().max() < .05)),
    dict(sum=('add up to 0', found(flat=lambda grad: grad.sum() == 0)),
         mean=('add up to 0', found(flat=lambda grad: grad.mean() == 0)),
         above_half=('`before`', found(up=lambda before, after: after > .5)),
         at_least_half=('`before`', found(up=lambda before, after: after > .5001))))


# --- 08 diagnosis

NAMES = [_mystery(k)[0] for k in range(8)] if __name__ == '__main__' else [
    'wrong direction', 'healthy', 'shapes broadcast', 'no sigmoid', 'not shuffled', 'accuracy as the loss',
    'gradients not cleared', 'learning rate too high']


def partly(**others): return lambda k: others.get(f'k{k}', NAMES[k])


attack(broken.check_diagnosis,
    dict(dict=lambda k: dict(enumerate(NAMES))[k], symptoms=lambda k: next(
        n for n in SYMPTOM_RANGES if not contradiction(n, measure_symptoms([_mystery(k)[1]])))),
    dict(next_one=lambda k: NAMES[(k + 1) % 8], backwards=lambda k: NAMES[7 - k], number=lambda k: k,
         capitals=lambda k: NAMES[k].capitalize(), all_names=lambda k: NAMES, nothing=lambda k: None),
    dict(some=('You have named 6 of 8. Nothing contradicts 0, 1, 3, 4, 6, 7.', partly(k2='', k5='')),
         one=('You have named 1 of 8. Nothing contradicts 0.', lambda k: NAMES[k] if k == 0 else ''),
         one_wrong=('You have named 8 of 8. Nothing contradicts 0, 1, 2, 3, 4, 5, 7. Something contradicts 6.',
                    partly(k6='no sigmoid')),
         some_and_wrong=('You have named 7 of 8. Nothing contradicts 1, 2, 3, 4, 5, 6. Something contradicts 7.',
                         partly(k0='', k7='healthy')),
         none=('You have named 0 of 8.', lambda k: ''),
         typo=('Something contradicts 1.', partly(k1='healty'))))


# --- 08 count_parameters

def count(sizes, n=0):
    return n if len(sizes) < 2 else count(sizes[1:], n + (sizes[0] + 1)*sizes[1])


def count_by_modules(sizes):
    net = torch.nn.Sequential(*(torch.nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])))
    return sum(p.numel() for p in net.parameters())


attack(layers.check_count_parameters,
    dict(recursion=count, modules=count_by_modules, range=lambda sizes: sum(
        sizes[k]*sizes[k + 1] + sizes[k + 1] for k in range(len(sizes) - 1)),
         tensor=lambda sizes: ((torch.tensor(sizes)[:-1] + 1)*torch.tensor(sizes)[1:]).sum()),
    dict(product=lambda sizes: math.prod(sizes), first_layer=lambda sizes: (sizes[0] + 1)*sizes[1],
         without_the_last=lambda sizes: layers.count_parameters(sizes) - sizes[-1],
         ends=lambda sizes: (sizes[0] + 1)*sizes[-1], bias_of_score=lambda sizes: sum(
             a*b for a, b in zip(sizes, sizes[1:])) + 1,
         neighbours_twice=lambda sizes: 2*layers.count_parameters(sizes),
         units=lambda sizes: sum(sizes), units_but_inputs=lambda sizes: sum(sizes[1:])),
    dict(without_biases=('biases are missing', lambda sizes: sum(sizes[k]*sizes[k + 1] for k in range(len(sizes) - 1)))))


# --- 08 net_scores

def net(act, bias1=True): return lambda xb, w1, b1, w2, b2: act(xb @ w1 + (b1 if bias1 else 0)) @ w2 + b2


def net_by_loop(xb, w1, b1, w2, b2):
    scores = []
    for x in xb.tolist():
        hidden = [max(0., sum(p*w for p, w in zip(x, column)) + b) for column, b in zip(w1.T.tolist(), b1.tolist())]
        scores.append([sum(h*w for h, w in zip(hidden, w2[:, 0].tolist())) + b2.item()])
    return torch.tensor(scores)


attack(layers.check_net_scores,
    dict(loop=net_by_loop, functional=lambda xb, w1, b1, w2, b2: F.linear(F.relu(F.linear(xb, w1.T, b1)), w2.T, b2),
         modules=layers._by_modules, maximum=net(lambda h: torch.maximum(h, torch.tensor(0.))), mask=net(lambda h: h*(h > 0)),
         double=lambda *args: net(torch.relu)(*(a.double() for a in args)),
         half_of=net(lambda h: (h + h.abs())/2), addmm=lambda xb, w1, b1, w2, b2: b2.addmm(b1.addmm(xb, w1).relu(), w2)),
    dict(tanh=net(torch.tanh), leaky=net(lambda h: F.leaky_relu(h, .01)), softplus=net(F.softplus), gelu=net(F.gelu),
         relu6=net(F.relu6), squeezed=lambda *args: net(torch.relu)(*args)[:, 0], squared=net(lambda h: h**2),
         bias_twice=lambda xb, w1, b1, w2, b2: net(torch.relu)(xb, w1, 2*b1, w2, b2),
         swapped=lambda xb, w1, b1, w2, b2: (xb @ w1 + b1).relu() @ w2 + b1.sum()),
    dict(sigmoid_inside=('sigmoid', net(torch.sigmoid)), negatives=('clamp(min=0)', net(lambda h: h.clamp(max=0))),
         without_b1=('`b1` is not used', net(torch.relu, False)),
         folds_the_images=('nothing between', lambda xb, w1, b1, w2, b2: (xb.relu() @ w1 + b1) @ w2 + b2)))


# --- 08 merge_layers

def by_probes(w1, b1, w2, b2):
    f = lambda x: (x @ w1 + b1) @ w2 + b2
    b = f(torch.zeros(4))
    return f(torch.eye(4)) - b, b


attack(layers.check_merge_layers,
    dict(probes=by_probes, einsum=lambda w1, b1, w2, b2: [torch.einsum('ij,jk->ik', w1, w2), torch.einsum('j,jk->k', b1, w2) + b2],
         sums=lambda w1, b1, w2, b2: ((w1*w2.T).sum(1, keepdim=True), (b1*w2[:, 0]).sum() + b2),
         double=lambda *args: layers.merge_layers(*(a.double() for a in args))),
    dict(transposed=lambda w1, b1, w2, b2: ((w1 @ w2).T, b1 @ w2 + b2), column=lambda w1, b1, w2, b2: (w1 @ w2, b1[None] @ w2 + b2),
         mean=lambda w1, b1, w2, b2: (w1 @ w2, b1.mean() + b2), minus=lambda w1, b1, w2, b2: (w1 @ w2, b1 @ w2 - b2),
         sums_of_rows=lambda w1, b1, w2, b2: (w1.sum(1, keepdim=True)*w2.sum(), b1 @ w2 + b2),
         biases_multiplied=lambda w1, b1, w2, b2: (w1 @ w2, b1.sum()*b2), relu=lambda w1, b1, w2, b2: (w1 @ w2, b1.relu() @ w2 + b2)),
    dict(swapped=('weights and then the bias', lambda w1, b1, w2, b2: (b1 @ w2 + b2, w1 @ w2)),
         second_only=('first bias got lost', lambda w1, b1, w2, b2: (w1 @ w2, 0*b1.sum() + b2))))


# --- 08 entropy_slopes

entropy = F.binary_cross_entropy_with_logits


def entropy_by_loop(scores, yb):
    out = torch.zeros(len(yb), 1)
    for k, (s, y) in enumerate(zip(scores[:, 0], yb[:, 0])):
        p = s.sigmoid()
        out[k] = p - 1 if y == 1 else p
    return out/len(out)


attack(layers.check_entropy_slopes,
    dict(loop=entropy_by_loop, where=lambda scores, yb: torch.where(yb == 1, -(-scores).sigmoid(), scores.sigmoid())/len(yb),
         double=lambda scores, yb: (sigmoid_by_hand(scores.double()) - yb)/yb.numel(), tanh=lambda scores, yb: (
             (scores/2).tanh()/2 + .5 - yb).div(len(yb)), differences=lambda scores, yb: nudged(entropy, scores, yb)),
    dict(squared=lambda scores, yb: (scores.sigmoid() - yb)**2/len(yb), flat=lambda scores, yb: layers.entropy_slopes(scores, yb)[:, 0],
         half=lambda scores, yb: (scores.sigmoid() - yb)/2, rounded=lambda scores, yb: (scores.sigmoid().round() - yb)/len(yb),
         logs=lambda scores, yb: (scores.sigmoid().log() - yb)/len(yb), ones=lambda scores, yb: (1 - scores.sigmoid())/len(yb),
         each_kind=lambda scores, yb: (scores.sigmoid() - yb)/yb.sum(), mean=lambda scores, yb: layers.entropy_slopes(scores, yb).mean(),
         autograd=by_grad(entropy), func=by_func(entropy)),
    dict(of_probability=('of the probability', lambda scores, yb: (
             (1 - yb)/(1 - scores.sigmoid()) - yb/scores.sigmoid())/len(yb)),
         backward=('without `backward()`', by_backward(entropy)),
         squares_slope=('p*(1 - p)', lambda scores, yb: (scores.sigmoid() - yb)*scores.sigmoid()*(1 - scores.sigmoid())/len(yb))))


# --- 08 tent

def tent_by_loop(x, left, right):
    h, total = (right - left)/2, 0
    for n, place in zip((1, -2, 1), (left, left + h, right)): total = total + n/h*torch.relu(x - place)
    return total


def tent_with(middle=lambda left, right: (left + right)/2, height=lambda left, right: (right - left)/2):
    return lambda x, left, right: ((x - left).relu() - 2*(x - middle(left, right)).relu() + (x - right).relu())/height(left, right)


attack(layers.check_tent,
    dict(loop=tent_by_loop, clamp=lambda x, left, right: 2/(right - left)*(
             (x - left).clamp(min=0) - 2*(x - (left + right)/2).clamp(min=0) + (x - right).clamp(0)),
         mirrored=lambda x, left, right: tent_with()(-x, -right, -left),
         product=lambda x, left, right: F.relu(x[:, None] - torch.tensor([left, (left + right)/2, right])) @ torch.tensor(
             [1., -2, 1])*2/(right - left),
         max=lambda x, left, right: sum(n*torch.max(x - p, torch.tensor(0.)) for n, p in (
             (1, left), (-2, (left + right)/2), (1, right)))*2/(right - left),
         nested=lambda x, left, right: (1 - (x - (left + right)/2).relu()*2/(right - left)
                                        - ((left + right)/2 - x).relu()*2/(right - left)).relu(),
         double=lambda x, left, right: tent_with()(x.double(), left, right)),
    dict(all_width=tent_with(height=lambda left, right: right - left), two=lambda x, left, right: (
             (x - left).relu() - (x - right).relu())/(right - left), height_1=tent_with(height=lambda left, right: 1),
         bell=lambda x, left, right: (-((x - (left + right)/2)/(right - left))**2).exp(),
         not_cut=lambda x, left, right: 1 - (x - (left + right)/2).relu() - ((left + right)/2 - x).relu(),
         where=lambda x, left, right: torch.where(x < (left + right)/2, x - left, right - x).clamp(min=0)*2/(right - left),
         minimum=lambda x, left, right: torch.minimum(x - left, right - x).relu()*2/(right - left),
         mask=lambda x, left, right: ((x > left)*(x < right))*layers.tent(x, left, right),
         times_height=tent_with(height=lambda left, right: 2/(right - left))),
    dict(abs=('relu()`', layers._tent_by_distance), half_of_difference=('(left + right)/2', tent_with(lambda left, right: (right - left)/2)),
         clamped=('relu()`', lambda x, left, right: torch.clamp(1 - 2*abs(x - (left + right)/2)/(right - left), 0, 1))))


# --- 13 momentum_step

def momentum_by_torch(w, total, grad, lr, mom):
    w = w.clone().requires_grad_()
    w.grad, opt = grad, torch.optim.SGD([w], lr, momentum=mom)
    opt.state[w]['momentum_buffer'] = total.clone()
    opt.step()
    return w.detach(), opt.state[w]['momentum_buffer']


def momentum_by_loop(w, total, grad, lr, mom):
    sums = [mom*t + g for t, g in zip(total.tolist(), grad.tolist())]
    return torch.tensor([v - lr*s for v, s in zip(w.tolist(), sums)]), torch.tensor(sums)


attack(optimizers.check_momentum_step,
    dict(optim=momentum_by_torch, loop=momentum_by_loop, in_place_of_copies=lambda w, total, grad, lr, mom: (
             w.clone().sub_(lr*(mom*total).add_(grad)), total.clone().mul_(mom).add_(grad)),
         one_line=lambda w, total, grad, lr, mom: [w - lr*mom*total - lr*grad, torch.add(grad, total, alpha=mom)]),
    dict(one_value=lambda w, total, grad, lr, mom: w - lr*(mom*total + grad),
         swapped=lambda w, total, grad, lr, mom: (mom*total + grad, w - lr*(mom*total + grad)),
         sum_of_all=lambda w, total, grad, lr, mom: (w - lr*(total + grad), total + grad),
         mom_of_both=lambda w, total, grad, lr, mom: (w - lr*mom*(total + grad), mom*(total + grad)),
         rate_twice=lambda w, total, grad, lr, mom: (w - lr*(mom*total + lr*grad), mom*total + lr*grad),
         decays_w=lambda w, total, grad, lr, mom: (mom*w - lr*(mom*total + grad), mom*total + grad),
         mom_of_grad=lambda w, total, grad, lr, mom: (w - lr*(total + mom*grad), total + mom*grad)),
    dict(minus=('- lr*g', lambda w, total, grad, lr, mom: (w + mom*total - lr*grad, mom*total - lr*grad)),
         minus_sum=('downhill', lambda w, total, grad, lr, mom: (w + lr*(mom*total - grad), mom*total - grad)),
         nesterov=('Nesterov', lambda w, total, grad, lr, mom: (
             w - lr*(grad + mom*(mom*total + grad)), mom*total + grad))))


# --- 14 step_decay

def stairs_by_ifs(step, steps, lr):
    part = step/steps
    if part < .25: return lr
    if part < .5: return lr/2
    if part < .75: return lr/4
    return lr/8


attack(schedules.check_step_decay,
    dict(ifs=stairs_by_ifs, floor=lambda step, steps, lr: lr*.5**math.floor(4*step/steps),
         true_quarters=lambda step, steps, lr: lr/2**(step//(steps/4)), tuple=lambda step, steps, lr: (
             lr, lr/2, lr/4, lr/8)[step*4//steps], int=lambda step, steps, lr: lr/2**int(step/steps*4),
         halvings=lambda step, steps, lr: functools.reduce(
             lambda v, k: v/2 if 4*step >= k*steps else v, (1, 2, 3), lr),
         tensor=lambda step, steps, lr: lr/torch.tensor([1, 2, 4, 8])[(torch.tensor(step*4)//steps)]),
    dict(rounds=lambda step, steps, lr: lr/2**round(4*step/steps), at_most=lambda step, steps, lr: lr/2**sum(
             step > k*steps/4 for k in (1, 2, 3)), halves=lambda step, steps, lr: lr/2**(2*step//steps),
         last_longer=lambda step, steps, lr: lr/2**min(3, step//max(1, steps//4)),
         linear=lambda step, steps, lr: lr*(1 - step/steps), quarters=lambda step, steps, lr: lr/4**(4*step//steps),
         every_25=lambda step, steps, lr: lr/2**(step//25), counts_from_1=lambda step, steps, lr: lr/2**(4*(step + 1)//steps)),
    dict(rounded_quarter=('steps//4', lambda step, steps, lr: lr/2**(step//(steps//4))),
         even_stairs=('Halve it', lambda step, steps, lr: lr*(1 - (4*step//steps)/4))))


# --- 13 ema

def started_at_first(xs, keep):
    mean = xs[0]
    for x in xs[1:]: mean = keep*mean + (1 - keep)*x
    return mean


def corrected_within(xs, keep):
    mean = 0
    for n, x in enumerate(xs, 1): mean = (keep*mean + (1 - keep)*x)/(1 - keep**n)
    return mean


def two_sums(xs, keep):
    total = weight = 0
    for x in xs: total, weight = keep*total + x, keep*weight + 1
    return total/weight


attack(optimizers.check_ema,
    dict(two_sums=two_sums, reduce=lambda xs, keep: functools.reduce(
             lambda m, x: keep*m + (1 - keep)*x, xs, 0)/(1 - math.pow(keep, len(xs))),
         weights=lambda xs, keep: sum(x*keep**(len(xs) - 1 - k) for k, x in enumerate(xs))*(1 - keep)/(1 - keep**len(xs)),
         lerp=lambda xs, keep: functools.reduce(lambda m, x: m + (1 - keep)*(x - m), xs, torch.tensor(0.))/(1 - keep**len(xs)),
         each_corrected=lambda xs, keep: list(itertools.accumulate(
             xs, lambda m, x: keep*m + (1 - keep)*x, initial=0))[-1]/(1 - keep**len(xs))),
    dict(corrected_within=corrected_within, one_too_many=lambda xs, keep: optimizers._uncorrected(xs, keep)/(1 - keep**(len(xs) + 1)),
         keep_times_n=lambda xs, keep: optimizers._uncorrected(xs, keep)/(1 - keep*len(xs) or 1),
         backwards=lambda xs, keep: optimizers.ema(xs[::-1], keep),
         divided_by_n=lambda xs, keep: optimizers._uncorrected(xs, keep)/len(xs), last=lambda xs, keep: xs[-1],
         all_of_them=lambda xs, keep: [optimizers.ema(xs[:n], keep) for n in range(1, len(xs) + 1)],
         correction_squared=lambda xs, keep: optimizers._uncorrected(xs, keep)/(1 - keep**len(xs))**2,
         keep_of_the_power=lambda xs, keep: optimizers._uncorrected(xs, keep)/(1 - keep)**len(xs)),
    dict(first=('first number', started_at_first), first_all=('first number', lambda xs, keep: started_at_first([xs[0], *xs], keep)),
         first_corrected=('first number', lambda xs, keep: started_at_first(xs, keep)/(1 - keep**len(xs))),
         multiplied=('Divide', lambda xs, keep: optimizers._uncorrected(xs, keep)*(1 - keep**len(xs))),
         of_one_number=('by `1 - keep**n`', lambda xs, keep: optimizers._uncorrected(xs, keep)/(1 - keep))))


# --- 13 nesterov

attack(optimizers.check_nesterov,
    dict(one_line=lambda grad, total, mom: ((1 + mom)*grad + mom**2*total, mom*total + grad),
         in_place_of_copies=lambda grad, total, mom: [grad.add(total.mul(mom).add(grad), alpha=mom), total.mul(mom).add_(grad)],
         loop=lambda grad, total, mom: tuple(map(torch.tensor, zip(*[
             (g + mom*(mom*t + g), mom*t + g) for g, t in zip(grad.tolist(), total.tolist())])))),
    dict(mom_of_both=lambda grad, total, mom: (mom*(grad + mom*total + grad), mom*total + grad),
         squared=lambda grad, total, mom: (grad + mom**2*(mom*total + grad), mom*total + grad),
         direction_only=lambda grad, total, mom: grad + mom*(mom*total + grad),
         remembers_direction=lambda grad, total, mom: (grad + mom*(mom*total + grad),)*2,
         minus=lambda grad, total, mom: (grad - mom*(mom*total + grad), mom*total + grad),
         weighted=lambda grad, total, mom: ((1 - mom)*grad + mom*(mom*total + grad), mom*total + grad),
         uphill=lambda grad, total, mom: (-grad - mom*(mom*total + grad), mom*total + grad)),
    dict(old_sum=('old sum', lambda grad, total, mom: (grad + mom*(mom*total + grad), total)),
         mean=('1 - mom', lambda grad, total, mom: (grad + mom*(mom*total + (1 - mom)*grad), mom*total + (1 - mom)*grad))))


# --- 13 decoupled_step

def adamw_by_torch(w, grad, lr, wd):
    w = w.clone().requires_grad_()
    w.grad = grad
    torch.optim.AdamW([w], lr, weight_decay=wd).step()
    return w.detach()


def adamw_by_hand(w, grad, lr, wd):
    avg, sqr = .1*grad/(1 - .9), .001*grad**2/(1 - .999)
    return (1 - lr*wd)*w - lr*avg/(sqr.sqrt() + 1e-8)


attack(optimizers.check_decoupled_step,
    dict(torch=adamw_by_torch, by_hand=adamw_by_hand, ratio=lambda w, grad, lr, wd: w - lr*grad/grad.abs() - lr*wd*w,
         where=lambda w, grad, lr, wd: torch.where(grad > 0, w - lr, w + lr) - lr*wd*w,
         loop=lambda w, grad, lr, wd: torch.tensor([v - lr*math.copysign(1, g) - lr*wd*v for v, g in zip(w.tolist(), grad.tolist())])),
    dict(after_the_step=lambda w, grad, lr, wd: (1 - lr*wd)*(w - lr*grad.sign()), lr_twice=lambda w, grad, lr, wd: w - lr*(grad.sign() + lr*wd*w),
         only_decay=lambda w, grad, lr, wd: (1 - lr*wd)*w, norm=lambda w, grad, lr, wd: w - lr*(grad/grad.norm() + wd*w),
         decay_of_one=lambda w, grad, lr, wd: w - lr*(grad.sign() + wd), square=lambda w, grad, lr, wd: w - lr*(grad/grad**2 + wd*w)),
    dict(adam=('in the gradient', lambda w, grad, lr, wd: w - lr*(grad + wd*w)/(grad + wd*w).abs()),
         plain=('sign', lambda w, grad, lr, wd: w*(1 - lr*wd) - lr*grad),
         uncorrected=('corrected', lambda w, grad, lr, wd: w - lr*(.1/.001**.5*grad.sign() + wd*w))))


# --- 14 warmup_decay

def rising(step, lr, warm): return lr*(step + 1)/warm


def by_parts(fall):
    return lambda step, steps, lr, warm: rising(step, lr, warm) if step < warm else lr*fall((step - warm)/(steps - warm))


attack(schedules.check_warmup_decay,
    dict(sine=by_parts(lambda done: math.sin(math.pi*(1 - done)/2)**2), squared=by_parts(lambda done: math.cos(math.pi*done/2)**2),
         tensor=lambda step, steps, lr, warm: torch.tensor(rising(step, lr, warm)) if step < warm else (
             lr*(1 + torch.cos(torch.tensor(math.pi*(step - warm)/(steps - warm))))/2),
         smaller=lambda step, steps, lr, warm: min(rising(step, lr, warm), lr) if step <= warm else (
             lr*(.5 + .5*math.cos(math.pi*(step - warm)/(steps - warm))))),
    dict(one_too_long=lambda step, steps, lr, warm: rising(step, lr, warm + 1) if step < warm else schedules.warmup_decay(step, steps, lr, warm),
         ends_early=lambda step, steps, lr, warm: rising(step, lr, warm) if step < warm else (
             lr*(1 + math.cos(math.pi*(step - warm)/max(1, steps - warm - 1)))/2),
         root=by_parts(lambda done: max(0, 1 - done)**.5), rises=by_parts(lambda done: (1 - math.cos(math.pi*done))/2),
         square=by_parts(lambda done: (1 - done)**2), product=lambda step, steps, lr, warm: (
             min(1, (step + 1)/warm)*lr*(1 + math.cos(math.pi*step/steps))/2)),
    dict(line=('straight', by_parts(lambda done: 1 - done)), to_minus=('-lr', by_parts(lambda done: math.cos(math.pi*done))),
         from_0=('one step', lambda step, steps, lr, warm: (
             lr*step/warm if step < warm else schedules.warmup_decay(step, steps, lr, warm)))))


# --- 14 smoothed

def smoothed_by_weights(losses, keep):
    v = torch.tensor(losses).double()
    k = torch.arange(len(losses)).double()
    weights = (keep**(k[:, None] - k).clamp(min=0))*(k[:, None] >= k)
    return (weights @ v/weights.sum(1)).tolist()


attack(schedules.check_smoothed,
    dict(weights=smoothed_by_weights, prefixes=lambda losses, keep: [optimizers.ema(losses[:n], keep) for n in range(1, len(losses) + 1)],
         accumulate=lambda losses, keep: [v/(1 - keep**n) for n, v in enumerate(itertools.accumulate(
             losses, lambda m, x: keep*m + (1 - keep)*x, initial=0)) if n],
         two_sums=lambda losses, keep: [two_sums(losses[:n], keep) for n in range(1, len(losses) + 1)],
         tuple=lambda losses, keep: tuple(schedules.smoothed(losses, keep))),
    dict(backwards=lambda losses, keep: schedules.smoothed(losses[::-1], keep), as_they_are=lambda losses, keep: list(losses),
         with_0=lambda losses, keep: [0, *schedules.smoothed(losses, keep)], multiplied=lambda losses, keep: [
             v*(1 - keep**n)**2 for n, v in enumerate(schedules.smoothed(losses, keep), 1)],
         sums=lambda losses, keep: list(itertools.accumulate(losses, lambda m, x: keep*m + x)),
         lags=lambda losses, keep: [losses[0], *schedules.smoothed(losses, keep)[:-1]]),
    dict(raw=('too small', lambda losses, keep: [v*(1 - keep**n) for n, v in enumerate(schedules.smoothed(losses, keep), 1)]),
         last=('only the last', optimizers.ema), means=('plain means', lambda losses, keep: [
             sum(losses[:n + 1])/(n + 1) for n in range(len(losses))])))


# --- 14 suggested_lr

attack(schedules.check_suggested_lr,
    dict(argmin=lambda lrs, losses: lrs[torch.tensor(losses).argmin()]/10, key=lambda lrs, losses: .1*min(zip(lrs, losses), key=lambda p: p[1])[0],
         sort=lambda lrs, losses: sorted(zip(losses, lrs))[0][1]/10, position=lambda lrs, losses: lrs[min(range(len(lrs)), key=losses.__getitem__)]/10),
    dict(next_one=lambda lrs, losses: lrs[losses.index(min(losses)) + 1]/10, one_before=lambda lrs, losses: lrs[losses.index(min(losses)) - 1]/10,
         middle=lambda lrs, losses: lrs[len(lrs)//2]/10, mean=lambda lrs, losses: sum(lrs)/len(lrs)/10, fixed=lambda lrs, losses: .01,
         hundredth=lambda lrs, losses: lrs[losses.index(min(losses))]/100),
    dict(lowest=('Take a tenth', lambda lrs, losses: lrs[losses.index(min(losses))]), at=('position', lambda lrs, losses: losses.index(min(losses))),
         largest=('diverged', lambda lrs, losses: max(lrs)/10)))


# --- 10 mean_gradient

def running(grads, sizes):
    mean, n = torch.zeros(3), 0
    for g, k in zip(grads, sizes):
        n += k
        mean = mean + (g - mean)*k/n
    return mean


attack(parallel.check_mean_gradient,
    dict(running=running, stack=lambda grads, sizes: torch.stack(grads).T @ torch.tensor(sizes).float()/sum(sizes),
         repeated=lambda grads, sizes: torch.stack([g for g, n in zip(grads, sizes) for _ in range(n)]).mean(0),
         double=lambda grads, sizes: sum(g.double()*n/sum(sizes) for g, n in zip(grads, sizes)),
         normalised=lambda grads, sizes: (torch.stack(grads)*F.normalize(
             torch.tensor(sizes).float(), p=1, dim=0)[:, None]).sum(0)),
    dict(largest=lambda grads, sizes: max(zip(sizes, range(9)))[1] and grads[0], by_largest=lambda grads, sizes: sum(
             g*n for g, n in zip(grads, sizes))/max(sizes), softmax=lambda grads, sizes: (
             torch.stack(grads)*torch.tensor(sizes).float().softmax(0)[:, None]).sum(0),
         squares=lambda grads, sizes: sum(g*n**2 for g, n in zip(grads, sizes))/sum(n**2 for n in sizes),
         median=lambda grads, sizes: torch.stack(grads).median(0).values, number=lambda grads, sizes: running(grads, sizes).mean(),
         both=lambda grads, sizes: running(grads, sizes)/len(grads), first_two=lambda grads, sizes: running(grads[:2], sizes[:2]) + 1e-3),
    dict(sum_over_images=('divide by the number of all images', lambda grads, sizes: running(grads, sizes)*sum(sizes)),
         divides_each=('already', lambda grads, sizes: sum(grads)/sum(sizes))))


# --- 10 my_images

def padded(n, rank, world):
    order = list(range(n))
    while len(order) % world: order.append(order[len(order) - n])
    return order[rank::world]


attack(parallel.check_my_images,
    dict(padded=padded, sampler=lambda n, rank, world: list(iter(DistributedSampler(range(n), world, rank, shuffle=False))),
         cycle=lambda n, rank, world: list(itertools.islice(itertools.cycle(range(n)), rank, math.ceil(n/world)*world, world)),
         counted=lambda n, rank, world: [(rank + k*world) % n for k in range((n + world - 1)//world)],
         tensors=lambda n, rank, world: list(torch.arange(rank, -(-n//world)*world, world).remainder(n))),
    dict(repeats_own_first=lambda n, rank, world: [i if i < n else rank for i in range(rank, -(-n//world)*world, world)],
         repeats_0=lambda n, rank, world: [i if i < n else 0 for i in range(rank, -(-n//world)*world, world)],
         rank_minus_1=lambda n, rank, world: [i if i < n else rank - 1 for i in range(rank, -(-n//world)*world, world)],
         adds_to_all=lambda n, rank, world: [i % n for i in range(rank, (n//world + 1)*world, world)],
         all_of_them=lambda n, rank, world: list(range(n)), of_one_more=lambda n, rank, world: [
             i % n for i in range(rank, -(-n//world)*world, world)] + [0],
         modulo_world=lambda n, rank, world: [i % world for i in range(rank, -(-n//world)*world, world)],
         steps_of_rank=lambda n, rank, world: list(range(rank, n, rank + 1))),
    dict(beyond_the_end=('n - 1', lambda n, rank, world: list(range(rank, -(-n//world)*world, world))),
         counts_workers_from_1=('counted from 0', lambda n, rank, world: [
             i % n for i in range(rank - 1, -(-n//world)*world - 1, world)])))


# --- 10 ring_step

def ring_by_masks(has, s):
    n = len(has)
    r = torch.arange(n)
    sent = torch.zeros_like(has)
    sent[r, (r - s) % n] = has[r, (r - s) % n]
    return has + sent.roll(1, 0)


def ring_by_lists(has, s):
    rows, n = has.tolist(), len(has)
    return torch.tensor([[v + (rows[r - 1][k] if k == (r - 1 - s) % n else 0) for k, v in enumerate(row)]
                         for r, row in enumerate(rows)])


def ring(of=lambda r, s, n: (r - s) % n, into=lambda r, k, n: ((r + 1) % n, k), start=torch.clone, take=lambda has, r, k: has[r, k]):
    def answer(has, s):
        new, n = start(has), len(has)
        for r in range(n):
            k = of(r, s, n)
            new[into(r, k, n)] += take(has, r, k)
        return new
    return answer


def ring_in_place(has, s):
    n = len(has)
    for r in range(n): has[(r + 1) % n, (r - s) % n] += has[r, (r - s) % n]
    return has


attack(parallel.check_ring_step,
    dict(masks=ring_by_masks, lists=ring_by_lists, loop=ring(), double=lambda has, s: ring()(has.double(), s),
         negative=ring(of=lambda r, s, n: r - s), copy=lambda has, s: ring_in_place(has.clone(), s),
         eye=lambda has, s: has + (has*torch.eye(len(has)).roll(-s, 1)).roll(1, 0)),
    dict(next_column=ring(into=lambda r, k, n: ((r + 1) % n, (k + 1) % n)), own_row=ring(into=lambda r, k, n: (r, k)),
         step_as_piece=ring(of=lambda r, s, n: s % n), two_on=ring(into=lambda r, k, n: ((r + 2) % n, k)),
         one_late=ring(of=lambda r, s, n: (r - s - 1) % n), only_sent=ring(start=torch.zeros_like),
         mean=lambda has, s: (has + ring()(has, s))/2, all_steps=lambda has, s: functools.reduce(
             lambda h, t: ring()(h, t), range(s + 1), has) + 1e-3, column=lambda has, s: has + has.roll(1, 1)),
    dict(transposed=('row for each worker', lambda has, s: ring()(has.T, s).T), in_place=('in place', ring_in_place),
         without_modulo=('error', ring(into=lambda r, k, n: (r + 1, k)))))


# --- 10 best_workers

def times(c, l, t, ns): return [c/n + 2*(n - 1)*l + 2*(n - 1)/n*t for n in ns]


def until_it_rises(compute, latency, transfer, most):
    time = lambda n: compute/n + 2*(n - 1)*(latency + transfer/n)
    n = 1
    while n < most and time(n + 1) < time(n): n += 1
    return n


def by_tensor(compute, latency, transfer, most):
    n = torch.arange(1, most + 1).double()
    return (compute/n + 2*(n - 1)*latency + 2*(n - 1)/n*transfer).argmin() + 1


def best_of(ns, index=False):
    def answer(compute, latency, transfer, most):
        all_ns = list(ns(most))
        ts = times(compute, latency, transfer, all_ns)
        return ts.index(min(ts)) if index else all_ns[ts.index(min(ts))]
    return answer


def by_root(compute, latency, transfer, most):
    return max(1, min(most, round(math.sqrt(max(0, compute - 2*transfer)/(2*latency)))))


attack(parallel.check_best_workers,
    dict(until_it_rises=until_it_rises, tensor=by_tensor, sorted=lambda c, l, t, most: sorted(
             range(1, most + 1), key=lambda n: times(c, l, t, [n]))[0], index=best_of(lambda most: range(1, most + 1))),
    dict(root=by_root, from_two=best_of(lambda most: range(2, most + 1) if most > 1 else [1]), doubles=best_of(
             lambda most: [2**k for k in range(8) if 2**k <= most]), most=lambda c, l, t, most: most,
         ratio=lambda c, l, t, most: max(1, min(most, round(c/(l + t)))), real=lambda c, l, t, most: math.sqrt(
             max(1, (c - 2*t)/(2*l))), until_half=lambda c, l, t, most: best_of(lambda m: range(1, m//2 + 2))(c, l, t, most),
         all_wait=lambda c, l, t, most: min(range(1, most + 1), key=lambda n: c + 2*(n - 1)*l + 2*(n - 1)/n*t),
         never_more_than_32=lambda c, l, t, most: best_of(lambda m: range(1, min(m, 32) + 1))(c, l, t, most)),
    dict(without_most=('`most` itself', lambda c, l, t, most: min(range(1, most), key=lambda n: times(c, l, t, [n]))),
         position=('counted from 0', best_of(lambda most: range(1, most + 1), index=True)),
         one_way=('n - 1', lambda c, l, t, most: min(range(1, most + 1), key=lambda n: c/n + (n - 1)*(l + t/n)))))


# --- all of them



def test_every_exercise_is_attacked():
    own = {(ex.lesson, ex.name) for ex in (p.values[0] for p in RIGHT)}
    for (lesson, name) in own:
        right, wrong = ([p for p in ps if p.values[0].name == name] for ps in (RIGHT, WRONG))
        assert len(right) >= 2 and len(wrong) >= 5, name
    there = {(ex.lesson, ex.name) for m in (broken, classifier, layers, optimizers, parallel, schedules, selection)
             for ex in vars(m).values() if hasattr(ex, 'mistakes')}
    assert own == there


@pytest.mark.parametrize('ex, answer', RIGHT)
def test_right_one_is_accepted(ex, answer):
    for _ in range(3):  # each with other random inputs
        result = ex.examine(answer)
        assert result.status == 'correct', result


@pytest.mark.parametrize('ex, words, answer', WRONG)
def test_wrong_one_is_refused(ex, words, answer):
    for _ in range(2):
        result = ex.examine(answer)
        assert result.status == 'wrong' and words in result.message, result
        assert not words or result.message in ex.mistakes or words in ('in place', 'error') or 'is not used' in words or ex.name == 'diagnosis'
