"""The page and what it asks for, over HTTP.

====  ==================  =====================================================================
GET   (the page)          `index.html`, `view.css`, `view.js`, `options.js`
GET   `about`             source, model and the declarations of the live options
GET   `state`             the newest state as soon as there is another than `version`, with its
                          picture unless that has the serial number `seen`; 204 if none comes
GET   `segmenter.yaml`    the options as a parameter file
POST  `options`           changes of live options, by their dotted names
POST  `play`, `pause`     -
POST  `seek`, `step`      `{"frames": n}`
====  ==================  =====================================================================

Bodies and answers are JSON. A viewer asks for the next state when it has drawn the one before, so
a slow one gets fewer pictures, never old ones.
"""
from __future__ import annotations

import base64
import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from types import MappingProxyType
from typing import Any, Mapping
from urllib.parse import parse_qs, urlsplit

from instseg_ros.view.addresses import Address
from instseg_ros.view.options import Configs, describe_options, live_configs, parameter_file
from instseg_ros.view.pictures import LAYERS
from instseg_ros.view.player import Player, State

PAGE = {'': ('index.html', 'text/html'), 'view.css': ('view.css', 'text/css'),
        'view.js': ('view.js', 'text/javascript'),
        'options.js': ('options.js', 'text/javascript')}
"""File and type of each path; there are no other files."""

HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
}
WAIT = 15.0
"""Seconds after which a viewer is told that nothing has changed."""

LARGEST_BODY = 65536
"""Bytes."""


class ViewServer(ThreadingHTTPServer):
    """Serves one player; listens from the start, answers in `serve_forever`.

    Parameters
    ----------
    player : Player
    address : Address
    port : int
        0 takes a free one, see `url`.
    fixed : dict
        Configs that the segmenter was loaded with and that the page can't change.
    model : str
        Absolute path of the model; empty for the installed one.

    Raises
    ------
    OSError
        The address is in use, or isn't one of this computer.
    """

    daemon_threads = True

    def __init__(self, player: Player, address: Address, port: int, fixed: Configs,
                 model: str = '') -> None:
        self.player, self.address, self.fixed, self.model = player, address, fixed, model
        self.started_with = live_configs(player.segmenter)
        self.address_family = address.family
        try:
            super().__init__((address.host, port), Handler)
        except OSError as error:
            raise OSError(f'cannot listen on {address.host}, port {port}: {error.strerror}; '
                          'choose others with --host and --port') from None

    @property
    def url(self) -> str:
        """The address of the page, with its token."""
        return self.address.url(self.server_address[1])

    def server_bind(self) -> None:
        # HTTPServer's own looks up the name of the address, which may take seconds.
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore that a browser went away."""

    def about(self) -> dict[str, Any]:
        """Return what doesn't change."""
        player, segmenter = self.player, self.player.segmenter
        return {'source': player.source.name, 'is_live': player.source.is_live,
                'rate': player.source.rate, 'model': self.model or 'street.onnx',
                'provider': segmenter.provider,
                'classes': list(segmenter.model_info.class_names),
                'options': describe_options(self.started_with)}

    def parameter_file(self) -> str:
        """Return the options of now as a parameter file."""
        return parameter_file(live_configs(self.player.segmenter), self.fixed, self.model)


