"""The whole network: decoders at every output stride, and initial weights."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from instseg_ros.learning.config import OUTPUT_STRIDES, ModelConfig
from instseg_ros.learning.encoders import build_encoder
from instseg_ros.learning.model import InstanceSegmentationNetwork, load_initial_weights

CLASSES = ('background', 'person', 'bicycle', 'car', 'motorcycle')
WEIGHTS = Path(__file__).parents[3] / 'shared' / 'weights' / 'mobilenet_v2_deeplab_voc.safetensors'


def small_network(classes=3, stride=4):
    torch.manual_seed(0)
    widths = ModelConfig(width_16=16, width_8=16, width_4=16, width_2=8, width_1=8,
                         output_stride=stride).widths
    return InstanceSegmentationNetwork(encoder=build_encoder('mobilenet_v2'), classes=classes,
                                       embedding_size=8, widths=widths)


@pytest.mark.parametrize('stride', OUTPUT_STRIDES)
def test_output_shapes(stride):
    prediction = small_network(stride=stride)(torch.rand(2, 3, 64, 96) * 255)
    height, width = 64 // stride, 96 // stride
    assert prediction.semantic.shape == (2, 3, height, width)
    assert prediction.center.shape == (2, height, width)
    assert prediction.embedding.shape == (2, 8, height, width)


@pytest.mark.parametrize('stride', OUTPUT_STRIDES)
def test_the_embedding_knows_where_in_the_image_a_pixel_is(stride):
    network = small_network(stride=stride).eval()
    image = torch.full((1, 3, 96, 96), 128.0)
    with torch.no_grad():
        embedding = network(image).embedding[0]
        step = network.embedding.position_scale.item() / network.embedding.position_unit
        network.embedding.position_scale.zero_()
        moved = embedding - network(image).embedding[0]
    y, x = 24, 56  # in pixels of the image
    at_place = moved[:, y // stride, x // stride]
    torch.testing.assert_close(at_place[0].item(), x * step, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(at_place[1].item(), y * step, rtol=1e-4, atol=1e-4)
    assert moved[2:].abs().max() == 0


@pytest.mark.skipif(not WEIGHTS.is_file(), reason=f'initial weights are not at {WEIGHTS}')
def test_initial_weights_bring_their_classifier():
    network = small_network(classes=5)
    assert load_initial_weights(network, WEIGHTS, CLASSES) == list(CLASSES)
    with torch.no_grad():
        prediction = network.eval()(torch.full((1, 3, 64, 64), 128.0))
    # The decoder's residual starts at 0: an empty image is background by the classifier alone.
    assert (prediction.semantic.argmax(1) == 0).all()
