"""`instseg view`: serves until Ctrl-C, and names what is wrong with its arguments."""
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest

from instseg_ros.media import write_image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def start(tiny_model):
    """Return a function that starts the command; it is ended after the test."""
    started = []

    def run(*arguments):
        process = subprocess.Popen(
            [sys.executable, '-m', 'instseg_ros.cli', 'view', '--model', str(tiny_model),
             '--port', '0', *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        started.append(process)
        return process
    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def photo(tmp_path):
    write_image(tmp_path / 'photo.png', np.full((40, 60, 3), 90, np.uint8))
    return tmp_path / 'photo.png'


def test_the_page_is_served_until_ctrl_c(start, photo, tiny_model):
    process = start(photo, '--center-threshold', '0.4')
    lines = iter(process.stdout.readline, '')
    url = next(filter(None, (re.search(r'http://127\.0\.0\.1:\d+/', line) for line in lines)))[0]
    about = json.load(urlopen(f'{url}about', timeout=30))
    assert about['source'] == str(photo) and about['model'] == str(tiny_model)
    starts = {item['name']: item['start'] for item in about['options']}
    assert starts['center_threshold'] == 0.4
    # A viewer that waits doesn't hold up the end.
    state = json.load(urlopen(f'{url}state', timeout=30))
    assert state['options']['grouping.center_threshold'] == 0.4
    urlopen(Request(f'{url}pause', b'{}', {'Content-Type': 'application/json'}), timeout=30)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, '')


@pytest.mark.parametrize('arguments, text', [
    (['gone.mp4'], 'gone.mp4: expected a file, a folder or the index of a camera'),
    (['--port', '70000'], '--port: expected a number from 0 to 65535, got 70000'),
    (['--host', 'no such'], '--host no such: expected an address of this computer'),
    (['--purity', '7'], 'unrecognized arguments'),
    (['--refinement-purity', '7'], 'purity: expected a value from 0.5 to 1'),
    (['--topic', '/camera'], '--topic: expected a bag'),
])
def test_a_wrong_argument_is_one_sentence(start, photo, arguments, text):
    source = [] if arguments[0].endswith('mp4') else [photo]
    process = start(*source, *arguments)
    _, error = process.communicate(timeout=120)
    assert process.returncode in (1, 2)
    assert text in error and 'Traceback' not in error
