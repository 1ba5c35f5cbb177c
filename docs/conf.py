"""Settings of Sphinx: `make docs` builds the pages, warnings are errors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import pages
from sphinx.application import Sphinx

from refusion_jax import __version__

project = "refusion-jax"
author = "The refusion-jax authors"
copyright = f"{author}, Apache-2.0"
release = version = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb"]
exclude_patterns = ["_build", "pypi.md"]
html_theme = "furo"
html_title = f"{project} {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path: list[str] = []

# Nothing is fetched, neither while the pages are built nor while they are read: no
# intersphinx, no MathJax, and furo brings its fonts and scripts along.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
# Notebooks come with their outputs; tests/docs/notebook_test.py runs them.
nb_execution_mode = "off"

# Docstrings mark code by single backticks, and say types in words.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def setup(app: Sphinx) -> None:
    """Makes pages of other files before Sphinx looks for pages; mends what it reads."""
    pages.write_made_pages()
    app.connect("source-read", pages.with_links_of_pages)
    # Before napoleon, which has 500.
    app.connect("autodoc-process-docstring", pages.as_restructured_text, priority=400)
