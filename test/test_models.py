"""The models of the package: each one loads, finds nothing in nothing, and has a card."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from instseg_ros import NetworkConfig, Segmenter
from instseg_ros.core.network.model_file import read_model_file
from instseg_ros.core.types import ModelInfo

MODELS = Path(__file__).resolve().parents[1] / 'models'
CARD = (MODELS / 'README.md').read_text(encoding='utf-8')


@pytest.mark.parametrize('path', sorted(MODELS.glob('*.onnx')), ids=lambda path: path.name)
def test_a_model_has_a_card_and_runs(path):
    file = read_model_file(path)
    assert file.has_checksum
    assert f'`{file.checksum}`' in CARD
    assert path.name in CARD

    # A file in 8 bits proves here that it computes what its network computes.
    segmenter = Segmenter.from_onnx(path, network=NetworkConfig(threads=1, input_size=128))
    result = segmenter.segment(np.full((96, 128, 3), 128, np.uint8))

    assert 'person' in ModelInfo.from_metadata(file.metadata).class_names
    assert result.semantic_ids.shape == (96, 128)
    assert not result.instances
