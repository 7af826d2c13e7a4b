"""The package as ROS 2 tools see it, and the message definitions that come with it."""
import ast
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import pytest

from instseg_ros.cli import EXTRAS as EXTRAS_OF_COMMANDS

ROOT = Path(__file__).resolve().parents[1]
VISION_MSGS_HASHES = {
    'Point2D': 'RIHS01_eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
    'Pose2D': 'RIHS01_b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
    'BoundingBox2D': 'RIHS01_008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
    'ObjectHypothesis': 'RIHS01_51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
    'ObjectHypothesisWithPose':
        'RIHS01_41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc',
    'Detection2D': 'RIHS01_0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
    'Detection2DArray': 'RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'BoundingBox3D': 'RIHS01_bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698',
    'Detection3D': 'RIHS01_ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b',
    'Detection3DArray': 'RIHS01_793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018',
    'VisionClass': 'RIHS01_1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a',
    'LabelInfo': 'RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
}
"""Type hashes of vision_msgs 4.2.0; nodes only talk to each other where these agree."""


@pytest.fixture(scope='module')
def colcon():
    """Return a function that runs colcon on this package and returns what it prints."""
    program = shutil.which('colcon', path=os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get('PATH', '')]))
    if program is None:
        pytest.skip('needs colcon')

    def run(verb, *arguments):
        result = subprocess.run(
            [program, '--log-base', os.devnull, verb, '--base-paths', str(ROOT), *arguments],
            env=dict(os.environ, COLCON_LOG_PATH=os.devnull), stdin=subprocess.DEVNULL,
            capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout
    return run


@pytest.mark.parametrize('name', VISION_MSGS_HASHES)
def test_vision_msgs_is_wire_compatible(name):
    index = pytest.importorskip('ament_index_python.packages', reason='needs ROS 2')
    pytest.importorskip('vision_msgs', reason='needs vision_msgs')
    share = Path(index.get_package_share_directory('vision_msgs'))
    hashes = {entry['type_name']: entry['hash_string'] for entry in json.loads(
        (share / 'msg' / f'{name}.json').read_text())['type_hashes']}
    assert hashes[f'vision_msgs/msg/{name}'] == VISION_MSGS_HASHES[name]


def test_vision_msgs_on_the_wire_has_the_hash(rclpy_context):
    """The hash that other nodes compare is the one of the definition."""
    rclpy = pytest.importorskip('rclpy')
    message_type = pytest.importorskip('vision_msgs.msg').Detection2DArray
    node = rclpy.create_node('hash', context=rclpy_context)
    node.create_publisher(message_type, 'detections', 1)
    (endpoint,) = node.get_publishers_info_by_topic('/detections')
    digest = VISION_MSGS_HASHES['Detection2DArray'].partition('_')[2]
    assert bytes(endpoint.topic_type_hash.value).hex() == digest
    node.destroy_node()


@pytest.fixture
def rclpy_context(monkeypatch, ros_domain):
    rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    context = rclpy.context.Context()
    rclpy.init(args=[], context=context, domain_id=ros_domain)
    yield context
    context.try_shutdown()


def test_colcon_takes_it_for_an_ament_python_package(colcon):
    name, path, kind = colcon('list').split()
    assert (name, Path(path).resolve(), kind) == ('instseg_ros', ROOT, '(ros.ament_python)')


def test_colcon_builds_and_installs_all_of_it(colcon, tmp_path):
    colcon('build', '--build-base', str(tmp_path / 'build'),
           '--install-base', str(tmp_path / 'install'))
    prefix = tmp_path / 'install' / 'instseg_ros'
    share = prefix / 'share' / 'instseg_ros'
    for executable in ('segmenter', 'instseg'):
        assert os.access(prefix / 'lib' / 'instseg_ros' / executable, os.X_OK)
    assert (prefix / 'share/ament_index/resource_index/packages/instseg_ros').is_file()
    for folder in ('launch', 'config', 'models'):
        files = [path.relative_to(ROOT) for path in (ROOT / folder).rglob('*.*')
                 if path.is_file() and '__pycache__' not in path.parts]
        assert not [path for path in files if not (share / path).is_file()]
    modules = {path.relative_to(ROOT) for path in (ROOT / 'instseg_ros').rglob('*.py')}
    (library,) = prefix.glob('lib/python3*/site-packages')
    assert not [path for path in modules if not (library / path).is_file()]


def test_colcon_runs_the_tests(colcon, tmp_path):
    places = ('--build-base', str(tmp_path / 'build'), '--install-base', str(tmp_path / 'install'))
    colcon('build', *places)
    colcon('test', *places, '--pytest-args', 'test/test_installed.py')
    (suite,) = ElementTree.parse(tmp_path / 'build/instseg_ros/pytest.xml').iter('testsuite')
    assert int(suite.get('tests')) > 1
    assert {suite.get(count) for count in ('errors', 'failures', 'skipped')} == {'0'}


def test_there_is_one_version():
    manifest = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    (setup,) = re.findall(r"version='([\d.]+)'", (ROOT / 'setup.py').read_text())
    assert manifest == setup


LATER_STANDARD = {'compression'}
"""Modules of the standard library since Python 3.14."""


def third_party(path):
    """Return the top-level modules of others that a file imports, at once or later."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    ours = {*sys.stdlib_module_names, *LATER_STANDARD, 'instseg_ros'}
    return {name.partition('.')[0] for name in names} - ours


EXTRAS = {'bags': ['bags'], 'benchmark': ['evaluate'], 'datasets': ['evaluate'],
          'demo': ['bags'], 'evaluation': ['evaluate'], 'learning': ['train'],
          'node': ['bags'], 'recorded': ['bags', 'cluster'], 'reports': ['bags', 'evaluate'],
          'view': ['view']}
"""With which extras the rooms of the package may be used; without any, if not listed."""
APART = {'cityscapesscripts', 'trackeval'} | {
    'cv_bridge', 'diagnostic_msgs', 'diagnostic_updater', 'geometry_msgs', 'lifecycle_msgs',
    'rcl_interfaces', 'rclpy', 'sensor_msgs', 'statistics_msgs', 'std_msgs', 'std_srvs',
    'vision_msgs', 'visualization_msgs'}
"""Modules that are installed apart: see requirements/cityscapes.txt and
requirements/trackeval.txt, and ROS 2."""

ROSDEP_KEYS = {'cv2': 'python3-opencv', 'numba': 'python3-numba', 'numpy': 'python3-numpy',
               'onnxruntime': 'python3-onnxruntime-pip', 'scipy': 'python3-scipy',
               'yaml': 'python3-yaml'}


def test_the_manifest_names_what_the_node_imports_and_no_more():
    manifest = ElementTree.parse(ROOT / 'package.xml')
    declared = {element.text for element in manifest.findall('exec_depend')}
    imported = set()
    for files in ('instseg_ros/core/**/*.py', 'instseg_ros/node/**/*.py',
                  'instseg_ros/messages/**/*.py', 'instseg_ros/yaml_files.py', 'launch/**/*.py',
                  'instseg_ros/bags/conversions.py', 'instseg_ros/bags/encodings.py',
                  'instseg_ros/bags/compressed_images.py'):
        for path in ROOT.glob(files):
            imported |= third_party(path)
    imported -= {'rosbags'}  # only where there is no cv_bridge
    for path in (ROOT / 'instseg_ros' / 'demo').glob('*.py'):
        imported |= third_party(path) & APART
    assert {ROSDEP_KEYS.get(name, name) for name in imported} == declared


def distribution(name):
    """Return the name of a distribution in its normal form."""
    return re.sub(r'[-_.]+', '-', name).lower()


def declared(*extras):
    """Return the distributions that the package requires with some extras."""
    names, todo = set(), {'', *extras}
    requirements = [(requirement, re.findall(r'extra == [\'"](\w+)[\'"]', requirement))
                    for requirement in metadata.requires('instseg_ros')]
    while todo:
        extra = todo.pop()
        for requirement, of in requirements:
            if of != [extra] * bool(extra):
                continue
            name, inner = re.match(r'([\w.-]+)(?:\[([\w,]+)\])?', requirement).groups()
            if distribution(name) == 'instseg-ros':
                todo |= set(inner.split(','))
            else:
                names.add(distribution(name))
    return names


@pytest.mark.parametrize('path', sorted((ROOT / 'instseg_ros').rglob('*.py')),
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_every_import_is_a_declared_dependency(path):
    room = path.relative_to(ROOT / 'instseg_ros').parts[0]
    allowed = declared('all') if room == 'commands' else declared(*EXTRAS.get(room, []))
    # Python 3.14 needs no backports and has none.
    distributions = {'backports': ['backports.zstd'], **metadata.packages_distributions()}
    for name in third_party(path) - APART:
        owners = {distribution(owner) for owner in distributions.get(name, [name])}
        assert owners & allowed, f'{name} of {owners} is not among {sorted(allowed)}'


def test_the_commands_name_the_extra_that_brings_a_library():
    distributions = metadata.packages_distributions()
    for extra, modules in EXTRAS_OF_COMMANDS.items():
        for module in modules:
            owners = {distribution(owner) for owner in distributions[module]}
            assert owners & declared(extra), module


def test_continuous_integration_runs_what_developers_run():
    commands = [line for line in (ROOT / '.ci' / 'run').read_text().splitlines()
                if line and not line.startswith('#')]
    assert commands[-3:] == ['make lint', 'make docs', 'make test']
