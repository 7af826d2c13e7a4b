"""Installation of the package; its data files go where ROS 2 looks for them."""
from glob import glob

from setuptools import find_packages, setup

PACKAGE = 'instseg_ros'
SHARE = f'share/{PACKAGE}'

setup(
    name=PACKAGE,
    version='0.1.0',
    description="Semantic and instance segmentation of camera images, on the robot's computer",
    maintainer='The instseg_ros maintainers',
    maintainer_email='maintainers@instseg-ros.example',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={f'{PACKAGE}.core.network': ['graphs/*.onnx']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (SHARE, ['package.xml']),
        (f'{SHARE}/launch', glob('launch/*.launch.py')),
        (f'{SHARE}/config', glob('config/*.*')),
        (f'{SHARE}/config/training', glob('config/training/*.yaml')),
        (f'{SHARE}/models', glob('models/*.*')),
    ],
    install_requires=['setuptools'],
    zip_safe=False,
    entry_points={'console_scripts': [
        'instseg = instseg_ros.cli:main',
        'segmenter = instseg_ros.node.main:main',
    ]},
)
