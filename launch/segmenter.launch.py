"""Start the segmenter: ros2 launch instseg_ros segmenter.launch.py image:=/camera/image_raw."""
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition, UnlessCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from instseg_ros.installed import fast_dds_variable
from instseg_ros.node.parameter_files import read_sections
from launch import LaunchDescription

NAME = 'segmenter'
SHARE = FindPackageShare('instseg_ros')
PROFILE_VARIABLE = fast_dds_variable()
TRANSPORTS = 'FASTDDS_BUILTIN_TRANSPORTS'

ARGUMENTS = [
    DeclareLaunchArgument('image', default_value='image', description='Topic of the images'),
    DeclareLaunchArgument('cameras', default_value='',
                          description='Several cameras instead of one, with the topics of their '
                                      'images: front=/front/image_raw,rear=/rear/image_raw; '
                                      'empty: as in the parameter file'),
    DeclareLaunchArgument('depth', default_value='',
                          description='Topic of depth images registered to the camera; with it, '
                                      'the node publishes results in space (depth.enabled); with '
                                      'several cameras, for those that are named: '
                                      'front=/front/depth,rear=/rear/depth'),
    DeclareLaunchArgument('camera_info', default_value='',
                          description='Topic of the calibration of the camera, for depth; with '
                                      'several cameras: front=/front/camera_info,...; empty: '
                                      'camera_info or CAMERA/camera_info'),
    DeclareLaunchArgument('params_file',
                          default_value=PathJoinSubstitution([SHARE, 'config', 'segmenter.yaml']),
                          description='Parameter file of the node'),
    DeclareLaunchArgument('namespace', default_value='', description='Namespace of the node'),
    DeclareLaunchArgument('enclave', default_value='',
                          description='Security enclave of the node, for example /segmenter; '
                                      'empty: /'),
    DeclareLaunchArgument('fastdds_profile', default_value='true', choices=['true', 'false'],
                          description='Give Fast DDS room for large images, unless '
                                      f'{PROFILE_VARIABLE} is set'),
    # The arguments below replace a value of the parameter file if they are given.
    DeclareLaunchArgument('model', default_value='',
                          description='Path of the ONNX model; empty: as in the parameter file'),
    DeclareLaunchArgument('provider', default_value='',
                          description='auto, cpu, cuda or tensorrt; empty: as in the parameter '
                                      'file'),
    DeclareLaunchArgument('image_transport', default_value='', choices=['', 'raw', 'compressed'],
                          description='compressed takes JPEG and PNG from the topic of the images '
                                      'with /compressed; empty: as in the parameter file'),
    DeclareLaunchArgument('autostart', default_value='', choices=['', 'true', 'false'],
                          description='Configure and activate the node; empty: as in the '
                                      'parameter file, or true if that has no such entry; false '
                                      'leaves it to "ros2 lifecycle" or a lifecycle manager'),
    DeclareLaunchArgument('use_sim_time', default_value='', choices=['', 'true', 'false'],
                          description='Take the time from /clock, for bags; empty: as in the '
                                      'parameter file'),
]


def make_node(context):
    """Return the node with its parameter file and the parameters that were given."""
    def value(name):
        return LaunchConfiguration(name).perform(context)

    given = {'model': value('model'), 'network.provider': value('provider'),
             'image_transport': value('image_transport')}
    parameters = {name: ParameterValue(text, value_type=str)
                  for name, text in given.items() if text}
    cameras = parse_topics('cameras', value('cameras'))
    if cameras:
        parameters['cameras'] = list(cameras)
    topics = {'image': cameras or {'': value('image')},
              **{name: topics_of(name, value(name), cameras) for name in ('depth', 'camera_info')}}
    for camera in topics['depth']:
        parameters[f'{camera}.depth.enabled' if camera else 'depth.enabled'] = True
    parameters.update({name: value(name) == 'true' for name in ('autostart', 'use_sim_time')
                       if value(name)})
    # launch_ros would only warn about a file that does not exist, and start the node without it.
    name = full_name(context, value('namespace'))
    if not any('autostart' in section.parameters for section in read_sections(value('params_file'))
               if section.matches(name)):
        parameters.setdefault('autostart', True)
    return [Node(
        package='instseg_ros', executable='segmenter', name=NAME, namespace=value('namespace'),
        output='screen', emulate_tty=True, parameters=[value('params_file'), parameters],
        ros_arguments=['--enclave', value('enclave')] if value('enclave') else [],
        remappings=[
            (f'{camera}/{name}' if camera else name, topic)
            for name, by_camera in topics.items() for camera, topic in by_camera.items()])]


def topics_of(argument, text, cameras):
    """Return the topics that an argument names by camera; a single camera has no name."""
    if not text:
        return {}
    if not cameras and '=' not in text:
        return {'': text}
    topics = parse_topics(argument, text, optional=True)
    for name in topics:
        if cameras and name not in cameras:
            raise ValueError(f'{argument}: expected cameras of the argument "cameras" '
                             f'({", ".join(cameras)}), got {name!r}')
    return {name: topic for name, topic in topics.items() if topic}


def parse_topics(argument, text, optional=False):
    """Return the topics by the names of the cameras from NAME=TOPIC,NAME=TOPIC.

    Where they are optional, a topic may be empty.
    """
    topics = {}
    for item in filter(str.strip, text.split(',')):
        name, separator, topic = (part.strip() for part in item.partition('='))
        if not (name and separator and (topic or optional)):
            raise ValueError(f'{argument}: expected NAME=TOPIC for each camera, got {item!r}')
        topics[name] = topic
    return topics


def full_name(context, namespace):
    """Return the full name of the node, as sections of the parameter file name it."""
    outer = context.launch_configurations.get('ros_namespace', '')
    parts = [] if namespace.startswith('/') else outer.split('/')
    return '/'.join(['', *filter(None, [*parts, *namespace.split('/')]), NAME])


def generate_launch_description():
    """Return the launch description."""
    profile = SetEnvironmentVariable(
        PROFILE_VARIABLE,
        EnvironmentVariable(
            PROFILE_VARIABLE,
            default_value=PathJoinSubstitution([SHARE, 'config', 'fastdds.xml'])),
        condition=IfCondition(LaunchConfiguration('fastdds_profile')))
    # The node sets the profile itself where nobody has chosen the transports.
    defaults = SetEnvironmentVariable(
        TRANSPORTS, EnvironmentVariable(TRANSPORTS, default_value='DEFAULT'),
        condition=UnlessCondition(LaunchConfiguration('fastdds_profile')))
    return LaunchDescription([*ARGUMENTS, profile, defaults, OpaqueFunction(function=make_node)])
