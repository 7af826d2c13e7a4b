"""Damage to a model file is found, whatever its place; weights in other files are refused."""
import os
import random

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tiny_models import write_tiny_model

from instseg_ros.core.model_info import ModelError
from instseg_ros.core.network import Network
from instseg_ros.core.network.model_file import CHECKSUM_KEY, checksum, read_model_file, seal
from instseg_ros.installed import default_model

same_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path):
    write_tiny_model(tmp_path / 'model.onnx')
    return tmp_path / 'model.onnx'


def flipped(data, bits):
    """Return the data with some bits, by number, flipped."""
    data = bytearray(data)
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def test_a_sound_file_is_read_with_its_checksum(path):
    file = read_model_file(path)
    assert file.has_checksum and file.data == path.read_bytes()
    assert file.metadata[CHECKSUM_KEY] == file.checksum == checksum(file.data)
    network = Network(path)
    assert (network.checksum, network.has_checksum) == (file.checksum, True)


def test_onnx_reads_a_sealed_file_as_before(path):
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert {entry.key for entry in model.metadata_props} == {'instseg_ros', CHECKSUM_KEY}


def test_sealing_again_changes_nothing_and_mends_what_was_changed_on_purpose(path):
    data = path.read_bytes()
    assert seal(data) == data
    model = onnx.load(path)
    model.doc_string = 'changed'
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match='has SHA-256|have SHA-256 .* damaged or was changed'):
        read_model_file(path)
    path.write_bytes(seal(path.read_bytes()))
    assert read_model_file(path).has_checksum


@same_file
@given(data=st.data())
def test_flipped_bits_are_found_wherever_they_are(tmp_path, data):
    write_tiny_model(tmp_path / 'model.onnx')
    sound = (tmp_path / 'model.onnx').read_bytes()
    bits = data.draw(st.sets(st.integers(0, 8 * len(sound) - 1), min_size=1, max_size=64))
    path = tmp_path / 'damaged.onnx'
    path.write_bytes(flipped(sound, bits))
    with pytest.raises(ModelError):
        read_model_file(path)


@same_file
@given(data=st.data())
def test_a_file_that_was_cut_or_grew_is_refused(tmp_path, data):
    write_tiny_model(tmp_path / 'model.onnx')
    sound = (tmp_path / 'model.onnx').read_bytes()
    start = data.draw(st.integers(0, len(sound)))
    stop = data.draw(st.integers(start, len(sound)))
    inserted = data.draw(st.binary(max_size=20))
    path = tmp_path / 'damaged.onnx'
    path.write_bytes(sound[:start] + inserted + sound[stop:])
    if path.read_bytes() != sound:
        with pytest.raises(ModelError):
            read_model_file(path)


@pytest.mark.parametrize('seed', range(14))
def test_64_flipped_bits_in_the_weights_of_the_street_model_are_found(tmp_path, seed):
    sound = default_model().read_bytes()
    rng = random.Random(seed)
    path = tmp_path / 'damaged.onnx'
    path.write_bytes(flipped(sound, rng.sample(range(8 * len(sound)), 64)))
    with pytest.raises(ModelError):
        read_model_file(path)


def test_the_street_model_has_the_checksum_that_its_page_shows():
    file = read_model_file(default_model())
    assert file.has_checksum
    assert file.checksum in default_model().with_name('README.md').read_text()


def test_an_older_file_without_checksum_is_loaded_with_a_note(path, caplog):
    model = onnx.load(path)
    entry, _ = model.metadata_props
    entry.value = entry.value.replace('"format_version": 2', '"format_version": 1')
    del model.metadata_props[1]
    onnx.save(model, path)
    network = Network(path)
    assert not network.has_checksum and len(network.checksum) == 64
    assert 'names no checksum' in caplog.text


def test_a_newer_file_without_checksum_is_refused(path):
    model = onnx.load(path)
    del model.metadata_props[1]
    onnx.save(model, path)
    with pytest.raises(ModelError, match='"instseg_ros.sha256" is missing .* damaged or was cha'):
        Network(path)


def test_an_entry_of_the_metadata_that_is_there_twice_is_refused(path):
    model = onnx.load(path)
    model.metadata_props.add(key='instseg_ros', value='{}')
    path.write_bytes(seal(model.SerializeToString()))
    with pytest.raises(ModelError, match='two entries of the same name'):
        read_model_file(path)


def put_into_initializers(model, tensor):
    model.graph.initializer.append(tensor)


def put_into_node(model, tensor):
    model.graph.node.append(helper.make_node('Constant', [], ['more'], value=tensor))


def put_into_branch(model, tensor):
    branch = helper.make_graph([helper.make_node('Identity', ['weights'], ['out'])], 'branch', [],
                               [helper.make_tensor_value_info('out', 1, [1])], [tensor])
    model.graph.node.append(helper.make_node('If', ['condition'], ['more'], then_branch=branch,
                                             else_branch=branch))


def put_into_function(model, tensor):
    model.functions.append(helper.make_function(
        'ours', 'f', [], ['out'], [helper.make_node('Constant', [], ['out'], value=tensor)],
        [helper.make_opsetid('', 13)]))


def put_into_sparse(model, tensor):
    indices = numpy_helper.from_array(helper.np.array([0]), 'indices')
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [8]))


@pytest.mark.parametrize('put', [put_into_initializers, put_into_node, put_into_branch,
                                 put_into_function, put_into_sparse])
@pytest.mark.parametrize('location', ['weights.bin', '/etc/passwd', '../weights.bin'])
def test_weights_in_another_file_are_refused(path, put, location):
    tensor = TensorProto(name='weights', data_type=1, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value=location)
    model = onnx.load(path)
    put(model, tensor)
    path.write_bytes(seal(model.SerializeToString()))
    with pytest.raises(ModelError, match='a tensor whose data is in another file'):
        read_model_file(path)


def test_endless_nesting_is_refused(path):
    model = onnx.load(path)
    graph = helper.make_graph([], 'inner', [], [])
    for _ in range(25):
        graph = helper.make_graph([helper.make_node('If', ['c'], ['x'], then_branch=graph)],
                                  'outer', [], [])
    model.graph.node.append(graph.node[0])
    path.write_bytes(seal(model.SerializeToString()))
    with pytest.raises(ModelError, match='expected at most 50 levels'):
        read_model_file(path)


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / 'pipe.onnx')
    for place in (tmp_path / 'pipe.onnx', tmp_path, tmp_path / 'nowhere.onnx', '/dev/zero'):
        with pytest.raises(ModelError, match='expected a model file .*no such file'):
            Network(place)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with open(tmp_path / 'large.onnx', 'wb') as file:
        file.truncate(1 << 31)
    with pytest.raises(ModelError, match='expected at most 2147483647 bytes, got 2147483648'):
        Network(tmp_path / 'large.onnx')
