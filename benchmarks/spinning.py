"""Compare ONNX Runtime with threads that wait spinning, its own default, with ours that sleep.

Both sessions see the same image in turns, with the same pause after each, in which waiting threads
may spin on. Latency is the time on the clock of the run alone, processor time that of all threads
including the pause. On a machine that does nothing else, spinning can only gain latency; what it
costs others is the processor time.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.network import INPUT
from instseg_ros.core.providers import session_options

MODEL = Path(__file__).resolve().parents[1] / 'models' / 'street.onnx'


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', type=Path, default=MODEL)
    parser.add_argument('--size', default='384x512', metavar='HxW', help="of the network's input")
    parser.add_argument('--threads', type=int, default=0)
    parser.add_argument('--rounds', type=int, default=50)
    parser.add_argument('--pause', type=float, default=0.01, metavar='SECONDS')
    args = parser.parse_args()
    height, width = (int(side) for side in args.size.split('x'))
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    sleeping, spinning = session_options(NetworkConfig(threads=args.threads)), SessionOptions()
    spinning.intra_op_num_threads = sleeping.intra_op_num_threads
    sessions = {name: InferenceSession(str(args.model), options,
                                       providers=['CPUExecutionProvider'])
                for name, options in (('sleeping', sleeping), ('spinning', spinning))}
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
