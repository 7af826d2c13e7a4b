"""A sound model runs; whatever is wrong with a model file is said in one sentence."""
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from mock_gpu import mock_cuda
from tiny_models import BROKEN, paint_scene, rectangles, tiny_info, write_tiny_model

from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.network import ModelError, Network


@pytest.fixture(scope='module')
def network(tiny_model):
    return Network(tiny_model, NetworkConfig(provider='cpu', threads=1))


def test_output_is_what_was_painted(network):
    semantic_ids, instance_ids = rectangles((64, 96), [(1, (8, 8, 20, 40)), (4, (40, 0, 80, 64))])
    image = paint_scene(semantic_ids, instance_ids, tiny_info(), confidence={1: 0.8, 2: 0.6})
    output = network.run(image)
    assert np.array_equal(output.semantic_ids, semantic_ids[::4, ::4])
    centers = {(int(y), int(x)): output.center_heatmap[y, x]
               for y, x in np.argwhere(output.center_heatmap)}
    assert centers == {(5, 3): np.float32(0.8), (7, 14): np.float32(0.6)}
    codes = output.embedding[..., 0]
    assert len(np.unique(codes)) == 3 and not output.embedding[..., 1:].any()
    assert np.array_equal(codes > 0, instance_ids[::4, ::4] > 0)


def test_the_confidence_of_classes_is_an_optional_output(network, tmp_path):
    labels = rectangles((64, 96), [(1, (8, 8, 20, 40))])
    image = paint_scene(*labels, tiny_info(), doubt=3)
    write_tiny_model(tmp_path / 'older.onnx', confidence=False)
    older = Network(tmp_path / 'older.onnx', NetworkConfig(provider='cpu', threads=1))
    output, other = network.run(image), older.run(image)
    assert network.has_confidence and np.all(output.semantic_confidence == 255 - 8 * 3)
    assert not older.has_confidence and other.semantic_confidence is None
    assert np.array_equal(output.semantic_ids, other.semantic_ids)
    assert np.array_equal(output.embedding, other.embedding)


def test_info_and_provider_are_visible(network):
    assert network.info == tiny_info()
    assert network.provider == 'cpu'


