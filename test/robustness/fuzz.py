"""Feed damaged inputs of every kind to the project for hours; "make fuzz".

Each input is used in a worker process with a limit of 30 s and 2 GB. Its result has to be right,
or a clear error; everything else is a finding, of which minimal examples are kept. A run goes on
where the last one in the same folder ended.

python test/robustness/fuzz.py --seconds 3600
python test/robustness/fuzz.py --kinds bags_mcap coco --cases 10000
python test/robustness/fuzz.py --case bags_mcap:1234
"""
import argparse
import sys
import tempfile
from pathlib import Path

from campaign import Campaign
from cases import GOOD, all_kinds, load_kind, steps_of, used


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('out/fuzz'), help='default %(default)s')
    parser.add_argument('--kinds', nargs='+', default=all_kinds(), choices=all_kinds())
    parser.add_argument('--seconds', type=float, default=3600.0, help='default %(default)s')
    parser.add_argument('--cases', type=int, default=10 ** 9,
                        help='stop when so many have been run, earlier runs included')
    parser.add_argument('--workers', type=int, default=2, help='default %(default)s')
    parser.add_argument('--case', metavar='KIND:NUMBER', help='run one case in this process')
    args = parser.parse_args()
    if args.case:
        name, seed = args.case.split(':')
        kind = load_kind(name)
        steps = steps_of(kind, int(seed))
        print(*steps, sep='\n')
        outcome = used(kind, kind.write(steps, Path(tempfile.mkdtemp(prefix='instseg_case_'))))
        print(*outcome, sep='\n')
        return int(outcome.name not in GOOD)
    campaign = Campaign(args.out, args.kinds)
    campaign.run(args.workers, args.seconds, args.cases,
                 report=lambda line: print(line, flush=True))
    print(campaign.table())
    if campaign.findings:
        print(f'findings: {args.out / "findings"}')
    return int(campaign.findings > 0)


if __name__ == '__main__':
    sys.exit(main())
