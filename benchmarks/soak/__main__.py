"""Run library and live node for a long time: the exit code is 1 if something is lost or grows.

The library segments --frames images. The node runs for --minutes with a publisher that is ten
times too fast. Both get images of four sizes and encodings, bad images between good ones, and
changing options; the node also has subscribers that stall, and stamps that jump by hours. Then

- every image is accounted for: in = out + dropped + superseded + lost + skipped;
- an image that comes again has the same result (library);
- memory, threads and open files don't grow after the first fifth of the samples.

Samples are added to OUT/library.jsonl and OUT/node.jsonl, so a run that was interrupted goes on
with --resume: only the frames and minutes that are missing are run. OUT/library.png and
OUT/node.png show them.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import library
import node
from plot import plot
from record import Record

MODEL = Path(__file__).resolve().parents[2] / 'models' / 'street.onnx'


def main() -> int:
    """Run what is missing, and judge all of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--frames', type=int, default=100_000, help='of the library (%(default)s)')
    parser.add_argument('--minutes', type=float, default=30, help='of the node (%(default)s)')
    parser.add_argument('--model', type=Path, default=MODEL)
    parser.add_argument('--input-size', type=int, default=64,
                        help="long side of the network's input; small, so that the frames are "
                        'many (%(default)s)')
    parser.add_argument('--out', type=Path, default=Path('out/soak'))
    parser.add_argument('--only', choices=('library', 'node'))
    parser.add_argument('--resume', action='store_true', help='go on with the samples in OUT')
    parser.add_argument('--allowed', type=float, default=8.0, metavar='MIB',
                        help='growth of the memory of its own (%(default)s)')
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    figures: dict[str, Any] = {}
    for part in (library, node):
        name = part.__name__
        if args.only not in (None, name):
            continue
        record = Record(args.out / f'{name}.jsonl', resume=args.resume)
        found = part.run(args, record) + record.growth(args.allowed)
        problems += [f'{name}: {problem}' for problem in found]
        figures[name] = record.summary()
        print(f'{name}: {json.dumps(figures[name])}')
        plot(record, args.out / f'{name}.png')
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == '__main__':
    raise SystemExit(main())
