"""Recordings that several tests read."""
import importlib
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def camera(tmp_path_factory) -> Path:
    """Return a bag with one topic of images."""
    folder = tmp_path_factory.mktemp('bags')
    return importlib.import_module('recorded_scene').write_camera(folder / 'camera.mcap')


@pytest.fixture
def segment(tiny_model, tmp_path, capsys):
    """Return a function that runs the command; it returns exit code, result and errors."""
    from instseg_ros.cli import main

    def run(source, *arguments, out='result.mcap', model=tiny_model):
        code = main(['segment-bag', str(source), '--out', str(tmp_path / out),
                     '--model', str(model), *map(str, arguments)])
        lines = [line for line in capsys.readouterr().err.splitlines() if 'instseg' in line]
        return code, tmp_path / out, lines

    return run


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that lets a run end after some groups of messages."""
    from instseg_ros.recorded import parts

    def after(count, error):
        write, written = parts.Part.write, []

        def limited(part, group):
            if len(written) == count:
                raise error
            written.append(group)
            write(part, group)

        monkeypatch.setattr(parts.Part, 'write', limited)
        return lambda: monkeypatch.setattr(parts.Part, 'write', write)

    return after
