"""What the pages promise exists: commands, launch arguments, topics, parameters, links, code."""
import re
import shlex
import typing
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from instseg_ros.cli import COMMANDS, make_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'models/README.md')] \
    + sorted((ROOT / 'docs').rglob('*.md'))
TEXT = {str(page.relative_to(ROOT)): page.read_text(encoding='utf-8') for page in PAGES}


def blocks(text, language=''):
    """Return the code blocks of a page, those in lists as well."""
    return re.findall(rf'^ *```{language}\n(.*?)^ *```', text, re.DOTALL | re.MULTILINE)


def commands(program):
    """Return the command lines of a program in the blocks of all pages, by page."""
    found = []
    for page, text in TEXT.items():
        for block in [*blocks(text, 'sh'), *blocks(text)]:
            lines = block.replace('\\\n', ' ').splitlines()
            found += [(page, line.strip()) for line in lines
                      if line.strip().startswith(f'{program} ')]
    assert found
    return sorted(set(found))


def node_parameters():
    """Return the names of the node's parameters, in declared order."""
    from instseg_ros.node.options import parameter_options
    return [name for name, _ in parameter_options()]


@pytest.mark.parametrize('page, line', commands('instseg'))
def test_commands_are_accepted_by_the_command_line(page, line):
    name, *arguments = shlex.split(line, comments=True)[1:]
    if name == '--help':
        return
    assert name in COMMANDS
    make_parser(name).parse_args([name, *arguments])


@pytest.mark.parametrize('page, line', commands('ros2'))
def test_launch_arguments_exist(page, line):
    words = shlex.split(line)
    if words[1] != 'launch':
        return
    assert words[2] == 'instseg_ros'
    # The other launch files include that of the segmenter.
    sources = [(ROOT / 'launch' / name).read_text(encoding='utf-8')
               for name in (words[3], 'segmenter.launch.py')]
    declared = re.findall(r"DeclareLaunchArgument\(\s*'(\w+)'", ''.join(sources))
    given = [word.partition(':=')[0] for word in words[4:] if ':=' in word]
    assert set(given) <= set(declared)


@pytest.mark.parametrize('page', TEXT)
def test_linked_files_exist(page):
    links = [link.partition('#')[0] for link in re.findall(r'\]\(([^)]+)\)', TEXT[page])
             if '://' not in link]
    folder = (ROOT / page).parent
    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize('page', [name for name in TEXT if name.startswith('docs')])
def test_named_files_of_the_project_exist(page):
    names = re.findall(r'`((?:instseg_ros|benchmarks|config|docs|launch|models|scripts|test)/'
                       r'[\w./-]+)`', TEXT[page])
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_every_parameter_has_advice_and_no_other_is_named():
    declared = node_parameters()
    page = TEXT['docs/reference/parameters.md']
    entries = re.findall(r'```{rosparam} (\S+)\n(.*?)```', page, re.DOTALL)
    assert [name for name, _ in entries] == declared
    assert [name for name, advice in entries if len(advice.split()) < 2] == []


def test_options_named_in_the_pages_exist():
    named = re.findall(r'`((?:network|grouping|refinement|tracking)\.[a-z_]+)',
                       ' '.join(TEXT.values()))
    assert named and set(named) <= set(node_parameters())


def training_keys():
    """Return the keys of a training configuration by section."""
    pytest.importorskip('torch', reason='needs torch')
    from instseg_ros.core.config import options_of
    from instseg_ros.learning.config import TrainingConfig
    return {section: [option.name for option in options_of(config)]
            for section, config in typing.get_type_hints(TrainingConfig).items()}


def test_training_keys_named_in_the_pages_exist():
    sections = training_keys()
    named = re.findall(rf'`({"|".join(sections)})\.(\w+)', ' '.join(TEXT.values()))
    assert named
    assert [(section, key) for section, key in named if key not in sections[section]] == []


def test_configurations_of_the_guide_are_accepted():
    training_keys()
    from instseg_ros.learning.config import TrainingConfig
    configurations = blocks(TEXT['docs/how-to/train-your-own.md'], 'yaml')
    assert len(configurations) == 3
    for text in configurations:
        TrainingConfig.from_dict(yaml.safe_load(text))


