"""Files of the package are found in the sources, or where they were installed."""
import pytest

from instseg_ros import installed


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Let the package lie where nothing else of it is, with two prefixes to install it to."""
    monkeypatch.setattr(installed, '__file__', str(tmp_path / 'a' / 'b' / 'c.py'))
    monkeypatch.setattr(installed.sys, 'prefix', str(tmp_path / 'python'))
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'ros'))
    return tmp_path


def test_the_sources_come_first():
    assert installed.default_model().name == 'street.onnx'
    assert installed.installed_file(installed.FAST_DDS_PROFILE).name == 'fastdds.xml'


def test_the_installed_model_is_the_default(elsewhere):
    with pytest.raises(FileNotFoundError, match='--model.*street.onnx: .*is the workspace'):
        installed.default_model()
    for prefix in ('python', 'ros'):
        path = elsewhere / prefix / 'share' / 'instseg_ros' / 'models' / 'street.onnx'
        path.parent.mkdir(parents=True)
        path.write_bytes(b'')
        assert installed.default_model() == path
