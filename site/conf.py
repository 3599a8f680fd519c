"Sphinx's settings. Nothing here asks the network: fonts are the reader's own, formulas are MathML."
import re

from docutils import nodes
from latex2mathml.converter import convert

project, author, copyright = 'Stochastic gradient descent, step by step', '', ''
extensions = ['myst_nb']
exclude_patterns = []
nb_execution_mode = 'off'   # execute.py has done that
nb_mime_priority_overrides = [('html', 'text/html', 0), ('html', 'text/plain', 10), ('html', 'text/markdown', 20)]
nb_ipywidgets_js = {}       # widgets.js instead
nb_code_prompt_show, nb_code_prompt_hide = 'Show the set-up', 'Hide the set-up'
nb_merge_streams = True
myst_enable_extensions = ['dollarmath', 'html_admonition']
myst_heading_anchors = 4
suppress_warnings = ['mystnb.unknown_mime_type', 'myst.header', 'misc.highlighting_failure']


def slug(heading):  # as JupyterLab makes it
    return re.sub(r'[`*]', '', heading).replace(' ', '-')


myst_heading_slug_func = 'conf.slug'

html_theme = 'furo'
html_title = 'SGD, step by step'
html_static_path = ['static']
html_favicon = 'static/icon.svg'
html_css_files = ['site.css']
html_js_files = [(name, {'defer': 'defer'}) for name in ('reading.js', 'widgets.js')]
html_use_index = False
html_copy_source = html_show_sourcelink = html_show_sphinx = html_show_copyright = False
html_math_renderer = 'mathml'
html_theme_options = dict(navigation_with_keys=False, footer_icons=[])


def formula(node, display):
    # 12{,}396 is one number
    return convert(re.sub(r'(\d+)\{,\}(\d+)', r'\\text{\1,\2}', node.astext()), display=display)


def inline(self, node):
    self.body.append(formula(node, 'inline'))
    raise nodes.SkipNode


def block(self, node):
    self.body.append(f'<div class="sgd-formula">{formula(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer('mathml', (inline, None), (block, None))
