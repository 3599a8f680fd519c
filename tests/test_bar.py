"The bar of a training run: on a page it is HTML, and nothing is left of it."
import io
import re
import sys
from types import SimpleNamespace

import IPython.display
import pytest
import torch
from playwright.sync_api import expect

from sgd_course import plot, training
from sgd_course.classifier import BasicOptim, flatten_digits, train
from sgd_course.data import Digits, threes_and_sevens
from sgd_course.selection import lr_sweep
from sgd_course.training import epochs_bar


class Page:
    "What a notebook shows, output by output."
    def __init__(self): self.shown = []

    def display(self, data, raw, display_id):
        self.shown.append([data])
        page, k = self.shown, len(self.shown) - 1
        class Handle:
            def update(self, data, raw): page[k].append(data)
        return Handle()


@pytest.fixture
def page(monkeypatch):
    page = Page()
    monkeypatch.setattr(IPython.display, 'display', page.display)
    for module in (training, plot): monkeypatch.setattr(module, 'in_jupyter', lambda: True)
    return page


def test_nothing_is_left_of_a_bar(page):
    assert list(epochs_bar(3, True)) == [0, 1, 2]
    (bar,) = page.shown
    assert '<progress' in bar[0]['text/html'] and 'model_id' not in repr(bar)
    assert bar[-1] == {'text/html': '', 'text/plain': ''}


def test_training_shows_a_bar_unless_told_otherwise(page):
    d = flatten_digits(Digits(*(t[::500] for t in threes_and_sevens())))
    model = torch.nn.Linear(784, 1)
    for progress in {}, dict(progress=False):
        train(model, BasicOptim(model.parameters(), .1), d, 2, **progress)
        lr_sweep([.1], 2, d, **progress)
    assert len(page.shown) == 2


def test_a_loop_that_is_left_takes_its_bar_along(page):
    for k in epochs_bar(9, True):
        if k == 2: break
    with pytest.raises(ZeroDivisionError):
        for k in epochs_bar(9, True): k/0
    assert [bar[-1]['text/html'] for bar in page.shown] == ['', '']


def test_ten_times_a_second(page, monkeypatch):
    now = [0.]
    monkeypatch.setattr(plot, 'time', SimpleNamespace(monotonic=lambda: now[0]))
    for _ in plot.page_bar(100, 'epochs'): now[0] += 1/64
    said = [re.sub('<[^>]+>', '', d['text/html']).strip() for d in page.shown[0]]
    assert len(said) == 16 and said[0] == '0 of 100 epochs' and said[7] == '49 of 100 epochs, 1 s left'


def test_in_a_terminal_and_in_a_log(monkeypatch, capsys):
    assert list(epochs_bar(3, True)) == [0, 1, 2] and capsys.readouterr().err == ''
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, 'stderr', screen)
    assert list(epochs_bar(3, True)) == [0, 1, 2] and 'epoch' in screen.getvalue()
    assert screen.getvalue().endswith('\r'), 'and gone'


@pytest.mark.slow
def test_a_page_opened_again_has_no_trace_of_a_bar(open_book):
    book = open_book('from sgd_course.training import epochs_bar\nfor k in epochs_bar(3, True): pass\nprint("done")')
    output = book.page.locator('.jp-Cell-outputArea').first
    def nothing_but_done():
        expect(output).to_contain_text('done', timeout=60_000)
        expect(output).to_have_text(re.compile(r'^\s*done\s*$'))
        expect(output.locator('progress')).to_have_count(0)
        assert max([0, *(o.bounding_box()['height'] for o in output.locator('.jp-OutputArea-child').all()
                         if 'done' not in o.inner_text())]) < 8
    book.command('notebook:run-all-cells')
    nothing_but_done()
    book.command('docmanager:save')
    expect(book.page.locator('.jp-mod-dirty')).to_have_count(0)
    book.page.reload()
    nothing_but_done()
