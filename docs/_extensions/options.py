"""Sphinx directives that document options from their declarations in the code.

`rosparam` documents one parameter of the node: its body is advice, everything else comes from the
declaration. `rosparam-table` lists all parameters, `training-keys` the keys of a section of a
training configuration, and `command-help` shows what `instseg COMMAND --help` prints. A parameter
that no page documents is a warning.
"""
from __future__ import annotations

import contextlib
import io
import os
import typing
from typing import Any, Iterable, Mapping

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.std import GenericObject
from sphinx.ext.autodoc.mock import mock
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from instseg_ros.core.config import Option, options_of

NOT_NEEDED = ('rclpy', 'rcl_interfaces', 'diagnostic_msgs', 'sensor_msgs', 'std_msgs',
              'torch', 'torchvision', 'lightning', 'safetensors')
"""Libraries that declarations stand beside but do not use: the site builds without them."""

ROS_TYPES = {bool: 'bool', int: 'integer', float: 'double', str: 'string', tuple: 'string array'}
YAML_TYPES = {bool: 'true or false', int: 'integer', float: 'number', str: 'text',
              tuple[str, ...]: 'list', tuple[tuple[str, Any], ...]: 'mapping'}
HELP_COLUMNS = '88'

logger = logging.getLogger(__name__)


def node_options() -> dict[str, Option]:
    """Return the declaration of every parameter of the node by name."""
    from instseg_ros.node.options import parameter_options
    return dict(parameter_options())


def takes_effect(name: str) -> str:
    """Return when a change of a parameter takes effect."""
    with mock(NOT_NEEDED):
        from instseg_ros.node.parameters import when_it_takes_effect
        return when_it_takes_effect(name)


def training_sections() -> dict[str, type]:
    """Return the config class of every section of a training configuration."""
    with mock(NOT_NEEDED):
        from instseg_ros.learning.config import TrainingConfig
        return typing.get_type_hints(TrainingConfig)


def default_of(option: Option) -> str:
    """Return a default as YAML writes it."""
    value = option.default
    if value is None or value in ('', ()):
        return 'empty'
    if value == ('',):
        return "['']"
    return str(value).lower() if isinstance(value, bool) else str(value)


def allowed(option: Option) -> str:
    """Return the values that an option may have, with their unit."""
    if option.choices is not None:
        return ', '.join(map(str, option.choices))
    low, high = option.minimum, option.maximum
    if low is None and high is None:
        text = ''
    elif high is None:
        text = f'at least {low:g}'
    elif low is None:
        text = f'at most {high:g}'
    else:
        text = f'{low:g} to {high:g}'
    return f'{text} {option.unit}'.strip()


def yaml_type(hint: Any) -> str:
    """Return what YAML calls the values of a field with this type."""
    nested = 'list of sections' if typing.get_origin(hint) is tuple else 'section'
    return YAML_TYPES.get(hint, nested)


def sentence(text: str) -> str:
    """Return a help text with the full stop that help texts leave out."""
    return text if text.endswith('.') else f'{text}.'


def table(head: Iterable[str], rows: Iterable[Iterable[nodes.Node | str]],
          classes: Iterable[str] = ()) -> nodes.table:
    """Return a table; strings become paragraphs."""
    head, rows = list(head), [list(row) for row in rows]
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    parts = nodes.thead(), nodes.tbody()
    group += parts
    for part, lines in zip(parts, ([head], rows)):
        for line in lines:
            row = nodes.row()
            part += row
            for cell in line:
                entry = nodes.entry()
                entry += nodes.paragraph('', cell) if isinstance(cell, str) \
                    else nodes.paragraph('', '', cell)
                row += entry
    return nodes.table('', group, classes=['options', *classes])


def facts(pairs: Mapping[str, str]) -> nodes.field_list:
    """Return what is known of an option as a list of fields; empty ones are left out."""
    fields = nodes.field_list(classes=['options'])
    for name, text in pairs.items():
        if text:
            body = nodes.literal('', text) if name == 'Default' else nodes.inline('', text)
            fields += nodes.field('', nodes.field_name('', name),
                                  nodes.field_body('', nodes.paragraph('', '', body)))
    return fields


class RosParameter(GenericObject):
    """One parameter of the node; the content says what to do with it."""

    indextemplate = '%s; parameter'

    def transform_content(self, content_node: addnodes.desc_content) -> None:
        """Put what the declaration says before the content."""
        name = self.names[0]
        options = node_options()
        if name not in options:
            raise self.error(f'{name}: the node has no such parameter, it has: '
                             f'{", ".join(options)}')
        option = options[name]
        content_node.insert(0, nodes.paragraph('', sentence(option.help)))
        content_node.insert(1, facts({
            'Type': ROS_TYPES[option.type], 'Default': default_of(option),
            'Values': allowed(option), 'Takes effect': takes_effect(name)}))


class RosParameterTable(SphinxDirective):
    """All parameters with their defaults, linked to their entries."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        rows = []
        for name, option in node_options().items():
            link = addnodes.pending_xref(
                '', nodes.literal('', name), refdomain='std', reftype='rosparam', reftarget=name,
                refdoc=self.env.docname, refexplicit=False, refwarn=True)
            rows.append([link, nodes.literal('', default_of(option)), sentence(option.help)])
        return [table(('Parameter', 'Default', 'Meaning'), rows)]


class TrainingKeys(SphinxDirective):
    """The keys of one section of a training configuration."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a table of the section's keys."""
        sections = training_sections()
        if self.arguments[0] not in sections:
            raise self.error(f'expected a section of a training configuration '
                             f'({", ".join(sections)}), got {self.arguments[0]!r}')
        config = sections[self.arguments[0]]
        hints = typing.get_type_hints(config)
        rows = [[nodes.literal('', option.name), nodes.literal('', default_of(option)),
                 allowed(option) or yaml_type(hints[option.name]), sentence(option.help)]
                for option in options_of(config)]
        return [table(('Key', 'Default', 'Values', 'Meaning'), rows)]


class CommandHelp(SphinxDirective):
    """What `instseg COMMAND --help` prints."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the text as it is."""
        text = command_help(self.arguments[0])
        return [nodes.literal_block(text, text, language='text')]


def command_help(command: str) -> str:
    """Return the help of a subcommand."""
    from instseg_ros.cli import make_parser
    before = os.environ.get('COLUMNS')
    os.environ['COLUMNS'] = HELP_COLUMNS
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            make_parser(command).parse_args([command, '--help'])
    finally:
        if before is None:
            del os.environ['COLUMNS']
        else:
            os.environ['COLUMNS'] = before
    return output.getvalue()


def check_completeness(app: Sphinx, env: Any) -> None:
    """Warn of parameters and sections that no page documents."""
    documented = {name for kind, name in env.domains.standard_domain.objects if kind == 'rosparam'}
    for name in node_options():
        if name not in documented:
            logger.warning('the parameter %s of the node has no entry', name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_object_type('rosparam', 'rosparam', objname='parameter')
    app.add_directive_to_domain('std', 'rosparam', RosParameter, override=True)
    app.add_directive('rosparam-table', RosParameterTable)
    app.add_directive('training-keys', TrainingKeys)
    app.add_directive('command-help', CommandHelp)
    app.connect('env-check-consistency', check_completeness)
    return {'version': '1', 'parallel_read_safe': True, 'parallel_write_safe': True}
