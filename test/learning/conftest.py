"""Learning needs torch, which a robot does not have."""
import pytest

pytest.importorskip('torch', reason='training needs torch, the runtime does not')
