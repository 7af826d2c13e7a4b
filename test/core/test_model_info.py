"""A model's description survives the way through a file; whatever is wrong with it is refused."""
import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import tiny_info

from instseg_ros.core.model_info import BOUNDS, METADATA_KEY, ModelInfo

printable = st.characters(exclude_categories=('Cc', 'Cs', 'Zl', 'Zp'))
names = st.text(printable, min_size=1, max_size=100).filter(str.strip)
colors = st.tuples(*[st.integers(0, 255)] * 3)
numbers = st.integers(-10 ** 300, 10 ** 300) | st.floats(allow_nan=False, allow_infinity=False)
notes = st.recursive(st.none() | st.booleans() | numbers | st.text(printable),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                         st.text(printable), inner, max_size=3), max_leaves=6)


@st.composite
def model_infos(draw):
    class_names = draw(st.lists(names, min_size=1, max_size=20, unique=True))
    count = len(class_names)
    stride = draw(st.integers(1, 16))
    return ModelInfo(
        class_names=tuple(class_names),
        thing_ids=tuple(draw(st.sets(st.integers(0, count - 1)))),
        palette=tuple(draw(st.lists(colors, min_size=count, max_size=count))),
        output_stride=stride, size_multiple=stride * draw(st.integers(1, 8)),
        embedding_size=draw(st.integers(1, 64)), input_size=draw(st.integers(1, 1900)),
        score_scale=draw(st.floats(0.01, 100)), score_shift=draw(st.floats(-100, 100)),
        duplicate_distance=draw(st.floats(0, 100)),
        training=draw(st.dictionaries(st.text(printable), notes, max_size=3)))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(model_infos())
def test_a_model_info_survives_metadata(info):
    assert ModelInfo.from_metadata(info.to_metadata()) == info


HUGE = 'x' * 300_000


