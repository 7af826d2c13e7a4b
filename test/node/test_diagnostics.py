"""Conditions: each with its own level and text, reported while it lasts and no longer."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip('diagnostic_msgs.msg', reason='needs the ROS 2 messages')
diagnostics = pytest.importorskip('instseg_ros.node.diagnostics')
node_tools = pytest.importorskip('node_tools')
status_of, values_of, wait_for = node_tools.status_of, node_tools.values_of, node_tools.wait_for
OK, WARN, ERROR = b'\x00', b'\x01', b'\x02'


@pytest.fixture
def logged():
    return []


@pytest.fixture
def conditions(logged):
    return diagnostics.Conditions(lambda level, text: logged.append((level, text)))


def status(conditions, **values):
    only = diagnostics.status('active', diagnostics.Report(
        '/segmenter', conditions.report(), {'fps': '9.50', **values}))
    assert only.name == '/segmenter'
    return only.level, only.message


def test_without_conditions_the_rate_is_reported(conditions, logged):
    assert status(conditions) == (OK, 'active: 9.50 images/s')
    assert (logged, conditions.last_error) == ([], '')


def test_a_lasting_condition_keeps_its_text_whatever_happens_meanwhile(conditions):
    conditions.begin('qos', WARN, 'does not fit')
    conditions.note('image', WARN, 'bad image')
    assert status(conditions) == (WARN, 'active: does not fit')
    conditions.note('image', ERROR, 'out of memory')
    assert status(conditions) == (ERROR, 'active: out of memory')
    assert status(conditions) == (WARN, 'active: does not fit')
    conditions.end('qos')
    assert status(conditions) == (OK, 'active: 9.50 images/s')
    assert conditions.last_error == 'out of memory'


def test_every_condition_is_among_the_values(conditions):
    conditions.begin('qos', WARN, 'does not fit')
    conditions.begin('transition', ERROR, 'cannot activate')
    found = diagnostics.status('inactive', diagnostics.Report(
        'n', conditions.report(), {'fps': '0'}))
    assert {value.key: value.value for value in found.values} == {
        'fps': '0', 'condition.transition': 'cannot activate', 'condition.qos': 'does not fit'}


def test_a_condition_is_logged_when_it_begins_or_changes(conditions, logged):
    for text in ('one', 'one', 'two', 'two'):
        conditions.begin('qos', WARN, text)
    for text in ('bad', 'worse'):
        conditions.note('image', ERROR, text)
    conditions.report()
    conditions.note('image', ERROR, 'worst')
    conditions.warn_while('silence', '')
    assert logged == [(WARN, 'one'), (WARN, 'two'), (ERROR, 'bad'), (ERROR, 'worst')]


@given(st.lists(st.tuples(st.sampled_from(['begin', 'note', 'end', 'report']),
                          st.sampled_from('abc'), st.sampled_from([WARN, ERROR]))))
def test_the_report_has_the_worst_condition_that_there_is_and_its_own_text(steps):
    conditions = diagnostics.Conditions(lambda level, text: None)
    lasting, events = {}, {}
    for step, name, level in [*steps, ('report', '', OK)]:
        if step == 'begin':
            conditions.begin(name, level, f'{name} lasts at {level}')
            lasting[name] = (level, f'{name} lasts at {level}')
        elif step == 'note':
            conditions.note(f'event {name}', level, f'{name} happened at {level}')
            events[name] = (level, f'{name} happened at {level}')
        elif step == 'end':
            conditions.end(name)
            lasting.pop(name, None)
        else:
            found = [(item.level, item.text) for item in conditions.report().values()]
            assert sorted(found) == sorted([*lasting.values(), *events.values()])
            assert [level for level, _ in found] == sorted(
                (level for level, _ in found), reverse=True)
            events.clear()


class Updater:
    """What the node uses of `diagnostic_updater.Updater`."""

    def __init__(self, node, period):
        from diagnostic_msgs.msg import DiagnosticArray
        self.node, self.array = node, DiagnosticArray
        self.publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 1)
        self.period = node.declare_parameter('diagnostic_updater.period', period).value
        self.timer = node.create_timer(self.period or 1, lambda: self.publish([]))

    def publish(self, statuses):
        for status in statuses:
            status.name = f'{self.node.get_name()}: {status.name}'
        self.publisher.publish(self.array(status=statuses))


@pytest.fixture
def updater(monkeypatch):
    """Let the node find `diagnostic_updater`: the real one if it is installed."""
    module = pytest.importorskip('instseg_ros.node.diagnostics_publisher')
    if module.Updater is None:
        monkeypatch.setattr(module, 'Updater', Updater)


@pytest.fixture(params=['installed', 'missing'])
def status_name(request, monkeypatch):
    """Return the name of the node's status with and without `diagnostic_updater`."""
    if request.param == 'installed':
        request.getfixturevalue('updater')
        return 'segmenter: /segmenter'
    monkeypatch.setattr('instseg_ros.node.diagnostics_publisher.Updater', None)
    return '/segmenter'


