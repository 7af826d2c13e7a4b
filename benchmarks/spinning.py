"""Compare the ways in which ONNX Runtime's threads can wait for work.

sleeping     they never spin
our setting  they spin during a run of the network only
spinning     ONNX Runtime's default: they go on spinning for a while after a run

All sessions run on the same image in turns, with the same pause after each run. Latency is the
time of the run alone, on the clock; processor time is that of all threads, pause included, which
shows what spinning takes from other processes.
"""
from __future__ import annotations

import argparse
import multiprocessing
import time
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.network.network import INPUT
from instseg_ros.core.network.providers import session_options

MODEL = Path(__file__).resolve().parents[1] / 'models' / 'street.onnx'


def compute() -> None:
    """Use a core."""
    while True:
        sum(range(10_000))


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', type=Path, default=MODEL)
    parser.add_argument('--size', default='384x512', metavar='HxW', help="of the network's input")
    parser.add_argument('--threads', type=int, default=0)
    parser.add_argument('--rounds', type=int, default=50)
    parser.add_argument('--pause', type=float, default=0.01, metavar='SECONDS')
    parser.add_argument('--busy', type=int, default=0, metavar='N',
                        help='other processes that compute without a pause')
    args = parser.parse_args()
    for _ in range(args.busy):
        multiprocessing.Process(target=compute, daemon=True).start()
    height, width = (int(side) for side in args.size.split('x'))
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    ours = session_options(NetworkConfig(threads=args.threads))
    sleeping, spinning = SessionOptions(), SessionOptions()
    sleeping.add_session_config_entry('session.intra_op.allow_spinning', '0')
    for options in (sleeping, spinning):
        options.intra_op_num_threads = ours.intra_op_num_threads
    sessions = {name: InferenceSession(str(args.model), options,
                                       providers=['CPUExecutionProvider'])
                for name, options in (('sleeping', sleeping), ('our setting', ours),
                                      ('spinning', spinning))}
    for session in sessions.values():
        session.run(None, {INPUT: image})  # warms up
    latency: dict[str, list[float]] = {name: [] for name in sessions}
    processor: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(args.rounds):
        for name, session in sessions.items():
            start, used = time.perf_counter(), time.process_time()
            session.run(None, {INPUT: image})
            latency[name].append(time.perf_counter() - start)
            time.sleep(args.pause)
            processor[name].append(time.process_time() - used)
    print('| threads wait | latency, median ms | fastest | processor time, median ms |\n'
          f'|{" --- |" * 4}')
    for name in sessions:
        print(f'| {name} | {1e3 * np.median(latency[name]):.1f} | '
              f'{1e3 * min(latency[name]):.1f} | {1e3 * np.median(processor[name]):.1f} |')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
