"""The `instseg` command: help, laziness, and errors as one sentence."""
import subprocess
import sys
from pathlib import Path

import pytest

from instseg_ros import cli
from instseg_ros.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {'cv2', 'numpy', 'numba', 'onnxruntime', 'rclpy', 'rosbags', 'skimage', 'torch', 'tqdm'}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return a function that installs a subcommand `probe` with the given body of `run`."""
    def install(body: str) -> None:
        (tmp_path / 'probe_command.py').write_text(
            'from instseg_ros.errors import UserError\n'
            'def add_arguments(parser):\n    parser.add_argument("--size", type=int, default=3)\n'
            f'def run(args):\n    {body}\n')
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, 'probe_command', raising=False)
        monkeypatch.setitem(cli.COMMANDS, 'probe', ('probe_command', 'try things'))
    return install


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(['--help'])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name, (_, summary) in cli.COMMANDS.items():
        assert name in text and summary in text
    assert 'examples:' in text


@pytest.mark.parametrize('name', sorted(cli.COMMANDS))
def test_help_of_a_command_shows_an_example_and_loads_nothing_heavy(name):
    code = ('import sys\nfrom instseg_ros import cli\n'
            f'try:\n    cli.main([{name!r}, "--help"])\n'
            'except SystemExit as stop:\n    assert stop.code == 0\n'
            f'print("loaded:", *sorted({HEAVY!r} & set(sys.modules)))')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == 'loaded:'
    assert f'instseg {name} ' in done.stdout.partition('usage:')[2].partition('\n\n')[2]


@pytest.mark.parametrize('arguments', [[], ['fly'], ['segment'], ['segment', '--fast']])
def test_a_wrong_command_line_is_code_2_and_shows_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == cli.EXIT_USAGE
    assert 'usage: instseg' in capsys.readouterr().err


def test_arguments_reach_the_command_and_its_code_comes_back(command):
    command('return args.size')
    assert cli.main(['probe', '--size', '7']) == 7
    assert cli.main(['probe']) == 3


@pytest.mark.parametrize('error', ['ValueError', 'OSError', 'FileNotFoundError', 'UserError'])
def test_an_error_a_person_can_fix_is_one_sentence(command, capsys, error):
    command(f'raise {error}("the lamp is off")')
    assert cli.main(['probe']) == cli.EXIT_FAILURE
    assert capsys.readouterr().err == 'instseg probe: error: the lamp is off\n'


def test_traceback_shows_where_an_error_came_from(command, capsys):
    command('raise UserError("the lamp is off")')
    assert cli.main(['probe', '--traceback']) == cli.EXIT_FAILURE
    text = capsys.readouterr().err
    assert 'probe_command.py' in text and text.endswith('error: the lamp is off\n')


def test_a_mistake_in_the_code_is_not_dressed_up(command):
    command('return {}["missing"]')
    with pytest.raises(KeyError):
        cli.main(['probe'])


@pytest.mark.parametrize('module, hint', [
    ('torch', 'pip install ".[train]" in the sources'), ('rclpy', 'make demo'),
    ('nosuchlibrary', 'pip install nosuchlibrary')])
def test_a_missing_library_is_one_sentence(command, capsys, monkeypatch, module, hint):
    monkeypatch.setitem(sys.modules, module, None)
    command(f'import {module}.part')
    assert cli.main(['probe']) == cli.EXIT_USAGE
    text = capsys.readouterr().err
    assert text.startswith(f'instseg probe needs {module}, which is not installed: ')
    assert hint in text and text.count('\n') == 1


def test_a_missing_module_of_our_own_is_a_mistake(command):
    command('import instseg_ros.nonsense')
    with pytest.raises(ModuleNotFoundError):
        cli.main(['probe'])


def test_interruption_is_code_130(command, capsys):
    command('raise KeyboardInterrupt')
    assert cli.main(['probe']) == cli.EXIT_INTERRUPTED
    assert capsys.readouterr().err == 'instseg probe: interrupted\n'


def test_user_error_is_no_value_error():
    assert not issubclass(UserError, (ValueError, OSError))
