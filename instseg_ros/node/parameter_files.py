"""Checks of parameter files and command-line parameters that ROS itself doesn't make.

ROS ignores a file without a section for the node, and a parameter that the node doesn't have.
"""
from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Collection, Iterator, Mapping, Sequence

from instseg_ros.yaml_files import read_yaml

VALUES = 'ros__parameters'

QOS_OVERRIDES = 'qos_overrides.'
"""Parameters of this prefix may be declared later than the others, or not at all."""

SIMILAR = 0.8
"""Ratio of `difflib` from which on an unknown name is taken for a misspelt one, in [0, 1]."""


@dataclass(frozen=True)
class Section:
    """Parameters for the nodes whose full name matches a pattern, for example /front/segmenter.

    In a pattern, `*` stands for one part of a name and `**` for any number of parts.
    """

    pattern: str
    parameters: Mapping[str, Any]

    @property
    def is_shared(self) -> bool:
        """Whether the section may be meant for several nodes."""
        return '*' in self.pattern

    def matches(self, node_name: str) -> bool:
        """Return whether the section is for a node of this full name."""
        expression = re.escape(self.pattern).replace(r'/\*\*', r'(/\w+)*').replace(
            r'/\*', r'/\w+')
        return re.fullmatch(expression, node_name) is not None


def read_sections(path: Path | str) -> list[Section]:
    """Return the sections of a parameter file.

    Raises
    ------
    OSError
        It can't be read.
    ValueError
        It is not a parameter file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: expected a parameter file, but there is no such file')
    tree = read_yaml(path)
    try:
        sections = list(_sections('', tree))
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    if not sections:
        raise ValueError(f'{path}: expected a parameter file with "{VALUES}" below the name of a '
                         'node, found none')
    return sections


def _sections(prefix: str, tree: Any) -> Iterator[Section]:
    for key, branch in tree.items() if isinstance(tree, Mapping) else ():
        if key == VALUES:
            if branch is not None and not isinstance(branch, Mapping):
                raise ValueError(f'{prefix}.{VALUES}: expected names with their values, got a '
                                 f'{type(branch).__name__}')
            yield Section(prefix, dict(_flatten('', branch)))
        else:
            yield from _sections(f'{prefix}/{str(key).strip("/")}', branch)


def _flatten(prefix: str, tree: Any) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items() if isinstance(tree, Mapping) else ():
        if value == {}:
            raise ValueError(f'{prefix}{key}: expected a value, got an empty section')
        if isinstance(value, Mapping):
            yield from _flatten(f'{prefix}{key}.', value)
        else:
            yield f'{prefix}{key}', value


def read_parameters(path: Path | str, node_name: str, known: Collection[str]) -> dict[str, Any]:
    """Return the parameters that a file sets for a node, by their dotted names.

    A section for this node alone overrides a shared one.

    Raises
    ------
    OSError
        The file can't be read.
    ValueError
        It is not a parameter file, has no section for the node, or names an unknown parameter.
    """
    sections = read_sections(path)
    ours = [section for section in sections if section.matches(node_name)]
    if not ours:
        raise ValueError(f'{path}: expected parameters of {node_name}, found only those of '
                         f'{", ".join(section.pattern for section in sections)}')
    values: dict[str, Any] = {}
    for section in sorted(ours, key=lambda section: not section.is_shared):
        _check_names(str(path), section, node_name, known)
        values.update(section.parameters)
    return values


def camera_names(path: Path | str, node_name: str) -> list[str]:
    """Return the names of the cameras that a file gives a node, not checked; else an empty list.

    Raises
    ------
    OSError, ValueError
        As `read_parameters`.
    """
    names = [section.parameters.get('cameras') for section in read_sections(path)
             if section.matches(node_name)]
    return [str(name) for listed in names if isinstance(listed, list) for name in listed]


def check_arguments(arguments: Sequence[str], node_name: str, known: Collection[str]) -> None:
    """Check the parameter files and parameters that a command line gives to a node.

    A section may be shared by several nodes, and so may a parameter of the command line, which
    a launch file gives to all its nodes. There an unknown name is only an error if it resembles a
    parameter of this node or is the name of one of its sections.

    Parameters
    ----------
    arguments : sequence of str
        Of the process.
    node_name : str
        Full name of the node.
    known : collection of str
        Names of the node's parameters.

    Raises
    ------
    ValueError
        A file has no section for the node, or a parameter is unknown.
    """
    for option, value in pairwise(arguments):
        if option == '--params-file':
            read_parameters(value, node_name, known)
        elif option in ('-p', '--param') and ':=' in value:
            *node, name = value.partition(':=')[0].split(':')
            if not node or node[0] == node_name.rpartition('/')[2]:
                _check_names(f'{option} {value}', Section('/**', {name: None}), node_name, known)


def _check_names(source: str, section: Section, node_name: str, known: Collection[str]) -> None:
    for name in section.parameters:
        if name in known or name.startswith(QOS_OVERRIDES):
            continue
        inside = sorted(other for other in known if other.startswith(f'{name}.'))
        if inside:
            raise ValueError(f'{source}: {node_name} expected parameters below {name}, such as '
                             f'{inside[0]}, got a value for {name} itself')
        similar = difflib.get_close_matches(name, known, n=1, cutoff=SIMILAR)
        if similar:
            raise ValueError(f'{source}: {node_name} has no parameter {name}; did you mean '
                             f'{similar[0]}?')
        if not section.is_shared:
            raise ValueError(f'{source}: {node_name} has no parameter {name}; it has '
                             f'{", ".join(sorted(known))}')
