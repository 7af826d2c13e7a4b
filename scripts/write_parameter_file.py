"""Write config/segmenter.yaml from the declarations of the options; run it when they change."""
from __future__ import annotations

import textwrap
from pathlib import Path

import yaml

from instseg_ros.core.config import options_of
from instseg_ros.node.options import SECTIONS
from instseg_ros.node.parameters import START_PARAMETERS, ros_value

PATH = Path(__file__).resolve().parents[1] / 'config' / 'segmenter.yaml'
HEAD = """\
# Every parameter of the node with its default. "ros2 launch instseg_ros segmenter.launch.py
# params_file:=..." takes a copy of this file; parameters that are left out keep their defaults.
# Only autostart is left out here: the launch file starts the node at once, unless its argument or
# the parameter file says false.
/**:
  ros__parameters:
"""
WIDTH = 99


def main() -> None:
    """Write the file."""
    lines = []
    for section, config in SECTIONS.items():
        indent = ' ' * (6 if section else 4)
        if section:
            lines.append(f'    {section}:')
        for item in options_of(config):
            text = item.help
            if item.choices:
                text += f'; one of {", ".join(map(str, item.choices))}'
            text += f' [{item.unit}]' if item.unit else ''
            lines += textwrap.wrap(text, WIDTH, initial_indent=f'{indent}# ',
                                   subsequent_indent=f'{indent}# ')
            listed = yaml.safe_dump([ros_value(item.default)], default_flow_style=True).strip()
            value = listed[1:-1]  # in its brackets, the value is on one line
            mark = '# ' if item.name in START_PARAMETERS else ''
            lines.append(f'{indent}{mark}{item.name}: {value}')
    PATH.write_text(HEAD + '\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
