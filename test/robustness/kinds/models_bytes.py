"""Model files with damaged bytes: as the checksum covers them all, none may be used."""
import numpy as np
from mutations import byte_steps, damaged
from tiny_models import tiny_info, write_tiny_model

from instseg_ros.core.network import Network


def steps(rng):
    return byte_steps(rng)


def write(steps, folder):
    path = folder / 'model.onnx'
    write_tiny_model(path, tiny_info(input_size=64))
    path.write_bytes(damaged(path.read_bytes(), steps))
    return path


def check(path):
    network = Network(path)
    again = path.with_name('again.onnx')
    write_tiny_model(again, tiny_info(input_size=64))
    assert path.read_bytes() == again.read_bytes(), 'damage went unnoticed'
    network.run(np.zeros((64, 64, 3), np.uint8))
