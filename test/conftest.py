"""Fixtures that several rooms share."""
import contextlib
import importlib
import sys
from pathlib import Path

import pytest

from instseg_ros.demo.domains import reserved_domain

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / 'shared'
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))  # so that `import tiny_models` works in every import mode

with contextlib.suppress(ImportError):
    # Without a limit of time for each example: on a busy machine, any takes longer now and then.
    import hypothesis
    hypothesis.settings.register_profile('patient', deadline=None)
    hypothesis.settings.load_profile('patient')


@pytest.fixture(scope='session')
def shared() -> Path:
    """Return the folder of photographs and weights beside the repository."""
    if not SHARED.is_dir():
        pytest.skip(f'needs the shared data and weights, which are not at {SHARED}')
    return SHARED


@pytest.fixture(scope='session')
def ros_domain():
    """Return a ROS_DOMAIN_ID in which nobody else on this machine takes part."""
    with reserved_domain() as domain:
        yield domain


@pytest.fixture(scope='session')
def tiny_model(tmp_path_factory) -> Path:
    """Return a sound tiny model (see tiny_models.py); its description is `tiny_info()`."""
    path = tmp_path_factory.mktemp('models') / 'tiny.onnx'
    importlib.import_module('tiny_models').write_tiny_model(path)
    return path
