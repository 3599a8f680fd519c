"What a convolution's filters see of a digit: the page's feature maps against PyTorch's, and the widget in use."
import re

import pytest
import torch
from browser import axe_violations, figures_when_opened_again, figures_without_state
from conftest import REPO
from playwright.sync_api import expect
from test_surface import opened
from torch import nn

from sgd_course.data import mnist_pair, threes_and_sevens
from sgd_course.draw import render_strokes, to_mnist
from sgd_course.filters import _base64, explore_filters, first_layers
from sgd_course.schedules import small_cnn

DATA = threes_and_sevens()
SEVEN = [[(.2, .2), (.75, .2), (.45, .85)]]


def cnn(seed=0):
    "Not trained, but with running averages that are those of digits, and odd factors."
    torch.manual_seed(seed)
    model = small_cnn()
    with torch.no_grad():
        for _ in range(20): model(DATA.train_x[::40].flatten(1))
        for p in (model[3].weight, model[3].bias): p.add_(torch.randn(8))
    return model.eval()


def net(*layers): return nn.Sequential(*layers, nn.Flatten())


MODELS = dict(
    lesson_14=cnn(), relu_first=net(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(3, 2)),
    strides=net(nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 32, 5, stride=2, padding=2), nn.Dropout(.5), nn.ReLU()),
    same=net(nn.Conv2d(1, 4, 7, padding='same', bias=False), nn.BatchNorm2d(4, affine=False), nn.ReLU(), nn.ReLU()))


# --- in Python

@pytest.mark.parametrize('error, words, model', [
    (TypeError, 'model is Linear.*expected nn.Sequential', nn.Linear(784, 1)),
    (ValueError, 'model begins with nothing', nn.Sequential()),
    (ValueError, 'model begins with Linear', net(nn.Linear(784, 3), nn.ReLU())),
    (ValueError, 'model begins with MaxPool2d', net(nn.MaxPool2d(2), nn.Conv2d(1, 3, 3), nn.ReLU())),
    (ValueError, 'no ReLU before the next layer', net(nn.Conv2d(1, 3, 3), nn.Sigmoid(), nn.ReLU())),
    (ValueError, 'images of one channel', net(nn.Conv2d(3, 3, 3), nn.ReLU())),
    (ValueError, 'neither dilation', net(nn.Conv2d(1, 3, 3, dilation=2), nn.ReLU())),
    (ValueError, 'another padding than zeros', net(nn.Conv2d(1, 3, 3, padding=1, padding_mode='circular'), nn.ReLU())),
    (ValueError, r'kernel_size is \(3, 5\): expected one number', net(nn.Conv2d(1, 3, (3, 5)), nn.ReLU())),
    (ValueError, "padding is 'same': expected one", net(nn.Conv2d(1, 3, 4, padding='same'), nn.ReLU())),
    (ValueError, 'neither padding, dilation nor ceil_mode',
     net(nn.Conv2d(1, 3, 3), nn.MaxPool2d(2, padding=1), nn.ReLU())),
    (ValueError, 'expected running averages',
     net(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, track_running_stats=False), nn.ReLU())),
    (ValueError, 'expected 1 to 32 filters', net(nn.Conv2d(1, 33, 3), nn.ReLU()))])
def test_models_it_does_not_take(error, words, model):
    with pytest.raises(error, match=words): explore_filters(model)


def test_a_model_that_diverged():
    model = net(nn.Conv2d(1, 3, 3), nn.ReLU())
    model[0].weight.data[0] = torch.nan
    with pytest.raises(ValueError, match='weights that are not finite'): explore_filters(model)


def test_digits_to_choose_from():
    e = explore_filters(cnn(), mnist_pair(8, 9), names=(8, 9))
    assert [name for name, _ in e.samples] == ['An 8']*5 + ['A 9']*5
    with pytest.raises(ValueError, match='names are'): explore_filters(cnn(), names='3')
    with pytest.raises(ValueError, match='data.valid_x has shape'):
        explore_filters(cnn(), DATA._replace(valid_x=DATA.valid_x[:0]))
    with pytest.raises(Exception, match='sample is 10: expected None or a number from 0 to 9'): e.sample = 10
    with pytest.raises(Exception, match='strokes are'): e.strokes = [[1]]


def test_maps_are_those_of_the_model_and_leave_it_as_it_was():
    model = cnn().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    e, x = explore_filters(model), DATA.valid_x[:9].flatten(1)
    maps = e.maps(x)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items()) and model.training
    torch.testing.assert_close(maps, model.eval()[:5](x))
    assert torch.equal(e.image, e.samples[0][1]) and e.maps().shape == (8, 14, 14)
    e.strokes, e.sample = SEVEN, None
    assert torch.equal(e.image, to_mnist(render_strokes(SEVEN, least=.09)))
    assert len(first_layers(model)) == 4


def test_twin():
    data, _ = explore_filters(cnn())._repr_mimebundle_()
    assert data['text/html'].count('<img') == 2 and 'digit = A 7' in data['text/html']
    assert 'A 3, 8 filters, and the feature map of each' in data['text/html']


# --- in a page: no JupyterLab, and no kernel

def test_in_a_page(browser): maps_are_those_of_pytorch(browser)


@pytest.mark.slow
def test_used_in_a_page(browser): filters_in_use(browser)


