"""A full disk and a home that can't be written: an error, or the same result as elsewhere."""
import os
import resource
import subprocess
import sys

import cv2
import numpy as np
import pytest


@pytest.fixture
def segment(tmp_path, tiny_model):
    """Return a function that segments an image in a process of its own: code and messages."""
    path = tmp_path / 'a.png'
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    cv2.imwrite(str(path), noise)

    def run(out, largest_file=None, **environment):
        def limit():
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        done = subprocess.run(
            [sys.executable, '-m', 'instseg_ros.cli', 'segment', str(path), '--model',
             str(tiny_model), '--out', str(out)], capture_output=True, text=True, check=False,
            preexec_fn=limit, env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path),
                                   **environment})
        return done.returncode, done.stderr

    return run


def test_a_disk_that_fills_up_is_an_error_and_leaves_no_part_of_a_file(segment, tmp_path):
    code, said = segment(tmp_path / 'out', largest_file=2000)
    assert code == 1 and 'Traceback' not in said
    assert 'File too large' in said
    assert not list((tmp_path / 'out').rglob('*.png'))


def test_a_home_that_can_not_be_written_changes_no_result(segment, tmp_path):
    results = []
    for name, home in (('one', str(tmp_path)), ('two', '/proc')):
        code, said = segment(tmp_path / name, HOME=home, XDG_CACHE_HOME=f'{home}/cache')
        assert code == 0, said
        results.append((tmp_path / name / 'semantic' / 'a.png.png').read_bytes())
    assert results[0] == results[1]
