"""The lifecycle node: images in, labels and objects out."""
from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.constants import S_TO_NS
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from instseg_ros.bags.conversions import ImageError, find_converter
from instseg_ros.core import tracking
from instseg_ros.core.compiled import watch_compilation
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.installed import default_model
from instseg_ros.node import diagnostics
from instseg_ros.node.diagnostics import Conditions
from instseg_ros.node.outputs import TOPICS, Outputs
from instseg_ros.node.parameters import declare_parameters, read_configs, reason_to_refuse
from instseg_ros.node.pipeline import Pipeline
from instseg_ros.node.qos import image_qos, publisher_mismatch, silence, subscriber_mismatch
from instseg_ros.node.rclpy_versions import call_after_set_parameters, image_callback
from instseg_ros.node.stages import Frame, Stages
from instseg_ros.node.statistics import Statistics
from instseg_ros.node.transitions import transition

REPORT_PERIOD = 1.0
"""Seconds between diagnostics, and at least between two log lines about one kind of event."""

SILENCE = 5.0
"""Seconds without an image after which an active node warns."""

SUCCESS, FAILURE, ERROR = (TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE,
                           TransitionCallbackReturn.ERROR)


class SegmenterNode(LifecycleNode):
    """Segments the images of one camera.

    It has its stages exactly while it is configured, and its subscription exactly while it is
    active; then a pipeline takes the images through the stages in threads of its own. Everything
    else happens in the executor's thread.

    Raises
    ------
    ValueError
        A parameter has a value that is not allowed.
    """

    def __init__(self, **kwargs: Any) -> None:
        # Before all else: a context destroys its nodes, also one whose parameters are wrong.
        self._stages: Stages | None = None
        self._pipeline: Pipeline[Frame] | None = None
        self._subscription: Any = None
        super().__init__('segmenter', **kwargs)
        declare_parameters(self)
        self._configs = read_configs(self)
        self._model = ''
        self._statistics = Statistics()
        self._conditions = Conditions(self._log)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.add_on_set_parameters_callback(self._check_parameters)
        call_after_set_parameters(self, self._apply_parameters)
        # Steady: diagnostics are needed above all while simulated time stands still.
        self.create_timer(REPORT_PERIOD, self._report, clock=Clock(
            clock_type=ClockType.STEADY_TIME))

    @property
    def autostart(self) -> bool:
        """Whether the node shall configure and activate itself."""
        return self._configs.node.autostart

    def start(self) -> bool:
        """Configure and activate; return whether both went well."""
        return self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS

    @transition('configure', otherwise=FAILURE)
    def on_configure(self, state: LifecycleState) -> None:
        """Load the model, compile the kernels where that is still to be done, advertise topics."""
        self._statistics = Statistics()
        self._configs = read_configs(self)
        model = self._configs.node.model
        path = Path(model).expanduser() if model else default_model()
        self._model = str(path.absolute())
        converter = find_converter()
        self.get_logger().info(f'loading {self._model}')
        segmenter = self.load(path)
        self._stages = Stages(converter, segmenter, tracking.Tracker(self._configs.tracking),
                              Outputs(self, segmenter.model_info))
        self.get_logger().info(f'configured: provider {segmenter.provider}, '
                               f'images by {converter.name}')

    def load(self, path: Path) -> Segmenter:
        """Return the segmenter for a model, ready for its first image."""
        configs = self._configs
        segmenter = Segmenter.from_onnx(path, network=configs.network, grouping=configs.grouping,
                                        refinement=configs.refinement,
                                        selection=configs.selection)
        with watch_compilation(self._log_compilation):
            segmenter.warm_up()
            tracking.warm_up()
        return segmenter

    def _log_compilation(self, kernel: str, ready: int, total: int) -> None:
        if not self.context.ok():  # the compiler may have swallowed the exception of a signal
            raise KeyboardInterrupt
        self.get_logger().info(f'compiling kernels, once on this machine: {ready + 1} of {total} '
                               f'({kernel.lstrip("_")}); "instseg warm-up" does it in advance')

    @transition('activate', otherwise=FAILURE)
    def on_activate(self, state: LifecycleState) -> None:
        """Begin to take images."""
        self._statistics = Statistics()
        self._configs = read_configs(self)
        stages = self._stages
        assert stages is not None  # only a configured node is activated
        try:
            super().on_activate(state)
            stages.outputs.publish_labels(Header(stamp=self.get_clock().now().to_msg()))
            self._pipeline = Pipeline(stages.infer, stages.publish, on_result=self._on_result,
                                      on_error=self._on_error,
                                      depth=self._configs.node.image_depth)
            self._subscription = self.create_subscription(
                Image, 'image', image_callback(self._on_image), image_qos(self._configs.node))
        except Exception:
            self._stop()
            super().on_deactivate(state)
            raise
        self.get_logger().info(f'waiting for images on {self._subscription.topic_name}')

    @transition('deactivate', otherwise=ERROR)
    def on_deactivate(self, state: LifecycleState) -> None:
        """Take no more images; the results of those in the stages are still published."""
        self._stop()
        self._report()
        super().on_deactivate(state)

    @transition('clean up', otherwise=ERROR)
    def on_cleanup(self, state: LifecycleState) -> None:
        """Release the model and the topics."""
        self._release()

    @transition('shut down', otherwise=SUCCESS)
    def on_shutdown(self, state: LifecycleState) -> None:
        """Release everything, in whatever state the node is."""
        self._release()

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything after a transition that failed; the node becomes unconfigured."""
        try:
            self._release()
        except Exception as error:
            self.on_transition_failed('release everything', error)
        return SUCCESS

    def on_transition_failed(self, name: str, error: Exception) -> None:
        """Report the reason, until a later transition goes well."""
        self._conditions.begin('transition', diagnostics.ERROR,
                               f'cannot {name}: {error or type(error).__name__}')

    def on_transition_done(self) -> None:
        """Forget the last failure."""
        self._conditions.end('transition')

    def destroy_node(self) -> None:
        """End the threads and release everything."""
        try:
            self._stop()
        finally:
            super().destroy_node()

    def _stop(self) -> None:
        # Each part is forgotten before it is released, so that an error can't keep it in use.
        subscription, self._subscription = self._subscription, None
        pipeline, self._pipeline = self._pipeline, None
        try:
            if subscription is not None:
                self.destroy_subscription(subscription)
        finally:
            if pipeline is not None:
                self._statistics.frames_given_up(pipeline.close())

    def _release(self) -> None:
        stages, self._stages = self._stages, None
        try:
            self._stop()
        finally:
            if stages is not None:
                stages.outputs.destroy()

    def _on_image(self, message: Image, info: Mapping[str, Any]) -> None:
        assert self._pipeline is not None  # it is there while the subscription is
        now = time.monotonic()
        self._statistics.frame_arrived(info, now)
        self._statistics.frames_given_up(self._pipeline.submit(Frame(message, now)))

    def _on_result(self, frame: Frame) -> None:
        """Count a published result, in the thread of the second stage."""
        stamp = frame.message.header.stamp  # may be anything, even negative
        age = self.get_clock().now().nanoseconds - (stamp.sec * S_TO_NS + stamp.nanosec)
        dropped = frame.segmentation.instances_dropped
        self._statistics.frame_done(frame.timings, frame.latency, age=age / S_TO_NS,
                                    instances_dropped=dropped)
        if dropped:
            self._conditions.note('instances_dropped', diagnostics.WARN,
                                  f'{dropped} instances of an image dropped: it has more than '
                                  'grouping.max_instances')

    def _on_error(self, error: Exception) -> None:
        """Count an image that a stage could not process, in the thread of that stage."""
        if isinstance(error, ImageError):
            self._statistics.frame_dropped()
            self._conditions.note('image_dropped', diagnostics.WARN, f'image dropped: {error}')
        elif self.context.ok():  # else publishing failed since the process is ending
            self._statistics.frame_dropped()
            self._conditions.note('image_lost', diagnostics.ERROR,
                                  f'image lost, {type(error).__name__}: {error}')

    def _check_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        info = self._stages.segmenter.model_info if self._stages is not None else None
        reason = reason_to_refuse(self, changes, info=info,
                                  active=self._subscription is not None)
        return SetParametersResult(successful=not reason, reason=reason)

    def _apply_parameters(self) -> None:
        self._configs = read_configs(self)
        if self._stages is not None:
            # A new segmenter, so that no image is processed with half of a change.
            self._stages.segmenter = self._stages.segmenter.with_options(
                grouping=self._configs.grouping, refinement=self._configs.refinement,
                selection=self._configs.selection)
            self._stages.tracker.config = self._configs.tracking

    def _log(self, level: bytes, text: str) -> None:
        # Two lines: rclpy allows one severity for each line that logs.
        if level == diagnostics.ERROR:
            self.get_logger().error(text)
        else:
            self.get_logger().warning(text)

    def _report(self) -> None:
        self._check_connections()
        stages = self._stages
        values = {'model': self._model, 'provider': stages.segmenter.provider if stages else '',
                  'converter': stages.converter.name if stages else '',
                  **self._statistics.report(time.monotonic()),
                  'last_error': self._conditions.last_error}
        state = ('active' if self._subscription is not None
                 else 'inactive' if stages is not None else 'unconfigured')
        self._diagnostics.publish(diagnostics.message(
            Header(stamp=self.get_clock().now().to_msg()), self.get_fully_qualified_name(),
            state, self._conditions.report(), values))

    def _check_connections(self) -> None:
        """Warn while no images come, or an end of a topic receives nothing."""
        image = self._subscription.topic_name if self._subscription is not None else ''
        is_silent = image and time.monotonic() - self._statistics.last_image >= SILENCE
        self._conditions.warn_while('silence', silence(self, image, SILENCE) if is_silent else '')
        self._conditions.warn_while('qos.image', publisher_mismatch(self, image) if image else '')
        topics = self._stages.outputs.topics if self._stages is not None else {}
        for name in TOPICS:
            self._conditions.warn_while(f'qos.{name}', subscriber_mismatch(self, topics[name])
                                        if name in topics else '')
