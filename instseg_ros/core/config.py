"""The options of the library: default, unit, bounds and one line of help for each.

ROS parameters, command-line flags and their documentation are all made from these declarations.
"""
from __future__ import annotations

import dataclasses
import numbers
from dataclasses import dataclass
from typing import Any, Iterator

PROVIDERS = ('auto', 'cpu', 'cuda', 'tensorrt')
PRECISIONS = ('model', 'fp16')
REFINEMENT_METHODS = ('slic', 'bilateral', 'nearest')

ACCEPTED: dict[type, type] = {bool: bool, int: numbers.Integral, float: numbers.Real, str: str}
"""Python's and NumPy's types of values for an option of each type."""

TOO_LARGE = 2 ** 63
"""For any number: compiled code and ROS hold 64 bits."""


def option(default: Any, help: str, *, unit: str = '', minimum: float | None = None,
           maximum: float | None = None, choices: tuple[Any, ...] | None = None) -> Any:
    """Declare a dataclass field together with what its documentation and checks need."""
    return dataclasses.field(default=default, metadata={
        'help': help, 'unit': unit, 'minimum': minimum, 'maximum': maximum, 'choices': choices})


@dataclass(frozen=True)
class Option:
    """The declaration of one option."""

    name: str
    type: type
    default: Any
    help: str
    unit: str
    minimum: float | None
    maximum: float | None
    choices: tuple[Any, ...] | None

    @property
    def bounds(self) -> str:
        """The range of a number in words, such as `from 0 to 1`; empty if there is none."""
        low, high = (f'{value:g}' if value is not None else None
                     for value in (self.minimum, self.maximum))
        words = (f'from {low} to {high}' if low and high else f'of at least {low}' if low
                 else f'of at most {high}' if high else '')
        return f'{words} {self.unit}'.strip() if words else ''


def options_of(config: Any) -> Iterator[Option]:
    """Yield the options of a config dataclass (a class or an instance) in declared order.

    For an instance, `Option.default` is the instance's value.
    """
    for field in dataclasses.fields(config):
        default = field.default if isinstance(config, type) else getattr(config, field.name)
        yield Option(name=field.name, type=type(field.default), default=default, **field.metadata)


def check_options(config: Any, prefix: str) -> None:
    """Check every value of a config instance against its declaration.

    Raises
    ------
    ValueError
        Naming the option, what was expected and what came.
    """
    for item in options_of(config):
        value: Any = item.default
        name = f'{prefix}.{item.name}' if prefix else item.name
        accepted = (isinstance(value, ACCEPTED.get(item.type, object))
                    and isinstance(value, bool) == (item.type is bool))
        if item.choices is not None:
            if not accepted or value not in item.choices:
                raise ValueError(f'{name}: expected one of {", ".join(map(str, item.choices))}, '
                                 f'got {value!r:.80}')
            continue
        if not accepted:
            raise ValueError(f'{name}: expected a value of type {item.type.__name__}, '
                             f'got {value!r:.80}')
        low, high = item.minimum, item.maximum
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            raise ValueError(f'{name}: expected a value {item.bounds}, got {value!r:.80}')
        if item.type in (int, float) and not abs(value) < TOO_LARGE:
            raise ValueError(f'{name}: expected a finite number of at most 64 bits, got '
                             f'{value!r:.80}')


def check_texts(name: str, value: Any) -> None:
    """Check that the value of an option is a list of strings.

    Raises
    ------
    ValueError
        Naming the option, what was expected and what came.
    """
    if not isinstance(value, (list, tuple)) or not all(isinstance(text, str) for text in value):
        raise ValueError(f'{name}: expected a list of strings, got {value!r}')


@dataclass(frozen=True)
class NetworkConfig:
    """How the network runs."""

    provider: str = option('auto', 'Execution provider of ONNX Runtime; auto takes CUDA where '
                           'it is available, else the CPU', choices=PROVIDERS)
    input_size: int = option(0, "Long side of the network's input; 0 takes the model's own",
                             unit='px', minimum=0, maximum=8192)
    threads: int = option(0, 'Threads of every stage on the CPU; 0 takes one for each core',
                          minimum=0, maximum=1024)
    precision: str = option('model', "Precision of the computation: model is the model file's own "
                            '(fp32, fp16 or int8); fp16 needs the provider tensorrt',
                            choices=PRECISIONS)

    max_batch: int = option(0, 'Images of several cameras that run through the network together, '
                            'at most; 0 takes 1 on the CPU and 8 on a GPU', minimum=0,
                            maximum=64)

    def __post_init__(self) -> None:
        check_options(self, 'network')


