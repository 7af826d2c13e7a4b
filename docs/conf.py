"""Configuration of the documentation site: "make docs" builds it."""
import sys
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE / '_extensions')]

project = 'instseg_ros'
author = 'The instseg_ros maintainers'
copyright = f'{author}. Apache-2.0'
version = release = ElementTree.parse(ROOT / 'package.xml').findtext('version')

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'options']
exclude_patterns = ['_build', 'examples']
source_suffix = {'.md': 'markdown', '.rst': 'restructuredtext'}

myst_enable_extensions = ['colon_fence', 'deflist', 'fieldlist']
myst_heading_anchors = 4

autodoc_typehints = 'none'  # the docstrings state shapes, dtypes and units as well
autodoc_preserve_defaults = True
autodoc_member_order = 'bysource'
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
highlight_language = 'none'
default_role = 'code'  # `name` in docstrings

html_theme = 'furo'
html_title = f'instseg_ros {version}'
html_static_path = ['_static']
html_css_files = ['custom.css']
html_copy_source = False
