"""A GPU, played by the CPU: sessions that say they run on CUDA, for machines without a GPU."""
import onnxruntime

from instseg_ros.core.network import providers


class SessionOfCuda(onnxruntime.InferenceSession):
    """A session on the CPU that says it runs on what was asked for.

    If it is `too_old`, it falls back to the CPU where it is given an option that came later.
    """

    too_old = False

    def __init__(self, model, options, providers):
        super().__init__(model, options, providers=['CPUExecutionProvider'])
        self.asked = providers

    def get_providers(self):
        names = [name if isinstance(name, str) else name[0] for name in self.asked]
        return names[1:] if self.too_old and 'use_tf32' in self.asked[0][1] else names


def play_cuda(monkeypatch):
    """Let CUDA seem to be there, with the memory of the CPU as its own."""
    monkeypatch.setattr(providers, 'available_providers', lambda: ('cpu', 'cuda'))
    monkeypatch.setattr(providers, 'GPUS', {'cuda': 'cpu'})
    monkeypatch.setattr(onnxruntime, 'InferenceSession', SessionOfCuda)
