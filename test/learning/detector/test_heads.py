"""Encoder and heads of NanoDet-Plus: equal to the original's logits, boxes as its decoding."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from instseg_ros.learning.detector.grids import to_output_grid
from instseg_ros.learning.detector.heads import (
    BINS,
    COCO_CLASSES,
    SIDES,
    STRIDES,
    DetectorHeads,
    boxes_of,
    load_detector,
)
from instseg_ros.learning.encoders import build_encoder

FILES = {'nanodet_plus_m': ('nanodet_plus_m_416', '10x'),
         'nanodet_plus_m_15x': ('nanodet_plus_m_15x_416', '15x')}
"""Weights and name in the reference of each encoder."""


@pytest.fixture(scope='module')
def small_heads():
    torch.manual_seed(0)
    return DetectorHeads(16, 2).eval()


@pytest.mark.parametrize('name', FILES)
def test_logits_are_those_of_the_original(name, shared):
    weights, key = FILES[name]
    reference = load_file(shared / 'weights' / 'nanodet_plus_reference.safetensors')
    encoder = build_encoder(name).eval()
    heads = DetectorHeads(encoder.channels[8], len(COCO_CLASSES)).eval()
    heads.load_weights(encoder.load_weights(shared / 'weights' / f'{weights}.safetensors'),
                       COCO_CLASSES)
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (encoder.mean, encoder.std))
    with torch.no_grad():
        found = heads(encoder((reference['image'].permute(2, 0, 1)[None] - mean) / std))
    for stride in STRIDES:
        for part in ('classes', 'distances'):
            torch.testing.assert_close(getattr(found[stride], part)[0],
                                       reference[f'{key}.{part}.{stride}'], rtol=0, atol=1e-3)


def test_classes_are_chosen_by_name_and_order(small_heads):
    tensors = {f'head.{name}': torch.randn(
        112 if '.output.' in name else tensor.shape[0], *tensor.shape[1:])
        for name, tensor in small_heads.state_dict().items()}
    small_heads.load_weights(tensors, ['car', 'person'])
    got, whole = small_heads['8']['output'].weight, tensors['head.8.output.weight']
    torch.testing.assert_close(got[:2], whole[[2, 0]])
    torch.testing.assert_close(got[2:], whole[80:])
    torch.testing.assert_close(small_heads['64']['conv0'].depthwise.bias,
                               tensors['head.64.conv0.depthwise.bias'])


def test_a_class_that_the_detector_lacks_is_named(small_heads):
    with pytest.raises(ValueError, match="no class 'tram'.*person, bicycle"):
        small_heads.load_weights({}, ['person', 'tram'])


@pytest.mark.parametrize('tensors', [{}, {'head.8.output.weight': torch.zeros(3, 16, 1, 1)}])
def test_a_file_without_these_heads_is_named(tmp_path, tensors):
    encoder = build_encoder('nanodet_plus_m')
    path = tmp_path / 'encoder.safetensors'
    save_file({**encoder.state_dict(), **tensors}, path)
    with pytest.raises(ValueError, match='encoder.safetensors: expected the heads of this'):
        load_detector(encoder, DetectorHeads(encoder.channels[8], 1), path, ['person'])


def test_boxes_are_decoded_around_the_first_pixel_of_a_cell():
    logits = torch.full((1, SIDES, BINS, 2, 3), -50.0)
    for side, distance in enumerate((1, 2, 3, 4)):
        logits[0, side, distance] = 50.0
    logits[0, 0, 2, 1, 2] = 50.0  # two bins are equally probable: 1.5
    boxes = boxes_of(logits.flatten(1, 2), 16)[0]
    np.testing.assert_allclose(boxes[:, 0, 0], (-16, -32, 48, 64), atol=1e-4)
    np.testing.assert_allclose(boxes[:, 1, 2], (32 - 24, 16 - 32, 32 + 48, 16 + 64), atol=1e-4)


@pytest.mark.parametrize('stride', STRIDES)
@pytest.mark.parametrize('output_stride', [8, 4, 2, 1])
def test_maps_are_interpolated_at_the_output_pixels(stride, output_stride):
    size = 128 // output_stride, 192 // output_stride
    x = torch.arange(192 // stride).float() * stride
    y = torch.arange(128 // stride).float()[:, None] * stride
    positions = torch.stack([x.expand(len(y), -1), y.expand(-1, len(x))])[None]
    got = to_output_grid(positions, stride, output_stride, size)
    assert got.shape[2:] == size
    inner = (128 - stride) // output_stride - 1  # beyond, the last cell is repeated
    want = np.arange(inner) * output_stride + output_stride / 2
    np.testing.assert_allclose(got[0, 0, 0, :inner], want, atol=1e-3)
    np.testing.assert_allclose(got[0, 1, :inner, 0], want, atol=1e-3)
