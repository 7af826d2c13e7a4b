"""Start the segmenter: ros2 launch instseg_ros segmenter.launch.py image:=/camera/image_raw."""
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from instseg_ros.installed import fast_dds_variable

SHARE = FindPackageShare('instseg_ros')
PROFILE_VARIABLE = fast_dds_variable()

ARGUMENTS = [
    DeclareLaunchArgument('image', default_value='image', description='Topic of the images'),
    DeclareLaunchArgument('model', default_value='',
                          description='Path of the ONNX model; empty: as the parameter file says'),
    DeclareLaunchArgument('provider', default_value='',
                          description='auto, cpu, cuda or tensorrt; empty: as the parameter file '
                                      'says'),
    DeclareLaunchArgument('params_file',
                          default_value=PathJoinSubstitution([SHARE, 'config', 'segmenter.yaml']),
                          description='Parameter file of the node'),
    DeclareLaunchArgument('namespace', default_value='', description='Namespace of the node'),
    DeclareLaunchArgument('autostart', default_value='true', choices=['true', 'false'],
                          description='Configure and activate the node; otherwise that is left '
                                      'to "ros2 lifecycle" or a life cycle manager'),
    DeclareLaunchArgument('use_sim_time', default_value='false', choices=['true', 'false'],
                          description='Take the time from /clock, for bags'),
    DeclareLaunchArgument('fastdds_profile', default_value='true', choices=['true', 'false'],
                          description='Give Fast DDS room for large images, unless '
                                      f'{PROFILE_VARIABLE} is set'),
]


def make_node(context):
    """Return the node; arguments that were given win over the parameter file."""
    def value(name):
        return LaunchConfiguration(name).perform(context)

    given = {'model': value('model'), 'network.provider': value('provider')}
    parameters = {name: ParameterValue(text, value_type=str)
                  for name, text in given.items() if text}
    parameters.update(autostart=value('autostart') == 'true',
                      use_sim_time=value('use_sim_time') == 'true')
    return [Node(
        package='instseg_ros', executable='segmenter', name='segmenter',
        namespace=value('namespace'), output='screen', emulate_tty=True,
        parameters=[value('params_file'), parameters],
        remappings=[('image', value('image'))])]


def generate_launch_description():
    """Return the launch description."""
    profile = SetEnvironmentVariable(
        PROFILE_VARIABLE,
        EnvironmentVariable(
            PROFILE_VARIABLE,
            default_value=PathJoinSubstitution([SHARE, 'config', 'fastdds.xml'])),
        condition=IfCondition(LaunchConfiguration('fastdds_profile')))
    return LaunchDescription([*ARGUMENTS, profile, OpaqueFunction(function=make_node)])
