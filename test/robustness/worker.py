"""Runs cases of one kind for `campaign.py`: a case a line on stdin, its outcome on stdout."""
import json
import os
import resource
import sys
from pathlib import Path

from cases import Outcome, load_kind, run_case, steps_of

MEMORY = 2 << 30
"""Bytes that a case may take."""

SPARE = 1 << 30
"""Address space beyond that, much of which is reserved and never used."""


def main():
    name, folder = sys.argv[1:]
    # What libraries print there must not be taken for outcomes.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    kind = load_kind(name, Path(folder))
    outcome = run_case(kind, [])  # imports and compiles what all cases need
    if outcome.name != 'right':
        raise RuntimeError(f'{name}: an input without damage has the outcome {outcome}')
    before = memory('VmRSS')
    limit = memory('VmSize') + MEMORY + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print('ready', file=answers, flush=True)
    for line in sys.stdin:
        case = json.loads(line)
        Path('/proc/self/clear_refs').write_text('5')  # VmHWM begins anew
        outcome = run_case(kind, case['steps'] if 'steps' in case else
                           steps_of(kind, case['seed']))
        grown = memory('VmHWM') - before
        if grown > MEMORY:
            outcome = Outcome('memory', f'{grown >> 20} MiB')
        print(json.dumps(outcome), file=answers, flush=True)


def memory(name):
    """Return a figure of this process's memory in bytes."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{name}:'):
            return 1024 * int(line.split()[1])
    raise KeyError(name)


if __name__ == '__main__':
    main()
