"""The executable `segmenter`: one node in a process of its own."""
from __future__ import annotations

import signal
import sys
from typing import Sequence

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(args: Sequence[str] | None = None) -> int:
    """Be the executable: end with code 0 and without noise whenever SIGINT or SIGTERM comes."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)  # rclpy hands them on to these
    try:
        return run(args)
    except KeyboardInterrupt:
        return 0
    finally:
        ignore_signals()


def ignore_signals() -> None:
    """Let nothing disturb the end.

    It takes a while: images are under way, and the computer may be busy. Who sends a second signal
    meanwhile, as "ros2 launch" does, wants nothing else than what is going on already.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def run(args: Sequence[str] | None = None) -> int:
    """Run the node until the ROS context is shut down or a KeyboardInterrupt comes.

    Returns
    -------
    int
        0; or 1 if the node could not be made, with the reason on stderr.
    """
    # Not at the top: it takes seconds, and a signal may come meanwhile.
    import rclpy
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

    from instseg_ros.node.segmenter_node import SegmenterNode

    node = None
    try:
        rclpy.init(args=args)
        node = SegmenterNode()
        if node.autostart:
            node.start()
        rclpy.spin(node)
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        if node is not None and not rclpy.ok():
            return 0  # whatever went on when the signal came could not go on without the context
        # RuntimeError: what rclpy says of arguments, remappings and parameter files.
        if node is not None or not isinstance(error, (
                RuntimeError, ValueError, InvalidParameterTypeException,
                InvalidParameterValueException)):
            raise
        print(f'segmenter: error: {error}', file=sys.stderr)
        return 1
    finally:
        if node is not None:
            ignore_signals()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
