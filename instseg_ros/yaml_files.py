"""YAML that people write by hand, as plain values: parameters of a node, configurations."""
from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 2 ** 20
MAX_VALUES = 2 ** 16
"""In a file. Aliases can repeat values: a file of a kilobyte can hold billions."""

MAX_DEPTH = 50
"""Of lists and sections within each other."""

MAX_TEXT = 4096
"""Characters of a text: paths are not longer."""

SURROGATE = re.compile('[\ud800-\udfff]')
"""Half a character, which an escape can give and which can't be printed."""

PLAIN = (str, bool, int, float, type(None))
"""Types of values beside lists and mappings. YAML has more, such as dates and !!binary."""


class _Loader(yaml.SafeLoader):
    """Reads plain values, and lists of the kind that launch_ros writes into its files."""

    def construct_tuple(self, node: yaml.SequenceNode) -> list[Any]:
        return self.construct_sequence(node, deep=True)


_Loader.add_constructor('tag:yaml.org,2002:python/tuple', _Loader.construct_tuple)


def read_yaml(path: Path | str) -> Any:
    """Return the content of a YAML file.

    Raises
    ------
    OSError
        It can't be read.
    ValueError
        It is no YAML, or holds more than plain values; the message names the file.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError('expected a regular file, got a folder, device, pipe or socket')
        if status.st_size > MAX_BYTES:
            raise ValueError(f'expected at most {MAX_BYTES} bytes, got {status.st_size}')
        return parse_yaml(path.read_text(encoding='utf-8-sig'))
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: expected text in UTF-8 ({error})') from error
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def parse_yaml(text: str) -> Any:
    """Return what a YAML text says, in lists and mappings of its own wherever an alias stands.

    Raises
    ------
    ValueError
        It is no YAML; it has other tags than those of plain values; a key is no text; or it is
        larger or deeper than anybody writes by hand, as with an alias that contains itself.
    """
    try:
        tree = yaml.load(text, Loader=_Loader)
    except RecursionError as error:
        raise ValueError(f'not valid YAML (deeper than {MAX_DEPTH} levels)') from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as a date 2026-13-45
        raise ValueError(f'not valid YAML ({error})') from error
    return _Copier().copy(tree, '', 0)


class _Copier:
    """Copies a tree of plain values, and counts them."""

    def __init__(self) -> None:
        self._count = 0

    def copy(self, value: Any, where: str, depth: int) -> Any:
        self._count += 1
        if depth > MAX_DEPTH:
            raise ValueError(f'{where:.40}...: expected at most {MAX_DEPTH} levels, got more, or '
                             'an alias that contains itself')
        if self._count > MAX_VALUES:
            raise ValueError(f'expected at most {MAX_VALUES} values, got more, or aliases that '
                             'repeat them')
        if isinstance(value, list):
            return [self.copy(item, f'{where}[{k}]', depth + 1) for k, item in enumerate(value)]
        if isinstance(value, dict):
            return {self._key(key, where): self.copy(
                item, f'{where}.{key}' if where else str(key), depth + 1)
                for key, item in value.items()}
        if not isinstance(value, PLAIN):
            raise ValueError(f'{where or "the file"}: expected text, a number, true or false, a '
                             f'list or a section, got a {type(value).__name__}: {value!r:.80}')
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise ValueError(f'{where or "the file"}: expected a text of at most {MAX_TEXT} '
                             f'characters, got {len(value)}')
        if isinstance(value, str) and SURROGATE.search(value):
            raise ValueError(f'{where or "the file"}: expected text, got half a character: '
                             f'{value!a:.80}')
        return value

    @staticmethod
    def _key(key: Any, where: str) -> str:
        if not isinstance(key, str) or len(key) > MAX_TEXT or SURROGATE.search(key):
            raise ValueError(f'{where or "the file"}: expected text as a key, got {key!a:.80}; '
                             'write it in quotes')
        return key
