"""The lifecycle node: images in, labels and objects out."""
from __future__ import annotations

import math
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Sequence

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from instseg_ros.bags.conversions import ImageError, find_converter
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.installed import default_model
from instseg_ros.node import diagnostics
from instseg_ros.node.affinity import parse_cores, use_cores
from instseg_ros.node.cameras import Cameras
from instseg_ros.node.diagnostics import Conditions, log_to
from instseg_ros.node.diagnostics_publisher import DiagnosticsPublisher
from instseg_ros.node.loading import load_segmenter
from instseg_ros.node.memory import trim_heap
from instseg_ros.node.model_text import NO_CONFIDENCE, batch_text, provider_problem
from instseg_ros.node.parameters import declare_parameters, read_configs, reason_to_refuse
from instseg_ros.node.pipeline import Pipeline, StuckError
from instseg_ros.node.rclpy_versions import call_after_set_parameters, forget_destroyed
from instseg_ros.node.recovery import Recovery
from instseg_ros.node.reports import check_stages, make_reports, state_text
from instseg_ros.node.stages import Frame, Stages
from instseg_ros.node.transitions import guarded, transition

CHECK_PERIOD = 1.0
"""Seconds between two looks at connections and stages, at most."""

LAST_WAIT = 1.0
"""Seconds for which the end of the node waits for the images in the stages."""

SUCCESS, FAILURE, ERROR = (TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE,
                           TransitionCallbackReturn.ERROR)


