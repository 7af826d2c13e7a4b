"""The options of the node as configs, declared once; no ROS in here."""
from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Iterator, Mapping, Sequence

from instseg_ros.core.config import (
    GroupingConfig,
    NetworkConfig,
    Option,
    RefinementConfig,
    SelectionConfig,
    TrackingConfig,
    check_options,
    check_texts,
    option,
    options_of,
)

CAMERA_NAME = r'[A-Za-z][A-Za-z0-9_]*'
"""Regular expression of what may be part of a topic's name in ROS."""

RELIABILITIES = ('best_effort', 'reliable', 'system_default')


@dataclass(frozen=True)
class NodeConfig:
    """Options of the node itself; the parameters without a prefix."""

    model: str = option('', 'Path of the ONNX model; empty takes the installed street.onnx')
    image_reliability: str = option(
        'best_effort', 'Reliability of the subscription to images; best_effort receives from '
        'every camera, reliable only from reliable ones, but loses no large images',
        choices=RELIABILITIES)
    image_depth: int = option(1, 'Number of images kept while one is processed, the newest ones; '
                              '1 gives the lowest latency', minimum=1, maximum=100)
    cameras: tuple[str, ...] = option(
        ('',), 'Names of the cameras: the images of each come from NAME/image, its results go to '
        '~/NAME/...; a single empty name stands for one camera with the topics image and ~/...')
    autostart: bool = option(False, 'Configure and activate when the node starts, without a '
                             'lifecycle manager')

    def __post_init__(self) -> None:
        check_options(self, '')
        check_cameras(self.cameras)


def check_cameras(names: Sequence[str]) -> None:
    """Check the names of the cameras.

    Raises
    ------
    ValueError
        There is no name, one is given twice, or one can't be part of a topic's name.
    """
    check_texts('cameras', names)
    if not names:
        raise ValueError("cameras: expected at least one name, got an empty list; [''] stands for "
                         'one camera without a name')
    if list(names) == ['']:
        return
    for name in names:
        if not name:
            raise ValueError(f'cameras: expected a name for each of several cameras, got an empty '
                             f'one in {list(names)}')
        if not re.fullmatch(CAMERA_NAME, name):
            raise ValueError('cameras: expected names of letters, digits and underscores that '
                             f'begin with a letter, got {name!r}')
        if names.count(name) > 1:
            raise ValueError(f'cameras: expected different names, got {name!r} twice')


SECTIONS = MappingProxyType({'': NodeConfig, 'network': NetworkConfig,
                             'grouping': GroupingConfig, 'refinement': RefinementConfig,
                             'selection': SelectionConfig, 'tracking': TrackingConfig})
"""Config class by the prefix of its parameters."""


@dataclass(frozen=True)
class Configs:
    """The values of all parameters, checked."""

    node: NodeConfig
    network: NetworkConfig
    grouping: GroupingConfig
    refinement: RefinementConfig
    selection: SelectionConfig
    tracking: TrackingConfig


def parameter_options() -> Iterator[tuple[str, Option]]:
    """Yield the name and the declaration of every parameter of the node."""
    for section, config in SECTIONS.items():
        for item in options_of(config):
            yield (f'{section}.{item.name}' if section else item.name), item


def make_configs(values: Mapping[str, Any]) -> Configs:
    """Return the configs of all sections.

    Parameters
    ----------
    values : dict of str to Any
        Value of every parameter by its dotted name.

    Raises
    ------
    ValueError
        A value is not allowed; names the parameter, the allowed values and the given one.
    """
    return Configs(**{section or 'node': _make_config(section, values) for section in SECTIONS})


def _make_config(section: str, values: Mapping[str, Any]) -> Any:
    """Return the config of one section from the values of all parameters."""
    config = SECTIONS[section]
    prefix = f'{section}.' if section else ''
    return config(**{item.name: _unchangeable(values[prefix + item.name])
                     for item in options_of(config)})


def _unchangeable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
