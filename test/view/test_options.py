"""Live options: checked changes, and a parameter file that the node accepts."""
import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.core.config import (
    GroupingConfig,
    NetworkConfig,
    RefinementConfig,
    SelectionConfig,
    options_of,
)
from instseg_ros.node.options import make_configs, parameter_options
from instseg_ros.node.parameter_files import read_parameters
from instseg_ros.view.options import (
    change_options,
    describe_options,
    option_values,
    parameter_file,
)

CONFIGS = {'grouping': GroupingConfig(), 'refinement': RefinementConfig()}
DECLARED = {f'{part}.{item.name}': item
            for part, config in CONFIGS.items() for item in options_of(config)}


def values_of(item):
    if item.choices:
        return st.sampled_from(item.choices)
    if item.type is int:
        return st.integers(int(item.minimum), int(item.maximum))
    return st.floats(item.minimum, item.maximum)


@given(st.fixed_dictionaries({}, optional={
    name: values_of(item) for name, item in DECLARED.items()}), st.booleans())
def test_the_node_accepts_the_saved_file(tmp_path_factory, changes, is_small):
    configs = change_options(CONFIGS, json.loads(json.dumps(changes)))
    network = NetworkConfig(input_size=320) if is_small else NetworkConfig()
    path = tmp_path_factory.mktemp('saved') / 'segmenter.yaml'
    fixed = {'network': network, 'selection': SelectionConfig('car')}
    path.write_text(parameter_file(configs, fixed, '/models/größe #1.onnx'), encoding='utf-8')
    known = dict(parameter_options())
    read = read_parameters(path, '/front/segmenter', known)
    assert {name: type(value) for name, value in read.items()} == {
        name: known[name].type for name in read}
    made = make_configs({**{name: item.default for name, item in known.items()}, **read})
    assert (made.grouping, made.refinement) == (configs['grouping'], configs['refinement'])
    assert made.selection.class_names == ('car',)
    assert made.network == network and made.node.model == '/models/größe #1.onnx'


@pytest.mark.parametrize('changes, text', [
    ({'grouping.center_threshold': 1.5}, 'center_threshold: expected a value from 0 to 1, got'),
    ({'grouping.center_threshold': math.nan}, 'expected a value from 0 to 1, got nan'),
    ({'grouping.max_instances': 2.5}, 'expected a value of type int, got 2.5'),
    ({'grouping.max_instances': True}, 'expected a value of type int, got True'),
    ({'refinement.purity': '0.8'}, "expected a value of type float, got '0.8'"),
    ({'refinement.compactness': 10 ** 400}, 'expected a value from 0.1 to 1000'),
    ({'refinement.method': 'magic'}, 'expected one of slic, bilateral, nearest'),
    ({'network.threads': 2}, 'network.threads: expected one of grouping.center_threshold'),
    ({'refinement.method': ['slic']}, 'expected one of slic'),
])
def test_a_wrong_value_is_refused_with_what_was_expected(changes, text):
    with pytest.raises(ValueError, match=text):
        change_options(CONFIGS, changes)


def test_other_options_are_kept():
    configs = change_options(CONFIGS, {'grouping.max_instances': 3})
    configs = change_options(configs, {'grouping.center_threshold': 1, 'refinement.iterations': 2})
    assert configs == {'grouping': GroupingConfig(1.0, max_instances=3),
                       'refinement': dataclasses.replace(RefinementConfig(), iterations=2)}
    assert type(configs['grouping'].center_threshold) is float


def test_every_live_option_is_described():
    described = json.loads(json.dumps(describe_options(CONFIGS)))
    assert {f'{item["part"]}.{item["name"]}': item['start'] for item in described} == \
        option_values(CONFIGS)
    assert all(item['help'] and item['type'] in ('int', 'float', 'str') for item in described)
    # The page makes a slider of each number.
    assert all(item['choices'] or item['minimum'] < item['maximum'] for item in described)
