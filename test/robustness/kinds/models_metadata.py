"""Model files with odd metadata and a checksum that fits: no value is trusted."""
import json

import onnx
from model_files import INFO, check_model, sound_bytes
from mutations import edited, value_steps, written

from instseg_ros.core.model_info import METADATA_KEY
from instseg_ros.core.network.model_file import seal

SOUND = json.loads(INFO.to_metadata()[METADATA_KEY])


def steps(rng):
    return value_steps(rng, SOUND, most=2)


def write(steps, folder):
    model = onnx.load_from_string(sound_bytes())
    model.metadata_props[0].value = written(json.dumps(edited(SOUND, steps)))
    path = folder / 'model.onnx'
    path.write_bytes(seal(model.SerializeToString()))
    return path


def check(path):
    check_model(path)
