"""Model files with odd metadata and a checksum that fits: no value is trusted."""
import json

import onnx
from model_files import check_model
from mutations import edited, value_steps, written
from tiny_models import tiny_info, write_tiny_model

from instseg_ros.core.model_info import METADATA_KEY
from instseg_ros.core.network.model_file import seal

INFO = tiny_info(input_size=64)
SOUND = json.loads(INFO.to_metadata()[METADATA_KEY])


def steps(rng):
    return value_steps(rng, SOUND, most=2)



def sound_model(folder):
    write_tiny_model(folder / 'sound.onnx', INFO)
    return onnx.load(folder / 'sound.onnx')


def write(steps, folder):
    model = sound_model(folder)
    model.metadata_props[0].value = written(json.dumps(edited(SOUND, steps)))
    path = folder / 'model.onnx'
    path.write_bytes(seal(model.SerializeToString()))
    return path


def check(path):
    check_model(path)
