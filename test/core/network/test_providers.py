"""The requested provider runs the network, or there is an error or a message that says why.

There is no GPU where the tests run: sessions on the CPU that report other providers take its
place.
"""
import os
import threading

import numpy as np
import onnxruntime
import pytest
from mock_gpu import CUDNN_8, mock_broken_cuda
from tiny_models import tiny_info, write_tiny_model

from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.network import ModelError, Network, providers
from instseg_ros.core.network.model_file import read_model_file
from instseg_ros.core.network.providers import (
    announced_engine,
    choose_provider,
    engine_folder,
    open_session,
)

RealSession = onnxruntime.InferenceSession


def test_automatic_choice_takes_cuda_where_there_is_one():
    assert choose_provider('auto', ('cpu',)) == 'cpu'
    assert choose_provider('auto', ('cpu', 'cuda', 'tensorrt')) == 'cuda'


@pytest.mark.parametrize('provider', ['cpu', 'cuda', 'tensorrt'])
def test_a_provider_asked_for_is_taken_or_an_error(provider):
    assert choose_provider(provider, ('cpu', 'cuda', 'tensorrt')) == provider
    if provider != 'cpu':
        with pytest.raises(ModelError, match=rf'has \(cpu\), got {provider}'):
            choose_provider(provider, ('cpu',))


@pytest.mark.skipif('CUDAExecutionProvider' in onnxruntime.get_available_providers(),
                    reason='this ONNX Runtime has CUDA')
def test_cuda_that_is_missing_is_an_error(tiny_model):
    with pytest.raises(ModelError, match=r'network\.provider: expected one that .* got cuda'):
        Network(tiny_model, NetworkConfig(provider='cuda'))


@pytest.fixture
def broken_cuda(monkeypatch):
    mock_broken_cuda(monkeypatch)


def test_cuda_whose_libraries_have_the_wrong_major_version_is_an_error_that_names_them(
        tiny_model, broken_cuda):
    with pytest.raises(ModelError, match=f'cuda is installed but did not start: {CUDNN_8}'):
        Network(tiny_model, NetworkConfig(provider='cuda'))


