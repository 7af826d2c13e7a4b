"""Where the model that comes with the package is."""
from __future__ import annotations

import os
import sys
from pathlib import Path

DEFAULT_MODEL = Path('models', 'street.onnx')


def default_model() -> Path:
    """Return the path of the street model: in the sources, or where ROS 2 or pip installed it.

    Raises
    ------
    FileNotFoundError
        It is in none of these places.
    """
    prefixes = [*filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)),
                sys.prefix]
    folders = [Path(__file__).resolve().parents[2],
               *(Path(prefix, 'share', 'instseg_ros') for prefix in prefixes)]
    for folder in folders:
        if (folder / DEFAULT_MODEL).is_file():
            return folder / DEFAULT_MODEL
    raise FileNotFoundError(f'{DEFAULT_MODEL}: it is not installed; name a model with --model')
