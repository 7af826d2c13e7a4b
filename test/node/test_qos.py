"""Quality of service: what the topics offer, and what is said when two ends don't fit."""
import pytest

values_of = pytest.importorskip('node_tools').values_of
RESULTS = ('semantic_image', 'instance_image', 'instances', 'overlay')


def only(endpoints):
    assert len(endpoints) == 1
    return endpoints[0].qos_profile


def test_results_are_reliable_and_labels_are_latched(graph, tiny_model):
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
    node = graph.start('configure', model=str(tiny_model))
    for name in RESULTS:
        qos = only(node.get_publishers_info_by_topic(f'/segmenter/{name}'))
        assert qos.reliability == ReliabilityPolicy.RELIABLE, name
        assert qos.durability == DurabilityPolicy.VOLATILE, name
    qos = only(node.get_publishers_info_by_topic('/segmenter/label_info'))
    assert (qos.reliability, qos.durability) == (ReliabilityPolicy.RELIABLE,
                                                 DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.mark.parametrize('asked, expected', [(None, 'BEST_EFFORT'), ('best_effort', 'BEST_EFFORT'),
                                             ('reliable', 'RELIABLE')])
def test_images_are_subscribed_to_as_asked(graph, tiny_model, asked, expected):
    from rclpy.qos import ReliabilityPolicy
    parameters = {'image_reliability': asked} if asked else {}
    node = graph.start('configure', 'activate', model=str(tiny_model), **parameters)
    assert {subscription.qos_profile.depth for subscription in node.subscriptions
            if subscription.topic_name == '/image'} == {1}
    graph.spin_until(lambda: node.get_subscriptions_info_by_topic('/image'))
    qos = only(node.get_subscriptions_info_by_topic('/image'))
    assert qos.reliability == ReliabilityPolicy[expected]


def test_a_camera_that_does_not_fit_is_reported_with_a_hint(graph, tiny_model, capfd):
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable')
    diagnostics = graph.diagnostics()
    graph.observer.create_publisher(Image, '/image', qos_profile_sensor_data)
    graph.spin_until(lambda: any('set image_reliability to best_effort'
                                 in message.status[0].message for message in diagnostics))
    assert 'no image is received from /observer on /image' in ''.join(capfd.readouterr())


def test_a_subscriber_that_asks_for_too_much_is_reported(graph, tiny_model):
    from vision_msgs.msg import Detection2DArray

    from instseg_ros.node.qos import LATCHED_QOS
    graph.start('configure', 'activate', model=str(tiny_model))
    diagnostics = graph.diagnostics()
    graph.observer.create_subscription(
        Detection2DArray, '/segmenter/instances', lambda message: None, LATCHED_QOS)
    graph.spin_until(lambda: any('/segmenter/instances' in message.status[0].message
                                 for message in diagnostics))
    assert 'durability volatile' in values_of(diagnostics[-1])['last_error']


def test_a_mismatch_noticed_while_inactive_is_still_reported_when_active(graph, tiny_model):
    from vision_msgs.msg import Detection2DArray

    from instseg_ros.node.qos import LATCHED_QOS
    graph.start('configure', model=str(tiny_model))
    messages = graph.diagnostics()
    subscription = graph.observer.create_subscription(
        Detection2DArray, '/segmenter/instances', lambda message: None, LATCHED_QOS)

    def reported(state):
        return (messages and messages[-1].status[0].message.startswith(f'{state}: ')
                and 'condition.qos.instances' in values_of(messages[-1]))
    graph.spin_until(lambda: reported('inactive'))
    assert graph.change_state('activate')
    graph.spin_until(lambda: reported('active'))
    assert graph.change_state('deactivate')
    graph.spin_until(lambda: reported('inactive'))
    graph.observer.destroy_subscription(subscription)
    graph.spin_until(lambda: not reported('inactive'))
    assert messages[-1].status[0].level == b'\x00'


@pytest.mark.parametrize('has_publisher', [False, True])
def test_silence_is_reported_with_what_may_be_behind_it(graph, tiny_model, monkeypatch,
                                                        has_publisher):
    from instseg_ros.node import image_input
    monkeypatch.setattr(image_input, 'SILENCE', 0.001)
    graph.start('configure', 'activate', model=str(tiny_model))
    diagnostics = graph.diagnostics()
    if has_publisher:
        graph.camera()
    expected = ('/observer publishes on /image: it sends none' if has_publisher
                else 'nobody publishes on /image')
    graph.spin_until(lambda: diagnostics and expected in diagnostics[-1].status[0].message)
    assert diagnostics[-1].status[0].level == b'\x01'
