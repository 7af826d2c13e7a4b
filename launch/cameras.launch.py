"""Segment two cameras with one model: ros2 launch instseg_ros cameras.launch.py namespace:=robot.

All arguments of segmenter.launch.py may be given as well.
"""
from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

SEGMENTER = str(Path(__file__).with_name('segmenter.launch.py'))  # for --show-args, a plain path

CAMERAS = ('front', 'rear')


ARGUMENTS = [
    DeclareLaunchArgument('front', default_value='front_camera/image_raw',
                          description='Topic of the images of the camera "front"'),
    DeclareLaunchArgument('rear', default_value='rear_camera/image_raw',
                          description='Topic of the images of the camera "rear"'),
    DeclareLaunchArgument('front_depth', default_value='',
                          description='Topic of depth images registered to the camera "front"; '
                                      'empty: no results in space'),
    DeclareLaunchArgument('rear_depth', default_value='',
                          description='The same for the camera "rear"'),
    DeclareLaunchArgument('front_camera_info', default_value='front_camera/camera_info',
                          description='Topic of the calibration of "front", for depth'),
    DeclareLaunchArgument('rear_camera_info', default_value='rear_camera/camera_info',
                          description='Topic of the calibration of "rear", for depth'),
]


def by_camera(suffix=''):
    """Return the value of an argument of segmenter.launch.py: NAME=TOPIC for each camera."""
    return [part for camera in CAMERAS
            for part in (f'{camera}=', LaunchConfiguration(camera + suffix), ',')]


def generate_launch_description():
    """Return the launch description."""
    return LaunchDescription([
        *ARGUMENTS,
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(SEGMENTER),
            launch_arguments={'cameras': by_camera(), 'depth': by_camera('_depth'),
                              'camera_info': by_camera('_camera_info')}.items())])
