"""The executable `segmenter`: one node in a process of its own."""
from __future__ import annotations

import gc
import os
import sys
from typing import Callable, Sequence

from instseg_ros.node.shared_memory import remove_own_segments, remove_stale_segments, shortage
from instseg_ros.node.signals import Signals
from instseg_ros.node.worker import are_running


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; end with code 0 and without a traceback on SIGINT or SIGTERM."""
    signals = Signals()
    code = run(args, on_ros=signals.ros_is_up, is_interrupted=lambda: signals.came)
    if are_running():
        # A stage never returned; a library that is at work while Python ends it may crash.
        sys.stderr.flush()
        remove_own_segments()
        os._exit(code)
    # The middleware ends when what the node had of it is collected. Python would collect several
    # times more at its end, which takes longer than all the rest: there is nothing left to find.
    gc.collect()
    gc.freeze()
    return code


def run(args: Sequence[str] | None = None, on_ros: Callable[[], object] = lambda: None,
        is_interrupted: Callable[[], bool] = lambda: False) -> int:
    """Run the node until the ROS context is shut down or a KeyboardInterrupt comes.

    Parameters
    ----------
    args : sequence of str, optional
        The command line; by default, that of the process.
    on_ros : callable
        Called when rclpy handles signals.
    is_interrupted : callable
        Whether a signal came.

    Returns
    -------
    int
        0; or 1 if the node could not be made, with the reason on stderr. Other exceptions are
        raised.
    """
    # Not at the top: it takes seconds, and a signal may come meanwhile.
    import rclpy
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
    from rclpy.executors import SingleThreadedExecutor

    from instseg_ros.installed import fast_dds_settings
    from instseg_ros.node.parameter_files import check_arguments
    from instseg_ros.node.segmenter_node import SegmenterNode

    node = None
    is_initialized = is_started = False
    try:
        settings = fast_dds_settings(os.environ) if uses_fast_dds() else {}
        os.environ.update(settings)
        released = remove_stale_segments() if uses_fast_dds() else 0
        warning = shortage(os.environ) if uses_fast_dds() else ''
        rclpy.init(args=args)
        is_initialized = True
        on_ros()
        node = SegmenterNode()
        for name, value in settings.items():
            node.get_logger().info(f'{name}={value}, to give Fast DDS room for large images')
        if released:
            node.get_logger().info(f'released {released / 1e6:.1f} MB of shared memory that '
                                   'killed processes had left behind')
        if warning:
            node.get_logger().warning(warning)
        check_arguments(sys.argv if args is None else args, node.get_fully_qualified_name(),
                        node.get_parameters_by_prefix(''))
        is_started = True
        if node.autostart:
            node.start()
        # Not the global executor: that would outlive this function, with the node's last callback.
        rclpy.spin(node, SingleThreadedExecutor())
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        if is_interrupted() or (is_initialized and not rclpy.ok()
                                and isinstance(error, context_errors())):
            return 0  # a signal shut the context down while the node was using it
        # RuntimeError: rclpy's errors about arguments, remappings and parameter files.
        if is_started or not isinstance(error, (
                RuntimeError, ValueError, OSError, InvalidParameterTypeException,
                InvalidParameterValueException)):
            raise
        print(f'segmenter: error: {error}', file=sys.stderr)
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def uses_fast_dds() -> bool:
    """Return whether Fast DDS is the middleware."""
    from rclpy.utilities import get_rmw_implementation_identifier

    return get_rmw_implementation_identifier().startswith('rmw_fastrtps')


def context_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions with which rclpy reports that the context is shut down."""
    from rclpy.exceptions import NotInitializedException
    from rclpy.executors import ExternalShutdownException
    from rclpy.impl.implementation_singleton import rclpy_implementation

    return (ExternalShutdownException, NotInitializedException, rclpy_implementation.RCLError,
            rclpy_implementation.InvalidHandle)


if __name__ == '__main__':
    sys.exit(main())