def test_advice_on_a_section_of_a_training_is_on_its_keys():
    sections = training_keys()
    parts = re.split(r'^## (\w+)$', TEXT['docs/reference/training-configuration.md'],
                     flags=re.MULTILINE)[1:]
    assert parts[::2] == list(sections)
    for section, text in zip(parts[::2], parts[1::2]):
        subjects = re.findall(r'^- `(\w+)`', text, re.MULTILINE)
        assert subjects and set(subjects) <= set(sections[section])


def test_the_extras_are_those_of_the_package():
    tomllib = pytest.importorskip('tomllib', reason='needs Python 3.11')
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))['project']
    table = TEXT['docs/quick-start/pip.md'].split('| extra |')[1]
    listed = [name for row in table.splitlines()[2:] if row.startswith('|')
              for name in re.findall(r'`(\w+)`', row.split('|')[1])]
    assert sorted(listed) == sorted(project['optional-dependencies'])


def test_the_topics_are_those_of_the_node():
    pytest.importorskip('rclpy', reason='needs ROS 2')
    pytest.importorskip('vision_msgs', reason='needs vision_msgs')
    from instseg_ros.node import depth, latency, outputs
    advertised = {*outputs.TOPICS, *depth.TOPICS, latency.TOPIC}
    page = TEXT['docs/reference/topics.md']
    published = page.partition('## Published')[2].partition('\n## ')[0]
    assert {f'~/{name}' for name in advertised} == set(
        re.findall(r'^\| `(~/[\w/]+)`', published, re.MULTILINE))


def test_the_policy_of_a_secure_node_allows_all_its_topics():
    pytest.importorskip('rclpy', reason='needs ROS 2')
    pytest.importorskip('vision_msgs', reason='needs vision_msgs')
    from instseg_ros.node import depth, latency, outputs
    (block,) = blocks(TEXT['docs/how-to/secure-ros.md'], 'xml')
    topics = [entry.text for entry in ElementTree.fromstring(block).findall(
        ".//topics[@publish='ALLOW']/topic")]
    advertised = {*outputs.TOPICS, *depth.TOPICS, latency.TOPIC}
    assert advertised == {name[1:] for name in topics if name[0] == '~'} - {'transition_event'}


def test_the_diagnostics_are_explained():
    pytest.importorskip('rclpy', reason='needs ROS 2')
    from instseg_ros.node.image_input import PROBLEMS
    from instseg_ros.node.statistics import Statistics
    page = TEXT['docs/reference/topics.md']
    assert [key for key in Statistics().report(1.0) if f'`{key}`' not in page] == []
    named = set(re.findall(r'^\| `(\w+)` \| (?:error|warning|ok) \|', page, re.MULTILINE))
    node = '\n'.join(path.read_text(encoding='utf-8')
                     for path in (ROOT / 'instseg_ros' / 'node').glob('*.py'))
    conditions = re.findall(r"conditions\.(?:begin|note|warn_while)\(\s*'(\w+)'", node)
    conditions += [name for name in PROBLEMS if '.' not in name]
    assert named == set(conditions)


def test_the_encodings_are_those_of_the_node():
    from instseg_ros.bags import encodings
    listed = TEXT['docs/reference/topics.md'].split('Encodings: ')[1].split('\n\n')[0]
    for name in re.findall(r'`(\w+)`', listed.split('Any size')[0]):
        assert name in encodings.ENCODINGS
    families = {re.sub(r'(8|16)$', '', name) for name in re.findall(r'`(\w+)`', listed)}
    for name in encodings.ENCODINGS:
        family = re.sub(r'(8|16)$', '', name)
        assert family in families or family.startswith('bayer_') or name in listed


@pytest.mark.parametrize('page', TEXT)
def test_code_and_configurations_are_well_formed(page):
    for code in blocks(TEXT[page], 'python'):
        compile(code, page, 'exec')
    for text in blocks(TEXT[page], 'yaml'):
        assert isinstance(yaml.safe_load(text), dict)


@pytest.mark.parametrize('page', ['README.md', 'docs/quick-start/pip.md'])
def test_the_code_for_the_library_runs(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {'image': np.full((48, 64, 3), 90, np.uint8)}
    code = blocks(TEXT[page], 'python')
    assert code
    for block in code:
        exec(block, names)
    assert names['result'].semantic_ids.shape == (48, 64)
    assert names['segmenter'].model_info.class_names[0] == 'background'
