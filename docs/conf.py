"""How the documentation is built: ``sphinx-build -W --keep-going docs build/docs``.

Nothing is fetched: fonts are those of the reader, formulas are MathML.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from grpolab import __version__

project = "grpolab"
copyright = "the grpolab authors, MIT licence"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "packages"]
exclude_patterns = ["_ext", "results/README.md", "samples/README.md"]
suppress_warnings = [
    "myst.header",  # the generated handbook starts its sections at level three
    "ref.python",  # two modules may use one short name; a link that finds both takes the first
]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
default_role = "py:obj"  # `critical_p` in a docstring links to it if there is such a thing

autodoc_default_options = {
    "members": True,
    "ignore-module-all": True,
    "member-order": "bysource",
    "no-value": True,
}
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    name: name for name in ("FloatArray", "IntArray", "BoolArray", "npt.ArrayLike")
}
autodoc_typehints = "signature"
napoleon_google_docstring = False
napoleon_use_rtype = False
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"grpolab {version}"
html_static_path = ["_static"]
html_css_files = ["grpolab.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
