"""SIGINT and SIGTERM: no exceptions out of nowhere, and an end in bounded time.

A signal handler of Python runs between any two instructions of the main thread. An exception that
it raises is lost where an import, a destructor or a compiler catches it, and becomes another one
inside rclpy's compiled code. It doesn't run at all while the main thread is inside a library. So
the handler does nothing; a thread, which the operating system's part of signal handling wakes,
takes note of the signal. rclpy's own handler shuts its context down, which ends the executor.
"""
from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import types

from instseg_ros.node.shared_memory import remove_own_segments

SIGNALS = (signal.SIGINT, signal.SIGTERM)

END_LIMIT = 1.8
"""Seconds after a signal in which the node has to end by itself, so that it ends within 2."""


class Signals:
    """Takes note of signals from now on; to be made in the main thread, once in a process.

    Before `ros_is_up` nothing needs to be released, and a signal ends the process at once with
    code 0. After it, the process has END_LIMIT seconds to end by itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_up = self._came = False
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, _ignore)  # rclpy passes signals on to this
        threading.Thread(target=self._wait, name='signals', daemon=True).start()

    @property
    def came(self) -> bool:
        """Whether a signal came."""
        return self._came

    def ros_is_up(self) -> None:
        """Leave it to the executor from now on to end when a signal comes."""
        with self._lock:
            self._is_up = True

    def _wait(self) -> None:
        if not self._woken.recv(1):
            return
        with self._lock:
            self._came = True
            if not self._is_up:
                os._exit(0)
        threading.Event().wait(END_LIMIT)
        print(f'segmenter: did not end within {END_LIMIT:g} s after a signal; it is ended now',
              file=sys.stderr, flush=True)
        remove_own_segments()
        os._exit(0)


def _ignore(number: int, frame: types.FrameType | None) -> None:
    pass
