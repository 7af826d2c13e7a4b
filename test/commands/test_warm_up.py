"""`instseg warm-up`: once it compiles, later it finds everything compiled."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def warm_up(tmp_path, tiny_model):
    """Return a function that runs the command with an own cache and returns what it prints."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'NUMBA_CACHE_DIR': str(tmp_path)}

    def run(*arguments):
        result = subprocess.run(
            [sys.executable, '-m', 'instseg_ros.cli', 'warm-up', '--model', str(tiny_model),
             *arguments], env=environment, capture_output=True, text=True)
        return result.returncode, result.stdout, result.stderr
    return run


def test_kernels_are_compiled_once_with_progress(warm_up):
    code, text, error = warm_up()
    assert code == 0, error
    numbers = [tuple(int(word) for word in line.replace(':', '').split() if word.isdigit())
               for line in text.splitlines() if line.startswith('compiling kernel ')]
    assert numbers and numbers == sorted(numbers)
    assert all(1 <= number <= total for number, total in numbers)
    assert text.splitlines()[-1].endswith('provider cpu, kernels compiled and kept')
    code, text, error = warm_up('--refinement', 'bilateral')
    assert code == 0, error
    assert 'compiling' not in text and 'all kernels were compiled before' in text


def test_a_model_that_is_not_there_is_one_sentence(warm_up, tmp_path):
    code, _, error = warm_up('--model', str(tmp_path / 'gone.onnx'))
    assert code == 1
    assert error.startswith('instseg warm-up: error: ') and 'gone.onnx' in error
