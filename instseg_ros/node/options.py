"""The options of the node as configs, declared once; no ROS in here."""
from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Iterator, Mapping, Sequence

from instseg_ros.core.config import (
    DepthConfig,
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
from instseg_ros.core.rotation import ROTATIONS
from instseg_ros.node.affinity import parse_cores

CAMERA_NAME = r'[A-Za-z][A-Za-z0-9_]*'
"""Regular expression of what may be part of a topic's name in ROS."""

TRANSPORTS = ('raw', 'compressed')
RELIABILITIES = ('best_effort', 'reliable', 'auto', 'system_default')

CAMERA_OPTIONS = ('image_transport', 'image_reliability', 'rotate', 'max_age', 'max_rate',
                  'depth.enabled')
"""Parameters that each of several cameras may have for itself, as `NAME.PARAMETER`."""


@dataclass(frozen=True)
class NodeConfig:
    """Options of the node itself; the parameters without a prefix."""

    model: str = option('', 'Path of the ONNX model; empty takes the installed street.onnx')
    image_transport: str = option(
        'raw', 'Transport of the images: raw takes sensor_msgs/Image from the topic image, '
        'compressed takes JPEG or PNG in sensor_msgs/CompressedImage from image/compressed',
        choices=TRANSPORTS)
    image_reliability: str = option(
        'best_effort', 'Reliability of the subscription to images; best_effort receives from '
        'every camera, reliable only from reliable ones, but loses no large images; auto is '
        'reliable while all publishers are', choices=RELIABILITIES)
    image_depth: int = option(1, 'Number of images kept while one is processed, the newest ones; '
                              '1 gives the lowest latency', minimum=1, maximum=100)
    rotate: int = option(0, 'Clockwise turn that makes the images upright, for cameras that are '
                         "mounted turned; results are in the camera's own orientation",
                         unit='degrees', choices=ROTATIONS)
    max_age: float = option(0.0, 'Images that are older than this when they arrive, by their '
                            'stamps, are dropped; 0 drops none', unit='s', minimum=0.0,
                            maximum=3600.0)
    cameras: tuple[str, ...] = option(
        ('',), 'Names of the cameras: the images of each come from NAME/image, its results go to '
        '~/NAME/...; a single empty name stands for one camera with the topics image and ~/...')
    cores: str = option('', 'Cores of the computer that the process may use, such as 0,2-3; empty '
                        'leaves the choice to the operating system')
    max_rate: float = option(
        0.0, 'At most so many images of each camera are processed in a second, evenly spread; 0 '
        'sets no limit', unit='Hz', minimum=0.0, maximum=1000.0)
    stage_timeout: float = option(
        10.0, 'An image that is in one stage for longer is an error; deactivation waits for it no '
        'longer', unit='s', minimum=0.1, maximum=3600.0)
    lazy: bool = option(True, 'Skip images while no topic with results has a subscriber; false '
                        'processes every image, so that tracking goes on')
    autostart: bool = option(False, 'Configure and activate when the node starts, without a '
                             'lifecycle manager')

    def __post_init__(self) -> None:
        check_options(self, '')
        parse_cores(self.cores)
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
                             'selection': SelectionConfig, 'tracking': TrackingConfig,
                             'depth': DepthConfig})
"""Config class by the prefix of its parameters."""


@dataclass(frozen=True)
class Configs:
    """The values of all parameters, checked.

    `cameras` and `depths` have the values of `node` and `depth` by the name of each camera, with
    those of `CAMERA_OPTIONS` that the camera has for itself.
    """

    node: NodeConfig
    cameras: Mapping[str, NodeConfig]
    depths: Mapping[str, DepthConfig]
    network: NetworkConfig
    grouping: GroupingConfig
    refinement: RefinementConfig
    selection: SelectionConfig
    tracking: TrackingConfig
    depth: DepthConfig


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
        Value of every parameter by its dotted name. Those of single cameras may be missing or
        None.

    Raises
    ------
    ValueError
        A value is not allowed; names the parameter, the allowed values and the given one.
    """
    configs = {section or 'node': _make_config(section, values) for section in SECTIONS}
    cameras, depths = ({name: _of_camera(name, section, configs[section or 'node'], values)
                        for name in configs['node'].cameras} for section in ('', 'depth'))
    return Configs(**configs, cameras=cameras, depths=depths)


def _of_camera(name: str, section: str, config: Any, values: Mapping[str, Any]) -> Any:
    """Return the config of a section with the values that a camera has for itself."""
    own = {}
    for name_for_all, full in camera_parameters(name).items():
        prefix, _, field = name_for_all.rpartition('.')
        if prefix == section and values.get(full) is not None:
            own[field] = values[full]
    try:
        return replace(config, **own)
    except ValueError as error:  # begins with the name of the option
        raise ValueError(f'{name}.{error}') from None


def camera_parameters(name: str) -> dict[str, str]:
    """Return the full names of a camera's own parameters by option; one without name has none."""
    return {option: f'{name}.{option}' for option in CAMERA_OPTIONS} if name else {}


def _make_config(section: str, values: Mapping[str, Any]) -> Any:
    """Return the config of one section from the values of all parameters."""
    config = SECTIONS[section]
    prefix = f'{section}.' if section else ''
    return config(**{item.name: _unchangeable(values[prefix + item.name])
                     for item in options_of(config)})


def _unchangeable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
