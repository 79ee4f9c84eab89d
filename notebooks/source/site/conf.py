"""Sphinx's settings of the site; notebooks/build_site.py lays its pages out and calls it."""

import re

import rdlite

project = "rdlite"
author = "the authors of rdlite"
project_copyright = f"{author}, Apache-2.0"
release = rdlite.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas without a request to the outside
]
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "set"}  # matplotlib's own, in a markup of its own
autodoc_typehints = "description"
add_module_names = False

html_theme = "pydata_sphinx_theme"
html_title = "rdlite"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # it is fetched, which a browser refuses for files
html_context = {"default_mode": "light"}  # the pictures are on white
html_theme_options = {
    "show_toc_level": 2,
    "navigation_with_keys": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app):
    """Docstrings are plain text first: a name that ends in ``_`` is no link in them."""

    def escape(app, what, name, obj, options, lines):
        lines[:] = [re.sub(r"(?<=\w)_(?![\w`])", r"\_", line) for line in lines]

    app.connect("autodoc-process-docstring", escape)
