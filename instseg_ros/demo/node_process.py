"""The segmenter node in a process of its own, which always ends with the demo."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Iterator, Mapping

from instseg_ros.errors import UserError
from instseg_ros.installed import fast_dds_settings

MODULE = 'instseg_ros.node.main'
LOG_LINES_SHOWN = 15

SECONDS_TO_END = 60.0
"""For a node that works; a busy computer takes a while to end its threads."""

SECONDS_TO_LIVE = 5.0
"""For a node after an error or Ctrl-C; it may not answer at all."""


class NodeProcess:
    """Starts the node; use it as a context manager.

    Parameters
    ----------
    parameters : dict
        ROS parameters by their dotted names.
    remappings : dict of str to str
    folder : Path
        For the parameter file and the log.

    Attributes
    ----------
    log : Path
        All that the node prints.
    """

    def __init__(self, parameters: Mapping[str, Any], remappings: Mapping[str, str],
                 folder: Path) -> None:
        self.log = folder / 'node.log'
        file = folder / 'node_parameters.yaml'
        file.write_text(json.dumps({'/**': {'ros__parameters': dict(parameters)}}), 'utf-8')
        self._command = [sys.executable, '-m', MODULE, '--ros-args', '--params-file', str(file)]
        for source, target in remappings.items():
            self._command += ['-r', f'{source}:={target}']

    def __enter__(self) -> NodeProcess:
        with self.log.open('wb') as log:
            # A session of its own: Ctrl-C reaches the demo only, which then ends the node.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, 'PYTHONUNBUFFERED': '1'}, start_new_session=True)
        return self

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def check(self) -> None:
        """Raise `UserError` if the node has ended."""
        code = self._process.poll()
        if code is not None:
            raise self.failure(f'the node ended by itself with code {code}')

    def failure(self, what: str) -> UserError:
        """Return an error with what happened and the end of the node's log."""
        return UserError(self._with_log(what))

    def _with_log(self, what: str) -> str:
        lines = self.log.read_text('utf-8', 'replace').splitlines()[-LOG_LINES_SHOWN:]
        text = '\n'.join(f'  {line}' for line in lines) or '  (nothing)'
        return f'{what}; the last lines of its log:\n{text}'

    def stop(self) -> str:
        """End the node as Ctrl-C would; return what went wrong, or an empty string.

        A node that ends by itself removes its shared memory.
        """
        code = self._end(SECONDS_TO_END)
        if not code:
            return ''
        return self._with_log(f'the node did not end within {SECONDS_TO_END:g} s'
                              if code == -signal.SIGKILL else f'the node ended with code {code}')

    def _end(self, seconds: float) -> int:
        """End the node, by force if it takes longer than this; return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._end(SECONDS_TO_LIVE)


@contextmanager
def isolated(domain: int, folder: Path) -> Iterator[None]:
    """Set this process's environment, which a child inherits, for a ROS graph of its own.

    The graph stays on this machine, and Fast DDS has room for large images; a Fast DDS profile
    that the user has set is kept.

    Parameters
    ----------
    domain : int
        ROS_DOMAIN_ID.
    folder : Path
        For the log files of ROS.
    """
    values = {'ROS_DOMAIN_ID': str(domain), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
              'ROS_LOG_DIR': str(folder), **fast_dds_settings(os.environ)}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
