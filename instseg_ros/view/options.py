"""The live options as the page sees them, and as a parameter file of the node."""
from __future__ import annotations

import dataclasses
from typing import Any, Mapping

import yaml

from instseg_ros.core.config import GroupingConfig, RefinementConfig, options_of
from instseg_ros.core.segmenter import Segmenter

Configs = Mapping[str, Any]
"""Config of each part of the pipeline, under its name in ROS parameters."""

HEAD = """\
# Options that were chosen in "instseg view", with all others at their defaults:
# ros2 launch instseg_ros segmenter.launch.py params_file:=segmenter.yaml
"""


def live_configs(segmenter: Segmenter) -> dict[str, GroupingConfig | RefinementConfig]:
    """Return the options that may change while images are processed."""
    return {'grouping': segmenter.postprocessor.grouping,
            'refinement': segmenter.postprocessor.refinement}


def describe_options(configs: Configs) -> list[dict[str, Any]]:
    """Return the declarations for the page; `start` is the value in `configs`."""
    return [{**{key: value for key, value in vars(item).items() if key != 'default'},
             'part': part, 'type': item.type.__name__, 'bounds': item.bounds,
             'start': item.default}
            for part, config in configs.items() for item in options_of(config)]


def option_values(configs: Configs) -> dict[str, Any]:
    """Return the value of every option under its dotted name."""
    return {f'{part}.{item.name}': item.default
            for part, config in configs.items() for item in options_of(config)}


def change_options(configs: Configs, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return configs in which the given options, by their dotted names, have other values.

    Raises
    ------
    ValueError
        There is no such option, or a value is not allowed; names what was expected.
    """
    known = option_values(configs)
    values: dict[str, dict[str, Any]] = {part: {} for part in configs}
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f'{name}: expected one of {", ".join(known)}')
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if is_whole and isinstance(known[name], float) and abs(value) < 2 ** 53:
            value = float(value)  # JSON doesn't tell 1.0 from 1, but ROS does
        part, _, option = name.partition('.')
        values[part][option] = value
    return {part: dataclasses.replace(config, **values[part]) for part, config in configs.items()}


def parameter_file(configs: Configs, fixed: Configs, model: str) -> str:
    """Return the text of a parameter file for the node.

    Parameters
    ----------
    configs : dict
        Live options; all of them are written.
    fixed : dict
        Options of the start. Only those that differ from the defaults are written.
    model : str
        Absolute path of the ONNX file; empty for the installed one.
    """
    parameters: dict[str, Any] = {'model': model} if model else {}
    for part, config in fixed.items():
        changed = {item.name: item.default for item, declared in zip(
            options_of(config), options_of(type(config))) if item.default != declared.default}
        if changed:
            parameters[part] = changed
    for part, config in configs.items():
        parameters[part] = dataclasses.asdict(config)
    return HEAD + yaml.safe_dump({'/**': {'ros__parameters': parameters}}, sort_keys=False,
                                 allow_unicode=True)
