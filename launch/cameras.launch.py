"""Segment two cameras with one model: ros2 launch instseg_ros cameras.launch.py namespace:=robot.

All arguments of segmenter.launch.py may be given as well.
"""
from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

SEGMENTER = str(Path(__file__).with_name('segmenter.launch.py'))  # for --show-args, a plain path


def generate_launch_description():
    """Return the launch description."""
    return LaunchDescription([
        DeclareLaunchArgument('front', default_value='front_camera/image_raw',
                              description='Topic of the images of the camera "front"'),
        DeclareLaunchArgument('rear', default_value='rear_camera/image_raw',
                              description='Topic of the images of the camera "rear"'),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(SEGMENTER),
            launch_arguments={'cameras': ['front=', LaunchConfiguration('front'),
                                          ',rear=', LaunchConfiguration('rear')]}.items())])
