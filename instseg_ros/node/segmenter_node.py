"""The life cycle node: image in, labels and objects out."""
from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.constants import S_TO_NS
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from instseg_ros.core.segmenter import Segmenter
from instseg_ros.installed import default_model
from instseg_ros.node.conversions import ImageError, find_converter
from instseg_ros.node.diagnostics import Statistics, diagnostic_message
from instseg_ros.node.outputs import Outputs
from instseg_ros.node.parameters import declare_parameters, read_configs, reason_to_refuse
from instseg_ros.node.pipeline import Pipeline
from instseg_ros.node.qos import image_qos, watch_subscription
from instseg_ros.node.rclpy_versions import image_callback
from instseg_ros.node.stages import Arrival, HalfDone, Published, Stages

REPORT_PERIOD = 1.0
"""Seconds between diagnostics, and at least between two log lines about one kind of trouble."""

SILENCE = 5.0
"""Seconds without an image after which an active node wonders."""

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class SegmenterNode(LifecycleNode):
    """Segments the images of one camera.

    It is configured exactly while it has the stages of the work, and active exactly while it
    subscribes; then a pipeline takes the images through the stages in threads of its own.
    Everything else happens in the executor's thread.

    Raises
    ------
    ValueError
        A parameter has a value that is not allowed.
    """

    def __init__(self, **kwargs: Any) -> None:
        # First: a context destroys its nodes, even one that a wrong parameter ends right below.
        self._stages: Stages | None = None
        self._pipeline: Pipeline[Arrival, HalfDone] | None = None
        self._subscription: Any = None
        super().__init__('segmenter', **kwargs)
        declare_parameters(self)
        self._configs = read_configs(self)
        self._model = ''
        self._statistics = Statistics()
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.add_on_set_parameters_callback(self._on_parameters)
        # Steady: with simulated time that stands still, diagnostics are wanted all the more.
        self.create_timer(REPORT_PERIOD, self._report, clock=Clock(
            clock_type=ClockType.STEADY_TIME))

    @property
    def autostart(self) -> bool:
        """Whether the node shall configure and activate itself."""
        return self._configs.node.autostart

    def start(self) -> bool:
        """Configure and activate; return whether both went well."""
        return self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and compile what needs compiling."""
        self._statistics = Statistics()
        configs = self._configs
        try:
            path = (Path(configs.node.model).expanduser() if configs.node.model
                    else default_model())
            self._model = str(path.absolute())
            converter = find_converter()
            self.get_logger().info(f'loading {self._model}; the first time on a machine, code is '
                                   'compiled for a while')
            segmenter = self.load(path)
        # Whatever is wrong with a model or an installation: the node stays, unconfigured.
        except Exception as error:
            self._fail(f'cannot configure: {error or type(error).__name__}')
            return FAILURE
        self._stages = Stages(converter, segmenter,
                              Outputs(self, segmenter.model_info, self._warn))
        self.get_logger().info(f'configured: provider {segmenter.provider}, '
                               f'images by {converter.name}')
        return super().on_configure(state)

    def load(self, path: Path) -> Segmenter:
        """Return the segmenter for a model, ready for its first image."""
        configs = self._configs
        segmenter = Segmenter.from_onnx(path, network=configs.network, grouping=configs.grouping,
                                        refinement=configs.refinement)
        segmenter.warm_up()
        return segmenter

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to take images."""
        self._statistics = Statistics()
        result = super().on_activate(state)
        self._stages.outputs.publish_labels(Header(stamp=self.get_clock().now().to_msg()))
        self._pipeline = Pipeline(self._stages.infer, self._finish, self._lose,
                                  depth=self._configs.node.image_depth)
        topic = self.resolve_topic_name('image')
        self._subscription = self.create_subscription(
            Image, 'image', image_callback(self._on_image), image_qos(self._configs.node),
            event_callbacks=watch_subscription(topic, self._warn))
        self.get_logger().info(f'waiting for images on {self._subscription.topic_name}')
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more images; the results of those under way are still published."""
        self._stop()
        self._report()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the model and the topics back."""
        self._free()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back, from whatever state."""
        self._free()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back and be unconfigured."""
        self._free()
        return SUCCESS

    def destroy_node(self) -> None:
        """End the threads and give everything back."""
        self._stop()
        super().destroy_node()

    def _stop(self) -> None:
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._pipeline is not None:
            self._statistics.frames_given_up(self._pipeline.close())
            self._pipeline = None

    def _free(self) -> None:
        self._stop()
        if self._stages is not None:
            self._stages.outputs.destroy()
            self._stages = None

    def _on_image(self, message: Image, info: Mapping[str, Any]) -> None:
        now = time.monotonic()
        self._statistics.frame_arrived(info, now)
        self._statistics.frames_given_up(self._pipeline.submit(Arrival(message, now)))

    def _finish(self, half_done: HalfDone) -> None:
        """Be the second stage."""
        published = self._stages.publish(half_done)
        stamp = published.header.stamp  # may be anything, even negative
        age = self.get_clock().now().nanoseconds - (stamp.sec * S_TO_NS + stamp.nanosec)
        self._statistics.frame_done(published.timings, published.latency, age=age / S_TO_NS,
                                    instances_cut=published.instances_cut)
        if published.instances_cut:
            reason = (f'{published.instances_cut} instances of an image were cut, there are more '
                      'than grouping.max_instances')
            self._statistics.note(reason, DiagnosticStatus.WARN)
            self.get_logger().warning(reason, throttle_duration_sec=REPORT_PERIOD)

    def _lose(self, error: Exception) -> None:
        """Tell of an image that one of the stages could not process."""
        if isinstance(error, ImageError):
            self._statistics.frame_dropped(str(error))
            self.get_logger().warning(f'image dropped: {error}',
                                      throttle_duration_sec=REPORT_PERIOD)
        elif self.context.ok():  # else publishing failed since the process is ending
            reason = f'image lost, {type(error).__name__}: {error}'
            self._statistics.frame_failed(reason)
            self.get_logger().error(reason, throttle_duration_sec=REPORT_PERIOD)

    def _on_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        for change in changes:
            reason = reason_to_refuse(change.name, configured=self._stages is not None,
                                      active=self._subscription is not None)
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        try:
            self._configs = read_configs(self, changes)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if self._stages is not None:
            # A new one, so that no image under way meets one half of the change.
            self._stages.segmenter = self._stages.segmenter.with_options(
                grouping=self._configs.grouping, refinement=self._configs.refinement)
        return SetParametersResult(successful=True)

    def _fail(self, reason: str) -> None:
        self._statistics.note_lasting(reason, DiagnosticStatus.ERROR)
        self.get_logger().error(reason)

    def _warn(self, reason: str) -> None:
        self._statistics.note_lasting(reason, DiagnosticStatus.WARN)
        self.get_logger().warning(reason)

    def _silence(self) -> str:
        """Return why there may be no images; empty while there are some, or none is expected."""
        seconds = time.monotonic() - self._statistics.last_image
        if self._subscription is None or seconds < SILENCE:
            return ''
        topic = self._subscription.topic_name
        publishers = self.count_publishers(topic)
        if not publishers:
            return f'no image for {seconds:.0f} s: nobody publishes on {topic} (remap "image")'
        return (f'no image for {seconds:.0f} s although {topic} has {publishers} publisher(s): '
                f'compare "ros2 topic info --verbose {topic}"; large best-effort images need the '
                'Fast DDS profile in config/fastdds.xml, or image_reliability reliable')

    def _report(self) -> None:
        silence = self._silence()
        if silence:
            self._statistics.note(silence, DiagnosticStatus.WARN)
            self.get_logger().warning(silence, throttle_duration_sec=2 * SILENCE)
        level, values = self._statistics.report(time.monotonic())
        stages = self._stages
        values = {'model': self._model, 'provider': stages.segmenter.provider if stages else '',
                  'converter': stages.converter.name if stages else '', **values}
        state = ('active' if self._subscription is not None
                 else 'inactive' if stages is not None else 'unconfigured')
        text = f'{state}, {values["fps"]} images/s' if level == DiagnosticStatus.OK \
            else f'{state}: {values["last_error"]}'
        self._diagnostics.publish(diagnostic_message(
            Header(stamp=self.get_clock().now().to_msg()), self.get_fully_qualified_name(),
            level, text, values))
