"""What the README promises: its tables and its code are those of the package."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from instseg_ros.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text()


def table(heading):
    """Return the cells of the rows of the table below a heading."""
    section = README.split(f'\n### {heading}\n')[1].split('\n#')[0]
    rows = [line.strip('| ').split(' | ') for line in section.splitlines()
            if line.startswith('| `')]
    return {cells[0].strip('`').split('`')[0]: cells[1:] for cells in rows}


def test_the_table_of_parameters_is_that_of_the_node():
    parameters = pytest.importorskip('instseg_ros.node.parameters')
    rows = table('Parameters')
    declared = dict(parameters.parameter_options())
    assert list(rows) == list(declared)
    for name, item in declared.items():
        default, help_text = rows[name]
        value = str(item.default).lower() if isinstance(item.default, bool) else str(item.default)
        assert default == (f'`{value}`' if value else 'empty'), name
        assert help_text.startswith(item.help), name


def test_the_three_lines_work():
    model = ROOT / 'models' / 'street.onnx'
    code = re.search(r'```python\n(.*?)```', README, re.DOTALL).group(1)
    names = {'image': np.full((48, 64, 3), 90, np.uint8)}
    exec(code.replace('models/street.onnx', str(model)), names)
    assert names['result'].semantic_ids.shape == (48, 64)
    assert names['segmenter'].model_info.class_names[0] == 'background'


@pytest.mark.parametrize('command', re.findall(r'^instseg (\w+)', README, re.MULTILINE))
def test_the_commands_exist(command):
    assert command in COMMANDS


def test_linked_files_exist():
    links = re.findall(r'\]\(([^)#:]+)\)', README)
    assert len(links) > 3
    assert [link for link in links if not (ROOT / link).exists()] == []
