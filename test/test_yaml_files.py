"""YAML of any kind is plain values or a ValueError of one sentence."""
import os
from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from instseg_ros.core.config import NetworkConfig, options_of
from instseg_ros.node.options import make_configs, parameter_options
from instseg_ros.node.parameter_files import read_parameters
from instseg_ros.yaml_files import parse_yaml, read_yaml

LAUGHS = 'a: &a [x, x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'{name}: &{name} [{", ".join([f"*{before}"] * 10)}]\n'
    for before, name in zip('abcdefgh', 'bcdefghi'))

HOSTILE = {
    'recursive alias': ('a: &a [1, *a]', 'expected at most 50 levels'),
    'repeated aliases': (LAUGHS, 'expected at most 65536 values'),
    'deep nesting': ('[' * 100000, 'not valid YAML'),
    'levels': ('[' * 60 + ']' * 60, 'expected at most 50 levels'),
    'binary': ('a: !!binary aGk=', "a: expected text, a number, .* got a bytes: b'hi'"),
    'unknown tag': ('a: !rostype 5', 'not valid YAML'),
    'python': ('a: !!python/object/apply:os.system [ls]', 'not valid YAML'),
    'date': ('a: 2026-11-28', 'a: expected text, .* got a date'),
    'no date': ('a: 2026-13-45', 'not valid YAML'),
    'set': ('a: !!set {b, c}', 'got a set'),
    'key': ('1: 2', 'expected text as a key, got 1; write it in quotes'),
    'unhashable key': ('? [1]\n: 2', 'not valid YAML'),
    'null byte': ('a: "\0"', 'not valid YAML'),
    'endless number': ('a: ' + '9' * 5000, 'not valid YAML'),
}


@pytest.mark.parametrize('name', HOSTILE)
def test_hostile_yaml_is_refused_in_one_sentence(tmp_path, name):
    text, message = HOSTILE[name]
    path = tmp_path / 'a.yaml'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_yaml(path)


def test_what_is_no_text_file_is_named(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    for path in (tmp_path, tmp_path / 'pipe'):
        with pytest.raises(ValueError, match=f'{path}: expected a regular file'):
            read_yaml(path)
    (tmp_path / 'a.yaml').write_bytes(b'a: \xff')
    with pytest.raises(ValueError, match='a.yaml: expected text in UTF-8'):
        read_yaml(tmp_path / 'a.yaml')
    (tmp_path / 'large.yaml').write_bytes(b'# ' + b'x' * 2 ** 20)
    with pytest.raises(ValueError, match='large.yaml: expected at most 1048576 bytes'):
        read_yaml(tmp_path / 'large.yaml')


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12)


@given(PLAIN)
def test_plain_values_are_read_as_they_are(value):
    assert parse_yaml(yaml.safe_dump(value)) == value


@given(st.text(alphabet='ab:-[]{}&*!?|>\'"#%@`, \n\t0.', max_size=60))
def test_any_text_is_plain_values_or_a_value_error(text):
    with suppress(ValueError):
        parse_yaml(text)


DEFAULTS = {name: item.default for name, item in parameter_options()}


@pytest.mark.parametrize('text', ['[]', '{}', '[1, a]', '.inf', '-.inf', '.nan', '""', '~',
                                  '5.5', '9223372036854775808', 'yes', '[[1]]'])
def test_no_value_of_a_parameter_is_a_traceback(tmp_path, text):
    path = tmp_path / 'params.yaml'
    path.write_text('/**:\n  ros__parameters:\n' + ''.join(
        f'    {name}: {text}\n' for name in DEFAULTS))
    with suppress(ValueError):  # {} sets nothing
        values = read_parameters(path, '/segmenter', DEFAULTS)
        for name, value in values.items():
            with suppress(ValueError):
                make_configs({**DEFAULTS, name: value})


@pytest.mark.parametrize('value', [5.5, True, None, [], {}, b'x', float('inf')])
def test_the_type_of_every_option_is_checked(value):
    for item in options_of(NetworkConfig):
        if type(value) is not item.type:
            with pytest.raises(ValueError, match=f'network.{item.name}: expected'):
                NetworkConfig(**{item.name: value})


@pytest.mark.parametrize('text', [r'{"\ud800": 1}', r'{"a": "\ud800"}', r'["\udfff"]',
                                  r'{"a": {"b\ud800": [1]}}'])
def test_half_a_character_is_refused_in_words_that_can_be_printed(text):
    with pytest.raises(ValueError, match='expected text') as caught:
        parse_yaml(text)
    assert str(caught.value).isascii()
