"""Configuration of the documentation site: "make docs" builds it."""
import os
import sys
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
# rosdoc2 copies the pages elsewhere, and makes the package importable from where it is.
ROOT = next(folder for folder in (HERE.parent, *map(Path, sys.path))
            if (folder / 'package.xml').is_file())
sys.path[:0] = [str(ROOT), str(HERE / '_extensions')]

project = 'instseg_ros'
author = 'The instseg_ros maintainers'
copyright = f'{author}, Apache-2.0'
version = release = ElementTree.parse(ROOT / 'package.xml').findtext('version')

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'options']
exclude_patterns = ['examples', 'README.md', 'CHANGELOG.rst', 'CONTRIBUTING.md', '__*']
"""Among them what rosdoc2 puts beside the pages."""
source_suffix = {'.md': 'markdown', '.rst': 'restructuredtext'}
highlight_language = 'none'
default_role = 'code'  # `name` in docstrings

myst_enable_extensions = ['colon_fence', 'deflist', 'fieldlist']
myst_heading_anchors = 4

autodoc_typehints = 'none'  # the docstrings state shapes, dtypes and units as well
autodoc_preserve_defaults = True
autodoc_member_order = 'bysource'
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = True

html_theme = 'furo'
html_theme_options = {}
html_title = f'instseg_ros {version}'
html_static_path = ['_static']
html_css_files = ['custom.css']
html_copy_source = False

rosdoc2_settings = {'allow_other_extensions': True, 'override_theme': False}


def setup(app):
    """Let pages include files of the repository: {root} is the path to it from the page."""
    def fill_in(app, name, source):
        root = os.path.relpath(ROOT, (Path(app.srcdir) / name).parent)
        source[0] = source[0].replace('{include} {root}/', f'{{include}} {root}/')
    app.connect('source-read', fill_in)