def maps_are_those_of_pytorch(browser):
    "Of 500 validation digits; of other models 20."
    page = browser.new_page()
    page.add_script_tag(path=REPO/'sgd_course'/'convolve.js')
    run = '''([net, images, expected]) => {
        const layers = layersOf(net), x = numbersOf(images), right = numbersOf(expected), all = [];
        for (let k = 0; k < x.length; k += 784)
            for (const map of mapsOf(layers, x.subarray(k, k + 784)).maps) all.push(...map);
        return [all.length, right.length, all.reduce((most, v, k) => Math.max(most, Math.abs(v - right[k])), 0)];
    }'''
    for name, model in MODELS.items():
        x = DATA.valid_x[::4 if name == 'lesson_14' else 100].flatten(1)[:500]
        e = explore_filters(model)
        expected = e.maps(x).contiguous()
        n, m, apart = page.evaluate(run, [e._net, _base64(x), _base64(expected)])
        assert n == m == expected.numel() and apart < 1e-4, (name, apart)
        assert expected.std() > .01 and (expected == 0).any(), name
    words = page.evaluate('''() => [tellMaps({ maps: [[0, 0, 0, 0], [0, 1, 0, 0]], side: 2 }, "A 7"),
        tellMaps({ maps: [[0], [0]], side: 1 }, "Empty paper")]''')
    assert words == ['A 7: filter 2 responds most, at the top. Filter 1 sees nothing.',
                     'Empty paper: no filter responds.']
    page.close()


def filters_in_use(browser):
    "Mouse, keyboard and touch; the pictures change; from Python; dark and narrow."
    page = opened(browser, e := explore_filters(cnn()))
    words, pictures = page.locator('strong'), page.locator('.sgd-maps figure img:last-of-type')
    shown = lambda: pictures.evaluate_all('all => all.map(i => i.src)')
    assert page.locator('.sgd-maps figure').count() == 9
    expect(words).to_have_text(re.compile(r'^A 3: filter \d responds most, at the '))
    assert axe_violations(page, 'main') == []
    before = shown()
    page.get_by_role('radio').first.focus()
    for _ in range(5): page.keyboard.press('ArrowRight')   # to the first 7
    expect(words).to_have_text(re.compile('^A 7: '))
    assert all(a != b for a, b in zip(before, shown()))
    r = page.locator('.sgd-paper canvas').bounding_box()
    at = lambda x, y: (r['x'] + x*r['width'], r['y'] + y*r['height'])
    page.evaluate('sent.length = 0')
    page.mouse.move(*at(*SEVEN[0][0]))
    page.mouse.down()
    for p in SEVEN[0][1:]: page.mouse.move(*at(*p), steps=15)
    page.mouse.up()
    expect(words).to_have_text(re.compile('^Your drawing: '))
    page.wait_for_timeout(250)
    times = page.evaluate('sent')
    assert times and all(b - a > 90 for a, b in zip(times, times[1:])), 'at most ten messages a second'
    e.strokes, e.sample = page.evaluate("[model.get('strokes'), model.get('sample')]")
    assert e.sample is None and e.image.sum() > 20
    best = e.maps().amax((1, 2)).argmax() + 1
    expect(words).to_have_text(re.compile(f'filter {best} responds most'))
    for f, m in enumerate(e.maps(), 1):
        active = f'active at {int((m > 0).sum())} of 196 places' if (m > 0).any() else 'sees nothing'
        expect(page.locator(f'.sgd-maps img[alt*="ilter {f} sees"]')).to_have_attribute('alt', re.compile(active))
    page.get_by_role('button', name='Clear').press('Enter')
    expect(words).to_have_text(re.compile('^Empty paper: '))
    page.wait_for_timeout(150)
    page.evaluate("model.set('sample', 0)")   # from Python
    expect(words).to_have_text(re.compile('^A 3: '))
    assert page.errors == []
    page.close()

    page = opened(browser, explore_filters(cnn()), dark=True, width=360)
    assert axe_violations(page, 'main') == [] and page.evaluate('document.documentElement.scrollWidth') <= 360
    r, cdp = page.locator('.sgd-paper canvas').bounding_box(), page.context.new_cdp_session(page)
    for kind, points in ('touchStart', [(100, 60)]), ('touchMove', [(100, 200)]), ('touchEnd', []):
        points = [dict(x=r['x'] + x, y=r['y'] + y) for x, y in points]
        cdp.send('Input.dispatchTouchEvent', dict(type=kind, touchPoints=points))
    expect(page.locator('strong')).to_have_text(re.compile('^Your drawing: '))
    assert page.errors == []
    page.close()


# --- in JupyterLab

@pytest.mark.slow
def test_in_jupyterlab(open_book, lab, browser, tmp_path):
    book = open_book('import torch\nfrom sgd_course.filters import *\nfrom sgd_course.schedules import small_cnn\n'
                     'torch.manual_seed(0)', 'e = explore_filters(small_cnn())\ne')
    book.command('notebook:run-all-cells')
    page = book.page
    words = page.locator('.sgd-filters strong')
    expect(words).to_have_text(re.compile(r'^A 3: filter \d responds most'), timeout=60_000)
    page.get_by_role('radio').first.focus()
    for _ in range(6): page.keyboard.press('ArrowRight')   # JupyterLab leaves the keys to the digits
    expect(words).to_have_text(re.compile('^A 7: '))
    book.until('e.sample', '6')
    best = book.ask('e.maps().amax((1, 2)).argmax().item() + 1')
    expect(words).to_have_text(re.compile(f'filter {best} responds most'))
    expect(page.locator('.sgd-twin')).to_be_hidden()
    assert axe_violations(page, '.sgd-filters') == []
    book.ask("setattr(e, 'sample', 0)")
    expect(words).to_have_text(re.compile('^A 3: '))
    book.save('<figure', 2)
    figures_without_state(book, 2, tmp_path, browser, lab)

    lab.api(f'kernels/{book.kernel()}', 'DELETE')
    paper = page.locator('.sgd-paper canvas')
    paper.click()   # the kernel is gone; the page answers
    expect(words).to_have_text(re.compile('^Your drawing: '))
    figures_when_opened_again(open_book, book)
