"""The page over plain HTTP: what is answered, to whom, and nothing else."""
import base64
import http.client
import json
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import yaml

from instseg_ros.core.config import NetworkConfig
from instseg_ros.view.addresses import Address

JSON = {'Content-Type': 'application/json'}


class Client:
    """One browser that keeps its connection."""

    def __init__(self, server):
        self.base = urlsplit(server.url).path
        self.connection = http.client.HTTPConnection('127.0.0.1', server.server_address[1],
                                                     timeout=30)

    def ask(self, method, path, body=None, headers=()):
        """Return status, headers and body of an answer."""
        self.connection.request(method, self.base + path, body, dict(headers))
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def get(self, path):
        status, _, data = self.ask('GET', path)
        return json.loads(data) if status == 200 else status

    def post(self, path, body):
        """Return the error in the answer, empty if there is none."""
        status, _, data = self.ask('POST', path, json.dumps(body), JSON)
        assert (status == 200) == ('error' not in json.loads(data))
        return json.loads(data).get('error', '')

    def until(self, condition):
        """Return the first state that fulfils the condition."""
        version = seen = 0
        while True:
            state = self.get(f'state?version={version}&seen={seen}')
            if state == 204:
                continue
            if state['picture'] and condition(state):
                return state
            version = state['version']
            seen = state['picture']['serial'] if state['picture'] else 0


def shows(number):
    return lambda state: state['picture']['number'] == number


