"""The segmenter node in a process of its own, which always ends with the demo."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Mapping

from instseg_ros.errors import UserError

MODULE = 'instseg_ros.node.main'
LOG_LINES_SHOWN = 15
SECONDS_TO_END = 5.0


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

    def check(self) -> None:
        """Raise `UserError` if the node has ended."""
        code = self._process.poll()
        if code is not None:
            raise self.failure(f'the node ended by itself with code {code}')

    def failure(self, what: str) -> UserError:
        """Return an error that says what happened and shows the end of the node's log."""
        lines = self.log.read_text('utf-8', 'replace').splitlines()[-LOG_LINES_SHOWN:]
        text = '\n'.join(f'  {line}' for line in lines) or '  (nothing)'
        return UserError(f'{what}; the last lines of its log:\n{text}')

    def stop(self) -> int:
        """End the node as Ctrl-C would, by force if it takes too long; return its exit code.

        A node that ends by itself takes its shared memory with it.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()