@pytest.mark.parametrize('changes, message', [
    ({'class_names': ()}, 'class_names: expected 1 to 255 names, got 0'),
    ({'class_names': 'abcde'}, "class_names: expected a list, got 'abcde'"),
    ({'class_names': ('a', 'b', 'a', 'c', 'd')}, 'class_names: expected distinct names'),
    ({'class_names': ('a', 'b', 'c', 'd', 5)}, 'class_names: expected names of 1 to 100 charac'),
    ({'class_names': ('a', 'b', 'c', 'd', '')}, 'class_names: expected names of 1 to 100 charac'),
    ({'class_names': ('a', 'b', 'c', 'd', ' ')}, 'class_names: expected names of 1 to 100 char'),
    ({'class_names': ('a', 'b', 'c', 'd', HUGE)}, 'class_names: expected names of 1 to 100 char'),
    ({'class_names': ('a', 'b', 'c', 'd', '\ud800')},
     r"class_names: expected printable characters, got '\\ud800'"),
    ({'class_names': ('a', 'b', 'c', 'd', '\x1b[2J')},
     r"class_names: expected printable characters, got '\\x1b\[2J'"),
    ({'palette': ((0, 0, 0),)}, 'palette: expected 5 colours, one for each name, got 1'),
    ({'palette': ((0, 0, 256),) * 5}, 'palette: expected RGB colours of 0 to 255'),
    ({'palette': ((0, 0, 1.0),) * 5}, 'palette: expected RGB colours of 0 to 255'),
    ({'palette': ((0, 0, True),) * 5}, 'palette: expected RGB colours of 0 to 255'),
    ({'palette': ((0, 0),) * 5}, 'palette: expected RGB colours of 0 to 255'),
    ({'thing_ids': (5,)}, 'thing_ids: expected ids below 5'),
    ({'thing_ids': (-1,)}, 'thing_ids: expected ids below 5'),
    ({'thing_ids': (1.5,)}, r'thing_ids: expected ids below 5, .* got \(1.5,\)'),
    ({'thing_ids': (1.0,)}, 'thing_ids: expected ids below 5'),
    ({'thing_ids': (1, 1)}, 'thing_ids: expected distinct ids'),
    ({'output_stride': 0}, 'output_stride: expected a value from 1 to 64, got 0'),
    ({'output_stride': 4.0}, 'output_stride: expected a whole number, got 4.0'),
    ({'output_stride': True}, 'output_stride: expected a whole number, got True'),
    ({'size_multiple': 30}, 'size_multiple: expected a multiple of output_stride 4, got 30'),
    ({'size_multiple': 4096}, 'size_multiple: expected a value from 1 to 1024, got 4096'),
    ({'embedding_size': 0}, 'embedding_size: expected a value from 1'),
    ({'input_size': 20000}, 'input_size: expected a value from 1 to 8192, got 20000'),
    ({'input_size': 160.5}, 'input_size: expected a whole number, got 160.5'),
    ({'input_size': float('inf')}, 'input_size: expected a whole number, got inf'),
    ({'input_size': '160'}, "input_size: expected a whole number, got '160'"),
    ({'input_size': 8192, 'output_stride': 1, 'embedding_size': 64},
     'expected an output of at most 1024 MiB for a square image, got 16'),
    ({'score_scale': 0}, 'score_scale: expected a value from 1e-06'),
    ({'score_shift': float('nan')}, 'score_shift: expected a value .* got nan'),
    ({'score_shift': None}, 'score_shift: expected a number, got None'),
    ({'duplicate_distance': -1}, 'duplicate_distance: expected a value from 0'),
    ({'duplicate_distance': float('inf')}, 'duplicate_distance: expected .* got inf'),
    ({'training': None}, 'training: expected a dict, got None'),
    ({'training': {'a': float('nan')}}, 'training: expected finite numbers, got nan'),
    ({'training': {'\ud800': 1}}, 'training: expected printable characters'),
    ({'training': {'a': b'bytes'}}, 'training: expected values as in JSON, got bytes'),
    ({'training': {'a': [[[[[[[[1]]]]]]]]}}, 'training: expected at most 8 levels'),
])
def test_a_wrong_model_info_is_refused_with_a_reason(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_info(**changes)


def entry(**changes):
    """Return the metadata of a tiny model as an object of JSON."""
    return {**json.loads(tiny_info().to_metadata()[METADATA_KEY]), **changes}


def read(text):
    return ModelInfo.from_metadata({METADATA_KEY: text})


def test_metadata_of_older_files_is_still_read():
    values = entry(format_version=1)
    for name in ('score_scale', 'score_shift', 'duplicate_distance'):
        del values[name]
    info = read(json.dumps(values))
    assert (info.score_scale, info.score_shift, info.duplicate_distance) == (1, 0, 2)


def test_metadata_without_entry_is_refused():
    with pytest.raises(ValueError, match='not exported by "instseg export"'):
        ModelInfo.from_metadata({'producer': 'somebody else'})


@pytest.mark.parametrize('version', [0, 99, 1.0, True, '1', None])
def test_metadata_of_another_format_is_refused(version):
    with pytest.raises(ValueError, match=r'model format .*export the model again'):
        read(json.dumps(entry(format_version=version)))


@pytest.mark.parametrize('text, message', [
    ('no JSON', 'Expecting value'),
    ('[]', 'expected an object'),
    ('[' * 100_000, 'recursion'),
    (json.dumps(entry(input_size=float('inf'))), 'expected finite numbers, got Infinity'),
    (json.dumps(entry())[:-1] + ', "input_size": 64}', 'a name is given twice'),
    (json.dumps(entry(surprise=1)), "unknown 'surprise'"),
    (json.dumps({k: v for k, v in entry().items() if k != 'class_names'}),
     "missing 'class_names'"),
    (json.dumps({k: v for k, v in entry().items() if k != 'format_version'}),
     'expected an object with a format_version'),
    (json.dumps(entry(training={'a': HUGE})), 'expected at most 262144 characters'),
])
def test_damaged_metadata_is_refused(text, message):
    with pytest.raises(ValueError, match=f'"{METADATA_KEY}" entry .* is damaged: .*{message}'):
        read(text)


odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8)


@given(st.sampled_from(sorted(entry())), odd_values)
def test_any_other_value_is_refused_or_within_bounds(name, value):
    try:
        info = read(json.dumps(entry(**{name: value})))
    except ValueError as error:
        str(error).encode()  # can be printed
        return
    for field in dataclasses.fields(info):
        if field.name in BOUNDS:
            low, high = BOUNDS[field.name]
            number = getattr(info, field.name)
            assert low <= number <= high
            assert type(number) is int or field.type == 'float'
    assert len(info.class_names) == len(info.palette)
    json.dumps(info.to_metadata(), allow_nan=False)
