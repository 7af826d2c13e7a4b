"""The Foxglove app's protocol, spoken by a WebSocket client: topics, parameters, problems."""
import contextlib
import json
import struct
import threading

import cv2
import pytest

pytest.importorskip('foxglove', reason='needs foxglove-sdk')
websockets = pytest.importorskip('websockets.sync.client', reason='needs websockets')

from instseg_ros.bags.messages import typestore
from instseg_ros.view.addresses import Address
from instseg_ros.view.foxglove_server import FoxgloveServer
from instseg_ros.view.player import Player
from instseg_ros.view.sources import open_source

TIMEOUT = 30
MESSAGE = struct.Struct('<BIQ')
"""Of binary messages: what it is, number of the subscription, time."""


class App:
    """What the Foxglove app does with a connection."""

    def __init__(self, socket):
        self._socket = socket
        self.channels, self._topics = {}, {}

    def until(self, wanted):
        """Return the first message from now on that is wanted: a dict, or (topic, bytes)."""
        while True:
            data = self._socket.recv(timeout=TIMEOUT)
            if isinstance(data, str):
                message = json.loads(data)
                if message['op'] == 'advertise':
                    self.channels.update((item['topic'], item) for item in message['channels'])
            else:
                _, number, _ = MESSAGE.unpack_from(data)
                message = self._topics[number], data[MESSAGE.size:]
            if wanted(message):
                return message

    def send(self, op, **content):
        self._socket.send(json.dumps({'op': op, **content}))

    def subscribe(self, *topics):
        while not set(topics) <= set(self.channels):
            self.until(lambda message: True)
        numbers = dict(enumerate(topics, len(self._topics)))
        self._topics.update(numbers)
        self.send('subscribe', subscriptions=[
            {'id': number, 'channelId': self.channels[topic]['id']}
            for number, topic in numbers.items()])

    def next(self, topic):
        """Return the next message on a topic."""
        return self.until(lambda message: message[0] == topic if isinstance(message, tuple)
                          else False)[1]

    def parameters(self, **changes):
        """Return the answer to a change of parameters, or to no change."""
        if changes:
            self.send('setParameters', id='it', parameters=[
                {'name': name, 'value': value} for name, value in changes.items()])
        else:
            self.send('getParameters', id='it', parameterNames=[])
        answer = self.until(lambda message: isinstance(message, dict)
                            and message.get('id') == 'it' and message['op'] == 'parameterValues')
        return {item['name']: item['value'] for item in answer['parameters']}

    def status(self, text):
        """Return the next status message with this text in it."""
        return self.until(lambda message: isinstance(message, dict)
                          and message['op'] == 'status' and text in message['message'])


@pytest.fixture
def connect(segmenter):
    """Return a function that serves a source and returns a connected app."""
    with contextlib.ExitStack() as stack:
        def start(source):
            opened = stack.enter_context(contextlib.closing(open_source(str(source))))
            player = stack.enter_context(contextlib.closing(Player(opened, segmenter)))
            server = stack.enter_context(
                FoxgloveServer(player, Address.find('127.0.0.1'), 0))
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.close)
            return App(stack.enter_context(
                websockets.connect(server.url, subprotocols=['foxglove.sdk.v1'])))
        yield start


def parse(app, topic, data):
    return typestore().deserialize_cdr(data, app.channels[topic]['schemaName'])


def test_the_topics_are_those_of_a_recording(connect, photos):
    app = connect(photos)
    instances, overlay = '/segmenter/instances', '/segmenter/overlay/compressed'
    app.subscribe(instances, overlay)
    app.parameters(playing=False, frame=0)
    picture = parse(app, overlay, app.next(overlay))
    assert cv2.imdecode(picture.data, cv2.IMREAD_COLOR).shape == (120, 160, 3)
    message = parse(app, instances, app.next(instances))  # the last message about a frame
    assert len(message.detections) == 2
    assert {'/segmenter/label_info', '/segmenter/semantic_image/compressed',
            '/segmenter/color_labels/compressed', '/segmenter/latency_ms'} < set(app.channels)
    for topic in (instances, overlay):
        assert app.channels[topic]['schemaEncoding'] == 'ros2msg'
        assert app.channels[topic]['encoding'] == 'cdr'


def test_playback_shows_every_frame_and_waits_without_an_app(connect, photos):
    app = connect(photos)
    topic = '/segmenter/instances'
    app.subscribe(topic)
    seen = [len(parse(app, topic, app.next(topic)).detections) for _ in range(3)]
    assert seen == [2, 0, 2]
    latest = app.parameters()
    assert latest['frame'] == 2


def test_live_options_are_parameters(connect, photos):
    app = connect(photos)
    topic = '/segmenter/instances'
    before = app.parameters(playing=False, frame=0)
    assert before['playing'] is False
    app.subscribe(topic)
    assert len(parse(app, topic, app.next(topic)).detections) == 2
    name = 'grouping.center_threshold'
    assert app.parameters(**{name: 0.9}) == {name: 0.9}
    app.until(lambda message: isinstance(message, tuple)
              and len(parse(app, topic, message[1]).detections) == 1)


@pytest.mark.parametrize(('name', 'value', 'text'), [
    ('grouping.center_threshold', 7.0, 'center_threshold: expected'),
    ('grouping.milk', 1, 'grouping.milk: expected one of'),
    ('frame', 'first', 'frame: expected a whole number'),
    ('playing', 1, 'playing: expected true or false'),
])
def test_a_wrong_value_is_explained_and_changes_nothing(connect, photos, name, value, text):
    app = connect(photos)
    app.parameters(playing=False)
    before = app.parameters()
    app.send('setParameters', id='wrong', parameters=[{'name': name, 'value': value}])
    app.status(text)
    assert {**app.parameters(), 'frame': 0} == {**before, 'frame': 0}


def test_a_damaged_frame_is_named(connect, photos, tmp_path):
    broken = tmp_path / 'broken'
    broken.mkdir()
    (broken / 'a.png').write_bytes((photos / 'a.png').read_bytes()[:60])
    app = connect(broken)
    app.subscribe('/segmenter/instances')
    app.status('a.png')


def test_an_app_that_comes_later_gets_the_picture(connect, photos):
    app = connect(photos)
    topic = '/segmenter/color_labels/compressed'
    app.parameters(playing=False)
    app.subscribe(topic)
    first = app.next(topic)
    app.subscribe('/segmenter/label_info')
    assert parse(app, topic, app.next(topic)).data.size == parse(app, topic, first).data.size
    assert parse(app, '/segmenter/label_info', app.next('/segmenter/label_info')).class_map


def test_only_this_computer_is_served_on_a_free_port(segmenter, photos):
    with contextlib.closing(open_source(str(photos))) as source, \
            contextlib.closing(Player(source, segmenter)) as player:
        with pytest.raises(ValueError, match='--host 0.0.0.0: expected an address of this'):
            FoxgloveServer(player, Address.find('0.0.0.0'), 0)
        with FoxgloveServer(player, Address.find('127.0.0.1'), 0) as server:
            port = int(server.url.rpartition(':')[2])
            with pytest.raises(OSError, match=f'cannot listen on 127.0.0.1, port {port}'):
                FoxgloveServer(player, Address.find('127.0.0.1'), port)
