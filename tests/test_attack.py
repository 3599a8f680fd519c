"""Answers to the exercises of lessons 01 to 05 that a learner may give, by somebody who did not write the exercises:
wrong ones that must be refused, named where many make them, and right ones in another style that must be accepted."""
import itertools
import math
import re
from functools import reduce

import pytest
import torch
import torch.nn.functional as F

from sgd_course.curve import fit, mse, quadratic, standardize
from sgd_course.descent import hessian_eigenvalues, descend, step
from sgd_course.exercises import curve, descent, gradients, pixels, slope as slopes
from sgd_course.gradients import gradient
from sgd_course.pixels import accuracy, linear_score
from sgd_course.slope import slope

pytestmark = [  # some hundred answers; the mistakes that exercises list are in test_check
    pytest.mark.slow, pytest.mark.filterwarnings('ignore:.torch.jit.script. is deprecated')]
ANSWERS = []  # exercise, answer, `None` if it is right, else what the check must say of it


def attack(ex, right, wrong):
    "`wrong` are functions, or pairs of a part of the message and a function."
    ANSWERS.extend((ex, answer, None) for answer in right)
    ANSWERS.extend((ex, *(w[::-1] if isinstance(w, tuple) else (w, ''))) for w in wrong)


def name(v): return v.name if hasattr(v, 'name') else f'line{v.__code__.co_firstlineno}' if callable(v) else ''


# --- lesson 01

def ink_in_a_loop(x):
    out = torch.zeros(len(x))
    for i, image in enumerate(x):
        for row in image:
            for ink in row: out[i] += ink
        out[i] /= image.numel()
    return out


attack(pixels.check_ink_of_each,
    right=[ink_in_a_loop, lambda x: torch.stack([image.mean() for image in x]),
           lambda x: torch.tensor([sum(image.flatten().tolist())/image.numel() for image in x]),
           lambda x: torch.einsum('nrc->n', x.double())/x[0].numel(),
           lambda x: x.mean(-1).mean(-1), torch.func.vmap(torch.mean)],
    wrong=[('You divide by 784', lambda x: x.flatten(1).sum(1)/784),
           ('number of images', lambda x: x.sum((1, 2))/len(x)),
           lambda x: x.flatten(1).median(1).values, lambda x: x.flatten(1).max(1).values,
           lambda x: x.sum((1, 2))/(x > 0).sum((1, 2)), lambda x: x.sum((1, 2))/x.shape[1]**2,
           lambda x: x.pow(2).mean((1, 2)).sqrt(), lambda x: x.mean(2).sum(1), lambda x: x.reshape(-1, 6).mean(1),
           (r'shape \(2, 1, 1\): expected a tensor of shape \(2,\)', lambda x: x.mean((1, 2), keepdim=True)),
           ('a list of length 2: expected a tensor', lambda x: [image.mean() for image in x]),
           lambda x: (100*x.mean((1, 2))).round()/100])


def loudest_in_a_loop(x, w, best=-math.inf):
    place = 0, 0
    for r, c in itertools.product(*map(range, x.shape)):
        if x[r, c]*w[r, c] > best: best, place = x[r, c]*w[r, c], (r, c)
    return place


def place_of(v): return divmod(v.argmax().item(), v.shape[1])


attack(pixels.check_top_pixel,
    right=[loudest_in_a_loop, lambda x, w: place_of(x.double()*w),
           lambda x, w: torch.unravel_index((x*w).argmax(), x.shape),
           lambda x, w: (x*w == (x*w).max()).nonzero()[0].tolist(),
           lambda x, w: max(itertools.product(*map(range, x.shape)), key=lambda p: x[p]*w[p])],
    wrong=[('start with 0', lambda x, w: loudest_in_a_loop(x, w, best=0)),
           ('`//`', lambda x, w: ((x*w).argmax().item()/x.shape[1], (x*w).argmax().item() % x.shape[1])),
           ('largest product', lambda x, w: (x*w).max()), ('counted from 0', lambda x, w: [i + 1 for i in place_of(x*w)]),
           lambda x, w: place_of((x*w).clamp(min=0)), lambda x, w: place_of(x + w), lambda x, w: place_of(-x*w),
           lambda x, w: ((x*w).sum(1).argmax(), (x*w).sum(0).argmax()), lambda x, w: place_of((x*w)**2),
           lambda x, w: ((x*w).max(1).values.argmax(), (x*w).max(1).indices[0]),
           (r'tensor of shape \(2,\): expected a tuple', lambda x, w: (x*w == (x*w).max()).nonzero()[0])])


def right_by_counting(preds, y, k):
    right, all_ = [0]*k, [0]*k
    for p, t in zip(preds.tolist(), y.tolist()):
        all_[t] += 1
        right[t] += p == t
    return [r/n for r, n in zip(right, all_)]


def confusion(preds, y, k): return torch.bincount(k*y + preds, minlength=k*k).view(k, k).double()


