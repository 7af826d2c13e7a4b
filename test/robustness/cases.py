"""One case: a damaged input, used as the project uses it, and what comes of that.

A kind of case is a module in `kinds/`:

steps(rng) -> list
    Random edits, each as JSON holds it; leaving some out gives a smaller case.
write(steps, folder) -> Path
    Make the input in an empty folder; the same steps give the same input. No steps make a sound
    one, whose result is right.
check(path) -> None
    Use it. Returning means that the result is right; a `ValueError`, `OSError` or `UserError` is a
    clear error, as the command line prints it; an `AssertionError` is a wrong result.
"""
import importlib.util
import random
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NamedTuple

from instseg_ros.errors import UserError

HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    sys.path[:0] = [str(HERE), str(HERE.parent)]  # for the helpers of the tests

GOOD = ('right', 'error')
"""Outcomes that are as they should be; all others are findings."""

LONGEST_MESSAGE = 20_000


class Outcome(NamedTuple):
    """What came of a case: a name, and for findings the reason."""

    name: str
    detail: str = ''


def all_kinds():
    """Return the names of all kinds."""
    return sorted(path.stem for path in (HERE / 'kinds').glob('*.py'))


def load_kind(name, folder=HERE / 'kinds'):
    """Return the module of a kind."""
    spec = importlib.util.spec_from_file_location(f'robustness_kind_{name}',
                                                  folder / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def steps_of(kind, seed):
    """Return the edits of a case by its number."""
    return kind.steps(random.Random(f'{kind.__name__} {seed}'))


def run_case(kind, steps):
    """Run a case in this process."""
    folder = Path(tempfile.mkdtemp(prefix='instseg_case_'))
    try:
        try:
            path = kind.write(steps, folder)
        except Exception:  # a fault of the kind
            return Outcome('unwritten', traceback.format_exc()[-LONGEST_MESSAGE:])
        return used(kind, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def used(kind, path):
    """Use an input and return the outcome."""
    try:
        kind.check(path)
    except (ValueError, OSError, UserError) as error:
        message = str(error)
        try:
            message.encode()
        except UnicodeEncodeError:
            return Outcome('unprintable', ascii(message))
        if not message or len(message) > LONGEST_MESSAGE:
            return Outcome('unclear', f'{type(error).__name__}: {len(message)} characters\n'
                           + traceback.format_exc()[:LONGEST_MESSAGE])
        return Outcome('error')
    except AssertionError:
        return Outcome('wrong', traceback.format_exc()[-LONGEST_MESSAGE:])
    except MemoryError:
        return Outcome('memory', traceback.format_exc()[-LONGEST_MESSAGE:])
    except Exception:
        return Outcome('traceback', traceback.format_exc()[-LONGEST_MESSAGE:])
    return Outcome('right')
