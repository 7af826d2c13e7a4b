"""The topics of the layout for Foxglove that the package ships."""
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def layout():
    """Return the content of the file."""
    return json.loads((ROOT / 'config' / 'foxglove.json').read_text())


def topics():
    """Return the names of the topics in its panels."""
    return {panel['imageMode']['imageTopic'] if 'imageMode' in panel else panel['topicPath']
            for name, panel in layout()['configById'].items() if name != 'Parameters!options'}