attack(pixels.check_per_class_accuracy,
    right=[right_by_counting, lambda preds, y, k: list(confusion(preds, y, k).diag()/confusion(preds, y, k).sum(1)),
           lambda preds, y, k: tuple((preds[y == c] == c).double().mean() for c in range(k)),
           lambda preds, y, k: [((preds == y)*(y == c)).sum()/(y == c).sum() for c in range(k)]],
    wrong=[('images of other classes', lambda preds, y, k: [accuracy(preds == c, y == c) for c in range(k)]),
           ('percentages', lambda preds, y, k: [100*r for r in right_by_counting(preds, y, k)]),
           lambda preds, y, k: [accuracy(preds[y == c], y[y == c]) for c in range(preds.max() + 1)],
           lambda preds, y, k: [accuracy(preds[y == c], y[y == c]) for c in preds.unique()],
           lambda preds, y, k: [accuracy(preds[y == c], y[y == c]) for c in (0, 1)],
           lambda preds, y, k: [((preds == c) & (y == c)).sum()/((preds == c) | (y == c)).sum() for c in range(k)],
           lambda preds, y, k: sorted(right_by_counting(preds, y, k)), lambda preds, y, k: right_by_counting(y, preds, k),
           lambda preds, y, k: [((preds == c).sum()/(y == c).sum()) for c in range(k)],
           ('tensor of shape .*expected a list', lambda preds, y, k: torch.tensor(right_by_counting(preds, y, k)))])


def means(x, y): return x[y == 1].mean(0), x[y == 0].mean(0)


def threshold_by_hand(x, y):
    sums, n = [torch.zeros_like(x[0]), torch.zeros_like(x[0])], [0, 0]
    for image, c in zip(x, y.int().tolist()): sums[c], n[c] = sums[c] + image, n[c] + 1
    zero, one = (s/k for s, k in zip(sums, n))
    return one - zero, sum((a*a - b*b)/2 for a, b in zip(one.flatten().tolist(), zero.flatten().tolist()))


def with_threshold(threshold):
    def answer(x, y):
        one, zero = means(x, y)
        return one - zero, threshold(one, zero, x, y)
    return answer


