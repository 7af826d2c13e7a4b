"""Mocks of CUDA for machines without a GPU: sessions on the CPU that report CUDA's provider."""
import onnxruntime

from instseg_ros.core.network import providers


class SessionOfCuda(onnxruntime.InferenceSession):
    """A session on the CPU that reports the requested providers.

    If it is `too_old`, it falls back to the CPU when it gets an option of later versions.
    """

    too_old = False

    def __init__(self, model, options, providers):
        super().__init__(model, options, providers=['CPUExecutionProvider'])
        self.asked = providers

    def get_providers(self):
        names = [name if isinstance(name, str) else name[0] for name in self.asked]
        return names[1:] if self.too_old and 'use_tf32' in self.asked[0][1] else names


def mock_cuda(monkeypatch):
    """Make CUDA look available, with the memory of the CPU as its own."""
    monkeypatch.setattr(providers, 'available_providers', lambda: ('cpu', 'cuda'))
    monkeypatch.setattr(providers, 'DEVICES', {'cuda': 'cpu'})
    monkeypatch.setattr(onnxruntime, 'InferenceSession', SessionOfCuda)


CUDNN_8 = 'libcudnn.so.8: cannot open shared object file: No such file or directory'


class SessionThatFellBack(onnxruntime.InferenceSession):
    """What ONNX Runtime makes of a CUDA provider whose libraries don't load."""

    def __init__(self, model, options, providers):
        super().__init__(model, options, providers=['CPUExecutionProvider'])


def mock_broken_cuda(monkeypatch):
    """Make CUDA look installed, for a major version of cuDNN that is not there."""
    def load(path):
        assert path.endswith('/capi/libonnxruntime_providers_cuda.so')
        raise OSError(CUDNN_8)
    monkeypatch.setattr(providers, 'available_providers', lambda: ('cpu', 'cuda'))
    monkeypatch.setattr(onnxruntime, 'InferenceSession', SessionThatFellBack)
    monkeypatch.setattr(providers.ctypes, 'CDLL', load)
