"""The demo's service calls to a node whose answers get lost, over real DDS."""
import os
import threading

import pytest

rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
pytest.importorskip('vision_msgs', reason='needs vision_msgs')

import contextlib

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from instseg_ros.demo import graph as demo_graph
from instseg_ros.errors import UserError


def domain():
    return int(os.environ['ROS_DOMAIN_ID'])


class Lost(Exception):
    """A service that raises sends no answer."""


class FakeNode:
    """Services of a lifecycle node, spun by a thread; use it as a context manager.

    `fate` of each call of change_state, in order: 'done' and answered, 'refused', 'lost' after it
    was done, or 'missed' altogether. The last one stays.
    """

    def __init__(self, *fate):
        self._fate = list(fate)
        self._states_to_lose = fate.count('lost')
        self.state = 'unconfigured'
        self.calls = 0
        self._ending = threading.Event()
        self._context = Context()

    def _change_state(self, request, answer):
        self.calls += 1
        fate = self._fate.pop(0) if len(self._fate) > 1 else self._fate[0]
        assert request.transition.id == Transition.TRANSITION_CONFIGURE
        answer.success = fate != 'refused' and self.state == 'unconfigured'
        if fate in ('done', 'lost') and answer.success:
            self.state = 'inactive'
        if fate in ('lost', 'missed'):
            raise Lost
        return answer

    def _get_state(self, request, answer):
        if self._states_to_lose:
            self._states_to_lose -= 1
            raise Lost
        answer.current_state.label = self.state
        return answer

    def _spin(self):
        while not self._ending.is_set():
            with contextlib.suppress(Lost):
                self._executor.spin_once(timeout_sec=0.05)

    def __enter__(self):
        rclpy.init(args=[], context=self._context, domain_id=domain())
        self._node = rclpy.create_node('segmenter', context=self._context)
        self._node.create_service(ChangeState, '~/change_state', self._change_state)
        self._node.create_service(GetState, '~/get_state', self._get_state)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    # What the demo wants of the node's process.
    def check(self):
        assert self._thread.is_alive()

    def failure(self, what):
        return UserError(what)


def configure(node, monkeypatch):
    with demo_graph.Graph(domain(), '/image', lambda topic, data: None) as graph:
        graph.wait_for_node(node)
        monkeypatch.setattr(demo_graph, 'CLIENT_PATIENCE', 0.3)
        graph.change_state('configure', node)


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch, ros_domain):
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_DOMAIN_ID', str(ros_domain))


@pytest.mark.parametrize('fate', [['done'], ['lost', 'refused'], ['missed', 'done'],
                                  ['missed', 'lost', 'refused']], ids=' '.join)
def test_a_transition_goes_well_whatever_gets_lost(monkeypatch, fate):
    with FakeNode(*fate) as node:
        configure(node, monkeypatch)
        assert node.state == 'inactive'


def test_a_transition_that_takes_long_is_not_asked_for_twice(monkeypatch):
    """Until it is done, the node answers nothing."""
    with FakeNode('lost', 'refused') as node:
        configure(node, monkeypatch)
        assert node.calls == 1


@pytest.mark.parametrize('fate', [['refused'], ['missed', 'refused']], ids=' '.join)
def test_a_refusal_is_an_error(monkeypatch, fate):
    with FakeNode(*fate) as node, pytest.raises(UserError, match='refused to configure'):
        configure(node, monkeypatch)
    assert node.calls >= len(fate)


def test_a_node_that_never_answers_is_given_up(monkeypatch):
    with FakeNode('missed') as node, \
            demo_graph.Graph(domain(), '/image', lambda topic, data: None) as graph:
        graph.wait_for_node(node)
        monkeypatch.setattr(demo_graph, 'CLIENT_PATIENCE', 0.1)
        monkeypatch.setattr(demo_graph, 'ACTIVATION_TIMEOUT', 0.5)
        with pytest.raises(UserError, match='to configure the node took longer than 0.5 s'):
            graph.change_state('configure', node)


@pytest.mark.parametrize('name', ['/segmenter', 'segmenter: /segmenter'])  # diagnostic_updater's
def test_the_diagnostics_of_the_node_are_told_from_those_of_others(name):
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
    with FakeNode('done') as node, \
            demo_graph.Graph(domain(), '/image', lambda topic, data: None) as graph:
        publisher = rclpy.create_node('others').create_publisher(
            DiagnosticArray, '/diagnostics', 1)

        def is_read():
            publisher.publish(DiagnosticArray(status=[
                DiagnosticStatus(name=status, values=[KeyValue(key='of', value=status)])
                for status in (name, '/segmenter/front', 'camera: /camera')]))
            return graph.diagnostics

        graph.wait(is_read, node, 'the diagnostics', 60)
        assert graph.diagnostics == {'of': name}
