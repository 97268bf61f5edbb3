"""How Sphinx builds the pages: ``make docs``."""

from importlib import metadata

project = "fastgrad"
author = "the fastgrad developers"
release = metadata.version("fastgrad")

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax"]
exclude_patterns = ["_templates"]
nitpicky = False
default_role = "code"  # what docstrings have in single backticks

templates_path = ["_templates"]

html_theme = "furo"
html_title = "fastgrad"
html_static_path: list[str] = []
html_copy_source = False
html_show_copyright = False  # the licence says it

myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]

autosummary_generate = True
autodoc_typehints = "none"  # docstrings say it in words
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
autodoc_mock_imports = ["jax", "torch"]  # large, and not needed for their docstrings
