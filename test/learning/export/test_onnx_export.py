"""The exported file: its agreement with the network, at every stride and in every precision."""
from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from instseg_ros import NetworkConfig, Segmenter
from instseg_ros.core.network import Network
from instseg_ros.core.network.probe import Probe
from instseg_ros.core.types import ModelInfo, NetworkOutput
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.config import OUTPUT_STRIDES, ModelConfig
from instseg_ros.learning.encoders import build_encoder
from instseg_ros.learning.encoders.encoder import Encoder, EncoderConv2d
from instseg_ros.learning.export.layout import BLOCK, fill_up_channels, fold_batch_norms
from instseg_ros.learning.export.onnx_export import export_onnx, make_probe, model_info
from instseg_ros.learning.export.parity import agreement, compare, smooth_images
from instseg_ros.learning.export.wrapper import ExportedNetwork
from instseg_ros.learning.model import InstanceSegmentationNetwork
from instseg_ros.learning.peaks import PEAK_REACH, peak_window

CLASSES = ('background', 'box', 'post')


class TinyEncoder(Encoder):
    """A convolution for each stride: another encoder needs no more, and exports quickly."""

    channels: ClassVar = {1: 3, 2: 8, 4: 8, 8: 8, 16: 8}
    mean, std = (128.0,) * 3, (64.0,) * 3

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(EncoderConv2d(inputs, 8, 3, 2) for inputs in (3, 8, 8, 8))

    def forward(self, image):
        features = {1: image}
        for number, layer in enumerate(self.layers, start=1):
            features[2 ** number] = layer(features[2 ** (number - 1)]).relu()
        return features


def small_network(stride=4, encoder='mobilenet_v2'):
    torch.manual_seed(0)
    widths = ModelConfig(width_16=16, width_8=16, width_4=16, width_2=8, width_1=8,
                         output_stride=stride).widths
    network = InstanceSegmentationNetwork(
        encoder=TinyEncoder() if encoder == 'tiny' else build_encoder(encoder), classes=3,
        embedding_size=8, widths=widths)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after some training
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def test_the_exported_file_says_what_the_network_says(tmp_path):
    network = small_network(encoder='tiny')
    info = model_info(network, CLASSES, (1, 2), 128, {'epochs': 1}, duplicate_distance=1.25)
    calibration = Calibration(scale=2.0, shift=9.0)
    differences = export_onnx(network, calibration, info, tmp_path / 'model.onnx')
    assert set(differences) == {'semantic_ids', 'center_heatmap', 'embedding',
                                'semantic_confidence'}
    session = onnxruntime.InferenceSession(str(tmp_path / 'model.onnx'),
                                           providers=['CPUExecutionProvider'])
    assert ModelInfo.from_metadata(session.get_modelmeta().custom_metadata_map) == info
    probe = Probe.from_metadata(session.get_modelmeta().custom_metadata_map, info)
    assert probe.precision == 'fp32'
    probe.check(Network(tmp_path / 'model.onnx').run(probe.image), 'the file itself')
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 160, 3), np.uint8)
    semantic, heatmap, embedding, confidence = session.run(None, {'image': image})
    expected = ExportedNetwork(network, calibration).eval().predict(image[0])
    assert (semantic[0] == expected.semantic_ids).mean() > 0.99
    np.testing.assert_allclose(embedding[0], expected.embedding, atol=1e-2)
    assert heatmap.max() > 0.5
    with torch.no_grad():
        logits = network(torch.from_numpy(image).permute(0, 3, 1, 2).float()).semantic[0].numpy()
    odds = np.exp(logits - logits.max(0))
    np.testing.assert_allclose(confidence[0], 255 / odds.sum(0), atol=1)
    assert confidence.dtype == np.uint8 and confidence.min() > 255 / 3 - 1
    assert [path.name for path in tmp_path.iterdir()] == ['model.onnx']