@dataclass(frozen=True)
class GroupingConfig:
    """How pixels are grouped into instances."""

    center_threshold: float = option(0.7, 'Centers with a lower confidence are dropped',
                                     minimum=0.0, maximum=1.0)
    duplicate_distance: float = option(0.0, 'A center whose embedding is nearer than this to a '
                                       'stronger one of its class is a duplicate; 0 takes the '
                                       "model's own distance", minimum=0.0, maximum=100.0)
    max_instances: int = option(500, 'At most this many instances in an image, strongest first',
                                minimum=1, maximum=65534)

    def __post_init__(self) -> None:
        check_options(self, 'grouping')


@dataclass(frozen=True)
class SelectionConfig:
    """Which of the model's classes are reported."""

    classes: str = option('', 'Names of the classes to report, separated by commas; pixels of all '
                          'others become background, without objects; empty reports every class')

    def __post_init__(self) -> None:
        check_options(self, 'selection')

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names one by one; empty for every class."""
        return tuple(name.strip() for name in self.classes.split(',') if name.strip())


@dataclass(frozen=True)
class RefinementConfig:
    """How label maps are brought from the output grid to the resolution of the image."""

    method: str = option('slic', 'slic: vote in superpixels; bilateral: vote among output pixels '
                         'of similar colour; nearest: no use of the image',
                         choices=REFINEMENT_METHODS)
    superpixel_size: float = option(3.0, 'Side of a superpixel', unit='output pixels',
                                    minimum=1.0, maximum=16.0)
    compactness: float = option(5.0, 'Weight of distance against colour in a superpixel; '
                                'higher means squarer', minimum=0.1, maximum=1000.0)
    iterations: int = option(5, 'Updates of the superpixels', minimum=1, maximum=100)
    purity: float = option(0.75, 'A superpixel changes its pixels only if more than this share '
                           'of them votes for one label', minimum=0.5, maximum=1.0)
    color_sigma: float = option(10.0, 'Width of the bilateral weight over colour, about in units '
                                'of Lab', minimum=0.1, maximum=1000.0)

    def __post_init__(self) -> None:
        check_options(self, 'refinement')


@dataclass(frozen=True)
class TrackingConfig:
    """How objects keep their ids from image to image."""

    enabled: bool = option(False, 'Objects keep their ids from image to image; otherwise ids are '
                           'numbered anew in each image')
    keep: float = option(2.0, 'An object that is not found for longer than this gets a new id '
                         'when it returns; all do after a gap between images that is longer',
                         unit='s', minimum=0.1, maximum=60.0)
    high_score: float = option(0.5, 'Objects with at least this score are matched first, the '
                               'others with the known objects that are left', minimum=0.0,
                               maximum=1.0)
    color_weight: float = option(1.0, 'Weight of the distance in colour against the lack of '
                                 'overlap; 0 uses no colours', minimum=0.0, maximum=10.0)

    def __post_init__(self) -> None:
        check_options(self, 'tracking')


@dataclass(frozen=True)
class DepthConfig:
    """How objects get their place in space, from a depth image registered to the camera."""

    enabled: bool = option(False, 'Subscribe to depth and camera_info, and publish the objects '
                           'and labelled points in space')
    tolerance: float = option(0.02, 'Largest difference between the stamps of an image and its '
                              'depth image', unit='s', minimum=0.0, maximum=1.0)
    wait: float = option(0.05, 'Results in space wait at most so long for a depth image that '
                         'comes later than the results in the image', unit='s', minimum=0.0,
                         maximum=1.0)
    nearest: float = option(0.1, 'Smaller depth counts as none', unit='m', minimum=0.0,
                            maximum=10.0)
    farthest: float = option(20.0, 'Greater depth counts as none', unit='m', minimum=0.2,
                             maximum=1000.0)
    rectified: bool = option(True, 'The images are free of distortion, and P of camera_info is '
                             'their matrix; otherwise it is K, with the distortion in D')

    def __post_init__(self) -> None:
        check_options(self, 'depth')
        if not self.nearest < self.farthest:
            raise ValueError(f'depth.nearest: expected a value below depth.farthest '
                             f'({self.farthest:g} m), got {self.nearest:g}')
