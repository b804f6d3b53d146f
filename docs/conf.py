"""How Sphinx makes the site from these pages: ``sphinx-build -W docs build/site``."""

from importlib.metadata import version as installed

project = "unspool"
author = "The unspool authors"
version = release = installed("unspool")
extensions = ["myst_parser", "sphinx.ext.autodoc"]

default_role = "code"  # `x` in a docstring

html_theme = "furo"
html_title = "unspool"
html_show_copyright = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say what types do not
autodoc_default_options = {"members": True}
