"""Who may import whom, checked in the source; and what the top package must not pull in."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'instseg_ros'

ALL = {path.stem if path.is_file() else path.name for path in (ROOT / PACKAGE).iterdir()
       if path.suffix == '.py' or (path / '__init__.py').is_file()} - {'__init__'}

OURS = {
    'core': set(),
    'visualization': {'core'},
    'messages': {'core', 'visualization'},
    'datasets': {'core', 'files', 'limits', 'media', 'yaml_files'},
    'evaluation': {'core', 'datasets', 'visualization', 'files', 'errors', 'media', 'records'},
    'benchmark': {'core', 'bags', 'datasets', 'demo', 'evaluation', 'messages'},
    'bags': {'core', 'files', 'errors', 'limits', 'media', 'messages'},
    'recorded': {'core', 'bags', 'messages', 'visualization', 'files'},
    'node': {'core', 'bags', 'messages', 'visualization', 'files', 'errors', 'records',
             'installed', 'yaml_files'},
    'learning': {'core', 'datasets', 'evaluation', 'files', 'errors', 'media', 'visualization',
                 'yaml_files'},
    'view': {'core', 'bags', 'recorded', 'messages', 'visualization', 'media'},
    'demo': {'core', 'bags', 'recorded', 'messages', 'visualization', 'files', 'errors', 'media',
             'records', 'installed'},
}
"""What else of ours a room may import. For rooms not listed: all but `node` and `learning`."""

THEIRS = {'rclpy': {'node', 'demo'}, 'torch': {'learning'}, 'torchvision': {'learning'},
          'lightning': {'learning'}, 'pytorch_lightning': {'learning'}}
"""In which rooms these libraries may be imported."""

COMMANDS = {'cli', 'commands'}
"""Rooms that may import anything, if they do it inside a function."""


def modules():
    return sorted(path for path in (ROOT / PACKAGE).rglob('*.py'))


def room(path):
    return path.relative_to(ROOT / PACKAGE).parts[0].removesuffix('.py')


def imports(path):
    """Yield (dotted name, whether it is imported when the module is) of all imports."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    skipped, late = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test):
            skipped.update(child for stay in node.body for child in ast.walk(stay))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            late.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node not in late
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: expected absolute imports'
            for alias in node.names:
                yield f'{node.module}.{alias.name}', node not in late


def violations(path, found):
    """Return the imports in `found` that the room of `path` must not make."""
    here = room(path)
    allowed = OURS.get(here, ALL - {'node', 'learning'}) | {here}
    wrong = []
    for name, at_once in found:
        if here in COMMANDS and not at_once:
            continue
        parts = name.split('.')
        if parts[0] == PACKAGE and len(parts) > 1 and parts[1] in ALL and parts[1] not in allowed:
            wrong.append(name)
        if parts[0] in THEIRS and here not in THEIRS[parts[0]]:
            wrong.append(name)
    return wrong


@pytest.mark.parametrize('path', modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_to_the_rules(path):
    assert violations(path, imports(path)) == []


@pytest.mark.parametrize('place, found, wrong', [
    ('core/x.py', [('torch', True), ('numpy', True)], ['torch']),
    ('core/x.py', [('rclpy.node', False)], ['rclpy.node']),
    ('core/x.py', [('instseg_ros.visualization.overlay', True)],
     ['instseg_ros.visualization.overlay']),
    ('evaluation/x.py', [('instseg_ros.learning.model', False)], ['instseg_ros.learning.model']),
    ('commands/x.py', [('instseg_ros.learning.model', False)], []),
    ('commands/x.py', [('instseg_ros.learning.model', True)], ['instseg_ros.learning.model']),
    ('learning/x.py', [('torch.nn', True), ('instseg_ros.core.types', True)], []),
])
def test_the_rules_themselves(place, found, wrong):
    assert violations(ROOT / PACKAGE / place, found) == wrong


def loaded_after(statement):
    """Return the top-level modules that a fresh Python has loaded after a statement."""
    code = f'import sys\n{statement}\nprint(*sorted({{n.split(".")[0] for n in sys.modules}}))'
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, timeout=120,
                            capture_output=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_the_top_package_pulls_nothing_heavy_in():
    heavy = {'rclpy', 'torch', 'numpy', 'cv2', 'onnxruntime', 'numba'}
    assert not loaded_after('import instseg_ros') & heavy
    assert not loaded_after('import instseg_ros.cli') & heavy


def test_the_library_needs_neither_ros_nor_torch():
    loaded = loaded_after('from instseg_ros import *\nimport instseg_ros.visualization')
    assert 'onnxruntime' in loaded
    assert not loaded & {'rclpy', 'torch', 'rosbags'}


def test_images_are_converted_without_the_libraries_for_bags():
    """On a robot with cv_bridge, the node needs none of them."""
    loaded = loaded_after('import instseg_ros.bags.conversions')
    assert 'cv2' in loaded
    assert not loaded & {'rosbags', 'mcap', 'lz4', 'backports', 'yaml'}


def test_public_names():
    import instseg_ros
    assert {'Segmenter', 'ModelInfo', 'Segmentation'} <= set(instseg_ros.__all__)
    assert set(instseg_ros.__all__) <= set(dir(instseg_ros))
    with pytest.raises(AttributeError, match="no attribute 'Segmentor'"):
        instseg_ros.Segmentor
