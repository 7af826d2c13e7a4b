"""Counting and timing, without a graph."""
import pytest

pytest.importorskip('diagnostic_msgs.msg', reason='needs the ROS 2 messages')
diagnostics = pytest.importorskip('instseg_ros.node.diagnostics')
OK, WARN, ERROR = b'\x00', b'\x01', b'\x02'


def info(number, publisher=b'a'):
    return {'publication_sequence_number': number, 'publisher_gid': {'data': publisher}}


def test_gaps_in_the_numbers_of_a_publisher_are_superseded_images():
    statistics = diagnostics.Statistics(0.0)
    for number, publisher in [(5, b'a'), (6, b'a'), (100, b'b'), (10, b'a'), (101, b'b')]:
        statistics.frame_arrived(info(number, publisher), 1.0)
    assert (statistics.frames_in, statistics.frames_superseded) == (5, 3)


def test_a_middleware_that_numbers_nothing_supersedes_nothing():
    statistics = diagnostics.Statistics(0.0)
    for _ in range(2):
        statistics.frame_arrived({'publication_sequence_number': None, 'publisher_gid': None}, 1.0)
        statistics.frame_arrived({}, 1.0)
    assert (statistics.frames_in, statistics.frames_superseded) == (4, 0)


def test_an_image_that_is_given_up_is_superseded_like_one_that_never_arrived():
    statistics = diagnostics.Statistics(0.0)
    for number in (1, 2, 5):
        statistics.frame_arrived(info(number), 1.0)
    statistics.frames_given_up(1)
    assert (statistics.frames_in, statistics.frames_superseded) == (2, 3)


@pytest.mark.parametrize('age, shown', [(None, ''), (0.25, '250.000'), (-0.01, '-10.000'),
                                        (1e9, ''), (-1e9, '')])
def test_an_age_by_another_clock_is_not_shown(age, shown):
    statistics = diagnostics.Statistics(0.0)
    statistics.frame_done({}, 0.1, age=age)
    assert statistics.report(1.0)[1]['age_ms'] == shown


def test_instances_that_were_cut_add_up():
    statistics = diagnostics.Statistics(0.0)
    for count in (0, 3, 4):
        statistics.frame_done({}, 0.1, instances_cut=count)
    assert statistics.report(1.0)[1]['instances_cut'] == '7'


def test_rates_are_recent_and_stages_are_means_since_activation():
    statistics = diagnostics.Statistics(10.0)
    statistics.frame_done({'network': 0.1, 'grouping': 0.01}, 0.2)
    level, values = statistics.report(12.0)
    assert (level, values['fps'], values['latency_ms']) == (OK, '0.50', '200.000')
    statistics.frame_done({'network': 0.3, 'grouping': 0.02}, 0.4)
    statistics.frame_done({'network': 0.2, 'grouping': 0.03}, 0.6)
    _, values = statistics.report(13.0)
    assert (values['fps'], values['latency_ms'], values['frames_out']) == ('2.00', '500.000', '3')
    assert (values['stage_ms.network'], values['stage_ms.grouping']) == ('200.000', '20.000')


def test_the_level_is_the_worst_of_the_period_and_the_error_stays():
    statistics = diagnostics.Statistics(0.0)
    statistics.frame_dropped('too small')
    assert statistics.report(1.0)[0] == WARN
    statistics.frame_failed('out of memory')
    statistics.frame_dropped('too large')
    level, values = statistics.report(2.0)
    assert (level, values['last_error'], values['frames_dropped']) == (ERROR, 'too large', '3')
    level, values = statistics.report(3.0)
    assert (level, values['last_error'], values['fps']) == (OK, 'too large', '0.00')


def test_what_lasts_is_in_every_report():
    statistics = diagnostics.Statistics(0.0)
    statistics.note_lasting('no model', WARN)
    assert [statistics.report(time)[0] for time in (1.0, 2.0)] == [WARN, WARN]
    statistics.frame_failed('out of memory')
    assert [statistics.report(time)[0] for time in (3.0, 4.0)] == [ERROR, WARN]


def test_the_message_holds_one_status():
    header = pytest.importorskip('std_msgs.msg').Header(frame_id='x')
    message = diagnostics.diagnostic_message(header, '/segmenter', WARN, 'text', {'a': '1'})
    assert message.header.frame_id == 'x'
    (status,) = message.status
    assert (status.name, status.level, status.message) == ('/segmenter', WARN, 'text')
    assert [(entry.key, entry.value) for entry in status.values] == [('a', '1')]


def test_they_are_published_in_every_state(graph, tiny_model, make_image):
    graph.start(model=str(tiny_model), image_reliability='reliable')
    messages = graph.diagnostics()
    values_of = pytest.importorskip('node_tools').values_of
    graph.spin_until(lambda: messages and 'unconfigured' in messages[-1].status[0].message)
    assert graph.change_state('configure') and graph.change_state('activate')
    results, camera = graph.listen_to_results()['instances'], graph.camera()
    camera.publish(make_image())
    graph.spin_until(lambda: results, 'a result')
    assert graph.change_state('deactivate')
    graph.spin_until(lambda: messages and values_of(messages[-1]).get('frames_out') == '1')
    assert messages[-1].status[0].name == '/segmenter'
    values = values_of(messages[-1])
    assert (values['model'], values['provider']) == (str(tiny_model), 'cpu')
    stages = [key for key in values if key.startswith('stage_ms.')]
    assert stages == [f'stage_ms.{name}' for name in (
        'wait', 'convert', 'scale', 'network', 'hand_over', 'grouping', 'refinement', 'instances',
        'publish')]
    assert all(float(values[stage]) >= 0 for stage in stages)
    rounding = 0.001 * len(stages)
    assert sum(float(values[stage]) for stage in stages) <= float(values['latency_ms']) + rounding