@pytest.mark.parametrize('stride', OUTPUT_STRIDES)
def test_only_local_maxima_of_the_centers_are_exported(stride):
    network = small_network(stride, 'tiny')
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    raw = ExportedNetwork(network, Calibration()).eval().predict(image).center_heatmap
    with torch.no_grad():
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        logits = network(pixels).center[0].numpy()
    window, side = peak_window(stride), 64 // stride
    padded = np.pad(logits, window // 2, constant_values=-np.inf)
    windows = np.stack([padded[y:y + side, x:x + side]
                        for y in range(window) for x in range(window)])
    assert np.array_equal(raw > 0, logits >= windows.max(0))


def test_the_window_of_a_center_covers_the_same_part_of_the_image_at_every_stride():
    assert [peak_window(stride) for stride in (8, 4, 2, 1)] == [3, 5, 9, 17]
    assert all(peak_window(stride) // 2 * stride == PEAK_REACH for stride in OUTPUT_STRIDES)


@pytest.mark.parametrize('encoder', ['mobilenet_v2', 'resnet18', 'resnet50'])
def test_folding_leaves_no_batch_normalisation_and_the_same_result(encoder):
    network = small_network(encoder=encoder)
    image = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        want = network(image)
        fold_batch_norms(network)
        got = network(image)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    for name in want._fields:
        torch.testing.assert_close(getattr(got, name), getattr(want, name), rtol=1e-3, atol=1e-3)


def test_filled_up_channels_leave_the_same_result():
    network = small_network()
    fold_batch_norms(network)
    detector = build_encoder('nanodet_plus_m').eval()
    image = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        want = [*network(image)[:3], *detector(image).values()]
        fill_up_channels(network)
        fill_up_channels(detector)
        got = [*network(image)[:3], *detector(image).values()]
    assert detector.backbone.conv1[0].out_channels % BLOCK == 0
    skips = [skip.out_channels for skip in network.semantic.residual.skips.values()]
    assert skips and not any(count % BLOCK for count in skips)
    for first, second in zip(want, got):
        if first.shape != second.shape:  # a map of the encoder: zeros are added
            assert not second[:, first.shape[1]:].any()
        torch.testing.assert_close(second[:, :first.shape[1]], first, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('encoder, stride, precision', [
    ('tiny', 8, 'int8'), ('tiny', 2, 'fp16'), ('tiny', 1, 'fp32')])
def test_other_encoders_strides_and_precisions_run_in_the_segmenter(encoder, stride, precision,
                                                                    tmp_path, monkeypatch):
    # In an untrained network rounding decides which pixels are centers.
    monkeypatch.setattr(Probe, 'check', lambda self, found, what: None)
    network = small_network(stride, encoder)
    images = [np.random.default_rng(k).integers(0, 256, (64, 96, 3), np.uint8) for k in range(2)]
    info = model_info(network, CLASSES, (1, 2), 96, {}, duplicate_distance=2)
    assert (info.output_stride, info.size_multiple) == (stride, 32)
    path = tmp_path / 'model.onnx'
    report = export_onnx(network, Calibration(), info, path, precision, images)
    if precision == 'int8':
        assert report['same class'] > 0.9 and report['embedding'] < 0.5
    segmenter = Segmenter.from_onnx(path, 'cpu')
    assert segmenter.model_info == info
    output = segmenter.infer(images[0]).output
    assert output.semantic_ids.shape == (64 // stride, 96 // stride)
    assert segmenter.segment(images[0][:50, :70]).semantic_ids.shape == (50, 70)
    batching = Segmenter.from_onnx(path, 'cpu', network=NetworkConfig(max_batch=3))
    assert batching.max_batch == 3
    for image, inference in zip(images, batching.infer_batch(images)):
        together, alone = inference.output, segmenter.infer(image).output
        assert np.mean(together.semantic_ids != alone.semantic_ids) < 1e-3
        np.testing.assert_allclose(together.embedding, alone.embedding, atol=1e-3)
    kinds = {tensor.data_type for tensor in onnx.load(path).graph.initializer if tensor.dims}
    wanted = {'fp32': onnx.TensorProto.FLOAT, 'fp16': onnx.TensorProto.FLOAT16,
              'int8': onnx.TensorProto.INT8}
    assert wanted[precision] in kinds
    # Files say nothing of the folders of the machine that they were made on.
    assert b'site-packages' not in path.read_bytes()


@pytest.mark.parametrize('centers, classes', [((0.1, 0.5), None), ((0.1, 0.5), (255, 230)),
                                              ((0.5, 0.5), (128, 250)), ((0.0, 0.0), (128, 250))])
def test_the_probe_is_the_scene_in_which_the_model_is_surest(centers, classes):
    info = model_info(small_network(), CLASSES, (1, 2), 64, {}, duplicate_distance=2.0)
    seen = []

    def predict(image):
        seen.append(image)
        shape, fifth = (image.shape[0] // 4, image.shape[1] // 4), len(seen) == 5
        return NetworkOutput(
            np.zeros(shape, np.uint8), np.full(shape, centers[fifth], np.float32),
            np.zeros((*shape, 8), np.float32),
            None if classes is None else np.full(shape, classes[fifth], np.uint8))

    probe = make_probe(info, 'int8', predict)

    assert len(seen) > 5
    assert np.array_equal(probe.image, seen[4])
    assert probe.output.center_heatmap.max() == np.float32(centers[1])


@pytest.mark.parametrize('bad_scenes, expected', [(0, 4), (1, 0), (128, None)])
def test_a_file_in_integers_proves_itself_before_it_is_written(bad_scenes, expected):
    """It loses the centers of the surest scenes, and with all of them is refused."""
    info = model_info(small_network(), CLASSES, (1, 2), 64, {}, duplicate_distance=2.0)
    seen = []

    def predict(image):
        seen.append(image)
        shape = (image.shape[0] // 4, image.shape[1] // 4)
        heatmap = np.zeros(shape, np.float32)
        heatmap[8, 8] = 0.9 if len(seen) == 5 else 0.8
        return NetworkOutput(np.zeros(shape, np.uint8), heatmap,
                             np.random.default_rng(0).random((*shape, 8), np.float32))

    def finished(image):
        output = predict(image)
        refused = [seen[4], *seen[:4], *seen[5:]][:bad_scenes]
        lost = any(np.array_equal(image, scene) for scene in refused)
        return dataclasses.replace(
            output, center_heatmap=output.center_heatmap * (not lost))

    if expected is None:
        with pytest.raises(ValueError, match='export: the file in int8 gives other results'):
            make_probe(info, 'int8', predict, finished)
    else:
        probe = make_probe(info, 'int8', predict, finished)
        assert np.array_equal(probe.image, seen[expected])


def test_integers_need_images(tmp_path):
    network = small_network()
    info = model_info(network, CLASSES, (1, 2), 96, {}, duplicate_distance=2)
    with pytest.raises(ValueError, match='int8: expected images.*data.validation_images'):
        export_onnx(network, Calibration(), info, tmp_path / 'model.onnx', 'int8')
    assert not list(tmp_path.iterdir())


def test_a_file_that_says_something_else_is_refused():
    network = small_network()
    exported = ExportedNetwork(network, Calibration()).eval()
    predict = exported.predict
    other = ExportedNetwork(small_network(), Calibration(scale=2.0, shift=1.0)).eval().predict
    images = smooth_images(32)
    with pytest.raises(ValueError, match='center_heatmap differs by'):
        compare(exported, other, images, 'fp32')
    assert agreement(predict, predict, images)['same class'] == 1

    def wrong(image):
        output = predict(image)
        return dataclasses.replace(output, semantic_ids=(output.semantic_ids + 1) % 3)

    with pytest.raises(ValueError, match='agree on the class of 0.0% of the pixels'):
        agreement(predict, wrong, images)
