"""A ROS graph of the tests' own, with the real node and an observer, spun by the test itself."""
import gc
import os
import subprocess
import sys
import time
from contextlib import ExitStack

import numpy as np
import pytest
from node_tools import TIMEOUT, ros_image

RETRY = 5.0
"""Seconds after which a service is asked again."""

OBSERVER = 'observer'


@pytest.fixture(scope='session')
def rclpy(ros_domain):
    """Return rclpy; skip where ROS 2 is not."""
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_DOMAIN_ID'] = str(ros_domain)
    os.environ['ROS_LOCALHOST_ONLY'] = '0'
    pytest.importorskip('vision_msgs.msg', reason='needs ROS 2 with vision_msgs')
    return pytest.importorskip('rclpy', reason='needs ROS 2')


class Graph:
    """Context, executor and observer; the node under test is `node` once `start` made it."""

    def __init__(self, rclpy, stack):
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        self._rclpy, self._stack = rclpy, stack
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=int(os.environ['ROS_DOMAIN_ID']))
        stack.callback(self.context.try_shutdown)
        self.executor = SingleThreadedExecutor(context=self.context)
        stack.callback(self.executor.shutdown)
        self.observer = rclpy.create_node(OBSERVER, context=self.context)
        self.add(self.observer)
        self.node = None
        # Made before the node: a service does not answer a client that it has not discovered yet,
        # and says nothing about that.
        self._clients = {name: self.observer.create_client(kind, f'/segmenter/{name}')
                         for name, kind in service_types().items()}

    def add(self, node):
        self.executor.add_node(node)
        self._stack.callback(node.destroy_node)
        return node

    def start(self, *states, **parameters):
        """Make the node and take it through the transitions; by default, it is not lazy."""
        from rclpy.lifecycle import TransitionCallbackReturn
        from rclpy.parameter import Parameter

        from instseg_ros.node.segmenter_node import SegmenterNode
        self.node = self.add(SegmenterNode(context=self.context, parameter_overrides=[
            Parameter(name.replace('__', '.'), value=value)
            for name, value in {'lazy': False, **parameters}.items()]))
        for state in states:
            assert getattr(self.node, f'trigger_{state}')() == TransitionCallbackReturn.SUCCESS
        return self.node

    @property
    def statistics(self):
        """The counts of the node's camera, if it has only one."""
        camera, = self.node._cameras
        return camera.statistics

    def spin_until(self, condition, what='what the test waits for'):
        end = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < end, f'{what} did not happen within {TIMEOUT:g} s'
            self.executor.spin_once(timeout_sec=0.05)

    def client(self, name):
        """Return the client of a service of the node, which is there."""
        made = time.monotonic()

        def is_ready():
            nonlocal made
            if time.monotonic() > made + RETRY:
                # Now and then the middleware never matches a client with a later service.
                self.observer.destroy_client(self._clients[name])
                self._clients[name] = self.observer.create_client(
                    service_types()[name], f'/segmenter/{name}')
                made = time.monotonic()
            return self._clients[name].service_is_ready()

        self.spin_until(is_ready, f'the service {name}')
        return self._clients[name]

    def call(self, name, **fields):
        """Call a service of the node that may be called twice, and return its answer."""
        client = self.client(name)
        answers = []

        def ask():
            # On a machine busy enough, a service gives up before its answer is sent.
            answers.append((client.call_async(client.srv_type.Request(**fields)),
                            time.monotonic() + RETRY))

        def is_answered():
            if time.monotonic() > answers[-1][1]:
                ask()
            return any(answer.done() for answer, _ in answers)

        ask()
        self.spin_until(is_answered, f'an answer of {name}')
        return next(answer.result() for answer, _ in answers if answer.done())

    def change_state(self, transition):
        """Return whether the node took a transition, for example 'configure'."""
        from lifecycle_msgs.msg import Transition
        before, client = self.state(), self.client('change_state')
        request = client.srv_type.Request(transition=Transition(
            id=getattr(Transition, f'TRANSITION_{transition.upper()}')))
        answer, end = client.call_async(request), time.monotonic() + RETRY
        self.spin_until(lambda: answer.done() or (time.monotonic() > end
                                                  and self.state() != before),
                        f'an answer to {transition}')
        return answer.result().success if answer.done() else True  # the answer is lost

    def state(self):
        return self.call('get_state').current_state.label

    def set_parameter(self, name, value):
        """Return why the node refuses; empty if it does not."""
        from rclpy.parameter import Parameter
        parameter = Parameter(name, value=value).to_parameter_msg()
        result = self.call('set_parameters', parameters=[parameter]).results[0]
        return '' if result.successful else result.reason

    def listen(self, message_type, topic, qos=None):
        """Subscribe; return the list that the messages go to."""
        from rclpy.qos import QoSProfile
        messages = []
        subscription = self.observer.create_subscription(
            message_type, topic, messages.append, qos or QoSProfile(depth=100))
        self.spin_until(lambda: subscription.get_publisher_count() > 0, f'a publisher of {topic}')
        # Each end discovers the other by itself.
        for publisher in self.node.publishers if self.node else ():
            if publisher.topic_name == topic:
                self.spin_until(lambda: publisher.get_subscription_count() > 0, topic)
        return messages

    def listen_to_results(self, camera=''):
        """Subscribe to all but the overlay; return lists of messages by topic."""
        from sensor_msgs.msg import Image
        from vision_msgs.msg import Detection2DArray
        kinds = {'semantic_image': Image, 'instance_image': Image, 'instances': Detection2DArray}
        prefix = f'/segmenter/{camera}/' if camera else '/segmenter/'
        return {name: self.listen(kind, prefix + name) for name, kind in kinds.items()}

    def stranger(self):
        """Return a node of another participant of DDS, as if in another process."""
        from rclpy.context import Context
        context = Context()
        self._rclpy.init(args=[], context=context, domain_id=self.observer.context.get_domain_id())
        self._stack.callback(context.try_shutdown)
        node = self._rclpy.create_node('stranger', context=context)
        self._stack.callback(node.destroy_node)
        return node

    def camera(self, qos=None, topic='/image', message_type=None):
        """Return a publisher of images that the active node is subscribed to."""
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import Image
        publisher = self.observer.create_publisher(message_type or Image, topic,
                                                   qos or QoSProfile(depth=50))
        self.spin_until(lambda: publisher.get_subscription_count() > 0, 'a subscription to images')
        for subscription in self.node.subscriptions if self.node else ():
            if subscription.topic_name == topic:
                self.spin_until(lambda: subscription.get_publisher_count() > 0, topic)
        return publisher

    def listen_to_transitions(self):
        """Return the list that the events of the node's life cycle go to."""
        from lifecycle_msgs.msg import TransitionEvent
        return self.listen(TransitionEvent, '/segmenter/transition_event')

    def diagnostics(self):
        """Return the list that the node's diagnostics go to."""
        from diagnostic_msgs.msg import DiagnosticArray
        return self.listen(DiagnosticArray, '/diagnostics')


