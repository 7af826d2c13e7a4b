"""What log and diagnostics tell about the model."""
from __future__ import annotations

from instseg_ros.core.network import Network
from instseg_ros.messages.results import CONFIDENCE

NO_CONFIDENCE = (f'no topic {CONFIDENCE}: the model has no confidence of its classes; export it '
                 'again with "instseg export"')


def checksum_text(network: Network) -> str:
    """Return the checksum of a model for the diagnostics."""
    return network.checksum + ('' if network.has_checksum else ' (not named by the file)')


def batch_text(network: Network) -> str:
    """Return how the images of several cameras go through the network, for the log."""
    if not network.is_batchable:
        return ('images of the cameras run one after another: the model file takes one image; '
                'export it again to batch them')
    if network.max_batch == 1:
        return 'images of the cameras run one after another: network.max_batch is 1 here'
    return f'up to {network.max_batch} images of the cameras run together'


def provider_problem(network: Network) -> str:
    """Return why a GPU that ONNX Runtime was installed for does not run the network; else ''."""
    return f'the network runs on the CPU: {network.fallback}' if network.fallback else ''
