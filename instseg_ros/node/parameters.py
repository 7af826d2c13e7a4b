"""ROS parameters, declared from the same options as the library's configs."""
from __future__ import annotations

from typing import Any, Iterable, Sequence

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from instseg_ros.core.config import Option
from instseg_ros.core.selection import class_table
from instseg_ros.core.types import ModelInfo
from instseg_ros.node.options import (
    Configs,
    camera_parameters,
    make_configs,
    parameter_options,
)

LIVE_SECTIONS = ('grouping', 'refinement', 'selection', 'tracking', 'depth')
"""Their parameters take effect from the next image, except those that are told below."""

CONFIGURE_PARAMETERS = ('depth.enabled',)
"""These of a live section take effect when the node is configured, as they add topics."""

LIVE_PARAMETERS = ('lazy', 'max_age', 'max_rate', 'stage_timeout')
"""So do these."""

SUBSCRIPTION_PARAMETERS = ('image_transport', 'image_reliability', 'image_depth', 'rotate')
"""These take effect when the node is activated."""

START_PARAMETERS = ('autostart',)
"""These take effect only when the node starts."""


def declare_parameters(node: Node) -> None:
    """Declare every parameter with its default, description and range, if it is not there yet.

    Those that cameras have for themselves have no value unless one is given.
    """
    options = dict(parameter_options())
    for name, item in options.items():
        if not node.has_parameter(name):
            node.declare_parameter(name, ros_value(item.default), make_descriptor(name, item))
    for camera in _value(node, 'cameras') or ():
        for option, name in camera_parameters(camera).items():
            if not node.has_parameter(name):
                descriptor = make_descriptor(option, options[option])
                descriptor.name, descriptor.dynamic_typing = name, True
                descriptor.description += f'; not set: as {option}'
                node.declare_parameter(name, None, descriptor)


def ros_value(value: Any) -> Any:
    """Return the value of an option as a parameter has it: with lists for tuples."""
    return list(value) if isinstance(value, tuple) else value


def make_descriptor(name: str, item: Option) -> ParameterDescriptor:
    """Return the description of an option as `ros2 param describe` shows it.

    None is declared as read-only: rclpy would refuse even an unchanged value of such a parameter,
    and `ros2 param load` would fail on a complete parameter file.
    """
    descriptor = ParameterDescriptor(
        name=name, description=item.help + (f' [{item.unit}]' if item.unit else ''),
        additional_constraints=when_it_takes_effect(name))
    low, high = item.minimum, item.maximum
    if item.choices is not None:
        descriptor.additional_constraints = (
            f'One of: {", ".join(map(str, item.choices))}. '
            f'{descriptor.additional_constraints}')
    elif low is not None and high is not None and item.type is int:
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    elif low is not None and high is not None:
        descriptor.floating_point_range = [FloatingPointRange(
            from_value=float(low), to_value=float(high), step=0.0)]
    return descriptor


def when_it_takes_effect(name: str) -> str:
    """Return a sentence on when a change of this parameter takes effect."""
    if name in START_PARAMETERS:
        return 'Takes effect only when the node starts.'
    if name in SUBSCRIPTION_PARAMETERS:
        return 'Takes effect when the node is activated.'
    if _is_live(name):
        return 'Takes effect from the next image.'
    return 'Takes effect when the node is configured.'


def _is_live(option: str) -> bool:
    if option in CONFIGURE_PARAMETERS:
        return False
    return option in LIVE_PARAMETERS or option.partition('.')[0] in LIVE_SECTIONS


def read_configs(node: Node, changes: Iterable[Parameter] = ()) -> Configs:
    """Return the values of all parameters as configs.

    Parameters
    ----------
    node : Node
        On which they are declared.
    changes : iterable of Parameter
        Replace the node's values.

    Raises
    ------
    ValueError
        A value is not allowed; names the parameter, the allowed values and the given one.
    """
    values = {name: _value(node, name) for name in _declared(node)}
    values.update({change.name: change.value for change in changes})
    return make_configs(values)


def _declared(node: Node) -> dict[str, str]:
    """Return the option of every declared parameter; a camera's own has that of all cameras."""
    options = {name: name for name, _ in parameter_options()}
    for camera in _value(node, 'cameras') or ():
        options.update({name: option for option, name in camera_parameters(camera).items()
                        if node.has_parameter(name)})
    return options


def reason_to_refuse(node: Node, changes: Sequence[Parameter], *, info: ModelInfo | None,
                     active: bool) -> str:
    """Return why the node can't take these changes of parameters; empty if it can.

    A change is refused if its value is not allowed, or if it would have no effect in the node's
    present state. A parameter that keeps its value is never refused.

    Parameters
    ----------
    node : Node
    changes : sequence of Parameter
    info : ModelInfo or None
        Of the loaded model, if the node is configured.
    active : bool
    """
    ours = _declared(node)
    for change in changes:
        if change.name not in ours or change.value == _value(node, change.name):
            continue
        reason = _reason_in_state(change.name, ours[change.name],
                                  configured=info is not None, active=active)
        if reason:
            return reason
    try:
        configs = read_configs(node, changes)
        if info is not None:
            class_table(configs.selection, info)
    except ValueError as error:
        return str(error)
    return ''


def _value(node: Node, name: str) -> Any:
    """Return the value of a parameter; None if it has none, as after [] in a parameter file."""
    return node.get_parameter_or(name, Parameter(name)).value


def _reason_in_state(name: str, option: str, *, configured: bool, active: bool) -> str:
    if _is_live(option):
        return ''
    if option in START_PARAMETERS:
        return f'{name} takes effect only when the node starts: set it in a parameter file'
    if option in SUBSCRIPTION_PARAMETERS:
        return f'{name} takes effect at activation: deactivate the node first' if active else ''
    if configured:
        return f'{name} takes effect at configuration: {"deactivate and " if active else ""}' \
               'clean up the node first'
    return ''
