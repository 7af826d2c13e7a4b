"""HTML pages of templates, with everything escaped that comes from data."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from instseg_ros.evaluation.html_report import HEAD
from instseg_ros.files import replacing


def write_page(path: Path, template: str, **values: Any) -> None:
    """Write a page; what is to be shown may be a generator, of which one item is held at a time.

    Parameters
    ----------
    path : Path
        Replaced only when the page is whole.
    template : str
        Name of a file beside this one.
    **values
        For the template; all are escaped.
    """
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent),
                                   autoescape=True, undefined=jinja2.StrictUndefined,
                                   trim_blocks=True)
    page = templates.get_template(template).stream(head=HEAD, **values)
    with replacing(path) as temporary, temporary.open(
            'w', encoding='utf-8', errors='backslashreplace') as file:
        file.writelines(page)
