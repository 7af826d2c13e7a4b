"""Targets: centers lie on their objects, and grouping inverts the targets."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.grouping import assign_pixels, find_centers
from instseg_ros.core.types import UNLABELLED, ModelInfo, NetworkOutput
from instseg_ros.learning.targets import CENTER_RADIUS_MAX, CENTER_RADIUS_MIN, build_targets

STRIDE = 4
INFO = ModelInfo(class_names=('background', 'person', 'car'), thing_ids=(1, 2),
                 palette=((0, 0, 0),) * 3, output_stride=STRIDE, size_multiple=32,
                 embedding_size=4, input_size=64)


@st.composite
def scenes(draw):
    """Rectangles of two classes, later ones in front, on a 16x16 output grid."""
    semantic = np.zeros((16, 16), np.uint8)
    instances = np.zeros((16, 16), np.uint16)
    for k in range(draw(st.integers(0, 8))):
        y, x = draw(st.integers(0, 13)), draw(st.integers(0, 13))
        h, w = draw(st.integers(1, 8)), draw(st.integers(1, 8))
        semantic[y:y + h, x:x + w] = draw(st.integers(1, 2))
        instances[y:y + h, x:x + w] = k + 1
    return (np.kron(semantic, np.ones((STRIDE, STRIDE), np.uint8)),
            np.kron(instances, np.ones((STRIDE, STRIDE), np.uint16)))


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_every_instance_has_a_center_on_itself(scene):
    targets = build_targets(*scene, STRIDE)
    marked = targets.center_mask == 1
    assert not (marked & (targets.instance_ids == 0)).any()
    present = set(np.unique(targets.instance_ids)) - {0}
    assert set(np.unique(targets.instance_ids[marked])) == present


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_a_network_that_outputs_the_targets_yields_the_same_instances(scene):
    targets = build_targets(*scene, STRIDE)
    heatmap = np.zeros(targets.semantic_ids.shape, np.float32)
    embedding = np.zeros((*targets.semantic_ids.shape, 4), np.float32)
    for instance in set(np.unique(targets.instance_ids)) - {0}:
        mask = targets.instance_ids == instance
        heatmap[mask & (targets.center_mask == 1)] = 0.9
        embedding[mask] = (2 * INFO.duplicate_distance * instance, 0, 0, 0)
    output = NetworkOutput(targets.semantic_ids, heatmap, embedding)
    centers, cut = find_centers(output, INFO, GroupingConfig())
    grouped = assign_pixels(output, centers)
    assert cut == 0
    pairs = set(zip(targets.instance_ids.ravel().tolist(), grouped.ravel().tolist()))
    count = len(np.unique(targets.instance_ids))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == count
    assert (0, 0) in pairs or not (targets.instance_ids == 0).any()


def test_ignored_pixels_are_ignored_in_the_centers_too():
    semantic = np.full((8, 8), UNLABELLED, np.uint8)
    semantic[:, 4:] = 0
    targets = build_targets(semantic, np.zeros((8, 8), np.uint16), STRIDE)
    assert targets.center_mask.tolist() == [[UNLABELLED, 0], [UNLABELLED, 0]]


def test_the_center_of_a_ring_lies_on_the_ring():
    y, x = np.mgrid[:128, :128]
    distance = np.hypot(y - 64, x - 64)
    ring = (distance > 40) & (distance < 60)
    targets = build_targets(ring.astype(np.uint8), ring.astype(np.uint16), STRIDE)
    assert (targets.center_mask == 1).any()
    assert (targets.instance_ids[targets.center_mask == 1] == 1).all()


@pytest.mark.parametrize('stride', [1, 2, 4, 8])
@pytest.mark.parametrize('side', [8, 64, 512])
def test_the_disc_grows_with_the_object_up_to_a_bound(side, stride):
    semantic = np.ones((side, side), np.uint8)
    targets = build_targets(semantic, semantic.astype(np.uint16), stride)
    area = (targets.center_mask == 1).sum()
    assert 1 <= area <= np.pi * (CENTER_RADIUS_MAX / stride + 1) ** 2
    assert area <= max(np.pi * (CENTER_RADIUS_MIN / stride + 1) ** 2, 0.15 * (side / stride) ** 2)


def test_the_disc_covers_the_same_part_of_the_image_at_every_stride():
    semantic = np.zeros((256, 256), np.uint8)
    semantic[40:200, 60:220] = 1
    areas = {stride: (build_targets(semantic, semantic.astype(np.uint16), stride)
                      .center_mask == 1).sum() * stride ** 2 for stride in (1, 2, 4, 8)}
    assert areas[1] == pytest.approx(np.pi * CENTER_RADIUS_MAX ** 2, rel=0.01)
    for area in areas.values():
        assert area == pytest.approx(areas[1], rel=0.2)