def test_they_are_published_in_every_state(graph, tiny_model, make_image, status_name):
    graph.start(model=str(tiny_model), image_reliability='reliable')
    messages = graph.diagnostics()
    graph.spin_until(lambda: messages and 'unconfigured' in messages[-1].status[0].message)
    assert graph.change_state('configure') and graph.change_state('activate')
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    camera.publish(make_image())
    graph.spin_until(lambda: results, 'a result')
    assert graph.change_state('deactivate')
    graph.spin_until(lambda: messages and values_of(messages[-1]).get('frames_out') == '1')
    assert messages[-1].status[0].name == status_name
    values = values_of(messages[-1])
    assert (values['model'], values['provider']) == (str(tiny_model), 'cpu')
    assert len(values['model_sha256']) == 64
    stages = [key for key in values if key.startswith('stage_ms.')]
    assert stages == [f'stage_ms.{name}' for name in (
        'wait', 'convert', 'scale', 'network', 'hand_over', 'grouping', 'refinement', 'instances',
        'publish')]
    assert all(float(values[stage]) >= 0 for stage in stages)
    rounding = 0.001 * len(stages)
    assert sum(float(values[stage]) for stage in stages) <= float(values['latency_ms']) + rounding


def test_diagnostic_updater_sets_the_period_and_does_not_publish_by_itself(
        graph, tiny_model, updater):
    graph.start(model=str(tiny_model), diagnostic_updater__period=0.1)
    messages = graph.diagnostics()
    graph.spin_until(lambda: len(messages) > 5, 'diagnostics')
    assert [len(message.status) for message in messages] == [1] * len(messages)
    (timer,) = [timer for timer in graph.node.timers if timer.timer_period_ns == 100_000_000]
    assert timer.clock.clock_type.name == 'STEADY_TIME'


def test_a_period_of_zero_is_refused(graph, tiny_model, updater):
    with pytest.raises(ValueError, match='diagnostic_updater.period above 0 s, got 0.0'):
        graph.start(model=str(tiny_model), diagnostic_updater__period=0.0)


def test_they_tell_the_worst_and_clear_when_it_is_over(graph, tiny_model, make_image):
    """A camera that does not fit, bad images beside it, and then only a good camera."""
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    graph.start('configure', 'activate', model=str(tiny_model), image_reliability='reliable')
    messages = graph.diagnostics()
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    other = graph.observer.create_publisher(Image, '/image', qos_profile_sensor_data)
    graph.spin_until(lambda: messages and 'condition.qos.image' in values_of(messages[-1]))
    bad = make_image()
    bad.data = bad.data[:9]
    seen = len(messages)
    camera.publish(bad)
    graph.spin_until(lambda: any('condition.image_dropped' in values_of(message)
                                 for message in messages[seen:]))
    # The bad image is gone from the report after it; the camera that does not fit is still there.
    graph.spin_until(lambda: 'condition.image_dropped' not in values_of(messages[-1]))
    for message in messages[seen:]:
        level, text = status_of(message)
        assert level == WARN and 'image_reliability to best_effort' in text
    assert values_of(messages[-1])['last_error'].startswith('image dropped: data: expected')
    graph.observer.destroy_publisher(other)
    camera.publish(make_image())
    graph.spin_until(lambda: results, 'a result')
    graph.spin_until(lambda: status_of(messages[-1])[0] == OK, 'the all-clear')
    assert status_of(messages[-1])[1].startswith('active: ')
    assert values_of(messages[-1])['last_error']