def service_types():
    from lifecycle_msgs.srv import ChangeState, GetState
    from rcl_interfaces.srv import (
        DescribeParameters,
        GetParameters,
        SetParameters,
        SetParametersAtomically,
    )
    from std_srvs.srv import SetBool, Trigger
    return {'change_state': ChangeState, 'get_state': GetState, 'set_parameters': SetParameters,
            'set_parameters_atomically': SetParametersAtomically,
            'get_parameters': GetParameters, 'describe_parameters': DescribeParameters,
            'enable': SetBool, 'segment': Trigger}


class Process:
    """The node's executable, run as a user runs it."""

    def __init__(self, log, *parameters, prefix=()):
        command = [*prefix, sys.executable, '-m', 'instseg_ros.node.main', '--ros-args']
        for parameter in parameters:
            command += ['-p', parameter]
        self._log = log
        with log.open('wb') as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=dict(os.environ, PYTHONUNBUFFERED='1'))

    def end(self, *numbers):
        """Send signals, wait, and return exit code and output."""
        for number in numbers:
            self._process.send_signal(number)
        code = self._process.wait(timeout=TIMEOUT)
        return code, self._log.read_text()

    @property
    def pid(self):
        return self._process.pid

    def lives(self):
        return self._process.poll() is None

    def kill(self):
        if self.lives():
            self._process.kill()
        self._process.wait()


@pytest.fixture
def start(rclpy, tmp_path):
    processes = []

    def start_process(*parameters, prefix=()):
        processes.append(Process(tmp_path / 'log', *parameters, prefix=prefix))
        return processes[-1]
    yield start_process
    for process in processes:
        process.kill()


@pytest.fixture(scope='session')
def compiled_kernels(tiny_model):
    """Compile once: a service whose callback compiles for long loses its answer."""
    from instseg_ros import Segmenter
    Segmenter.from_onnx(tiny_model).warm_up()


@pytest.fixture
def graph(rclpy, compiled_kernels):
    """Return a graph that is taken down after the test."""
    # The services of a lifecycle node live until its Python object is collected, and while those
    # of an earlier test's node do, no client finds the ones of this test.
    gc.collect()
    with ExitStack() as stack:
        yield Graph(rclpy, stack)


@pytest.fixture
def scene():
    """Return an image for the tiny model, and the label maps that it has to find in it."""
    tiny = pytest.importorskip('tiny_models', reason='needs onnx')
    semantic_ids, instance_ids = tiny.rectangles(
        (120, 160), [(1, (16, 16, 56, 40)), (3, (80, 24, 128, 96))])
    image = tiny.paint_scene(semantic_ids, instance_ids, tiny.tiny_info(),
                             confidence={1: 1.0, 2: 0.8})
    return image, semantic_ids, instance_ids


@pytest.fixture
def make_image(rclpy, scene):
    """Return a function that makes a message of the scene with a stamp of its own."""
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header

    def make(number=1, *, frame_id='front_camera', pixels=scene[0], encoding='rgb8'):
        header = Header(stamp=Time(sec=number, nanosec=number * 1000), frame_id=frame_id)
        return ros_image(header, np.asarray(pixels), encoding)
    return make