attack(pixels.check_weights_and_threshold,
    right=[threshold_by_hand, with_threshold(lambda one, zero, x, y: ((one - zero)*(one + zero)).sum()/2),
           with_threshold(lambda one, zero, x, y: linear_score((one + zero)/2, one - zero)),
           lambda x, y: [v.double() for v in threshold_by_hand(x.double(), y.bool())[:1]] + [threshold_by_hand(x, y)[1]]],
    wrong=[('mean of all scores', with_threshold(lambda one, zero, x, y: linear_score(x, one - zero).mean())),
           ('Square their pixels', with_threshold(lambda one, zero, x, y: (one.sum() - zero.sum())/2)),
           ('wrong sign', with_threshold(lambda one, zero, x, y: (zero.pow(2).sum() - one.pow(2).sum())/2)),
           with_threshold(lambda one, zero, x, y: (one.pow(2).sum() + zero.pow(2).sum())/2),
           with_threshold(lambda one, zero, x, y: (one.sum()**2 - zero.sum()**2)/2),
           with_threshold(lambda one, zero, x, y: linear_score(x, one - zero).median()), with_threshold(lambda *args: .5),
           with_threshold(lambda one, zero, x, y: (linear_score(x[y == 1], one - zero).min() + linear_score(x[y == 0], one - zero).max())/2),
           lambda x, y: (threshold_by_hand(x, y)[0]/2, threshold_by_hand(x, y)[1]),
           lambda x, y: (x.mean(0) - x[y == 0].mean(0), threshold_by_hand(x, y)[1]),
           lambda x, y: threshold_by_hand(x, torch.arange(len(x)) < len(x)//2),
           ('expected a tuple of length 2', lambda x, y: threshold_by_hand(x, y)[0])])


# --- lesson 02

attack(slopes.check_central_slope,
    right=[lambda f, x, h: slope(f, x, h, central=True),
           lambda f, x, h: (slope(f, x, h) + slope(f, x, -h))/2,
           lambda f, x, h: (f(torch.tensor(x + h).double()) - f(torch.tensor(x - h).double()))/h/2],
    wrong=[('rise in parentheses', lambda f, x, h: f(x + h) - f(x - h)/(2*h)),
           ('left only', lambda f, x, h: (f(x) - f(x - h))/h),
           ('half of `h`', lambda f, x, h: (f(x + h/2) - f(x - h/2))/h),
           lambda f, x, h: abs(f(x + h) - f(x - h))/(2*h), lambda f, x, h: slope(f, x, central=True),
           lambda f, x, h: gradient(f, torch.tensor(x).double()), lambda f, x, h: f(x + h) - f(x - h)/2*h,
           lambda f, x, h: (f(x + h) + f(x - h))/(2*h), lambda f, x, h: 2*x])

attack(slopes.check_step_down,
    right=[lambda f, x, lr: x - lr*slope(f, x, central=True), lambda f, x, lr: x + -lr*(f(x + 1e-6) - f(x))*1e6,
           lambda f, x, lr: x - lr*gradient(f, torch.tensor(x).double()),
           lambda f, x, lr: descend(f, x, lr, 1)[-1].item()],
    wrong=[('`lr` by the loss', lambda f, x, lr: x - lr*f(x)), (r'slope of `x\*\*2`', lambda f, x, lr: x - lr*2*x),
           lambda f, x, lr: x - slope(f, x)/lr, lambda f, x, lr: x - lr*abs(slope(f, x)),
           lambda f, x, lr: x - lr*slope(f, x, lr), lambda f, x, lr: f(x - lr*slope(f, x)),
           lambda f, x, lr: descend(f, x, lr, 2)[-1], lambda f, x, lr: x - lr*slope(f, x - lr),
           lambda f, x, lr: slope(f, x) - lr*x, lambda f, x, lr: x - lr])


def by_recursion(f, x, lr, steps):
    return [x] if not steps else [x, *by_recursion(f, x - lr*slope(f, x), lr, steps - 1)]


def until_small(f, x, lr, steps):
    path = [x]
    while len(path) <= steps and abs(slope(f, path[-1])) > 1e-3: path.append(path[-1] - lr*slope(f, path[-1]))
    return path


def stops_when_it_rises(f, x, lr, steps):
    path = [x]
    for _ in range(steps):
        new = path[-1] - lr*slope(f, path[-1])
        if f(new) > f(path[-1]): break
        path.append(new)
    return path


def walk(f, x, lr, steps, move=lambda f, x, lr: x - lr*slope(f, x)):
    path = [x]
    for _ in range(steps): path.append(move(f, path[-1], lr))
    return path


attack(slopes.check_descent_path,
    right=[by_recursion, lambda f, x, lr, steps: tuple(descend(f, x, lr, steps)),
           lambda f, x, lr, steps: list(itertools.accumulate(range(steps), lambda v, _: v - lr*slope(f, v), initial=x)),
           lambda f, x, lr, steps: reduce(lambda p, _: p + [p[-1] - lr*slope(f, p[-1], central=True)], range(steps), [x])],
    wrong=[('`lr` by the loss', lambda f, x, lr, steps: walk(f, x, lr, steps, lambda f, x, lr: x - lr*f(x))),
           ('begins at the start', lambda f, x, lr, steps: [x] + [x - lr*slope(f, x)]*steps),
           ('`return` inside', lambda f, x, lr, steps: walk(f, x, lr, 1) if steps else None),
           ('one step too many', lambda f, x, lr, steps: walk(f, x, lr, steps + 1)),
           until_small, stops_when_it_rises, lambda f, x, lr, steps: walk(f, x, lr, steps)[::-1],
           lambda f, x, lr, steps: [x] + walk(f, x, lr, steps - 1) if steps else [x],
           lambda f, x, lr, steps: walk(f, x, lr, steps, lambda f, x, lr: x - math.copysign(lr, slope(f, x))),
           lambda f, x, lr, steps: [(x, f(x)) for x in walk(f, x, lr, steps)],
           lambda f, x, lr, steps: [walk(f, x, lr/(n + 1), n)[-1] for n in range(steps + 1)],
           ('tensor of shape .*expected a list', lambda f, x, lr, steps: descend(f, x, lr, steps))])


def halve(goes_right, times=50, end=lambda left, right: (left + right)/2):
    def answer(f, left, right):
        for _ in range(times):
            middle = (left + right)/2
            if goes_right(f, left, middle, right): left = middle
            else: right = middle
        return end(left, right)
    return answer


def by_thirds(f, left, right):
    while right - left > 1e-7:
        third = (right - left)/3
        if f(left + third) < f(right - third): right -= third
        else: left += third
    return right


def within_1e_4(f, left, right):
    if right - left < 1e-4: return left
    middle = (left + right)/2
    return within_1e_4(f, middle, right) if f(middle - 1e-5) > f(middle + 1e-5) else within_1e_4(f, left, middle)


def by_walking(f, left, right): return descend(f, (left + right)/2, .1, 100)[-1]


def vertex_of_three(f, left, right):
    h, m = (right - left)/2, (left + right)/2
    return m - h/2*(f(right) - f(left))/(f(right) - 2*f(m) + f(left))


def line_of_slopes(f, left, right):
    one, two = slope(f, left), slope(f, right)
    return left - one*(right - left)/(two - one)


attack(slopes.check_flat_place,
    right=[by_thirds, within_1e_4, halve(lambda f, left, middle, right: gradient(f, torch.tensor(middle).double()) < 0),
           halve(lambda f, left, middle, right: f(middle + 1e-6) < f(middle), 40, max)],
    wrong=[('compare the ends', halve(lambda f, left, middle, right: f(left) > f(right))),
           ('compare the ends', halve(lambda f, left, middle, right: not f(left) < f(right))),
           ('value in the middle', halve(lambda f, left, middle, right: f(middle) < 0)),
           halve(lambda f, left, middle, right: slope(f, middle) < 0, 10),
           by_walking, vertex_of_three, line_of_slopes, halve(lambda f, left, middle, right: slope(f, left) < 0),
           halve(lambda f, left, middle, right: slope(f, middle) < -.01),
           halve(lambda f, left, middle, right: f(left) > f(middle)), halve(lambda f, left, middle, right: middle < 0),
           lambda f, left, right: min((left + k*(right - left)/100 for k in range(101)), key=f)])


# --- lesson 03

attack(gradients.check_exact_slope,
    right=[lambda f, x: torch.func.grad(f)(torch.tensor(x)), lambda f, x: torch.func.jacfwd(f)(torch.tensor(x).double()),
           lambda f, x: torch.autograd.grad(f(t := torch.tensor(x, requires_grad=True)), t)[0].item(),
           lambda f, x: torch.func.jvp(f, (torch.tensor(x),), (torch.tensor(1.),))[1]],
    wrong=[('That is `gradient`', lambda f, x: gradient(f, torch.tensor(x))),
           lambda f, x: slope(lambda v: f(torch.tensor(v).double()), x),
           lambda f, x: slope(lambda v: f(torch.tensor(v).double()), x, central=True),
           lambda f, x: torch.func.grad(f)(torch.tensor(x)).abs(), lambda f, x: -torch.func.grad(f)(torch.tensor(x)),
           lambda f, x: x*torch.func.grad(f)(torch.tensor(x)), lambda f, x: torch.func.grad(f)(torch.tensor(3.)),
           ('of type `', lambda f, x: f(torch.tensor(x).requires_grad_()).grad_fn),
           (r'shape \(1,\): expected a number', lambda f, x: torch.func.grad(lambda v: f(v).sum())(torch.tensor([x])))])


def error(w, b, x, y): return w*x + b - y


attack(gradients.check_slopes_by_hand,
    right=[lambda w, b, x, y: [2*x*(w*x - y) + 2*x*b, 2*w*x + 2*b - 2*y],
           lambda w, b, x, y: torch.func.grad(lambda w, b: error(w, b, x, y)**2, argnums=(0, 1))(*torch.tensor([w, b]).double()),
           lambda w, b, x, y: tuple(-2*(y - (w*x + b))*k for k in (x, 1))],
    wrong=[('you multiply by `w`', lambda w, b, x, y: (2*error(w, b, x, y)*w, 2*error(w, b, x, y))),
           ('Parentheses', lambda w, b, x, y: (2*w*x + b - y*x, 2*w*x + b - y)),
           lambda w, b, x, y: (2*error(w, b, x, y)*x, 2*error(w, b, x, y)*b),
           lambda w, b, x, y: (2*error(w, b, x, y)*x, 1), lambda w, b, x, y: (error(w, b, x, y)**2*x, error(w, b, x, y)**2),
           lambda w, b, x, y: (2*error(w, b, x, y)*abs(x), 2*error(w, b, x, y)), lambda w, b, x, y: (2*(w*x + b)*x, 2*(w*x + b)),
           lambda w, b, x, y: (2*error(w, b, x, y)*x, 2*error(w, b, x, y)*y), lambda w, b, x, y: (2*x, 2),
           ('a number: expected a tuple', lambda w, b, x, y: 2*error(w, b, x, y)*(x + 1))])

attack(gradients.check_predicted_change,
    right=[lambda f, x, nudge: gradient(f, x) @ nudge, lambda f, x, nudge: torch.func.jvp(f, (x,), (nudge,))[1],
           lambda f, x, nudge: sum(g*n for g, n in zip(gradient(f, x).tolist(), nudge.tolist())),
           lambda f, x, nudge: torch.dot(torch.func.grad(f)(x.double()), nudge.double())],
    wrong=[('new value', lambda f, x, nudge: f(x) + (gradient(f, x)*nudge).sum()),
           ('take the mean', lambda f, x, nudge: (gradient(f, x)*nudge).mean()),
           lambda f, x, nudge: (f(x + nudge) - f(x - nudge))/2, lambda f, x, nudge: gradient(f, x + nudge/2) @ nudge,
           lambda f, x, nudge: gradient(f, nudge) @ x, lambda f, x, nudge: gradient(f, x).norm()*nudge.norm(),
           lambda f, x, nudge: gradient(f, x)[:2] @ nudge[:2], lambda f, x, nudge: gradient(f, x) @ nudge.abs(),
           lambda f, x, nudge: x @ nudge, lambda f, x, nudge: gradient(f, x) @ (x + nudge)])


def step_of(change, keep=False, result=None):
    def answer(f, w, lr):
        loss = f(w)
        loss.backward()
        with torch.no_grad(): change(w, lr, loss)
        if not keep: w.grad = None
        return result(f, w, loss) if result else loss
    return answer


def clears_at_the_start(f, w, lr):
    if w.grad is not None: w.grad.zero_()
    (loss := f(w)).backward()
    w.data = w.data - lr*w.grad
    return loss.item()


def by_optimizer(f, w, lr):
    opt = torch.optim.SGD([w], lr)
    opt.zero_grad()
    loss = f(w)
    loss.backward()
    opt.step()
    return loss


def without_backward(f, w, lr):
    loss, g = f(w).item(), torch.func.grad(f)(w.detach())
    w.requires_grad_(False)
    w -= lr*g
    w.requires_grad_()
    return loss


def twice_backward(f, w, lr):
    f(w).backward()
    loss = f(w)
    loss.backward()
    with torch.no_grad(): w -= lr*w.grad
    w.grad = None
    return loss


def switched_off(f, w, lr):
    loss = f(w)
    loss.backward()
    w.requires_grad_(False)
    w -= lr*w.grad
    w.grad = None
    return loss


def moves(w, lr, loss): w -= lr*w.grad


attack(gradients.check_whole_step,
    right=[clears_at_the_start, by_optimizer, without_backward, step_of(lambda w, lr, loss: w.copy_(w - lr*w.grad)),
           step_of(lambda w, lr, loss: w.add_(w.grad, alpha=-lr), result=lambda f, w, loss: loss.item())],
    wrong=[('That is `w`', step_of(moves, result=lambda f, w, loss: w)), ('`None`', step_of(moves, result=lambda f, w, loss: None)),
           ('`lr` is not used', step_of(lambda w, lr, loss: w.sub_(w.grad))), twice_backward, switched_off,
           step_of(lambda w, lr, loss: w.sub_(lr*loss)), step_of(lambda w, lr, loss: w.sub_(lr*w.grad.sign())),
           step_of(lambda w, lr, loss: w.sub_(lr*w)), step_of(lambda w, lr, loss: w.sub_(lr*w.grad/w.grad.norm())),
           step_of(moves, result=lambda f, w, loss: loss.sqrt()), step_of(lambda w, lr, loss: w.sub_(lr*w.grad.abs())),
           step_of(lambda w, lr, loss: w.copy_(lr*w.grad))])


# --- lesson 04

def place_by_loop(start, lr, steps):
    for _ in range(steps): start = start*(1 - 2*lr)
    return start


attack(descent.check_x_after,
    right=[place_by_loop, lambda start, lr, steps: math.pow(1 - lr - lr, steps)*start,
           lambda start, lr, steps: torch.tensor(1 - 2*lr).double()**steps*start,
           lambda start, lr, steps: math.prod([start] + [1 - 2*lr]*steps)],
    wrong=[(r'`\*\*`', lambda start, lr, steps: start*(1 - 2*lr)^steps),
           ('One factor too many', lambda start, lr, steps: (1 - 2*lr)**(steps + 1)*start),
           lambda start, lr, steps: (1 - 2*lr)**max(0, steps - 1)*start, lambda start, lr, steps: (2*lr - 1)**steps*start,
           lambda start, lr, steps: abs(1 - 2*lr)**steps*start, lambda start, lr, steps: math.exp(-2*lr*steps)*start,
           lambda start, lr, steps: ((1 - 2*lr)*start)**steps, lambda start, lr, steps: (1 + 2*lr)**steps*start,
           lambda start, lr, steps: start - (2*lr*start)**steps, lambda start, lr, steps: -1.5*(1 - 2*lr)**steps])


def one_after_another(f, params, lr):
    for p in params:
        f(*params).backward()
        with torch.no_grad(): p -= lr*p.grad
        for q in params: q.grad = None


def of_two(f, params, lr):
    w, b = params
    f(w, b).backward()
    with torch.no_grad():
        w -= lr*w.grad
        b -= lr*b.grad
    w.grad = b.grad = None


def without_star(f, params, lr):
    f(params).backward()
    with torch.no_grad():
        for p in params: p -= lr*p.grad
    for p in params: p.grad = None


def all_at_once(change, after=lambda params: [setattr(p, 'grad', None) for p in params]):
    def answer(f, params, lr):
        f(*params).backward()
        with torch.no_grad():
            for i, p in enumerate(params): change(params, i, p, lr)
        after(params)
    return answer


def frozen(f, params, lr):
    f(*params).backward()
    for p in params:
        p.requires_grad_(False)
        p -= lr*p.grad
        p.grad = None


def by_functions(f, params, lr):
    grads = torch.func.grad(f, argnums=tuple(range(len(params))))(*[p.detach() for p in params])
    for p, g in zip(params, grads): p.data.sub_(g, alpha=lr)


def by_sgd(f, params, lr):
    opt = torch.optim.SGD(params, lr)
    f(*params).backward()
    opt.step()
    opt.zero_grad()


def by_autograd(f, params, lr):
    grads = torch.autograd.grad(f(*params), params)
    with torch.no_grad():
        for p, g in zip(params, grads): p.copy_(p - lr*g)


def by_our_step(f, params, lr):
    f(*params).backward()
    for p in params: step(p, lr)


def subtracts(params, i, p, lr): p -= lr*p.grad
def replaces(params, i, p, lr): params[i] = (p - lr*p.grad).requires_grad_()


attack(descent.check_step_all,
    right=[by_functions, by_sgd, by_autograd,
           all_at_once(lambda params, i, p, lr: p.sub_(lr*p.grad), lambda params: [p.grad.zero_() for p in params])],
    wrong=[('one parameter after another', one_after_another), ('That is `step`', by_our_step), (r'`f\(\*params\)`', without_star),
           of_two, frozen, all_at_once(replaces), all_at_once(lambda params, i, p, lr: p.sub_(lr*p.grad/len(params))),
           all_at_once(subtracts, lambda params: setattr(params[-1], 'grad', None)),
           all_at_once(lambda params, i, p, lr: p.sub_(p.grad)), all_at_once(lambda params, i, p, lr: p.sub_(lr*p.grad.mean())),
           all_at_once(lambda params, i, p, lr: i or p.sub_(lr*p.grad)),
           all_at_once(lambda params, i, p, lr: p.sub_(lr*p.grad.sign()))])

attack(descent.check_best_lr,
    right=[lambda f, w: 2/sum(sorted(hessian_eigenvalues(f, w).tolist())[::max(1, len(w) - 1)]) if len(w) > 1 else 1/hessian_eigenvalues(f, w)[0],
           lambda f, w: 2/(lambda cs: cs[0] + cs[-1])(torch.linalg.eigvalsh(torch.func.hessian(f)(w))),
           lambda f, w: 1/((hessian_eigenvalues(f, w).amin() + hessian_eigenvalues(f, w).amax())/2).item()],
    wrong=[('sum in parentheses', lambda f, w: 2/hessian_eigenvalues(f, w).min() + hessian_eigenvalues(f, w).max()),
           ('half of it', lambda f, w: 1/(hessian_eigenvalues(f, w).min() + hessian_eigenvalues(f, w).max())),
           ('upside down', lambda f, w: (hessian_eigenvalues(f, w).min() + hessian_eigenvalues(f, w).max())/2),
           lambda f, w: 2/hessian_eigenvalues(f, w)[:2].sum(), lambda f, w: (hessian_eigenvalues(f, w).min()*hessian_eigenvalues(f, w).max())**-.5,
           lambda f, w: 2/(hessian_eigenvalues(f, w).max() - hessian_eigenvalues(f, w).min()), lambda f, w: 1/hessian_eigenvalues(f, w).median(),
           lambda f, w: 1.8/hessian_eigenvalues(f, w).max(), lambda f, w: 2/hessian_eigenvalues(f, w).norm(),
           lambda f, w: (lambda d: 2/(d.min() + d.max()))(torch.func.hessian(f)(w).diag())])


def largest_if(good, steps=20, pick=max):
    "`good(f, start, path)` of the walk with each rate."
    def answer(f, start, rates):
        walks = zip(rates, descend(f, start, rates, steps).transpose(0, 1))
        return pick([lr for lr, path in walks if good(f, start, path)])
    return answer


def ends_lower(f, start, path): return f(path[-1]) < f(start)


def until_the_first_failure(f, start, rates):
    ends = descend(f, start, rates, 20)[-1]
    return [lr for lr, _ in itertools.takewhile(lambda pair: f(pair[1]) < f(start), zip(rates, ends))][-1]


def largest_by_hand(f, start, rates):
    for lr in reversed(rates):
        x = start.clone()
        for _ in range(20): x = x - lr*gradient(f, x)
        if f(x) < f(start): return lr


attack(descent.check_largest_lr,
    right=[largest_by_hand, largest_if(ends_lower, pick=lambda good: good[-1]),
           lambda f, start, rates: next(lr for lr in rates[::-1] if f(descend(f, start, lr, 20)[-1]) < f(start)),
           largest_if(ends_lower, pick=lambda good: torch.tensor(good).double().max())],
    wrong=[('stop at the first one', until_the_first_failure),
           ('ends where it began', largest_if(lambda f, start, path: f(path[-1]) <= f(start))),
           ('position in the list', lambda f, start, rates: rates.index(largest_if(ends_lower)(f, start, rates))),
           largest_if(lambda f, start, path: path[-1].norm() < start.norm()),
           largest_if(lambda f, start, path: any(f(x) < f(start) for x in path)),
           largest_if(lambda f, start, path: path[-1].isfinite().all()),
           largest_if(ends_lower, steps=10), largest_if(ends_lower, steps=19), largest_if(ends_lower, pick=min),
           lambda f, start, rates: rates[-1],
           lambda f, start, rates: max(lr for lr in rates if lr < 2/hessian_eigenvalues(f, start).max())])


def careful(stop, cut=lambda lr: lr/2, times=200):
    def answer(f, x, lr):
        g = gradient(f, x)
        for _ in range(times):
            if stop(f, x, lr, g): break
            lr = cut(lr)
        return x - lr*g
    return answer


def careful_by_recursion(f, x, lr):
    new = x - lr*gradient(f, x)
    return new if f(new) <= f(x) else careful_by_recursion(f, x, lr/2)


def careful_in_place(f, x, lr):
    new, g = x.clone(), torch.func.grad(f)(x)
    while True:
        new.copy_(x).sub_(lr*g)
        if f(new) <= f(x): return new
        lr *= .5


def no_harm(f, x, lr, g): return f(x - lr*g) <= f(x)


attack(descent.check_backtracking_step,
    right=[careful_by_recursion, careful_in_place, careful(no_harm),
           careful(lambda f, x, lr, g: not (f(x - lr*g).isnan() or f(x - lr*g) > f(x)))],
    wrong=[('`nan > f', careful(lambda f, x, lr, g: not f(x - lr*g) > f(x))),
           ('the loss there', lambda f, x, lr: f(careful_by_recursion(f, x, lr))),
           careful(no_harm, lambda lr: lr/10), careful(no_harm, times=10), careful(lambda f, x, lr, g: f(x - lr*g) < f(x)),
           careful(lambda f, x, lr, g: (x - lr*g).norm() <= x.norm()), careful(lambda f, x, lr, g: f(x - lr*g) <= f(x - lr*g/2)),
           careful(lambda f, x, lr, g: f(x - lr*g) <= f(x) - .5*lr*(g*g).sum()), careful(lambda f, x, lr, g: lr <= .5),
           lambda f, x, lr: x.sub_(lr*gradient(f, x))])


# --- lesson 05

attack(curve.check_mean_error,
    right=[lambda preds, targets: sum(abs(p - t) for p, (t,) in zip(preds.tolist(), targets.tolist()))/len(preds),
           lambda preds, targets: F.l1_loss(preds[:, None], targets), lambda preds, targets: (preds - targets.view(-1)).abs().mean(),
           lambda preds, targets: (preds.double() - targets.squeeze()).norm(p=1)/len(preds),
           lambda preds, targets: (preds - targets).diag().abs().mean()],
    wrong=[('RMS', lambda preds, targets: mse(preds, targets[:, 0]).sqrt()),
           ('median', lambda preds, targets: (preds - targets[:, 0]).abs().median()),
           lambda preds, targets: (preds - targets[:, 0]).abs().max(), lambda preds, targets: (preds - targets.mean()).abs().mean(),
           lambda preds, targets: (preds.abs() - targets[:, 0].abs()).abs().mean(),
           lambda preds, targets: (preds - targets[0]).abs().mean(), lambda preds, targets: (preds - targets[:, 0]).abs().sum()/3,
           lambda preds, targets: F.smooth_l1_loss(preds, targets[:, 0]),
           lambda preds, targets: ((preds - targets[:, 0])/targets[:, 0]).abs().mean()])


def line(loss=mse, start=(0., 0.), until=lambda steps: range(steps), result=lambda params: params):
    def answer(t, y, lr, steps):
        params = torch.tensor(start).requires_grad_()
        for _ in until(steps):
            loss(params[0]*t + params[1], y).backward()
            step(params, lr)
        return result(params)
    return answer


def line_of_floats(t, y, lr, steps):
    w, b, n = 0., 0., len(t)
    for _ in range(steps):
        errors = [w*s + b - v for s, v in zip(t.tolist(), y.tolist())]
        w, b = w - lr*2*sum(e*s for e, s in zip(errors, t.tolist()))/n, b - lr*2*sum(errors)/n
    return torch.tensor([w, b])


def line_of_two_leaves(t, y, lr, steps):
    w, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    opt = torch.optim.SGD([b, w], lr)
    for _ in range(steps):
        opt.zero_grad()
        ((w*t + b - y)**2).mean().backward()
        opt.step()
    return torch.cat([w, b])


def line_by_descend(t, y, lr, steps):
    return descend(lambda p: mse(p[0]*t.double() + p[1], y.double()), torch.zeros(2).double(), lr, steps)[-1]


def first_w_then_b(t, y, lr, steps):
    w = b = torch.tensor(0.)
    for _ in range(steps):
        w = w - lr*2*((w*t + b - y)*t).mean()
        b = b - lr*2*(w*t + b - y).mean()
    return torch.stack([w, b])


def stops_early(t, y, lr, steps):
    runs = [line_of_floats(t, y, lr, n) for n in range(steps + 1)]
    return min(runs, key=lambda p: mse(p[0]*t + p[1], y))


def by_fit(t, y, lr, steps): return fit(lambda t, params: params[0]*t + params[1], t, y, torch.zeros(2), lr, steps).params


attack(curve.check_fit_line,
    right=[line_of_floats, line_of_two_leaves, line_by_descend, line(), line(result=lambda params: params.detach().double())],
    wrong=[('Take their mean', line(lambda preds, y: ((preds - y)**2).sum())), ('That is `fit`', by_fit),
           ('one step too many', line(until=lambda steps: range(steps + 1))),
           line(lambda preds, y: mse(preds, y)/2), line(F.l1_loss), line(start=(1., 1.)), line(start=(0., 1.)),
           line(until=lambda steps: range(steps - 1)), first_w_then_b, stops_early, line(lambda preds, y: mse(preds, y).sqrt()),
           lambda t, y, lr, steps: line()(standardize(t), y, lr, steps),
           lambda t, y, lr, steps: torch.linalg.lstsq(torch.stack([t, torch.ones_like(t)], 1), y[:, None]).solution[:, 0],
           ('tuple of length 2: expected a tensor', line(result=tuple))])


def by_numbers(new, times, params):
    mean = sum(times.tolist())/len(times)
    std = math.sqrt(sum((t - mean)**2 for t in times.tolist())/len(times))
    a, b, c = params.tolist()
    return torch.tensor([(a*s + b)*s + c for s in ((t - mean)/std for t in new.tolist())])


attack(curve.check_speed_at,
    right=[by_numbers, lambda new, times, params: quadratic((new - times.mean())/times.var(correction=0)**.5, params),
           lambda new, times, params: torch.stack([quadratic(s, params) for s in standardize(new.double(), like=times.double())]),
           lambda new, times, params: quadratic(new, curve.in_seconds(params, times.mean(), times.std(correction=0)))],
    wrong=[('other direction', lambda new, times, params: quadratic(new*times.std(correction=0) + times.mean(), params)),
           ('That is the standardised', lambda new, times, params: standardize(new, like=times)),
           lambda new, times, params: quadratic(standardize(torch.cat([times, new]))[-len(new):], params),
           lambda new, times, params: quadratic((new - times.min())/(times.max() - times.min()), params),
           lambda new, times, params: quadratic((new - times.mean())/new.std(correction=0), params),
           lambda new, times, params: quadratic((new - new.mean())/times.std(correction=0), params),
           lambda new, times, params: quadratic(standardize(standardize(new, like=times), like=times), params),
           lambda new, times, params: quadratic((new - times.mean())/times.var(correction=0), params),
           lambda new, times, params: quadratic(standardize(new, like=times), params.flip(0)),
           (r'shape \(20,\): expected', lambda new, times, params: quadratic(standardize(times), params))])


def powers(t): return torch.stack([t**2, t, torch.ones_like(t)], 1)
def hessian(t, y, at=0.): return torch.func.hessian(lambda p: mse(quadratic(t, p), y))(torch.full((3,), at).double())


attack(curve.check_condition_number,
    right=[lambda t, y: torch.linalg.cond(powers(t).T @ powers(t)), lambda t, y: torch.linalg.cond(hessian(t, y, 1.)),
           lambda t, y: (lambda cs: cs[-1]/cs[0])(torch.linalg.eigvalsh(hessian(t, y)).tolist()),
           lambda t, y: (lambda s: (s[0]/s[-1])**2)(torch.linalg.svdvals(powers(t)))],
    wrong=[lambda t, y: torch.linalg.cond(powers(t)), lambda t, y: hessian(t, y).diag().max()/hessian(t, y).diag().min(),
           lambda t, y: hessian_eigenvalues(lambda p: mse(quadratic(t, p), y), torch.zeros(3).double()).diff().max(),
           lambda t, y: 2/hessian_eigenvalues(lambda p: mse(quadratic(t, p), y), torch.zeros(3).double()).max(),
           lambda t, y: torch.linalg.cond(hessian(standardize(t), y)), lambda t, y: t.max()/t.min(),
           lambda t, y: torch.linalg.cond(hessian(t, y)).log10(), lambda t, y: hessian(t, y).norm(),
           lambda t, y: torch.linalg.cond(hessian(t, y)[:2, :2])])


def by_derivatives(params, mean, std):
    def speed(t): return quadratic((t - mean)/std, params.double())
    slope_at, zero = torch.func.grad(speed), torch.zeros(()).double()
    return torch.stack([torch.func.grad(slope_at)(zero)/2, slope_at(zero), speed(zero)])


def by_matrix(params, mean, std):
    return torch.tensor([[1/std**2, 0, 0], [-2*mean/std**2, 1/std, 0], [mean**2/std**2, -mean/std, 1]]) @ params


def seconds(new):
    "A function of a, b, c, mean and std as an answer."
    return lambda params, mean, std: torch.tensor(new(*params.tolist(), mean, std))


attack(curve.check_in_seconds,
    right=[by_derivatives, by_matrix, seconds(lambda a, b, c, m, s: [a/s/s, b/s - 2*a*m/s/s, (a*m/s - b)*m/s + c]),
           lambda params, mean, std: torch.linalg.solve(powers(torch.tensor([-1., 0., 2.]).double()),
                                                        quadratic((torch.tensor([-1., 0., 2.]).double() - mean)/std, params))],
    wrong=[('sign is wrong', seconds(lambda a, b, c, m, s: [a/s**2, b/s - 2*a*m/s**2, a*m**2/s**2 + b*m/s + c])),
           seconds(lambda a, b, c, m, s: [a/s**2, b - 2*a*m/s**2, a*m**2/s**2 - b*m + c]),
           seconds(lambda a, b, c, m, s: [a/s**2, b/s - 2*a*m, a*m**2 - b*m/s + c]),
           seconds(lambda a, b, c, m, s: [a/s**2, b/s - 2*a*m/s**2, a*m**2/s**2 + c]),
           seconds(lambda a, b, c, m, s: [a/s**2, b/s - 2*a*m/s**2, c - b*m/s]),
           seconds(lambda a, b, c, m, s: [a/s**2, b/s - 2*a*m/s, a*m**2/s**2 - b*m/s + c]),
           seconds(lambda a, b, c, m, s: [a/s**2, b/s - 2*a*m/s**2, (a*m**2 - b*m + c)/s**2]),
           seconds(lambda a, b, c, m, s: [a, b - 2*a*m, a*m**2 - b*m + c]),
           ('tuple of length 3: expected a tensor', lambda params, mean, std: tuple(by_matrix(params, mean, std)))])


# --- the table, tried

@pytest.mark.parametrize('ex, answer, words', ANSWERS, ids=name)
def test_answer(ex, answer, words):
    result = ex.examine(answer)
    if words is None: assert result.status == 'correct', result
    else: assert result.status == 'wrong' and re.search(words, result.message), result


def test_every_exercise_is_attacked():
    tried = {ex.key: [a for e, a, w in ANSWERS if e is ex and w is not None] for ex, *_ in ANSWERS}
    good = {ex.key: [a for e, a, w in ANSWERS if e is ex and w is None] for ex, *_ in ANSWERS}
    ours = [ex for m in (pixels, slopes, gradients, descent, curve) for n, ex in vars(m).items() if n.startswith('check_')]
    assert sorted(tried) == sorted(ex.key for ex in ours if hasattr(ex, 'key'))
    assert min(map(len, tried.values())) >= 5 and min(map(len, good.values())) >= 2
