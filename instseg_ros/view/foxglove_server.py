"""The player for the Foxglove app, over its WebSocket protocol.

The topics are those of a bag of `instseg segment-bag`, so `config/foxglove.json` shows them. Live
options and playback are parameters of the connection. Foxglove's protocol knows no password, so
only this computer is served.
"""
from __future__ import annotations

import json
import threading
import time
from typing import Any, Sequence

import foxglove
from foxglove.websocket import Capability, ServerListener, StatusLevel

from instseg_ros.bags.messages import LABEL_INFO, make_header, typestore
from instseg_ros.core.types import ModelInfo
from instseg_ros.messages.results import Result
from instseg_ros.recorded.layout import PREFIX
from instseg_ros.recorded.outputs import LABELS, encode_label_info, encode_result, output_types
from instseg_ros.view.addresses import Address
from instseg_ros.view.pictures import Picture
from instseg_ros.view.player import Player, State
from instseg_ros.view.server import whole_number

LABEL_INFO_NAME, LATENCY_NAME = 'label_info', 'latency_ms'

PLAYING, FRAME = 'playing', 'frame'
"""Parameters beside the live options: whether it plays, and the number of the frame."""

POLL = 0.5
"""Seconds after which the server looks whether anybody still listens."""

PROBLEM, REFUSAL = 'problem', 'refusal'
"""Ids of the status messages that are shown in the app: about the source, and about a value."""


class FoxgloveServer(ServerListener):
    """Serves one player; listens from the start, sends pictures in `serve_forever`.

    Parameters
    ----------
    player : Player
    address : Address
        A loopback address.
    port : int
        0 takes a free one, see `url`.

    Raises
    ------
    ValueError
        The address can be reached from other computers.
    OSError
        The address is in use.
    """

    def __init__(self, player: Player, address: Address, port: int) -> None:
        if address.token:
            raise ValueError(f'--host {address.host}: expected an address of this computer alone, '
                             'such as 127.0.0.1, since a connection of Foxglove has no password; '
                             'forward the port with "ssh -L" instead')
        self._player = player
        self._wanted, self._closed = threading.Event(), False
        self._version, self._seen = -1, 0
        self._shown: dict[str, str] = {}
        self._info: ModelInfo = player.segmenter.model_info
        self._context = context = foxglove.Context()  # ends when nobody holds it
        self._channels = {name: make_channel(name, kind, context) for name, kind in {
            **output_types(LABELS[0]), LABEL_INFO_NAME: LABEL_INFO}.items()}
        self._latency = foxglove.Channel(
            PREFIX + LATENCY_NAME, schema={'type': 'object'}, context=context)
        try:
            self._server = foxglove.start_server(
                name=f'instseg view {player.source.name}', host=address.host, port=port,
                capabilities=[Capability.Parameters], server_listener=self, context=context)
        except RuntimeError as error:
            raise OSError(f'cannot listen on {address.host}, port {port}: {error}; choose others '
                          'with --host and --port') from None
        self.url = address.url(self._server.port).replace('http:', 'ws:').rstrip('/')

    def __enter__(self) -> FoxgloveServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End `serve_forever` and all connections."""
        self._closed = True
        self._wanted.set()
        self._server.stop()

    def serve_forever(self) -> None:
        """Send each new picture, as long as anybody listens."""
        while not self._closed:
            channels = [*self._channels.values(), self._latency]
            if any(channel.has_sinks() for channel in channels):
                self._follow()
            else:  # without a viewer, the player waits too
                self._wanted.wait()

    def _follow(self) -> None:
        if self._wanted.is_set():  # who has come since then gets what the others see
            self._wanted.clear()
            self._version, self._seen, self._shown = -1, 0, {}
        state = self._player.wait(self._version, self._seen, POLL)
        if state is None:
            return
        self._version = state.version
        self._server.publish_parameter_values(parameters_of(state))
        self._report(PROBLEM, state.remarks, [state.picture.problem] if state.picture else [])
        if state.picture is not None and state.picture.serial != self._seen:
            self._send(state.picture)
            self._seen = state.picture.serial

    def _send(self, picture: Picture) -> None:
        if picture.image is None or picture.segmentation is None:
            return
        now = time.time_ns()
        messages = encode_result(Result(make_header(now, 'camera'), picture.image,
                                        picture.segmentation, self._info), LABELS[0])
        messages[LABEL_INFO_NAME] = encode_label_info(now, self._info)
        for name, data in messages.items():
            self._channels[name].log(data, log_time=now)
        timings = picture.segmentation.timings
        latency = {stage: 1000 * seconds for stage, seconds in timings.items()}
        self._latency.log(json.dumps(latency).encode(), log_time=now)

    def _report(self, name: str, *problems: Sequence[str]) -> None:
        """Show sentences in the app, or remove those that it shows."""
        text = '\n'.join(problem for group in problems for problem in group if problem)
        if text == self._shown.get(name, ''):
            return
        self._shown[name] = text
        if text:
            self._server.publish_status(text, StatusLevel.Warning, name)
        else:
            self._server.remove_status([name])

    def on_subscribe(self, client: Any, channel: Any) -> None:
        """Send the newest picture again, as playback may be paused."""
        self._wanted.set()

    def on_get_parameters(self, client: Any, param_names: list[str],
                          request_id: str | None = None) -> list[foxglove.Parameter]:
        """Return parameters by name; all without names."""
        state = self._player.wait(-1, 0, POLL)
        parameters = parameters_of(state) if state else []
        return [item for item in parameters if not param_names or item.name in param_names]

    def on_set_parameters(self, client: Any, parameters: list[foxglove.Parameter],
                          request_id: str | None = None) -> list[foxglove.Parameter]:
        """Change options, or what is played; the values that hold then are returned."""
        changes = {item.name: item.get_value() for item in parameters}
        try:
            self._apply(changes)
        except ValueError as error:
            self._report(REFUSAL, [str(error)])
        else:
            self._report(REFUSAL)
        return self.on_get_parameters(client, list(changes))

    def _apply(self, changes: dict[str, Any]) -> None:
        options = {name: value for name, value in changes.items() if name not in (PLAYING, FRAME)}
        playing, frame = changes.get(PLAYING), changes.get(FRAME)
        if not isinstance(playing, (bool, type(None))):
            raise ValueError(f'{PLAYING}: expected true or false, got {playing!r}')
        number = None if frame is None else whole_number(FRAME, frame)
        if options:
            self._player.set_options(options)
        if playing is not None:
            (self._player.play if playing else self._player.pause)()
        if number is not None:
            self._player.seek(number)


def make_channel(name: str, kind: str, context: foxglove.Context) -> foxglove.Channel:
    """Return the channel of an output of the node, with the definition of its type."""
    definition, _ = typestore().generate_msgdef(kind, ros_version=2)
    schema = foxglove.Schema(name=kind, encoding='ros2msg', data=definition.encode())
    return foxglove.Channel(PREFIX + name, schema=schema, message_encoding='cdr', context=context)


def parameters_of(state: State) -> list[foxglove.Parameter]:
    """Return the parameters that stand for a state."""
    values = {PLAYING: state.playing, FRAME: state.picture.number if state.picture else 0,
              **state.options}
    kinds = {name: foxglove.ParameterType.Float64 if isinstance(value, float) else None
             for name, value in values.items()}
    return [foxglove.Parameter(name, value=value, type=kinds[name])
            for name, value in values.items()]
