"""A sound model file, and the use of one that was made up: its result has to be possible."""
import json
import math
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from tiny_models import tiny_info, write_tiny_model

from instseg_ros.core.config import GroupingConfig, NetworkConfig
from instseg_ros.core.segmenter import Segmenter

IMAGE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)


INFO = tiny_info(input_size=64)


@lru_cache
def sound_bytes():
    """Return the bytes of a sound model file, which `INFO` describes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'model.onnx'
        write_tiny_model(path, INFO)
        return path.read_bytes()


def check_model(path):
    """Segment an image, and check the result against what is promised of every result."""
    segmenter = Segmenter.from_onnx(path, network=NetworkConfig(provider='cpu', threads=1),
                                    grouping=GroupingConfig(center_threshold=0.1))
    check_segmentation(segmenter.segment(IMAGE), segmenter.model_info, IMAGE.shape[:2])


def check_segmentation(result, info, shape):
    """Check a result for an image of a shape."""
    assert result.semantic_ids.shape == result.instance_ids.shape == shape
    assert result.semantic_ids.max() < len(info.class_names)
    for instance in result.instances:
        assert math.isfinite(instance.score) and 0 <= instance.score <= 1, instance
        assert all(map(math.isfinite, instance.center_yx)), instance
        assert instance.class_id in info.thing_ids
        assert instance.class_name == info.class_names[instance.class_id]
        mask = result.instance_ids == instance.instance_id
        assert np.count_nonzero(mask) == instance.area > 0
        assert np.all(result.semantic_ids[mask] == instance.class_id)
    assert len(np.unique(result.instance_ids[result.instance_ids > 0])) == len(result.instances)
    text = json.dumps([vars(instance) for instance in result.instances], allow_nan=False)
    text.encode()
