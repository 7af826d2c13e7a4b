"""Recordings that several tests read."""
import importlib
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def camera(tmp_path_factory) -> Path:
    """Return a bag with one topic of images."""
    folder = tmp_path_factory.mktemp('bags')
    return importlib.import_module('recorded_scene').write_camera(folder / 'camera.mcap')
