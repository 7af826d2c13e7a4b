"""Model files with damaged bytes: as the checksum covers them all, none may be used."""
import numpy as np
from model_files import sound_bytes
from mutations import byte_steps, damaged

from instseg_ros.core.network import Network


def steps(rng):
    return byte_steps(rng)


def write(steps, folder):
    path = folder / 'model.onnx'
    path.write_bytes(damaged(sound_bytes(), steps))
    return path


def check(path):
    network = Network(path)
    assert path.read_bytes() == sound_bytes(), 'damage went unnoticed'
    network.run(np.zeros((64, 64, 3), np.uint8))
