"""Types check their arrays."""
import dataclasses

import numpy as np
import pytest

from instseg_ros.core.types import (
    Centers,
    NetworkOutput,
    Segmentation,
    check_array,
)


def test_check_array_names_what_was_expected():
    with pytest.raises(TypeError, match='ids: expected a NumPy array, got list'):
        check_array('ids', [1], ('N',), np.uint8)
    with pytest.raises(TypeError, match='ids: expected dtype uint8, got int64'):
        check_array('ids', np.zeros(3, np.int64), ('N',), np.uint8)
    with pytest.raises(ValueError, match=r'ids: expected shape \(N, 3\), got \(3, 4\)'):
        check_array('ids', np.zeros((3, 4), np.uint8), ('N', 3), np.uint8)
    with pytest.raises(ValueError, match=r'ids: expected shape \(N\), got \(3, 4\)'):
        check_array('ids', np.zeros((3, 4), np.uint8), ('N',), np.uint8)


def test_network_output_has_one_grid():
    grid = np.zeros((4, 5), np.float32)
    ids, embedding = np.zeros((4, 5), np.uint8), np.zeros((4, 5, 2), np.float32)
    output = NetworkOutput(ids, grid, embedding)
    with pytest.raises(ValueError, match=r'embedding: expected shape \(4, 5, E\)'):
        dataclasses.replace(output, embedding=embedding[:3])
    with pytest.raises(ValueError, match=r'center_heatmap: expected shape \(4, 5\)'):
        dataclasses.replace(output, center_heatmap=grid[:, :4])
    with pytest.raises(TypeError, match='semantic_confidence: expected dtype uint8, got float32'):
        dataclasses.replace(output, semantic_confidence=grid)


def test_centers_have_one_row_each():
    centers = Centers(np.zeros((2, 2), np.float32), np.zeros(2, np.float32),
                      np.zeros(2, np.uint8), np.zeros((2, 8), np.float32))
    assert len(centers) == 2
    with pytest.raises(ValueError, match=r'confidences: expected shape \(2\), got \(3,\)'):
        dataclasses.replace(centers, confidences=np.zeros(3, np.float32))


def test_segmentation_maps_have_one_size():
    with pytest.raises(ValueError, match='instance_ids: expected shape'):
        Segmentation(np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint16))
    with pytest.raises(TypeError, match='instance_ids: expected dtype uint16'):
        Segmentation(np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match='semantic_confidence: expected shape'):
        Segmentation(np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint16),
                     semantic_confidence=np.zeros((5, 4), np.uint8))
