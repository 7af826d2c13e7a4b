"""Parameter files of the node with odd values, tags, aliases and damaged bytes."""
import yaml
from mutations import byte_steps, damaged, edited, value_steps, written

from instseg_ros.node.options import make_configs, parameter_options
from instseg_ros.node.parameter_files import read_parameters

DEFAULTS = {name: item.default for name, item in parameter_options()}
CONTENT = {'/**': {'ros__parameters': {
    'model': '', 'image_depth': 1, 'grouping': {'center_threshold': 0.5, 'max_instances': 9},
    'refinement': {'method': 'slic', 'iterations': 3}, 'network': {'threads': 1}}}}
RAW = ('!!binary aGk=', '!foo 5', '&a [*a]', '.inf', '-.inf', '.nan', '2026-11-28', '!!set {a}',
       '0x10', '1_000', '1:30', '~', '!!python/name:os.system', '[]', '{}')


def steps(rng):
    kind = rng.randrange(3)
    if kind == 0:
        return [['bytes', step] for step in byte_steps(rng)]
    if kind == 1:
        return [['raw', rng.choice(RAW)] for _ in range(rng.randint(1, 2))]
    return [['value', step] for step in value_steps(rng, CONTENT)]


def write(steps, folder):
    content = edited(CONTENT, [step for kind, step in steps if kind == 'value'])
    try:
        text = yaml.safe_dump(content, allow_unicode=False)
    except (yaml.YAMLError, ValueError):
        text = written(repr(content))
    for number, (kind, value) in enumerate(steps):
        if kind == 'raw':
            text = text.replace(': 1\n', f': {value}\n', 1) if number else text.replace(
                ': 0.5', f': {value}', 1)
    path = folder / 'params.yaml'
    path.write_bytes(damaged(written(text).encode('utf-8', 'replace'),
                             [step for kind, step in steps if kind == 'bytes']))
    return path


def check(path):
    values = read_parameters(path, '/segmenter', DEFAULTS)
    configs = make_configs({**DEFAULTS, **values})
    assert 0 <= configs.grouping.center_threshold <= 1
    assert isinstance(configs.node.model, str)
