"""Parameter files: sections for the node, and names that it has."""
import pytest
import yaml

from instseg_ros.node.parameter_files import Section, check_arguments, read_sections

KNOWN = {'model', 'image_depth', 'grouping.center_threshold', 'use_sim_time'}


@pytest.fixture
def write(tmp_path):
    def write_file(text):
        path = tmp_path / 'parameters.yaml'
        path.write_text(text)
        return str(path)
    return write_file


@pytest.mark.parametrize('pattern, matching, others', [
    ('/segmenter', ['/segmenter'], ['/front/segmenter', '/segmenter2', '/x/segmenter']),
    ('/**', ['/segmenter', '/front/segmenter', '/a/b/segmenter'], []),
    ('/*', ['/segmenter'], ['/front/segmenter']),
    ('/*/segmenter', ['/front/segmenter'], ['/segmenter', '/a/b/segmenter']),
    ('/**/segmenter', ['/segmenter', '/front/segmenter', '/a/b/segmenter'], ['/front/camera']),
    ('/front/*', ['/front/segmenter'], ['/rear/segmenter']),
])
def test_patterns_match_as_in_ros(pattern, matching, others):
    section = Section(pattern, {})
    assert [name for name in matching + others if section.matches(name)] == matching


@pytest.mark.parametrize('text, pattern', [
    ('segmenter: {ros__parameters: {grouping: {center_threshold: 0.5}}}', '/segmenter'),
    ('/segmenter: {ros__parameters: {grouping.center_threshold: 0.5}}', '/segmenter'),
    ('/front/segmenter: {ros__parameters: {grouping: {center_threshold: 0.5}}}',
     '/front/segmenter'),
    ('front: {segmenter: {ros__parameters: {grouping: {center_threshold: 0.5}}}}',
     '/front/segmenter'),
    ('/**: {ros__parameters: {grouping: {center_threshold: 0.5}}}', '/**'),
])
def test_sections_are_found_in_every_way_to_write_them(write, text, pattern):
    assert read_sections(write(text)) == [
        Section(pattern, {'grouping.center_threshold': 0.5})]


def test_lists_are_read_as_launch_ros_writes_them(write):
    text = yaml.dump({'/**': {'ros__parameters': {'cameras': ('front', 'rear')}}})
    assert '!!python/tuple' in text
    assert read_sections(write(text)) == [Section('/**', {'cameras': ['front', 'rear']})]


def test_ros_applies_the_sections_that_match(rclpy, write):
    """The patterns of the tests above, with rclpy itself."""
    context = rclpy.context.Context()
    values = {'/**': 1, '/*': 2, '/**/segmenter': 3, '/*/segmenter': 4, '/front/segmenter': 5,
              'segmenter': 6, '/front/*': 7}
    for pattern, value in values.items():
        path = write(f'{pattern}: {{ros__parameters: {{number: {value}}}}}')
        context = rclpy.context.Context()
        rclpy.init(args=['--ros-args', '--params-file', path], context=context)
        try:
            for namespace in ('', 'front', 'a/b'):
                node = rclpy.create_node('segmenter', namespace=namespace, context=context,
                                         start_parameter_services=False)
                node.declare_parameter('number', 0)
                is_applied = node.get_parameter('number').value == value
                (section,) = read_sections(path)
                assert section.matches(node.get_fully_qualified_name()) == is_applied, (
                    pattern, namespace)
                node.destroy_node()
        finally:
            context.try_shutdown()


@pytest.mark.parametrize('text, words', [
    ('', 'found none'), ('just words', 'found none'), ('a: {b: 3}', 'found none'),
    ('a: [', 'not valid YAML'),
    ('/**: {ros__parameters: []}', r'\*\*.ros__parameters: expected names with .* got a list'),
    ('/**: {ros__parameters: {model: {}}}', 'model: expected a value, got an empty section')])
def test_a_file_without_parameters_is_an_error(write, text, words):
    with pytest.raises(ValueError, match=words):
        read_sections(write(text))


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.yaml: expected a parameter file'):
        read_sections(tmp_path / 'gone.yaml')


@pytest.mark.parametrize('text', [
    'segmenter: {ros__parameters: {model: x, use_sim_time: true}}',
    '/**: {ros__parameters: {robot_radius: 0.3, model: x}}',  # of the other nodes
    'camera: {ros__parameters: {lamp: 1}}\nsegmenter: {ros__parameters: {image_depth: 2}}',
    'segmenter: {ros__parameters: {qos_overrides: {/clock: {subscription: {depth: 1}}}}}',
])
def test_a_good_file_passes(write, text):
    check_arguments(['--ros-args', '--params-file', write(text)], '/segmenter', KNOWN)


@pytest.mark.parametrize('text, words', [
    ('camera: {ros__parameters: {lamp: 1}}\nrear: {segmenter: {ros__parameters: {model: x}}}',
     'expected parameters of /segmenter, found only those of /camera, /rear/segmenter'),
    ('segmenter: {ros__parameters: {grouping: {centre_threshold: 1}}}',
     'did you mean grouping.center_threshold'),
    ('/**: {ros__parameters: {modell: x}}', 'no parameter modell; did you mean model'),
    ('segmenter: {ros__parameters: {robot_radius: 0.3}}', 'no parameter robot_radius; it has'),
    ('/**: {ros__parameters: {grouping: []}}', 'below grouping, such as grouping.center_'),
])
def test_a_file_that_would_have_no_effect_is_an_error(write, text, words):
    with pytest.raises(ValueError, match=words):
        check_arguments(['--ros-args', '--params-file', write(text)], '/segmenter', KNOWN)


@pytest.mark.parametrize('argument, words', [
    ('image_depht:=3', 'did you mean image_depth'),
    ('segmenter:image_depht:=3', 'did you mean image_depth'),
    ('camera:image_depht:=3', ''), ('robot_radius:=0.3', ''), ('image_depth:=3', '')])
@pytest.mark.parametrize('option', ['-p', '--param'])
def test_parameters_of_the_command_line_are_checked_as_well(argument, words, option):
    arguments = ['segmenter', '--ros-args', option, argument]
    if words:
        with pytest.raises(ValueError, match=words):
            check_arguments(arguments, '/segmenter', KNOWN)
    else:
        check_arguments(arguments, '/segmenter', KNOWN)
