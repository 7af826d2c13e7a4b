"""Files of the package are found in the sources, or where they were installed."""
from pathlib import Path

import pytest

from instseg_ros import installed

MODEL = Path('share', 'instseg_ros', 'models', 'street.onnx')


def test_the_sources_come_first():
    assert installed.default_model().name == 'street.onnx'
    assert installed.installed_file(installed.FAST_DDS_PROFILE).name == 'fastdds.xml'


@pytest.mark.parametrize('packages', [
    'lib/python3.12/site-packages',        # pip, colcon
    'local/lib/python3.10/dist-packages',  # colcon on Humble
    '.',                                   # pip install --target
])
def test_the_installed_model_is_the_default(monkeypatch, tmp_path, packages):
    module = tmp_path / packages / 'instseg_ros' / 'installed.py'
    monkeypatch.setattr(installed, '__file__', str(module))
    with pytest.raises(FileNotFoundError, match='--model.*street.onnx: .*share/instseg_ros'):
        installed.default_model()
    (tmp_path / MODEL).parent.mkdir(parents=True)
    (tmp_path / MODEL).touch()
    assert installed.default_model() == tmp_path / MODEL


def test_the_model_is_found_from_a_package_that_is_a_link(monkeypatch, tmp_path):
    """As uv and colcon --symlink-install make them."""
    cached = tmp_path / 'cache' / 'installed.py'
    cached.parent.mkdir()
    cached.touch()
    module = tmp_path / 'venv' / 'lib' / 'instseg_ros' / 'installed.py'
    module.parent.mkdir(parents=True)
    module.symlink_to(cached)
    model = tmp_path / 'venv' / MODEL
    model.parent.mkdir(parents=True)
    model.touch()
    monkeypatch.setattr(installed, '__file__', str(module))
    assert installed.default_model() == model
