"""Grouping where the network runs equals grouping on the CPU.

There is no GPU where the tests run: the same graphs run on the CPU.
"""
import runpy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from mock_gpu import SessionOfCuda, mock_cuda
from tiny_models import paint_scene, rectangles, tiny_info

from instseg_ros.core.config import GroupingConfig, NetworkConfig
from instseg_ros.core.grouping import assign_pixels, find_centers
from instseg_ros.core.network import ModelError, Network
from instseg_ros.core.network.device_grouping import DeviceEmbedding, DeviceGrouping
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.types import Centers, NetworkOutput

INFO = tiny_info()
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope='module')
def grouping():
    return DeviceGrouping('cpu', onnxruntime.SessionOptions(), ['CPUExecutionProvider'])


def random_output(rng, steps):
    """Return maps of small integers and fractions, whose products and sums are exact."""
    shape = tuple(rng.integers(1, 12, 2))
    embedding = rng.integers(-steps, steps + 1, (*shape, int(rng.integers(1, 40)))) / 4
    heatmap = rng.integers(0, 6, shape) / 5 * (rng.random(shape) < rng.random())
    return NetworkOutput(rng.integers(0, 5, shape).astype(np.uint8),
                         heatmap.astype(np.float32), embedding.astype(np.float32))


def on_device(grouping, output):
    return NetworkOutput(output.semantic_ids, output.center_heatmap,
                         grouping.upload(output.embedding))


def test_equals_grouping_on_the_cpu_on_a_thousand_maps(grouping):
    rng = np.random.default_rng(0)
    counts = set()
    for _ in range(1000):
        output = random_output(rng, int(rng.choice([1, 2, 9])))  # few values make ties
        config = GroupingConfig(duplicate_distance=float(rng.choice([1e-3, 0.5, 1])),
                                max_instances=int(rng.integers(1, 20)))
        there = on_device(grouping, output)
        here, dropped = find_centers(output, INFO, config)
        centers, dropped_there = find_centers(there, INFO, config)
        assert dropped == dropped_there
        for name, array in vars(here).items():
            assert np.array_equal(array, vars(centers)[name])
        ids = assign_pixels(there, centers)
        assert ids.dtype == np.uint16 and np.array_equal(ids, assign_pixels(output, here))
        counts.add(len(centers))
    assert {0, 1, 10} <= counts


def test_differs_only_where_rounding_decides(grouping):
    rng = np.random.default_rng(1)
    shape, count = (80, 120), 60
    # As a model's: far from 0 by the position, and near to each other.
    position = np.stack(np.mgrid[:shape[0], :shape[1]][::-1], axis=2) * 0.09
    embedding = rng.normal(0, 0.3, (*shape, 32))
    embedding[..., :2] += position
    points = np.stack([rng.integers(0, side, count) for side in shape], axis=1)
    output = NetworkOutput(rng.integers(1, 4, shape).astype(np.uint8),
                           np.zeros(shape, np.float32), embedding.astype(np.float32))
    classes = rng.integers(1, 4, count).astype(np.uint8)
    centers = Centers(points.astype(np.float32), np.ones(count, np.float32), classes,
                      output.embedding[tuple(points.T)])
    here = assign_pixels(output, centers)
    there = assign_pixels(on_device(grouping, output), centers)
    # Distances of every pixel to both choices, in double precision.
    far, near = (np.linalg.norm(embedding - centers.embeddings[ids.astype(int) - 1], axis=2)
                 for ids in (there, here))
    assert np.array_equal(classes[there - 1], output.semantic_ids)
    assert np.abs(far - near).max() < 1e-4
    assert np.mean(here != there) < 1e-3


def test_a_pixel_without_a_center_of_its_class_has_no_instance(grouping):
    ids = np.array([[0, 1, 2, 3, 254, 255]], np.uint8)
    embedding = np.full((1, 6, 3), 1e4, np.float32)
    output = on_device(grouping, NetworkOutput(ids, np.zeros((1, 6), np.float32), embedding))
    for class_ids, expected in (([2], [0, 0, 1, 0, 0, 0]), ([254, 1], [0, 2, 0, 0, 1, 0])):
        count = len(class_ids)
        centers = Centers(np.zeros((count, 2), np.float32), np.ones(count, np.float32),
                          np.array(class_ids, np.uint8), np.zeros((count, 3), np.float32))
        assert assign_pixels(output, centers).tolist() == [expected]


