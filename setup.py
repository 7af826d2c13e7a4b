"""What colcon's ament_python needs to install the package; pyproject.toml has all the rest."""
from glob import glob

from setuptools import __version__, find_packages, setup

PACKAGE = 'instseg_ros'
SHARE = f'share/{PACKAGE}'
GRAPHS = f'{PACKAGE}.core.network.graphs'
# The setuptools of Humble doesn't read pyproject.toml, and "colcon test" looks for pytest here.
TEST = {} if int(__version__.split('.')[0]) >= 61 else {'test': ['pytest']}

setup(
    name=PACKAGE,
    version='0.1.0',
    license='Apache-2.0',
    python_requires='>=3.10',  # from pyproject.toml it would be an object, which colcon can't read
    packages=[*find_packages(include=[PACKAGE, f'{PACKAGE}.*']), GRAPHS],
    package_data={PACKAGE: ['py.typed', 'view/page/*', 'reports/*.html'], GRAPHS: ['*.onnx']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (SHARE, ['package.xml']),
        (f'{SHARE}/launch', glob('launch/*.launch.py')),
        (f'{SHARE}/config', glob('config/*.*')),
        (f'{SHARE}/config/evaluation', glob('config/evaluation/*.yaml')),
        (f'{SHARE}/config/training', glob('config/training/*.yaml')),
        (f'{SHARE}/models', glob('models/*.*')),
    ],
    zip_safe=False,
    extras_require=TEST,
    entry_points={'console_scripts': [
        'instseg = instseg_ros.cli:main',
        'segmenter = instseg_ros.node.main:main',
    ]},
)
