"""Types check their arrays, and model descriptions survive the way through a file."""
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_info

from instseg_ros.core.types import (
    METADATA_KEY,
    Centers,
    ModelInfo,
    NetworkOutput,
    Segmentation,
    check_array,
)

colors = st.tuples(*[st.integers(0, 255)] * 3)


@st.composite
def model_infos(draw):
    names = draw(st.lists(st.text(min_size=1), min_size=1, max_size=255, unique=True))
    stride = draw(st.integers(1, 16))
    return ModelInfo(
        class_names=tuple(names),
        thing_ids=tuple(draw(st.sets(st.integers(0, len(names) - 1)))),
        palette=tuple(draw(st.lists(colors, min_size=len(names), max_size=len(names)))),
        output_stride=stride, size_multiple=stride * draw(st.integers(1, 8)),
        embedding_size=draw(st.integers(1, 64)), input_size=draw(st.integers(1, 4096)),
        score_scale=draw(st.floats(0.01, 100)), score_shift=draw(st.floats(-100, 100)),
        duplicate_distance=draw(st.floats(0, 100)),
        training=draw(st.dictionaries(st.text(), st.integers() | st.text())))


@given(model_infos())
def test_model_info_survives_metadata(info):
    assert ModelInfo.from_metadata(info.to_metadata()) == info


@pytest.mark.parametrize('changes, message', [
    ({'class_names': ()}, 'class_names: expected 1 to 255 names, got 0'),
    ({'class_names': ('a', 'b', 'a', 'c', 'd')}, 'class_names: expected distinct names'),
    ({'palette': ((0, 0, 0),)}, 'palette: expected 5 colours, got 1'),
    ({'palette': ((0, 0, 256),) * 5}, 'palette: expected RGB colours of 0 to 255'),
    ({'thing_ids': (5,)}, 'thing_ids: expected ids below 5'),
    ({'output_stride': 0}, 'output_stride: expected at least 1, got 0'),
    ({'embedding_size': 0}, 'embedding_size: expected at least 1'),
    ({'score_scale': 0}, 'score_scale, score_shift: expected finite numbers, the first above 0'),
    ({'score_shift': float('nan')}, 'score_scale, score_shift: .* got 1.0 and nan'),
    ({'duplicate_distance': -1}, 'duplicate_distance: expected a finite number of at least 0'),
    ({'duplicate_distance': float('inf')}, 'duplicate_distance: expected .* got inf'),
    ({'size_multiple': 30}, 'size_multiple: expected a multiple of output_stride 4, got 30'),
])
def test_a_wrong_model_info_is_refused_with_a_reason(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_info(**changes)


def test_metadata_of_older_files_is_still_read():
    values = json.loads(tiny_info().to_metadata()[METADATA_KEY])
    for name in ('score_scale', 'score_shift', 'duplicate_distance'):
        del values[name]
    info = ModelInfo.from_metadata({METADATA_KEY: json.dumps(values)})
    assert (info.score_scale, info.score_shift, info.duplicate_distance) == (1, 0, 2)


def test_metadata_without_entry_is_refused():
    with pytest.raises(ValueError, match='not exported by "instseg export"'):
        ModelInfo.from_metadata({'producer': 'somebody else'})


def test_metadata_of_another_format_is_refused():
    values = json.loads(tiny_info().to_metadata()[METADATA_KEY])
    text = json.dumps({**values, 'format_version': 99})
    with pytest.raises(ValueError, match=r'model format 99.*export the model again'):
        ModelInfo.from_metadata({METADATA_KEY: text})


@pytest.mark.parametrize('damage', [
    lambda values: 'no JSON',
    lambda values: '[]',
    lambda values: json.dumps({k: v for k, v in values.items() if k != 'class_names'}),
    lambda values: json.dumps({k: v for k, v in values.items() if k != 'format_version'}),
    lambda values: json.dumps({**values, 'surprise': 1}),
    lambda values: json.dumps({**values, 'palette': 3}),
])
def test_damaged_metadata_is_refused(damage):
    values = json.loads(tiny_info().to_metadata()[METADATA_KEY])
    with pytest.raises(ValueError, match=f'"{METADATA_KEY}" entry .* is damaged'):
        ModelInfo.from_metadata({METADATA_KEY: damage(values)})


def test_check_array_names_what_was_expected():
    with pytest.raises(TypeError, match='ids: expected a NumPy array, got list'):
        check_array('ids', [1], ('N',), np.uint8)
    with pytest.raises(TypeError, match='ids: expected dtype uint8, got int64'):
        check_array('ids', np.zeros(3, np.int64), ('N',), np.uint8)
    with pytest.raises(ValueError, match=r'ids: expected shape \(N, 3\), got \(3, 4\)'):
        check_array('ids', np.zeros((3, 4), np.uint8), ('N', 3), np.uint8)
    with pytest.raises(ValueError, match=r'ids: expected shape \(N\), got \(3, 4\)'):
        check_array('ids', np.zeros((3, 4), np.uint8), ('N',), np.uint8)


def test_network_output_has_one_grid():
    grid = np.zeros((4, 5), np.float32)
    ids, embedding = np.zeros((4, 5), np.uint8), np.zeros((4, 5, 2), np.float32)
    output = NetworkOutput(ids, grid, embedding)
    with pytest.raises(ValueError, match=r'embedding: expected shape \(4, 5, E\)'):
        dataclasses.replace(output, embedding=embedding[:3])
    with pytest.raises(ValueError, match=r'center_heatmap: expected shape \(4, 5\)'):
        dataclasses.replace(output, center_heatmap=grid[:, :4])


def test_centers_have_one_row_each():
    centers = Centers(np.zeros((2, 2), np.float32), np.zeros(2, np.float32),
                      np.zeros(2, np.uint8), np.zeros((2, 8), np.float32))
    assert len(centers) == 2
    with pytest.raises(ValueError, match=r'confidences: expected shape \(2\), got \(3,\)'):
        dataclasses.replace(centers, confidences=np.zeros(3, np.float32))


def test_segmentation_maps_have_one_size():
    with pytest.raises(ValueError, match='instance_ids: expected shape'):
        Segmentation(np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint16))
    with pytest.raises(TypeError, match='instance_ids: expected dtype uint16'):
        Segmentation(np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8))
