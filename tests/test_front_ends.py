"The glossary in JupyterLab; an explorer in Firefox and in Notebook 7."
import json
import re

import pytest
from conftest import REPO
from test_notebooks import cells

# --- the glossary, in JupyterLab as it comes

GLOSSARY = REPO/'nbs'/'glossary.md'
TERMS = re.findall(r'^### (.+)', GLOSSARY.read_text(encoding='utf-8'), re.M)

# opens a link from the far end of the glossary, and waits until the entry is in sight
FOLLOW = """async ([term, close]) => {
    const until = async f => { while (!f()) await new Promise(requestAnimationFrame); return f(); };
    const open = name => [...jupyterapp.shell.widgets('main')].find(w => w.title.label === name);
    const viewer = () => open('glossary.md')?.node.querySelector('.jp-MarkdownViewer');
    if (close) open('glossary.md')?.dispose();
    else { const v = viewer(); v.scrollTop = v.scrollTop > v.scrollHeight/2 ? 0 : v.scrollHeight; }
    const link = [...document.querySelectorAll('a')].find(a => a.textContent === term);
    link.click();
    const title = await until(() => [...(viewer()?.querySelectorAll('h3') ?? [])].find(
        h => h.firstChild.textContent === term));
    const below = h => h.getBoundingClientRect().top - viewer().getBoundingClientRect().top;
    const there = () => { const v = viewer(), end = v.scrollHeight - v.clientHeight - v.scrollTop < 2;
        return Math.abs(below(title)) < 20 || end && below(title) > 0 && below(title) < v.clientHeight - 40; };
    const stop = performance.now() + 20000;
    await until(() => there() || performance.now() > stop);
    return [there(), link.title];
}"""


def test_links_land_on_every_term_of_the_glossary(open_book, lab):
    "Whether the glossary is open already or not; hovering over a link shows the definition."
    from glossary_links import definitions, titled
    said = definitions()
    (lab.root/'nb'/GLOSSARY.name).write_bytes(GLOSSARY.read_bytes())
    links = [f'[{term}](glossary.md#{term.replace(" ", "-")})' for term in TERMS]
    book = open_book(markdown=titled('\n\n'.join(links), said))
    found = {term: book.page.evaluate(FOLLOW, [term, i % 10 == 0]) for i, term in enumerate(TERMS)}
    assert [t for t, (there, _) in found.items() if not there] == []
    assert {t: title for t, (_, title) in found.items()} == {t: said[t.replace(' ', '-')] for t in TERMS}
