"""The whole network: decoders, initial weights and export."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from instseg_ros.core.types import ModelInfo
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.encoders import build_encoder
from instseg_ros.learning.export import (
    PEAK_WINDOW, ExportedNetwork, export_onnx, model_info)
from instseg_ros.learning.model import InstanceSegmentationNetwork, load_initial_weights

CLASSES = ('background', 'person', 'bicycle', 'car', 'motorcycle')
WEIGHTS = Path(__file__).parents[3] / 'shared' / 'weights' / 'mobilenet_v2_deeplab_voc.safetensors'


def small_network(classes=3):
    torch.manual_seed(0)
    return InstanceSegmentationNetwork(encoder=build_encoder('mobilenet_v2'), classes=classes,
                                       embedding_size=8, widths={16: 16, 8: 16, 4: 16})


def test_output_shapes():
    prediction = small_network()(torch.rand(2, 3, 64, 96) * 255)
    assert prediction.semantic.shape == (2, 3, 16, 24)
    assert prediction.center.shape == (2, 16, 24)
    assert prediction.embedding.shape == (2, 8, 16, 24)


def test_the_embedding_knows_where_a_pixel_is():
    network = small_network().eval()
    with torch.no_grad():
        embedding = network(torch.full((1, 3, 96, 96), 128.0)).embedding[0]
    step = float(network.embedding.position_scale) / network.embedding.position_unit
    learned = network.embedding
    with torch.no_grad():
        learned.position_scale.zero_()
        plain = network(torch.full((1, 3, 96, 96), 128.0)).embedding[0]
    moved = embedding - plain
    torch.testing.assert_close(moved[0, 3, 7].item(), 7 * step, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(moved[1, 3, 7].item(), 3 * step, rtol=1e-4, atol=1e-4)
    assert moved[2:].abs().max() == 0


@pytest.mark.skipif(not WEIGHTS.is_file(), reason=f'initial weights are not at {WEIGHTS}')
def test_initial_weights_bring_their_classifier():
    network = small_network(classes=5)
    assert load_initial_weights(network, WEIGHTS, CLASSES) == list(CLASSES)
    with torch.no_grad():
        prediction = network.eval()(torch.full((1, 3, 64, 64), 128.0))
    # The decoder's residual starts at 0: an empty image is background by the classifier alone.
    assert (prediction.semantic.argmax(1) == 0).all()


def test_the_exported_file_says_what_the_network_says(tmp_path):
    network = small_network().eval()
    info = model_info(network, ('background', 'box', 'post'), 128, {'epochs': 1})
    calibration = Calibration(scale=2.0, shift=9.0)
    differences = export_onnx(network, calibration, info, tmp_path / 'model.onnx')
    assert set(differences) == {'semantic_ids', 'semantic_confidence', 'center_heatmap',
                                'embedding'}
    session = onnxruntime.InferenceSession(str(tmp_path / 'model.onnx'),
                                           providers=['CPUExecutionProvider'])
    assert ModelInfo.from_metadata(session.get_modelmeta().custom_metadata_map) == info
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 160, 3), np.uint8)
    semantic, confidence, heatmap, embedding = session.run(None, {'image': image})
    expected = ExportedNetwork(network, calibration).eval().predict(image[0])
    assert (semantic[0] == expected.semantic_ids).mean() > 0.99
    np.testing.assert_allclose(confidence[0], expected.semantic_confidence, atol=1e-3)
    np.testing.assert_allclose(embedding[0], expected.embedding, atol=1e-2)
    assert heatmap.max() > 0.5
    assert [path.name for path in tmp_path.iterdir()] == ['model.onnx']


def test_only_local_maxima_of_the_centers_are_exported():
    network = small_network().eval()
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    raw = ExportedNetwork(network, Calibration()).eval().predict(image).center_heatmap
    with torch.no_grad():
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        logits = network(pixels).center[0].numpy()
    padded = np.pad(logits, PEAK_WINDOW // 2, constant_values=-np.inf)
    windows = np.stack([padded[y:y + 16, x:x + 16]
                        for y in range(PEAK_WINDOW) for x in range(PEAK_WINDOW)])
    assert np.array_equal(raw > 0, logits >= windows.max(0))
