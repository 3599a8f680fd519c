"""Links to the glossary have its definition as their title, so that a reader need not follow them.

    python tools/glossary_links.py          # name the links of the notebooks that have not, or another one
    python tools/glossary_links.py --fix    # write it there
"""
import json
import re
import sys
from pathlib import Path

NBS = Path(__file__).parent.parent/'nbs'
LINK = re.compile(r'\]\(glossary\.\w+#([^\s)]+)(?:\s+"(?:\\.|[^"\\])*")?\)')


def anchor(term: str) -> str: return term.replace(' ', '-')  # as JupyterLab makes it


def definitions() -> dict:  # anchor of a term -> its definition, as text without Markdown
    text = (NBS/'glossary.md').read_text(encoding='utf-8')
    entries = re.findall(r'^### (.+)\n\n(.+) \[Lesson', text, re.M)
    return {anchor(term): said.replace('`', '') for term, said in entries}


def titled(source: str, said: dict) -> str:  # the same Markdown, each link to a known term with its title
    def link(m):
        if m[1] not in said: return m[0]
        return '](glossary.md#{} "{}")'.format(m[1], said[m[1]].replace('"', '\\"'))
    return LINK.sub(link, source)


def main(fix: bool) -> int:  # exit code: 1 if something is wrong
    said, wrong = definitions(), 0
    for file in sorted(NBS.rglob('*.ipynb')):
        book, changed = json.loads(file.read_text(encoding='utf-8')), []
        for cell in book['cells']:
            if cell['cell_type'] != 'markdown': continue
            source = ''.join(cell['source'])
            new = titled(source, said)
            if new == source: continue
            changed += [m[1] for m in LINK.finditer(source) if titled(m[0], said) != m[0]]
            cell['source'] = new.splitlines(keepends=True)
        if changed and fix:
            file.write_text(json.dumps(book, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
        elif changed: print(f'{file.relative_to(NBS)}: {", ".join(changed)}')
        wrong += len(changed)
    return int(wrong > 0 and not fix)


if __name__ == '__main__': sys.exit(main('--fix' in sys.argv))
