"""The executable `segmenter`: one node in a process of its own."""
from __future__ import annotations

import signal
import sys
from typing import Sequence

import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ROSInterruptException,
)
from rclpy.executors import ExternalShutdownException

from instseg_ros.node.segmenter_node import SegmenterNode


def main(args: Sequence[str] | None = None) -> int:
    """Be the executable: run the node, and let no further signal disturb the end."""
    try:
        return run(args)
    finally:
        # Ending may take a while on a busy computer. Who sends a second signal meanwhile, as
        # "ros2 launch" does, wants nothing else than what is going on already.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def run(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM and return the exit code.

    Returns
    -------
    int
        0; or 1 if the node could not be made, with the reason on stderr.
    """
    node = None
    try:
        rclpy.init(args=args)
        node = SegmenterNode()
        if node.autostart:
            node.start()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException, ROSInterruptException):
        return 0
    except (ValueError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        if node is not None:
            raise
        print(f'segmenter: error: {error}', file=sys.stderr)
        return 1
    except Exception:
        if rclpy.ok():
            raise
        return 0  # whatever went on when the signal came could not go on without the context
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
