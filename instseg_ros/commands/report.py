"""`instseg report`: a page about the results of a run."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

if TYPE_CHECKING:
    from instseg_ros.reports.frames import Section
    from instseg_ros.reports.summary import Summary

EPILOG = """\
The page needs no other file and no network. It shows a filmstrip, objects over time, shares of the
classes, track lengths and latency if the results hold them, and the frames worth looking at:
sudden changes of the number of objects, low scores, disagreement with the frame before.

RESULTS is one of
  a bag of "instseg segment-bag" or "instseg demo" (result.mcap), or one recorded from the node
  with semantic_image, instance_image, instances and label_info; pictures come from its overlay, or
  from the camera's images if it has them
  a folder of "instseg segment" or "instseg demo"
  a folder of such bags: one section for each

examples:
  instseg report result.mcap --out report.html
  instseg report out/demo --out report.html
  instseg report results/ --out all.html

If something is damaged or missing, the page says so, and the exit code is 1.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument('results', type=Path, metavar='RESULTS', help='bag or folder of results')
    parser.add_argument('--out', required=True, type=Path, metavar='FILE',
                        help='the page to write, for example report.html')
    parser.add_argument('--tracked', action='store_true',
                        help='objects keep their ids from frame to frame: for results of a node '
                        'with tracking, which do not say so themselves')


def run(args: argparse.Namespace) -> int:
    """Write the page and return the exit code."""
    from itertools import chain

    from instseg_ros.reports.opening import open_results
    from instseg_ros.reports.pages import write_page

    sections = open_results(args.results, args.tracked)
    first = next(sections)  # without results there is no page
    problems: list[str] = []
    write_page(args.out, 'report.html', title=f'Results: {args.results.name}',
               summaries=summaries(chain([first], sections), problems))
    for problem in problems:
        print(f'instseg report: error: {problem}', file=sys.stderr)
    print(f'page written to {args.out}')
    return 1 if problems else 0


def summaries(sections: Iterator[Section], problems: list[str]) -> Iterator[Summary]:
    """Yield what to say about each section, and add its problems to those of all."""
    from tqdm import tqdm

    from instseg_ros.reports.summary import summarize

    for section in sections:
        summary = summarize(section, lambda frames, count, title: tqdm(
            frames, total=count, desc=title, unit='frame', dynamic_ncols=True))
        if not summary.frames and not summary.problems:
            section.problems.append(f'{section.title}: no results of any frame')
        problems += section.problems
        yield summary
