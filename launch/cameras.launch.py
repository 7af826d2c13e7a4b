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


def arguments_of(camera):
    """Return the arguments of a camera: topics of its images, depth and calibration."""
    return [
        DeclareLaunchArgument(camera, default_value=f'{camera}_camera/image_raw',
                              description=f'Topic of the images of the camera "{camera}"'),
        DeclareLaunchArgument(f'{camera}_depth', default_value='',
                              description='Topic of its depth images, registered to the camera; '
                                          'empty: no results in space'),
        DeclareLaunchArgument(f'{camera}_camera_info',
                              default_value=f'{camera}_camera/camera_info',
                              description='Topic of its calibration, for depth')]


def by_camera(suffix=''):
    """Return the value of an argument of segmenter.launch.py: NAME=TOPIC for each camera."""
    return [part for camera in CAMERAS
            for part in (f'{camera}=', LaunchConfiguration(camera + suffix), ',')]


def generate_launch_description():
    """Return the launch description."""
    return LaunchDescription([
        *(argument for camera in CAMERAS for argument in arguments_of(camera)),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(SEGMENTER),
            launch_arguments={'cameras': by_camera(), 'depth': by_camera('_depth'),
                              'camera_info': by_camera('_camera_info')}.items())])