class Handler(BaseHTTPRequestHandler):
    """Answers one browser."""

    protocol_version = 'HTTP/1.1'
    server_version, sys_version = 'instseg', ''
    timeout = 60
    server: ViewServer

    def do_GET(self) -> None:
        """Answer with the page, a state or a file."""
        path = self._path()
        if path is None:
            return
        if path in PAGE:
            name, kind = PAGE[path]
            data = (files('instseg_ros.view') / 'page' / name).read_bytes()
            self._answer(HTTPStatus.OK, data, f'{kind}; charset=utf-8')
        elif path == 'about':
            self._json(self.server.about())
        elif path == 'state':
            self._state()
        elif path == 'segmenter.yaml':
            self._answer(HTTPStatus.OK, self.server.parameter_file().encode(), 'application/yaml',
                         {'Content-Disposition': 'attachment; filename="segmenter.yaml"'})
        else:
            self._refuse(HTTPStatus.NOT_FOUND, f'{path[:100]}: there is no such page')

    def do_POST(self) -> None:
        """Change options or what is played."""
        self.close_connection = True  # unless the body is read
        path = self._path()
        if path is None:
            return
        player = self.server.player
        actions = {'options': player.set_options, 'play': lambda body: player.play(),
                   'pause': lambda body: player.pause(),
                   'seek': lambda body: player.seek(frames_of(body)),
                   'step': lambda body: player.step(frames_of(body))}
        if path not in actions:
            self._refuse(HTTPStatus.NOT_FOUND, f'{path[:100]}: there is no such action')
            return
        try:
            actions[path](self._body())
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        else:
            self._json({})

    def _path(self) -> str | None:
        """Return the path of a request that may be answered; others are refused."""
        refusal = self.server.address.refusal(dict(self.headers))
        if refusal:
            self._refuse(HTTPStatus.FORBIDDEN, refusal)
            return None
        path = self.server.address.path_below(urlsplit(self.path).path)
        if path is None:
            self._refuse(HTTPStatus.FORBIDDEN, 'open the whole address that "instseg view" '
                         'printed: it ends in a token')
        return path

    def _body(self) -> Mapping[str, Any]:
        """Return the JSON object of a request.

        Raises
        ------
        ValueError
            There is none.
        """
        kind = self.headers.get('Content-Type', '').partition(';')[0].strip()
        if kind != 'application/json':  # which other pages can't send without asking first
            raise ValueError(f'Content-Type: expected application/json, got {kind!r}')
        length = self.headers.get('Content-Length', '')
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            raise ValueError(f'Content-Length: expected a number up to {LARGEST_BODY}, got '
                             f'{length!r}')
        data = self.rfile.read(int(length))
        self.close_connection = False
        try:
            body = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ValueError(f'expected JSON: {error}') from None
        if not isinstance(body, dict):
            raise ValueError(f'expected a JSON object, got {type(body).__name__}')
        return body

    def _state(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        layer = query.get('layer', [LAYERS[0]])[0]
        try:
            version, seen = (whole_number(name, query[name][0]) if name in query else default
                             for name, default in (('version', -1), ('seen', 0)))
            if layer not in LAYERS:
                raise ValueError(f'layer: expected one of {", ".join(LAYERS)}, got {layer!r}')
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        state = self.server.player.wait(version, seen, WAIT)
        if state is None:
            self._answer(HTTPStatus.NO_CONTENT, b'')
        else:
            self._json(describe_state(state, layer, seen))

    def _json(self, content: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer(status, json.dumps(content).encode(), 'application/json')

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True
        self._json({'error': reason}, status)

    def _answer(self, status: HTTPStatus, data: bytes, kind: str = '',
                headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **headers}.items():
            self.send_header(name, value)
        if kind:
            self.send_header('Content-Type', kind)
            self.send_header('Content-Length', str(len(data)))
        if self.close_connection:
            self.send_header('Connection', 'close')
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing for a request."""


def describe_state(state: State, layer: str, seen: int) -> dict[str, Any]:
    """Return a state for JSON, its picture's pixels only if the viewer hasn't seen them."""
    said: dict[str, Any] = {
        'version': state.version, 'playing': state.playing, 'ended': state.ended,
        'count': state.count, 'options': dict(state.options), 'remarks': state.remarks,
        'picture': None}
    if state.picture is not None:
        said['picture'] = state.picture.describe()
        if state.picture.serial != seen:
            said['jpeg'] = base64.b64encode(state.picture.jpeg(layer)).decode()
    return said


def frames_of(body: Mapping[str, Any]) -> int:
    """Return the number of frames in a request.

    Raises
    ------
    ValueError
        There is none.
    """
    return whole_number('frames', body.get('frames'))


def whole_number(name: str, value: Any) -> int:
    """Return a number that came as such or as text.

    Raises
    ------
    ValueError
        It is none, or has more than 15 digits.
    """
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ''
    if not text.removeprefix('-').isdecimal() or len(text) > 15:
        raise ValueError(f'{name}: expected a whole number, got {str(value)[:50]!r}')
    return int(text)
