"""The soak in small: library and live node with bad images, stalling subscribers and changes."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parents[2] / 'benchmarks' / 'soak'


def soak(out, model, *arguments):
    """Return the exit code, what was printed, and the last sample of each part."""
    # Memory is judged in the long run only: in seconds it has not settled.
    run = subprocess.run(
        [sys.executable, str(SOAK), '--out', str(out), '--model', str(model), '--allowed', '1000',
         *arguments], capture_output=True, text=True, check=False, timeout=600,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
    samples = {path.stem: json.loads(path.read_text().splitlines()[-1])
               for path in out.glob('*.jsonl')}
    return run.returncode, run.stdout + run.stderr, samples


def test_every_frame_of_the_library_is_accounted_for_and_a_run_is_resumed(tmp_path, tiny_model):
    pytest.importorskip('matplotlib')
    code, printed, samples = soak(tmp_path, tiny_model, '--only', 'library', '--frames', '70')
    assert code == 0, printed
    assert (samples['library']['in'], samples['library']['dropped']) == (70, 10)
    code, printed, samples = soak(tmp_path, tiny_model, '--only', 'library', '--frames', '140',
                                  '--resume')
    assert code == 0, printed
    assert (samples['library']['run'], samples['library']['in']) == (2, 70)
    assert (tmp_path / 'library.png').stat().st_size


def test_every_image_of_the_live_node_is_accounted_for(tmp_path, tiny_model, rclpy):
    pytest.importorskip('matplotlib')
    code, printed, samples = soak(tmp_path, tiny_model, '--only', 'node', '--minutes', '0.1')
    assert code == 0, printed
    counts = samples['node']
    assert counts['out'] and counts['dropped']
    assert counts['published'] == sum(counts[name] for name in (
        'out', 'dropped', 'superseded', 'lost', 'skipped'))
