"Writes the API reference: what each module exports, from the comments beside its parameters."
import html
import importlib
import inspect
import json
import re
from pathlib import Path

from execute import REPO
from fastcore.docments import docments
from pages import defined, directives


def cells_of() -> dict:  # (module, name) -> the page of the notebook with its cell
    "Where each exported name is defined."
    found = {}
    for f in sorted([*(REPO/'nbs').glob('*.ipynb'), *(REPO/'nbs'/'api').glob('*.ipynb')]):
        cells = json.loads(f.read_text(encoding='utf-8'))['cells']
        code = [directives(''.join(c['source'])) for c in cells if c['cell_type'] == 'code']
        module = next((o.split()[1] for own, _ in code for o in own if o.startswith('default_exp')), None)
        if not module: continue
        page = str(f.relative_to(REPO/'nbs').with_suffix(''))
        found |= {(module, n): page for own, source in code if any(o.startswith('export') for o in own)
                  for n in defined(source)}
    return found


def code(text) -> str: return f'<code>{html.escape(str(text))}</code>'


def prose(text) -> str:
    "HTML of a docstring or comment: paragraphs, and code between backticks."
    blocks = re.split(r'\n\s*\n', inspect.cleandoc(text or ''))
    one = lambda b: re.sub(r'`([^`]+)`', r'<code>\1</code>', html.escape(b, quote=False))
    return ''.join(f'<p>{one(b)}</p>' for b in blocks if b)


def annotation(a) -> str:
    "A type as one writes it."
    if a is inspect.Parameter.empty or a is None: return ''
    return a.__name__ if isinstance(a, type) else str(a).replace('typing.', '')


def parameters(f) -> str:
    "HTML of a table: name, type, default and comment of each parameter, and what comes back."
    empty, rows = inspect.Parameter.empty, []
    for name, p in docments(f, full=True, returns=True).items():
        if name in ('self', 'cls'): continue
        said = prose(p.docment)[3:-4]
        if name == 'return':
            if said or annotation(p.anno): rows.append(('returns', annotation(p.anno), '', said))
            continue
        default = '' if p.default is empty else code(short(p.default))
        rows.append((code(name), annotation(p.anno), default, said))
    if not rows: return ''
    line = lambda tag, cells: ''.join(f'<{tag}>{c}</{tag.split()[0]}>' for c in cells)
    body = ''.join(f'<tr>{line("td", (a, b and code(b), c, d))}</tr>' for a, b, c, d in rows)
    head = line('th scope="col"', ('name', 'type', 'default', 'what it is'))
    return f'<div class="sgd-table"><table><tr>{head}</tr>{body}</table></div>'


def short(value) -> str:
    "A default value: of a function or class, its name."
    return getattr(value, '__name__', None) or re.sub(r' at 0x\w+', '', repr(value))


def signature(name, f) -> str:
    "A call, one line if it is short."
    try: sig = inspect.signature(f)
    except (TypeError, ValueError): return name
    plain = [p.replace(annotation=inspect.Parameter.empty, default=p.default if p.default is p.empty
                       else Raw(short(p.default))) for p in sig.parameters.values() if p.name != 'self']
    return f'{name}{sig.replace(parameters=plain, return_annotation=inspect.Signature.empty)}'


class Raw(str):
    def __repr__(self): return str(self)


def entry(module, name, thing, page, level=3) -> str:
    "Markdown of one name."
    title = f'{"#"*level} {name}\n'
    where = page and f'\n<a class="sgd-cell" href="../{page}.html#{name}">The cell that defines it</a>\n'
    if not callable(thing):
        return f'{title}\n{prose(f"A value: `{short(thing)[:300]}`")}\n{where or ""}'
    kind = 'class ' if inspect.isclass(thing) else ''
    try: table = parameters(thing)
    except (TypeError, ValueError, OSError): table = ''
    call = f'```python\n{kind}{signature(name, thing)}\n```\n'
    doc = thing.__doc__ if (inspect.isclass(thing) or inspect.isroutine(thing)) else ''
    return f'{title}\n{call}\n{prose(doc)}\n{table}\n{where or ""}'


def module_page(name: str, cells: dict) -> str:
    "Markdown of a module: all that it exports, and the public methods of its classes."
    module = importlib.import_module(f'sgd_course.{name}')
    parts = [f'# sgd_course.{name}\n\n{prose(module.__doc__)}\n']
    for n in module.__all__:
        thing = getattr(module, n)
        parts.append(entry(name, n, thing, cells.get((name, n))))
        if not inspect.isclass(thing): continue
        for (m, full), page in cells.items():
            if m == name and full.startswith(f'{n}.') and not full.split('.')[1].startswith('_'):
                method = inspect.getattr_static(thing, full.split('.')[1])
                parts.append(entry(name, full, getattr(method, 'fget', None) or method, page, 4))
    return '\n'.join(parts)


def write(folder: Path, put) -> list:
    "Write a page for each module with `put(file, text)`; give their names."
    cells = cells_of()
    names = sorted({m for m, _ in cells if getattr(importlib.import_module(f'sgd_course.{m}'), '__all__', 0)})
    for n in names: put(folder/f'{n}.md', module_page(n, cells))
    return names