def pixels(state):
    data = np.frombuffer(base64.b64decode(state['jpeg']), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def test_a_state_has_picture_objects_times_and_options(serve, photos):
    client = Client(serve(photos))
    state = client.until(shows(0))
    assert pixels(state).shape == (120, 160, 3)
    assert [item['class_name'] for item in state['picture']['objects']] == ['person', 'car']
    assert list(state['picture']['timings']) == ['scale', 'network', 'grouping', 'refinement',
                                                 'instances']
    assert state['options']['grouping.center_threshold'] == 0.7
    assert not state['playing'] and state['count'] == 3
    seen = client.get(f'state?seen={state["picture"]["serial"]}')
    assert 'jpeg' not in seen and seen['picture'] == state['picture']
    alone = client.get('state?layer=image')
    assert not np.array_equal(pixels(alone), pixels(state))


def test_options_and_frames_are_changed_for_all_viewers(serve, photos):
    server = serve(photos)
    here, there = Client(server), Client(server)
    assert here.post('seek', {'frames': 2}) == ''
    assert len(there.until(shows(2))['picture']['objects']) == 2
    assert here.post('options', {'grouping.center_threshold': 0.9}) == ''
    there.until(lambda state: len(state['picture']['objects']) == 1)
    assert here.post('step', {'frames': -1}) == ''
    assert there.until(shows(1))['picture']['objects'] == []
    assert there.post('play', {}) == ''
    here.until(lambda state: state['ended'] and state['picture']['number'] == 2)


def test_the_options_are_saved(serve, photos):
    client = Client(serve(photos, model='/models/my.onnx', network=NetworkConfig(input_size=320)))
    client.post('options', {'refinement.method': 'nearest', 'grouping.center_threshold': 1})
    status, headers, data = client.ask('GET', 'segmenter.yaml')
    assert status == 200
    assert headers['Content-Disposition'] == 'attachment; filename="segmenter.yaml"'
    parameters = yaml.safe_load(data)['/**']['ros__parameters']
    assert parameters['model'] == '/models/my.onnx'
    assert parameters['network'] == {'input_size': 320}
    assert parameters['refinement']['method'] == 'nearest'
    assert parameters['grouping']['center_threshold'] == 1.0


@pytest.mark.parametrize('path, body, text', [
    ('options', {'grouping.center_threshold': 2}, 'center_threshold: expected a value from 0'),
    ('options', {'grouping.magic': 2}, 'grouping.magic: expected one of'),
    ('options', [], 'expected a JSON object, got list'),
    ('seek', {'frames': 'x'}, "frames: expected a whole number, got 'x'"),
    ('seek', {'frames': 10 ** 30}, 'frames: expected a whole number'),
    ('step', {}, "frames: expected a whole number, got 'None'"),
    ('stop', {}, 'stop: there is no such action'),
])
def test_a_wrong_request_is_told_what_was_expected(serve, photos, path, body, text):
    assert text in Client(serve(photos)).post(path, body)


@pytest.mark.parametrize('body, headers, text', [
    ('{', JSON, 'expected JSON'),
    ('[' * 50000, JSON, 'expected JSON'),
    ('{}', {}, 'expected application/json'),
    ('{}', {'Content-Type': 'text/plain'}, 'expected application/json'),
    ('{}', {**JSON, 'Content-Length': '-1'}, 'Content-Length: expected a number'),
    ('{}', {**JSON, 'Content-Length': '99999999'}, 'Content-Length: expected a number'),
])
def test_a_wrong_body_is_refused(serve, photos, body, headers, text):
    status, _, data = Client(serve(photos)).ask('POST', 'play', body, headers)
    assert status == 400 and text in json.loads(data)['error']


@pytest.mark.parametrize('query', ['version=x', 'seen=1.5', 'layer=other', f'seen={"9" * 99}'])
def test_a_wrong_query_is_refused(serve, photos, query):
    assert Client(serve(photos)).get(f'state?{query}') == 400


@pytest.mark.parametrize('path', ['page/view.js', '../server.py', '%2e%2e/server.py', 'a.png',
                                  '/etc/passwd', '__init__.py', 'index.html'])
def test_no_other_file_is_served(serve, photos, path):
    assert Client(serve(photos)).get(path) == 404


def test_every_answer_forbids_what_the_page_does_not_need(serve, photos):
    client = Client(serve(photos))
    for path in ('', 'view.js', 'about', 'nothing'):
        _, headers, data = client.ask('GET', path)
        policy = headers['Content-Security-Policy']
        assert "default-src 'none'" in policy and 'unsafe' not in policy
        assert headers['X-Content-Type-Options'] == 'nosniff'
        assert headers['Cache-Control'] == 'no-store'
        assert b'http://' not in data and b'https://' not in data


@pytest.mark.parametrize('headers, status', [
    ({'Host': 'localhost'}, 200),
    ({'Host': 'localhost:9000'}, 200),  # a forwarded port
    ({'Host': '[::1]:80'}, 200),
    ({'Host': 'rebound.example'}, 403),
    ({'Host': 'localhost.rebound.example'}, 403),
    ({'Host': '192.168.1.5'}, 403),
    ({'Host': ''}, 403),
    ({'Host': '[::1'}, 403),
    ({'Host': 'localhost', 'Origin': 'http://localhost'}, 200),
    ({'Host': 'localhost', 'Origin': 'http://other.example'}, 403),
    ({'Host': 'localhost', 'Origin': 'http://localhost:1'}, 403),
    ({'Host': 'localhost', 'Origin': 'null'}, 403),
    ({'Host': 'localhost', 'Sec-Fetch-Site': 'same-origin'}, 200),
    ({'Host': 'localhost', 'Sec-Fetch-Site': 'cross-site'}, 403),
    ({'Host': 'localhost', 'Sec-Fetch-Site': 'same-site'}, 403),
])
def test_only_requests_of_this_page_are_answered(serve, photos, headers, status):
    server = serve(photos)
    assert Client(server).ask('GET', 'about', headers=headers)[0] == status
    assert Client(server).ask('POST', 'pause', '{}', {**JSON, **headers})[0] == status


def test_another_address_needs_its_token(serve, photos):
    server = serve(photos, host='0.0.0.0')
    client = Client(server)
    assert len(client.base) > 20
    assert client.get('about')['source'] == str(photos)
    for base in ('/', '/about', '/wrong/', client.base.lower().swapcase() + 'x/'):
        client.base = base
        for path in ('', 'about', 'state', 'view.js', 'segmenter.yaml'):
            assert client.get(path) == 403


def test_addresses():
    assert Address.find('localhost').token == '' == Address.find('127.0.0.1').token
    assert Address.find('0.0.0.0').token != Address.find('0.0.0.0').token
    assert Address.find('127.0.0.1').url(80) == 'http://127.0.0.1:80/'
    with pytest.raises(OSError, match='--host no such: expected an address'):
        Address.find('no such')


def test_a_port_in_use_is_named(serve, photos, segmenter):
    from instseg_ros.view.server import ViewServer
    server = serve(photos)
    with pytest.raises(OSError, match=f'cannot listen on 127.0.0.1, port '
                       f'{server.server_address[1]}: .*--port'):
        ViewServer(server.player, server.address, server.server_address[1], {})
