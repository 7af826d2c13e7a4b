"""Sessions in reduced precision prove themselves with a small image whose result is known."""
import dataclasses
import json

import mock_gpu
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_models import paint_scene, rectangles, tiny_info, write_tiny_model

from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.network import ModelError, Network
from instseg_ros.core.network.model_file import seal
from instseg_ros.core.network.probe import PROBE_KEY, Probe, compare, probe_side

INFO = tiny_info()


@pytest.fixture(scope='module')
def image():
    """Return an image of a probe in which a tiny model finds two objects."""
    side = probe_side(INFO)
    scene = rectangles((side, side), [(1, (16, 16, 56, 40)), (3, (72, 24, 120, 96))])
    return paint_scene(*scene, INFO)


@pytest.fixture
def make(tmp_path, image):
    """Return a function that writes a model which computes in 16-bit floats, with its probe."""
    def make_model(tensor='heat', factor=1.0, precision='fp16', probe=None, change=None):
        exact = tmp_path / 'exact.onnx'
        write_tiny_model(exact, INFO)
        output = Network(exact).run(image)
        model = onnx.load(exact)
        if precision == 'fp16':
            through_half(model, tensor, factor)
        entry = (probe or Probe(precision, image, output)).to_metadata()
        if change is not None:
            entry = {PROBE_KEY: change(entry[PROBE_KEY])}
        helper.set_model_props(model, {**INFO.to_metadata(), **entry})
        path = tmp_path / f'{precision}.onnx'
        path.write_bytes(seal(model.SerializeToString()))
        return path
    return make_model


def through_half(model, tensor, factor):
    """Take a tensor of the graph, multiplied by a factor, through 16-bit floats.

    The factors are 32-bit floats: ONNX Runtime does arithmetic in 16 bits with more bits on a CPU.
    """
    nodes = list(model.graph.node)
    position = next(i for i, node in enumerate(nodes) if tensor in node.output)
    nodes[position].output[0] = f'{tensor}_exact'
    for name, value in (('up', factor), ('down', 1 / factor)):
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
    added = [helper.make_node('Mul', [f'{tensor}_exact', 'up'], ['scaled']),
             helper.make_node('Cast', ['scaled'], ['half'], to=TensorProto.FLOAT16),
             helper.make_node('Cast', ['half'], ['whole'], to=TensorProto.FLOAT),
             helper.make_node('Mul', ['whole', 'down'], [tensor])]
    del model.graph.node[:]
    model.graph.node.extend(nodes[:position + 1] + added + nodes[position + 1:])


@pytest.mark.parametrize('tensor', ['heat', 'embedding', 'rgb'])
def test_a_model_in_16_bit_floats_that_is_right_is_taken(make, tensor):
    assert Network(make(tensor)).info == INFO


@pytest.mark.parametrize('tensor, factor, found', [
    # 255 * 1000 is beyond 65504: every class becomes the last one. No number is NaN.
    ('red', 1000.0, '% of the pixels have the same class (expected at least 80%)'),
    # 1e-8 is below the smallest number: no center is left.
    ('peaks', 1e-8, '0% of the confidence of centers is the same (at least 50%)')])
def test_a_model_whose_16_bit_floats_do_not_suffice_is_refused(make, tensor, factor, found):
    with pytest.raises(ModelError) as error:
        Network(make(tensor, factor))
    assert 'cpu in the precision fp16 gives other results than 32-bit floats' in str(error.value)
    assert found in str(error.value)
    Network(make(precision='fp32'))  # as it should be


def test_32_bit_floats_on_the_cpu_need_no_proof(make, image):
    wrong = Probe('fp32', image, dataclasses.replace(
        Network(make(precision='fp32')).run(image),
        center_heatmap=np.ones((probe_side(INFO) // 4,) * 2, np.float32)))
    path = make(precision='fp32', probe=wrong)
    Network(path)


def test_a_gpu_has_to_prove_itself_in_any_precision(make, image, monkeypatch):
    right = make(precision='fp32')
    wrong = Probe('fp32', image, dataclasses.replace(
        Network(right).run(image),
        semantic_ids=np.full((probe_side(INFO) // 4,) * 2, 2, np.uint8)))
    mock_gpu.mock_cuda(monkeypatch)
    assert Network(right, NetworkConfig(provider='cuda')).provider == 'cuda'
    with pytest.raises(ModelError, match='cuda in the precision fp32 gives other results'):
        Network(make(precision='fp32', probe=wrong), NetworkConfig(provider='cuda'))


def test_a_gpu_with_a_model_without_probe_is_warned_about(tiny_model, monkeypatch, caplog):
    mock_gpu.mock_cuda(monkeypatch)
    Network(tiny_model, NetworkConfig(provider='cuda'))
    assert 'holds no test image' in caplog.text


def test_a_probe_comes_back_from_the_metadata_bit_for_bit(make, image):
    output = Network(make(precision='fp32')).run(image)
    probe = Probe('int8', image, output)
    again = Probe.from_metadata(probe.to_metadata(), INFO)
    assert again.precision == 'int8'
    assert np.array_equal(again.image, image)
    for name in ('semantic_ids', 'center_heatmap', 'embedding'):
        assert np.array_equal(getattr(again.output, name), getattr(output, name))
    assert Probe.from_metadata({}, INFO) is None


@pytest.mark.parametrize('change', [
    lambda text: text[:-9], lambda text: '[]', lambda text: '{}', lambda text: 'null',
    lambda text: json.dumps({**json.loads(text), 'precision': 16}),
    lambda text: json.dumps({**json.loads(text), 'data': json.loads(text)['data'][:-400]}),
    lambda text: json.dumps({**json.loads(text), 'data': '*'}),
    lambda text: json.dumps({**json.loads(text), 'data': 7}),
    lambda text: '[' * 100000])
def test_a_damaged_probe_is_an_error_that_names_it(make, change):
    with pytest.raises(ModelError, match=r'instseg_ros\.probe" entry .* is damaged'):
        Network(make(change=change))


def test_values_that_are_no_numbers_never_agree(make, image):
    output = Network(make(precision='fp32')).run(image)
    assert compare(output, output).is_accepted
    for name in ('center_heatmap', 'embedding'):
        for value in (np.nan, np.inf):
            array = getattr(output, name).copy()
            array[0, 0] = value
            assert not compare(output, dataclasses.replace(output, **{name: array})).is_accepted


def test_a_center_may_move_a_little_and_weaken_a_little(make, image):
    output = Network(make(precision='fp32')).run(image)
    moved = np.roll(output.center_heatmap, (1, -2), axis=(0, 1)) * np.float32(0.8)
    assert compare(output, dataclasses.replace(output, center_heatmap=moved)).is_accepted
    gone = np.roll(output.center_heatmap, 4, axis=0)
    assert not compare(output, dataclasses.replace(output, center_heatmap=gone)).is_accepted
