"""The commands of docs/how-to/train-your-own.md, on fewer and smaller images."""
from __future__ import annotations

import re
import shlex
from pathlib import Path

import cv2
import pytest
import yaml

from instseg_ros import Segmenter, cli
from instseg_ros.datasets.scenes import STUFF, THINGS
from instseg_ros.learning.checkpoints import load_checkpoint
from instseg_ros.learning.export.onnx_export import model_info

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / 'docs' / 'how-to' / 'train-your-own.md').read_text()
BLOCKS = re.findall(r'```(\w+)\n(.*?)```', GUIDE, re.DOTALL)
CONFIGURATIONS = [text for language, text in BLOCKS if language == 'yaml']
COMMANDS = [shlex.split(line) for language, text in BLOCKS if language == 'sh'
            for line in text.replace('\\\n', ' ').splitlines()]

FEWER = {'60': '8', '20': '2'}
TINY = {'model': {'encoder': 'resnet18', 'width_16': 8, 'width_8': 8, 'width_4': 8,
                  'input_size': 128},
        'augmentation': {'crop_size': 64, 'long_side_min': 96, 'long_side_max': 160},
        'optimization': {'epochs': 1, 'workers': 0, 'precision': 'fp32'}}


def write_config(text, path):
    """Write a configuration of the guide, made so small that it trains within seconds."""
    config = yaml.safe_load(text)
    for section, values in TINY.items():
        config.setdefault(section, {}).update(values)
    path.write_text(yaml.safe_dump(config))


def test_the_commands_of_the_guide_lead_from_data_to_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_config(CONFIGURATIONS[0], tmp_path / 'training.yaml')
    done = []
    for name, *arguments in COMMANDS:
        if name != 'instseg':
            continue
        arguments = [FEWER.get(argument, argument) for argument in arguments]
        if arguments[0] == 'export':  # one step of training finds no center to calibrate on
            arguments.append('--no-calibration')
        assert cli.main(arguments) == 0, arguments
        done.append(arguments[0])
    assert done == ['scenes', 'scenes', 'train', 'export', 'segment', 'evaluate']
    info = Segmenter.from_onnx(tmp_path / 'mine.onnx').model_info
    assert set(info.class_names) == {'background', *THINGS} and len(info.thing_ids) == len(THINGS)
    overlays = sorted((tmp_path / 'out' / 'overlay').iterdir())
    assert [cv2.imread(str(path)).shape for path in overlays] == [(360, 640, 3)] * 2
    assert '<h3>000000.jpg</h3>' in (tmp_path / 'report.html').read_text()
    assert 'only 6 training images show an object' in capsys.readouterr().out


def test_with_the_panoptic_configuration_of_the_guide_a_model_knows_its_stuff(tmp_path):
    assert cli.main(['scenes', '--out', str(tmp_path / 'scenes'), '--count', '4']) == 0
    write_config(CONFIGURATIONS[1], tmp_path / 'training.yaml')
    assert cli.main(['train', '--config', str(tmp_path / 'training.yaml'),
                     '--out', str(tmp_path / 'run')]) == 0
    network, config, metadata = load_checkpoint(tmp_path / 'run' / 'last.ckpt')
    info = model_info(network, config.data.classes, config.data.thing_ids, 128,
                      metadata.training_summary(config),
                      duplicate_distance=config.loss.duplicate_distance)
    assert set(info.class_names) == {*STUFF, *THINGS}
    assert {info.class_names[thing] for thing in info.thing_ids} == set(THINGS)
    assert info.training['annotations'] == 'panoptic.json'


def test_the_launch_command_of_the_guide_exists():
    (command,) = [command for command in COMMANDS if command[0] == 'ros2']
    assert command[:3] == ['ros2', 'launch', 'instseg_ros']
    text = (ROOT / 'launch' / command[3]).read_text()
    for argument in command[4:]:
        assert f"'{argument.partition(':=')[0]}'" in text


@pytest.mark.parametrize('message', re.findall(r'^\| `(.*?)` \|', GUIDE, re.MULTILINE))
def test_messages_that_the_guide_explains_are_given(message):
    sources = ''.join(path.read_text() for path in (ROOT / 'instseg_ros').rglob('*.py'))
    joined = re.sub(r"'\s*\n\s*f?'", '', sources)
    words = re.split(r"\.\.\.|'\w+'|\d+x\d+|\d+|\w+\.json|coco\w*", message)
    assert [part for part in words if part.strip(' ;:,') and part.strip() not in joined] == []


def test_linked_files_exist():
    links = re.findall(r'\]\(([^)#:]+)\)', GUIDE)
    folder = ROOT / 'docs' / 'how-to'
    assert links and [link for link in links if not (folder / link).exists()] == []
