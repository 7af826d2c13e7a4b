"""Play a bag to the segmenter and show the results in rviz, all in the time of the recording.

ros2 launch instseg_ros replay.launch.py bag:=recording image:=/camera/image_raw

All arguments of segmenter.launch.py may be given as well.
"""
from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessIO
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SEGMENTER = str(Path(__file__).with_name('segmenter.launch.py'))  # for --show-args, a plain path

READY = 'waiting for images'
"""The node logs this when it is active."""

SHOWN_IMAGE = '/camera/image_raw'
"""Topic of the camera's images in config/instseg.rviz."""


def play_when_ready(context):
    """Return what starts the player once the node is active, so that it misses no image."""
    def value(name):
        return LaunchConfiguration(name).perform(context)

    loop = ['--loop'] if value('loop') == 'true' else []
    player = ExecuteProcess(
        cmd=['ros2', 'bag', 'play', value('bag'), '--clock', '--rate', value('rate'), *loop],
        output='screen')
    waiting = [player]

    def start(event):
        return waiting.pop() if waiting and READY in event.text.decode(errors='replace') else None

    return [RegisterEventHandler(OnProcessIO(on_stdout=start, on_stderr=start))]


def generate_launch_description():
    """Return the launch description."""
    return LaunchDescription([
        DeclareLaunchArgument('bag', description='Folder or file of the recording'),
        DeclareLaunchArgument('rate', default_value='1.0',
                              description='Speed of the replay, as a multiple of real time'),
        DeclareLaunchArgument('loop', default_value='false', choices=['true', 'false'],
                              description='Start again at the end of the recording'),
        DeclareLaunchArgument('rviz', default_value='true', choices=['true', 'false'],
                              description='Show images and results in rviz'),
        OpaqueFunction(function=play_when_ready),
        # First of all processes: its setting of Fast DDS is that of the player and of rviz, too.
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(SEGMENTER),
            launch_arguments={'use_sim_time': 'true'}.items()),
        Node(package='rviz2', executable='rviz2', output='log',
             arguments=['-d', PathJoinSubstitution(
                 [FindPackageShare('instseg_ros'), 'config', 'instseg.rviz'])],
             parameters=[{'use_sim_time': True}],
             remappings=[(SHOWN_IMAGE, LaunchConfiguration('image'))],
             condition=IfCondition(LaunchConfiguration('rviz')))])