@pytest.mark.parametrize('shape', [(32, 32), (32, 96), (160, 64)])
def test_output_has_the_output_stride(network, shape):
    output = network.run(np.zeros((*shape, 3), np.uint8))
    assert output.embedding.shape == (shape[0] // 4, shape[1] // 4, 4)


@pytest.mark.parametrize('shape', [(33, 32), (32, 48), (0, 32)])
def test_other_sizes_are_refused(network, shape):
    with pytest.raises(ValueError, match='expected height and width in multiples of 32'):
        network.run(np.zeros((*shape, 3), np.uint8))


def test_other_arrays_are_refused(network):
    with pytest.raises(TypeError, match='image: expected dtype uint8, got float64'):
        network.run(np.zeros((32, 32, 3)))
    with pytest.raises(ValueError, match=r'image: expected shape \(H, W, 3\)'):
        network.run(np.zeros((32, 32), np.uint8))


def test_another_stride_and_embedding_size(tmp_path):
    info = tiny_info(output_stride=8, size_multiple=16, embedding_size=1)
    write_tiny_model(tmp_path / 'model.onnx', info)
    output = Network(tmp_path / 'model.onnx').run(np.full((32, 48, 3), 255, np.uint8))
    assert output.embedding.shape == (4, 6, 1)
    assert np.all(output.embedding == 255) and np.all(output.semantic_ids == 4)


def test_results_stay_when_the_next_image_comes(network):
    first = network.run(np.full((32, 64, 3), 10, np.uint8))
    copies = [array.copy() for array in vars(first).values()]
    network.run(np.full((32, 64, 3), 200, np.uint8))
    assert all(np.array_equal(array, copy)
               for array, copy in zip(vars(first).values(), copies))


def made_up_images(count, shape=(32, 64)):
    rng = np.random.default_rng(3)
    return list(rng.integers(0, 256, (count, *shape, 3), np.uint8))


def same(output, expected):
    return all(np.array_equal(array, vars(expected)[name]) for name, array in vars(output).items()
               if array is not None)


@pytest.mark.parametrize('max_batch', [1, 2, 3, 64])
def test_a_batch_gives_what_its_images_give_one_by_one(tiny_model, max_batch):
    network = Network(tiny_model, NetworkConfig(provider='cpu', max_batch=max_batch))
    small, large = made_up_images(5), made_up_images(2, (64, 32))
    images = [small[0], large[0], *small[1:], large[1]]
    outputs = network.run_batch(images)
    assert len(outputs) == len(images) and network.max_batch == max_batch
    for output, image in zip(outputs, images):
        assert same(output, network.run(image))
    assert network.run_batch([]) == []


def test_images_of_one_size_run_together(tiny_model, monkeypatch):
    network = Network(tiny_model, NetworkConfig(provider='cpu', max_batch=2))
    counts, run = [], network._run
    monkeypatch.setattr(network, '_run', lambda images: counts.append(len(images)) or run(images))
    network.run_batch([*made_up_images(3), *made_up_images(2, (64, 32))])
    assert sorted(counts) == [1, 2, 2]


def test_a_model_for_one_image_takes_one_after_another(tmp_path):
    write_tiny_model(tmp_path / 'model.onnx', batch=1)
    network = Network(tmp_path / 'model.onnx', NetworkConfig(provider='cpu', max_batch=4))
    assert (network.is_batchable, network.max_batch) == (False, 1)
    images = made_up_images(3)
    for output, image in zip(network.run_batch(images), images):
        assert same(output, network.run(image))


def test_the_default_batch_depends_on_the_provider(tiny_model, monkeypatch):
    assert Network(tiny_model).max_batch == 1
    mock_cuda(monkeypatch)
    network = Network(tiny_model, NetworkConfig(provider='cuda'))
    assert network.max_batch > 1
    images = made_up_images(3)
    for output, image in zip(network.run_batch(images), images):
        assert np.array_equal(output.semantic_ids, network.run(image).semantic_ids)
        assert np.array_equal(np.asarray(output.embedding),
                              np.asarray(network.run(image).embedding))


def test_a_bad_image_in_a_batch_is_refused(tiny_model):
    with pytest.raises(ValueError, match='expected height and width in multiples of 32'):
        Network(tiny_model).run_batch([*made_up_images(1), np.zeros((33, 32, 3), np.uint8)])


def test_views_and_frozen_images_are_as_good(network):
    image = np.arange(32 * 64 * 3, dtype=np.uint8).reshape(32, 64, 3)
    expected = network.run(image)
    frozen = np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape)
    for other in (np.asfortranarray(image), image[:, ::-1].copy()[:, ::-1], frozen):
        output = network.run(other)
        assert all(np.array_equal(array, vars(expected)[name])
                   for name, array in vars(output).items())


def test_several_threads_may_run_one_network(network):
    images = [np.full((32, 32, 3), value, np.uint8) for value in range(0, 256, 5)]
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(network.run, images))
    assert [output.embedding[0, 0, 0] for output in outputs] == list(range(0, 256, 5))


MESSAGES = {
    'no_metadata': 'no "instseg_ros" entry in the metadata .* not exported by "instseg export"',
    'damaged_metadata': 'the "instseg_ros" entry in the metadata of the model is damaged',
    'future_format': 'model format 99: this version reads formats 1 to 2; export the model again',
    'missing_output': 'expected the outputs semantic_ids, .*embedding and perhaps .*, got '
                      'semantic_ids, center_heatmap, semantic_confidence$',
    'wrong_dtype': r'output "semantic_ids" tensor\(uint8\) .* got .*tensor\(float\)',
    'wrong_rank': 'output "center_heatmap" .* with 3 axes, got .*1, .h',
    'wrong_embedding': 'expected embeddings of length 4.*got .*5',
    'wrong_stride': r'expected shape \(1, 16, 16\) .* output stride 4, got \(1, 32, 32\)',
    'wrong_input': r'expected one input "image" tensor\(uint8\).*got .*tensor\(float\)',
    'wrong_input_name': 'expected one input "image" .*got "camera"',
    'truncated': 'expected an ONNX model, but the file is damaged or of another kind: a field of',
    'empty': 'expected an ONNX model, got an empty file',
    'not_onnx': 'expected an ONNX model, but the file is damaged or of another kind',
}


@pytest.mark.parametrize('broken', BROKEN)
def test_broken_models_are_refused_with_what_was_expected(broken, tmp_path):
    path = tmp_path / 'model.onnx'
    write_tiny_model(path, broken=broken)
    with pytest.raises(ModelError, match=f'^{re.escape(str(path))}: .*{MESSAGES[broken]}'):
        Network(path)


def test_missing_file_is_said(tmp_path):
    for path in (tmp_path / 'nowhere.onnx', tmp_path):
        with pytest.raises(ModelError, match=r'expected a model file .*no such file'):
            Network(path)
