"""What a model file tells about itself, and the checks that it has to pass.

A model file is data from somewhere: every value is checked before it is used, so that none can
crash the process, take all of its memory or change results without a word.
"""
from __future__ import annotations

import dataclasses
import json
import math
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Mapping

METADATA_KEY = 'instseg_ros'

FORMAT_VERSION = 2
"""Version of the entry: files of version 2 have a checksum, those of version 1 needn't."""

MAX_CLASSES = 255
"""A class is a pixel value of 8 bits, of which 255 is left for pixels without a class."""

MAX_ENTRY = 256 * 1024
"""Characters of the entry in a file's metadata; 255 classes take about 20,000."""

MAX_NAME = 100
"""Characters in the name of a class."""

MAX_DEPTH = 8
"""Levels of lists and objects within `ModelInfo.training`."""

MAX_OUTPUT = 1 << 30
"""Bytes of the network's output for a square image of the model's input size."""

BOUNDS = {'output_stride': (1, 64), 'size_multiple': (1, 1024), 'embedding_size': (1, 1024),
          'input_size': (1, 8192), 'score_scale': (1e-6, 1e6), 'score_shift': (-1e6, 1e6),
          'duplicate_distance': (0, 1e6)}
"""Smallest and largest value of each number."""


class ModelError(ValueError):
    """A model file that can't be used, at all or with these options, or has impossible output."""