class SegmenterNode(LifecycleNode):
    """Segments the images of one or several cameras.

    It has its stages exactly while it is configured, and its pipeline exactly while it is active.
    The pipeline takes the images of all cameras through the stages in threads of its own.
    Everything else happens in the executor's thread.

    Raises
    ------
    ValueError
        A parameter has a value that is not allowed.
    """

    def __init__(self, **kwargs: Any) -> None:
        # Before all else: a context destroys its nodes, also one whose parameters are wrong.
        self._stages: Stages | None = None
        self._pipeline: Pipeline[Frame] | None = None
        self._conditions = Conditions(log_to(self))
        self._cameras = Cameras(self, self._conditions)
        super().__init__('segmenter', **kwargs)
        declare_parameters(self)
        self._configs = read_configs(self)
        self._model = Path()
        self._has_failed = self._is_paused = False
        self._cameras.make(self._configs.cameras)
        self._diagnostics = DiagnosticsPublisher(self)
        self._recovery = Recovery(self.create_guard_condition(
            self._guarded('recovery', self._recover)).trigger)
        self.create_service(SetBool, '~/enable', self._guarded(
            'enable', self._enable,
            lambda reason: SetBool.Response(success=False, message=reason)))
        self._parameter_check = self._guarded(
            'check_parameters', self._check_parameters,
            lambda reason: SetParametersResult(successful=False, reason=reason))
        self.add_on_set_parameters_callback(self._parameter_check)
        call_after_set_parameters(self, self._guarded('parameters', self._apply_parameters))
        # Steady: diagnostics are needed above all while simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(
            self._diagnostics.period, self._guarded('report', self._report), clock=steady)
        if self._diagnostics.period > CHECK_PERIOD:
            self.create_timer(CHECK_PERIOD, self._guarded('check', self._check), clock=steady)

    def _guarded(self, name: str, callback: Callable[..., Any],
                 otherwise: Callable[[str], Any] = lambda reason: None) -> Callable[..., Any]:
        return guarded(name, callback, self._conditions, otherwise)

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
        declare_parameters(self)  # there may be new cameras
        self._configs = read_configs(self)
        model = self._configs.node.model
        self._model = (Path(model).expanduser() if model else default_model()).absolute()
        use_cores(parse_cores(self._configs.node.cores))
        converter = find_converter()
        self.get_logger().info(f'loading {self._model}')
        segmenter = self.load(self._model)
        self._cameras.configure(self._configs, segmenter)
        self._stages = Stages(converter, segmenter)
        self._conditions.end('inference')
        if not segmenter.has_confidence:
            self.get_logger().warning(NO_CONFIDENCE)
        self.get_logger().info(f'configured: provider {segmenter.provider}, '
                               f'images by {converter.name}')
        if len(self._cameras) > 1:
            self.get_logger().info(batch_text(segmenter.network))

    def load(self, path: Path) -> Segmenter:
        """Return the segmenter for a model, ready for its first image."""
        segmenter = load_segmenter(path, self._configs, self.get_logger(),
                                   is_interrupted=lambda: not self.context.ok())
        self._conditions.warn_while('provider', provider_problem(segmenter.network))
        return segmenter

    @transition('activate', otherwise=FAILURE)
    def on_activate(self, state: LifecycleState) -> None:
        """Begin to take images."""
        self._apply_parameters()
        stages = self._stages
        assert stages is not None  # only a configured node is activated
        try:
            super().on_activate(state)
            self._recovery.succeeded()
            self._pipeline = Pipeline(
                stages.convert, stages.infer, stages.finish,
                on_result=self._publish, on_error=self._on_error,
                depth=self._configs.node.image_depth, limit=stages.segmenter.max_batch,
                key=stages.batch_key)
            self._cameras.activate(self._pipeline.submit)
        except BaseException:
            self._stop()
            super().on_deactivate(state)
            raise

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more images; the only way to the error state is a transition that fails."""
        return ERROR if self._has_failed else self._deactivate(state)

    @transition('deactivate', otherwise=ERROR)
    def _deactivate(self, state: LifecycleState) -> None:
        """Take no more images; the results of those in the stages are still published."""
        self._stop()
        self._report()
        super().on_deactivate(state)

    @transition('clean up', otherwise=ERROR)
    def on_cleanup(self, state: LifecycleState) -> None:
        """Release the model and the topics."""
        self._release()
        trim_heap()

    @transition('shut down', otherwise=SUCCESS)
    def on_shutdown(self, state: LifecycleState) -> None:
        """Release everything, in whatever state the node is."""
        self._release()

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything after a transition that failed; the node becomes unconfigured."""
        self._has_failed = False
        try:
            self._release()
        except (Exception, SystemExit) as error:
            self.on_transition_failed('release everything', error)
        return SUCCESS

    def on_transition_failed(self, name: str, error: BaseException) -> None:
        """Report the reason, until a later transition goes well."""
        self._conditions.begin('transition', diagnostics.ERROR,
                               f'cannot {name}: {error or type(error).__name__}')

    def on_transition_done(self) -> None:
        """Forget the last failure."""
        self._conditions.end('transition')

    def destroy_node(self) -> None:
        """End the threads and release everything."""
        try:
            self._stop(LAST_WAIT)
        finally:
            super().destroy_node()

    def _stop(self, timeout: float = math.inf) -> None:
        # The pipeline is forgotten before it is closed, so that an error can't keep it in use.
        pipeline, self._pipeline = self._pipeline, None
        with ExitStack() as last_first:  # an error in one of them doesn't keep the others from it
            last_first.callback(forget_destroyed, self)
            if pipeline is not None:
                last_first.callback(self._close, pipeline, timeout)
            last_first.callback(self._cameras.deactivate)

    def _close(self, pipeline: Pipeline[Frame], timeout: float) -> None:
        """End the pipeline, which waits for a stage until the stage counts as stuck."""
        step, limit = pipeline.longest_step(), self._configs.node.stage_timeout
        left = limit - (time.monotonic() - step.began) if step else limit
        for frame in pipeline.close(max(0.0, min(left, timeout))):
            frame.camera.statistics.frames_given_up(1)

    def _release(self) -> None:
        self._stages = None
        self._conditions.end('provider')
        with ExitStack() as last_first:
            last_first.callback(forget_destroyed, self)
            last_first.callback(self._cameras.release)
            last_first.callback(self._stop)

    def _publish(self, frame: Frame) -> None:
        """Publish and count a result, in the thread of the second stage."""
        assert self._stages is not None
        self._stages.publish(frame)
        self._recovery.succeeded()
        self._conditions.end('inference')
        frame.camera.on_result(frame)

    def _on_error(self, frame: Frame, error: BaseException) -> None:
        """Take note of an image that is lost, in the thread of the stage that lost it."""
        if not isinstance(error, (ImageError, StuckError)):
            self._recovery.failed(error)
        frame.camera.on_error(frame, error)

    def _recover(self) -> None:
        """Do what is due after several images in a row were lost."""
        if self._pipeline is not None:
            self._recovery.act(self._rebuild, self._give_up)

    def _rebuild(self, reason: str) -> None:
        """Load the model anew: a session may be broken for good, for example after a GPU's error.

        If that fails, the node gives up.
        """
        self._conditions.begin('inference', diagnostics.ERROR,
                               f'{reason}; the model is loaded again')
        assert self._stages is not None
        try:
            self._stages.segmenter = self.load(self._model)
        except Exception as error:
            self._give_up(f'{reason}; the model could not be loaded again: {error}')

    def _give_up(self, reason: str) -> None:
        """Go to the error state, which releases everything; the node becomes unconfigured."""
        self._conditions.begin('inference', diagnostics.ERROR, f'{reason}; the node is '
                               'unconfigured now: configure and activate it to try again')
        self._has_failed = True
        self.trigger_deactivate()

    def _check_parameters(self, changes: Sequence[Parameter]) -> SetParametersResult:
        info = self._stages.segmenter.model_info if self._stages is not None else None
        reason = reason_to_refuse(self, changes, info=info, active=self._pipeline is not None)
        return SetParametersResult(successful=not reason, reason=reason)

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Go on with the images, or pause without releasing anything."""
        self._is_paused = not request.data
        self._cameras.pause(self._is_paused)
        response.success = True
        response.message = ('paused: images are skipped' if self._is_paused
                            else 'images are processed')
        self.get_logger().info(response.message)
        return response

    def _apply_parameters(self) -> None:
        self._configs = read_configs(self)
        self._cameras.apply(self._configs)
        if self._stages is not None:
            # A new segmenter, so that no image is processed with half of a change.
            self._stages.segmenter = self._stages.segmenter.with_options(
                grouping=self._configs.grouping, refinement=self._configs.refinement,
                selection=self._configs.selection)

    def _check(self) -> None:
        self._cameras.check_connections()
        check_stages(self._pipeline, self._configs.node.stage_timeout, self._conditions)

    def _report(self) -> None:
        self._check()
        self._diagnostics.publish(
            state_text(self._stages, self._pipeline, self._is_paused),
            make_reports(self.get_fully_qualified_name(), self._model, self._stages,
                         self._cameras, self._conditions))
