"""Every option of the library, once: default, unit, bounds and one line of help.

The ROS parameters, the command-line flags and the documentation are all made from these
declarations, so a default cannot drift apart between them.
"""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Iterator

PROVIDERS = ('auto', 'cpu', 'cuda', 'tensorrt')
PRECISIONS = ('float32', 'float16')
REFINEMENT_METHODS = ('slic', 'bilateral', 'nearest')


def option(default: Any, help: str, *, unit: str = '', minimum: float | None = None,
           maximum: float | None = None, choices: tuple[str, ...] | None = None) -> Any:
    """Declare a dataclass field with what a person needs to know to set it."""
    return dataclasses.field(default=default, metadata={
        'help': help, 'unit': unit, 'minimum': minimum, 'maximum': maximum, 'choices': choices})


@dataclass(frozen=True)
class Option:
    """One declared option, as parameter servers and command lines want to see it."""

    name: str
    type: type
    default: Any
    help: str
    unit: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...] | None


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
        value, name = item.default, f'{prefix}.{item.name}' if prefix else item.name
        if item.choices is not None:
            if value not in item.choices:
                raise ValueError(f'{name}: expected one of {", ".join(item.choices)}, '
                                 f'got {value!r}')
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if item.type is bool and not isinstance(value, bool) or (
                item.type is int and (not number or value != int(value))) or (
                item.type is float and not number):
            raise ValueError(f'{name}: expected a value of type {item.type.__name__}, '
                             f'got {value!r}')
        low, high = item.minimum, item.maximum
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            unit = f' {item.unit}' if item.unit else ''
            raise ValueError(f'{name}: expected a value from {low} to {high}{unit}, got {value!r}')


@dataclass(frozen=True)
class NetworkConfig:
    """How the exported network is run."""

    provider: str = option('auto', 'Execution provider of ONNX Runtime; auto takes CUDA where '
                           'it is available, else the CPU', choices=PROVIDERS)
    input_size: int = option(0, "Long side of the network's input; 0 takes the model's own",
                             unit='px', minimum=0, maximum=8192)
    threads: int = option(0, 'Threads of the network on the CPU, from which the other stages take '
                          'theirs; 0 takes one for each core', minimum=0, maximum=1024)
    precision: str = option('float32', 'What the network is computed in; float16 needs tensorrt',
                            choices=PRECISIONS)

    def __post_init__(self) -> None:
        check_options(self, 'network')


@dataclass(frozen=True)
class GroupingConfig:
    """How pixels become instances. Training builds its targets with the same values."""

    center_threshold: float = option(0.7, 'Centers with a lower confidence are dropped',
                                     minimum=0.0, maximum=1.0)
    duplicate_distance: float = option(2.0, 'A center whose embedding is nearer than this to a '
                                       'stronger one of its class is a duplicate',
                                       minimum=0.0, maximum=100.0)
    max_instances: int = option(500, 'At most this many instances in an image, strongest first',
                                minimum=1, maximum=65534)

    def __post_init__(self) -> None:
        check_options(self, 'grouping')


@dataclass(frozen=True)
class RefinementConfig:
    """How the label maps of the output grid become label maps of the image."""

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