@dataclass(frozen=True)
class ModelInfo:
    """The description of a model, stored in the metadata of its ONNX file.

    Attributes
    ----------
    class_names : tuple of str
        Name of each semantic id: distinct, of at most `MAX_NAME` printable characters.
    thing_ids : tuple of int
        Semantic ids whose pixels are grouped into instances; the others are stuff.
    palette : tuple of (int, int, int)
        RGB colour of each semantic id.
    output_stride : int
        Pixels of the network's input per pixel of its output.
    size_multiple : int
        The network's input height and width must be multiples of this.
    embedding_size : int
        Length of a pixel's embedding.
    input_size : int
        Long side in pixels to which an image is scaled by default.
    score_scale, score_shift : float
        Calibration of an instance's score from its center's confidence, see
        `instseg_ros.core.instances.instance_scores`; by default both are the same.
    duplicate_distance : float
        Centers of one class whose embeddings are nearer than this count as the same object. Files
        without the entry were trained for 2.
    training : dict
        About the training (data, duration, figures), for people; values as in JSON.

    Raises
    ------
    ValueError
        A value is of another type or out of bounds (`BOUNDS`), or values contradict each other.
    """

    class_names: tuple[str, ...]
    thing_ids: tuple[int, ...]
    palette: tuple[tuple[int, int, int], ...]
    output_stride: int
    size_multiple: int
    embedding_size: int
    input_size: int
    score_scale: float = 1.0
    score_shift: float = 0.0
    duplicate_distance: float = 2.0
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(_items('class_names', self.class_names))
        if not 1 <= count <= MAX_CLASSES:
            raise ValueError(f'class_names: expected 1 to {MAX_CLASSES} names, got {count}')
        for name in self.class_names:
            _check_name('class_names', name)
        if len(set(self.class_names)) != count:
            raise ValueError(f'class_names: expected distinct names, got '
                             f'{_shown(self.class_names)}')
        if len(_items('palette', self.palette)) != count:
            raise ValueError(f'palette: expected {count} colours, one for each name, got '
                             f'{len(self.palette)}')
        for color in self.palette:
            if len(_items('palette', color)) != 3 or not all(
                    _is_whole(value) and 0 <= value <= 255 for value in color):
                raise ValueError(f'palette: expected RGB colours of 0 to 255, got {_shown(color)}')
        if not all(_is_whole(thing) and 0 <= thing < count
                   for thing in _items('thing_ids', self.thing_ids)):
            raise ValueError(f'thing_ids: expected ids below {count}, the number of names, got '
                             f'{_shown(self.thing_ids)}')
        if len(set(self.thing_ids)) != len(self.thing_ids):
            raise ValueError(f'thing_ids: expected distinct ids, got {_shown(self.thing_ids)}')
        for item in dataclasses.fields(self):
            if item.name in BOUNDS:
                self._check_number(item.name, whole=item.type == 'int')
        if self.size_multiple % self.output_stride:
            raise ValueError(f'size_multiple: expected a multiple of output_stride '
                             f'{self.output_stride}, got {self.size_multiple}')
        side = self.input_size + self.size_multiple
        output = (side // self.output_stride) ** 2 * (5 + 4 * self.embedding_size)
        if output > MAX_OUTPUT:
            raise ValueError('input_size, output_stride, embedding_size: expected an output of '
                             f'at most {MAX_OUTPUT >> 20} MiB for a square image, got '
                             f'{output >> 20} MiB')
        if not isinstance(self.training, Mapping):
            raise ValueError(f'training: expected a dict, got {_shown(self.training)}')
        _check_json('training', self.training, MAX_DEPTH)

    def _check_number(self, name: str, whole: bool) -> None:
        value = getattr(self, name)
        low, high = BOUNDS[name]
        if not (_is_whole(value) or (isinstance(value, float) and not whole)):
            raise ValueError(f'{name}: expected a {"whole " if whole else ""}number, got '
                             f'{_shown(value)}')
        if not low <= value <= high:
            raise ValueError(f'{name}: expected a value from {low} to {high}, got {value}')

    def to_metadata(self) -> dict[str, str]:
        """Return the entry for an ONNX file's metadata."""
        return {METADATA_KEY: json.dumps({'format_version': FORMAT_VERSION,
                                          **dataclasses.asdict(self)})}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> ModelInfo:
        """Read the entry of an ONNX file's metadata.

        Raises
        ------
        ValueError
            The entry is missing, damaged or of another format version.
        """
        values = dict(read_entry(metadata))
        del values['format_version']
        wanted = {item.name: item.default is dataclasses.MISSING
                  and item.default_factory is dataclasses.MISSING
                  for item in dataclasses.fields(cls)}
        missing = [name for name, is_needed in wanted.items() if is_needed and name not in values]
        surplus = [name for name in values if name not in wanted]
        if missing or surplus:
            raise ValueError(f'{_DAMAGED}: ' + '; '.join(
                f'{problem} {", ".join(map(_shown, names[:10]))}'
                for problem, names in (('missing', missing), ('unknown', surplus)) if names))
        for name in ('class_names', 'thing_ids', 'palette'):
            values[name] = tuple(_items(name, values[name]))
        values['palette'] = tuple(tuple(_items('palette', color)) for color in values['palette'])
        return cls(**values)


def read_entry(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the entry of an ONNX file's metadata, of which only the version has been checked.

    Raises
    ------
    ValueError
        The entry is missing, no JSON object, or of a version that can't be read.
    """
    if METADATA_KEY not in metadata:
        raise ValueError(f'no "{METADATA_KEY}" entry in the metadata of the model: it was not '
                         'exported by "instseg export" (classes and palette are unknown)')
    text = metadata[METADATA_KEY]
    if len(text) > MAX_ENTRY:
        raise ValueError(f'{_DAMAGED}: expected at most {MAX_ENTRY} characters, got {len(text)}')
    try:
        values = json.loads(text, parse_constant=_refuse_constant,
                            object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{_DAMAGED}: {error}') from error
    if not isinstance(values, dict) or 'format_version' not in values:
        raise ValueError(f'{_DAMAGED}: expected an object with a format_version')
    version = values['format_version']
    if not _is_whole(version) or not 1 <= version <= FORMAT_VERSION:
        raise ValueError(f'model format {_shown(version)}: this version reads formats 1 to '
                         f'{FORMAT_VERSION}; export the model again')
    return values


_DAMAGED = f'the "{METADATA_KEY}" entry in the metadata of the model is damaged'

_UNPRINTABLE = ('Cc', 'Cs', 'Zl', 'Zp')
"""Unicode's categories of control characters, single surrogates and line breaks."""


def _check_name(what: str, name: Any) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.strip():
        raise ValueError(f'{what}: expected names of 1 to {MAX_NAME} characters, got '
                         f'{_shown(name)}')
    _check_text(what, name)


def _check_text(what: str, text: str, allowed: str = '') -> None:
    for character in text:
        if unicodedata.category(character) in _UNPRINTABLE and character not in allowed:
            raise ValueError(f'{what}: expected printable characters, got '
                             f'{_shown(text)}')


def _check_json(what: str, value: Any, depth: int) -> None:
    """Check that a value can be written as JSON, and its texts printed."""
    if isinstance(value, str):
        _check_text(what, value, allowed='\n\t')
    elif isinstance(value, (Mapping, list, tuple)):
        if not depth:
            raise ValueError(f'{what}: expected at most {MAX_DEPTH} levels of lists and objects, '
                             'got more')
        for item in value.items() if isinstance(value, Mapping) else value:
            # A pair of key and value is no level of its own.
            for part in item if isinstance(value, Mapping) else (item,):
                _check_json(what, part, depth - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f'{what}: expected finite numbers, got {value}')
    elif not (value is None or isinstance(value, (bool, int, float))):
        raise ValueError(f'{what}: expected values as in JSON, got {type(value).__name__}')


def _shown(value: Any) -> str:
    """Return a value for a message: it may be anything, and of any length."""
    text = ascii(value)
    return text if len(text) <= MAX_NAME else f'{text[:MAX_NAME]}...'


def _items(what: str, value: Any) -> tuple | list:
    if not isinstance(value, (tuple, list)):
        raise ValueError(f'{what}: expected a list, got {_shown(value)}')
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse_constant(name: str) -> None:
    raise ValueError(f'expected finite numbers, got {name}')


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError('a name is given twice in one object')
    return values
