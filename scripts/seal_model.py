"""Write the checksum of a model file anew, after a change on purpose; "instseg export" does so.

python scripts/seal_model.py mine.onnx
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import onnx

from instseg_ros.core.model_info import FORMAT_VERSION, METADATA_KEY, ModelInfo, read_entry
from instseg_ros.core.network.model_file import read_model_file, seal
from instseg_ros.files import replacing


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', type=Path, help='ONNX file, which is changed in place')
    path = parser.parse_args().model
    model = onnx.load(path, load_external_data=False)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            values = read_entry({METADATA_KEY: entry.value})
            entry.value = json.dumps({**values, 'format_version': FORMAT_VERSION})
    with replacing(path) as temporary:
        temporary.write_bytes(seal(model.SerializeToString()))
        file = read_model_file(temporary)
        ModelInfo.from_metadata(file.metadata)
    print(f'{path}: SHA-256 {file.checksum}')


if __name__ == '__main__':
    main()
