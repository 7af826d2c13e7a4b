"""Small, repeatable damage: to bytes, and to values as in JSON or YAML.

A step is a list that JSON can hold; `rng` is a `random.Random`.
"""
import copy
import math
import random
import re

BYTES = ('flip', 'set', 'cut', 'insert', 'zero', 'copy')

MAX_STEPS = 6


def byte_steps(rng, most=MAX_STEPS, kinds=BYTES):
    """Return random edits of bytes; places are shares of the length, so any length will do."""
    return [[rng.choice(kinds), rng.random(), rng.randrange(256), rng.choice((1, 2, 4, 64, 4096))]
            for _ in range(rng.randint(1, most))]


def damaged(data, steps):
    """Return bytes with all edits applied, one after the other."""
    data = bytearray(data)
    for kind, share, value, length in steps:
        place = int(share * len(data))
        stop = min(len(data), place + length)
        if kind == 'flip' and data:
            data[place] ^= 1 << value % 8
        elif kind == 'set' and data:
            data[place] = value
        elif kind == 'cut':
            del data[place:stop]
        elif kind == 'insert':
            data[place:place] = random.Random(value).randbytes(length)
        elif kind == 'zero':
            data[place:stop] = bytes(stop - place)
        elif kind == 'copy':
            data[place:place] = data[value:value + length]
    return bytes(data)


NUMBERS = (0, -1, 1, 2, 255, 256, 65535, 65536, 2 ** 31, 2 ** 63, 2 ** 64, -2 ** 63, 10 ** 30, 0.5,
           -0.5, 1e-300, 1e300, 1.5, 4.0, math.inf, -math.inf, math.nan)
TEXTS = ('', ' ', 'a', '0', '1', 'true', '\ud800', '\0', '\n', '\x1b[2J', '../../x', '/etc/passwd',
         'background', 'person', 'NaN', 'é' * 50, 'x' * 100_000, '\u202e', '${HOME}', '%s%n')


def odd_value(rng, depth=2):
    """Return a value of any type that JSON (with NaN) has, often a nasty one."""
    kind = rng.randrange(8 if depth else 5)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind in (1, 2):
        return rng.choice(NUMBERS)
    if kind in (3, 4):
        return rng.choice(TEXTS)
    if kind == 5:
        return [odd_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return {rng.choice(TEXTS): odd_value(rng, depth - 1) for _ in range(rng.randrange(3))}
    return f'@nested {rng.choice((3, 50, 2000, 100_000))}@'


def written(text):
    """Return JSON or YAML text in which lists within lists take the place of their mark."""
    return re.sub(r'"@nested (\d+)@"',
                  lambda found: int(found[1]) * '[' + int(found[1]) * ']', text)


def value_steps(rng, content, most=MAX_STEPS):
    """Return random edits of a nested value: [path, 'set', value] or [path, 'drop' or 'twice']."""
    steps = []
    for _ in range(rng.randint(1, most)):
        path, here = [], content
        while isinstance(here, (dict, list)) and here and (not path or rng.random() < 0.7):
            key = rng.choice(sorted(here)) if isinstance(here, dict) else rng.randrange(len(here))
            path.append(key)
            here = here[key]
        kind = rng.choice(('set', 'set', 'set', 'drop', 'twice'))
        steps.append([path, kind, odd_value(rng) if kind == 'set' else None])
    return steps


def edited(content, steps):
    """Return a nested value with all edits applied; those that don't fit any more are left out."""
    content = copy.deepcopy(content)
    for path, kind, value in steps:
        here = content
        try:
            for key in path[:-1]:
                here = here[key]
            if kind == 'set':
                here[path[-1]] = value
            elif kind == 'drop':
                del here[path[-1]]
            elif isinstance(here, list):
                here.insert(path[-1], copy.deepcopy(here[path[-1]]))
        except (KeyError, IndexError, TypeError):
            continue
    return content