def test_libraries_of_pip_are_loaded_before_cuda_starts_and_for_nothing_else(
        tiny_model, broken_cuda, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(onnxruntime, 'preload_dlls', raising=False,
                        value=lambda: calls.append(print('Failed to load libcublas.so.13')))
    Network(tiny_model, NetworkConfig(provider='cpu'))
    assert calls == []
    with pytest.raises(ModelError, match=f'cuda is installed but did not start: {CUDNN_8}'):
        Network(tiny_model, NetworkConfig(provider='cuda'))
    assert calls == [None]
    assert capsys.readouterr().out == ''  # the error says it


def test_cuda_without_a_device_is_an_error(tiny_model, broken_cuda, monkeypatch):
    monkeypatch.setattr(providers.ctypes, 'CDLL', lambda path: None)
    with pytest.raises(ModelError, match='did not start: its libraries load, but no device'):
        Network(tiny_model, NetworkConfig(provider='cuda'))


def test_automatic_choice_warns_when_cuda_does_not_start(tiny_model, broken_cuda, caplog):
    network = Network(tiny_model)
    assert network.provider == 'cpu'
    assert f'cuda is installed but did not start: {CUDNN_8}' in network.fallback
    assert f'{network.fallback}. The network runs on the CPU.' in caplog.text


def test_the_cpu_that_is_asked_for_is_no_fallback(tiny_model, broken_cuda, caplog):
    assert Network(tiny_model, NetworkConfig(provider='cpu')).fallback == ''
    assert caplog.text == ''


class SessionOfTensorrt(RealSession):
    """A session that reports TensorRT and records its arguments."""

    def __init__(self, path, options, providers):
        super().__init__(path, options, providers=['CPUExecutionProvider'])
        self.options, self.asked, self.shapes = options, providers, []

    def get_providers(self):
        return [name if isinstance(name, str) else name[0] for name in self.asked]

    def run(self, names, feeds, options=None):
        self.shapes.append(feeds['image'].shape)
        return super().run(names, feeds, options)


@pytest.fixture
def tensorrt(monkeypatch):
    monkeypatch.setattr(providers, 'available_providers', lambda: ('cpu', 'cuda', 'tensorrt'))
    monkeypatch.setattr(providers, 'DEVICES', {'cuda': 'cpu', 'tensorrt': 'cpu'})
    monkeypatch.setattr(onnxruntime, 'InferenceSession', SessionOfTensorrt)


@pytest.mark.parametrize('precision, half', [('model', False), ('fp16', True)])
def test_tensorrt_gets_its_precision_and_a_folder_for_its_engine(
        tiny_model, tensorrt, precision, half):
    file = read_model_file(tiny_model)
    session, provider, _ = open_session(
        file, NetworkConfig(provider='tensorrt', precision=precision))
    assert provider == 'tensorrt'
    name, options = session.asked[0]
    assert name == 'TensorrtExecutionProvider' and options['trt_fp16_enable'] is half
    assert options['trt_engine_cache_enable'] is True
    assert options['trt_engine_cache_path'] == str(engine_folder(file))
    assert session.get_providers()[1:] == ['CUDAExecutionProvider', 'CPUExecutionProvider']


def test_tensorrt_sees_the_smallest_and_the_largest_image_before_the_first(
        tiny_model, tensorrt, monkeypatch, caplog):
    opened = []
    monkeypatch.setattr(onnxruntime, 'InferenceSession', lambda *args, **kwargs: (
        opened.append(SessionOfTensorrt(*args, **kwargs)) or opened[-1]))
    network = Network(tiny_model, NetworkConfig(provider='tensorrt', input_size=170))
    assert opened[0].shapes[:2] == [(1, 32, 32, 3), (network.max_batch, 192, 192, 3)]
    assert 'TensorRT prepares its engine' in caplog.text and 'is ready after' in caplog.text
    assert network.run(np.zeros((64, 96, 3), np.uint8)).semantic_ids.shape == (16, 24)


def test_while_an_engine_is_built_there_are_signs_of_life(tiny_model, monkeypatch, caplog):
    reminded = threading.Event()
    monkeypatch.setattr(providers, 'REMINDER', 0.01)
    monkeypatch.setattr(providers.logger, 'warning', lambda text, *args, warn=(
        providers.logger.warning): (warn(text, *args),
                                    reminded.set() if 'still' in text else None))
    with announced_engine(read_model_file(tiny_model)):
        assert reminded.wait(60)
    assert 'still building its engine, 0 s so far' in caplog.text
    assert not [thread for thread in threading.enumerate() if thread.name == 'instseg-engine']


@pytest.mark.parametrize('provider', ['cpu', 'cuda'])
def test_half_precision_without_tensorrt_is_an_error(tiny_model, tensorrt, provider):
    with pytest.raises(ModelError, match=r'network\.precision: fp16 needs the provider'):
        open_session(read_model_file(tiny_model),
                     NetworkConfig(provider=provider, precision='fp16'))


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Return a model in a folder of its own, with the user's cache beside that."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    path = tmp_path / 'models' / 'model.onnx'
    path.parent.mkdir()
    write_tiny_model(path)
    return path


def test_engines_lie_beside_the_model_in_a_folder_for_its_contents(model):
    file = read_model_file(model)
    folder = engine_folder(file)
    assert folder == model.resolve().parent / f'tensorrt-{file.checksum[:16]}'
    assert folder.stat().st_mode & 0o777 == 0o700
    write_tiny_model(model, tiny_info(input_size=64))
    assert engine_folder(read_model_file(model)) != folder


@pytest.mark.parametrize('spoil', [
    lambda folder: folder.chmod(0o777),
    lambda folder: os.chown(folder, 12345, 12345),
], ids=['writable', 'of_another_user'])
def test_engines_are_not_read_from_where_others_can_write(model, spoil, tmp_path):
    if os.geteuid() != 0 and 'chown' in spoil.__code__.co_names:
        pytest.skip('needs root, to make a folder of another user')
    file = read_model_file(model)
    spoil(model.parent)
    cache = tmp_path / 'cache' / 'instseg_ros'
    assert engine_folder(file).parent == cache
    cache.chmod(0o777)
    with pytest.raises(ModelError, match='TensorRT needs a folder .* only this user can write to'):
        engine_folder(file)


def test_engines_need_some_folder(model, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    (model.parent / f'tensorrt-{read_model_file(model).checksum[:16]}').write_text('')
    with pytest.raises(ModelError, match=r'TensorRT needs a folder .* set XDG_CACHE_HOME'):
        engine_folder(read_model_file(model))


@pytest.mark.parametrize('threads', [1, 3])
def test_a_session_gets_the_threads_asked_for_and_stops_spinning(tiny_model, threads):
    session = open_session(read_model_file(tiny_model), NetworkConfig(threads=threads)).session
    options = session.get_session_options()
    assert options.intra_op_num_threads == threads and options.inter_op_num_threads == 1
    assert options.get_session_config_entry('session.force_spinning_stop') == '1'
