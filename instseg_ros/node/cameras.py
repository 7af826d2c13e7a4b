"""All cameras of the node."""
from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Callable, Mapping, Sequence

from rclpy.lifecycle import LifecycleNode

from instseg_ros.core.segmenter import Segmenter
from instseg_ros.node.camera import Camera
from instseg_ros.node.diagnostics import Conditions, log_to
from instseg_ros.node.options import Configs, NodeConfig
from instseg_ros.node.requests import Requests
from instseg_ros.node.stages import Frame


class Cameras(Sequence[Camera]):
    """The cameras in the order of the parameter `cameras`; none before `make`.

    Parameters
    ----------
    node : LifecycleNode
    conditions : Conditions
        Of the node; also those of a camera without a name.

    Attributes
    ----------
    requests : dict of str to Requests
        By name of the camera.
    """

    def __init__(self, node: LifecycleNode, conditions: Conditions) -> None:
        self._node, self._conditions = node, conditions
        self._cameras: list[Camera] = []
        self._is_paused = False
        self.requests: dict[str, Requests] = {}

    def __getitem__(self, index: Any) -> Any:
        return self._cameras[index]

    def __len__(self) -> int:
        return len(self._cameras)

    def make(self, configs: Mapping[str, NodeConfig]) -> None:
        """Make the cameras anew, by name."""
        self._cameras = [self._make(name, config) for name, config in configs.items()]

    def configure(self, configs: Configs, segmenter: Segmenter) -> None:
        """Make the cameras anew and advertise their topics; after an error, the old ones stay."""
        before = self._cameras
        self.make(configs.cameras)
        try:
            for camera in self._cameras:
                camera.configure(segmenter.model_info, configs.tracking,
                                 configs.depths[camera.name],
                                 confidence=segmenter.has_confidence)
        except BaseException:
            self.release()
            self._cameras = before
            raise

    def activate(self, submit: Callable[[str, Frame], int]) -> None:
        """Begin to take images, see `Camera.activate`."""
        for camera in self._cameras:
            camera.activate(submit)

    def deactivate(self) -> None:
        """Take no more images."""
        self._for_each(Camera.deactivate)

    def release(self) -> None:
        """Remove the topics of the results."""
        self._for_each(Camera.release)

    def pause(self, is_paused: bool) -> None:
        """Skip images that nobody has requested, or go on."""
        self._is_paused = is_paused
        for camera in self._cameras:
            camera.is_paused = is_paused

    def apply(self, configs: Configs) -> None:
        """Take changed options over; a changed list of cameras is left to `configure`."""
        for camera in self._cameras:
            camera.config = configs.cameras.get(camera.name, camera.config)
            camera.tracker.config = configs.tracking
            if camera.depth is not None:
                camera.depth.config = configs.depths.get(camera.name, camera.depth.config)

    def check_connections(self) -> None:
        """Warn where no images come, or an end of a topic receives nothing."""
        for camera in self._cameras:
            camera.check_connections()

    def _for_each(self, call: Callable[[Camera], None]) -> None:
        with ExitStack() as last_first:  # an error in one of them doesn't keep the others from it
            for camera in self._cameras:
                last_first.callback(call, camera)

    def _make(self, name: str, config: NodeConfig) -> Camera:
        # A service that is removed while a call waits can't answer it: it stays with the node.
        if name not in self.requests:
            self.requests[name] = Requests(self._node, f'{name}/' if name else '')
        conditions = (Conditions(log_to(self._node, f'{name}: ')) if name
                      else self._conditions)
        camera = Camera(self._node, name, config, conditions, self.requests[name])
        camera.is_paused = self._is_paused
        return camera