def test_a_wrong_length_is_an_error_here_and_there(grouping):
    output = random_output(np.random.default_rng(3), 2)
    length = output.embedding.shape[2] + 1
    centers = Centers(np.zeros((1, 2), np.float32), np.ones(1, np.float32),
                      np.ones(1, np.uint8), np.zeros((1, length), np.float32))
    for each in (output, on_device(grouping, output)):
        with pytest.raises(ValueError, match=r'centers.embeddings: expected shape '
                                             rf'\(1, {length - 1}\), got \(1, {length}\)'):
            assign_pixels(each, centers)


def test_a_grid_of_another_size_is_refused(grouping):
    embedding = grouping.upload(np.zeros((3, 4, 2), np.float32))
    with pytest.raises(ValueError, match=r'embedding: expected 3 rows and 5 columns, got .*3, 4'):
        NetworkOutput(np.zeros((3, 5), np.uint8), np.zeros((3, 5), np.float32), embedding)


def test_what_is_cropped_and_copied_back_is_the_upper_left_part(grouping):
    embedding = np.random.default_rng(2).normal(size=(5, 7, 3)).astype(np.float32)
    cropped = grouping.upload(embedding).crop(4, 6)
    assert cropped.shape == (4, 6, 3)
    assert np.array_equal(np.asarray(cropped), embedding[:4, :6])
    assert np.array_equal(cropped.take(np.array([0, 5, 6, 23])),
                          embedding[[0, 0, 1, 3], [0, 5, 0, 5]])


@pytest.fixture
def cuda(monkeypatch):
    mock_cuda(monkeypatch)


@pytest.mark.parametrize('size', [(64, 96), (96, 40), (41, 96)])
def test_with_cuda_the_embedding_stays_and_the_result_is_the_same(tiny_model, cuda, size):
    scene = rectangles(size, [(1, (8, 8, 20, 40)), (4, (20, 0, 40, 32))])
    image = paint_scene(*scene, INFO)
    segmenter = Segmenter.from_onnx(tiny_model, 'cuda')
    assert isinstance(segmenter.infer(image).output.embedding, DeviceEmbedding)
    expected = Segmenter.from_onnx(tiny_model, 'cpu').segment(image)
    result = segmenter.segment(image)
    assert len(result.instances) == 2 and result.instances == expected.instances
    assert np.array_equal(result.instance_ids, expected.instance_ids)
    assert np.array_equal(result.semantic_ids, expected.semantic_ids)


def test_outputs_stay_what_they_are_when_the_next_image_comes(tiny_model, cuda):
    network = Network(tiny_model, NetworkConfig(provider='cuda'))
    images = [np.full((32, 64, 3), value, np.uint8) for value in range(0, 256, 5)]
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(network.run, images))
    assert [np.asarray(each.embedding)[0, 0, 0] for each in outputs] == list(range(0, 256, 5))


def test_warming_up_runs_the_graphs_for_grouping(tiny_model, cuda, monkeypatch):
    asked = []
    for name in ('take', 'assign'):
        monkeypatch.setattr(DeviceEmbedding, name, lambda self, *args, name=name, real=getattr(
            DeviceEmbedding, name): asked.append(name) or real(self, *args))
    Segmenter.from_onnx(tiny_model, 'cuda').warm_up()
    assert {'take', 'assign'} == set(asked)


def test_an_output_is_placed_where_the_network_would_leave_it(tiny_model, cuda):
    output = random_output(np.random.default_rng(0), 2)
    assert Network(tiny_model, NetworkConfig(provider='cpu')).to_device(output) is output
    placed = Network(tiny_model, NetworkConfig(provider='cuda')).to_device(output)
    assert np.array_equal(np.asarray(placed.embedding), output.embedding)


def test_an_onnx_runtime_that_would_round_distances_is_refused(tiny_model, cuda, monkeypatch):
    monkeypatch.setattr(SessionOfCuda, 'too_old', True)
    with pytest.raises(ModelError, match='cuda runs the network, but did not start for the '
                                         r'grouping .* needs ONNX Runtime 1.18 or later'):
        Network(tiny_model, NetworkConfig(provider='cuda'))


def test_the_graphs_are_what_the_script_writes():
    script = runpy.run_path(str(ROOT / 'scripts' / 'build_graphs.py'))
    written = sorted(script['FOLDER'].iterdir())
    assert [path.stem for path in written] == sorted(script['GRAPHS'])
    for path in written:
        assert onnx.load(path) == script['build'](path.stem)
