"""Command-line options made from the declarations in `instseg_ros.core.config`."""
from __future__ import annotations

import argparse
from typing import Any, Iterator

from instseg_ros.core.config import (
    GroupingConfig,
    NetworkConfig,
    Option,
    RefinementConfig,
    SelectionConfig,
    options_of,
)

CONFIGS = {'network': NetworkConfig, 'grouping': GroupingConfig, 'refinement': RefinementConfig,
           'selection': SelectionConfig}
"""Config class of each part of the pipeline, under its name in ROS parameters."""


NO_FLAGS = ('network.max_batch',)
"""Options without a flag: they have no effect on images that are processed one by one."""


def pipeline_options() -> Iterator[tuple[str, Option]]:
    """Yield the part and the declaration of every option of the pipeline that has a flag."""
    for part, config in CONFIGS.items():
        for option in options_of(config):
            if f'{part}.{option.name}' not in NO_FLAGS:
                yield part, option


def flag_of(part: str, option: Option) -> str:
    """Return the flag of an option: its own name, in some parts with the part's before it.

    Examples: `--input-size`, `--center-threshold`, `--refinement` (the method),
    `--refinement-iterations`, `--selection-classes`, `--tracking-keep`.
    """
    name = option.name.replace('_', '-')
    if part in ('network', 'grouping', 'benchmark'):
        return f'--{name}'
    return '--refinement' if name == 'method' else f'--{part}-{name}'


def add_config_arguments(parser: argparse.ArgumentParser, *, only_given: bool = False) -> None:
    """Declare a flag for every option of the pipeline, with its default, unit and bounds.

    `only_given`: the parsed arguments lack the options that the command line leaves out.
    """
    groups = {part: parser.add_argument_group(f'{part} options') for part in CONFIGS}
    for part, option in pipeline_options():
        add_option_argument(groups[part], part, option, only_given=only_given)


def add_option_argument(group: argparse._ActionsContainer, part: str, option: Option, *,
                        only_given: bool = False) -> None:
    """Declare the flag of one option, with its default, unit and bounds."""
    details = [f'default {option.default}'] if option.default != '' else []
    if option.bounds:
        details.append(option.bounds)
    group.add_argument(
        flag_of(part, option), dest=f'{part}.{option.name}',
        default=argparse.SUPPRESS if only_given else option.default,
        type=option.type, choices=option.choices,
        metavar=None if option.choices else option.type.__name__.upper(),
        help=f'{option.help} ({", ".join(details)})'.replace('%', '%%'))


def configs_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the config of every part: `{'network': NetworkConfig(...), ...}`.

    Raises
    ------
    ValueError
        A value is out of its bounds.
    """
    values: dict[str, dict[str, Any]] = {part: {} for part in CONFIGS}
    for part, option in pipeline_options():
        values[part][option.name] = vars(args)[f'{part}.{option.name}']
    return {part: config(**values[part]) for part, config in CONFIGS.items()}
