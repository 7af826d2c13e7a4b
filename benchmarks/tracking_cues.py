"""Do embeddings or colours tell people apart over time? On a video with boxes and ids.

Every object that a model finds is assigned to the person whose box it overlaps by at least one
half. The printed figure is the area under the ROC curve of the distances of two findings: the
probability that two of the same person are nearer than two of different people; 0.5 is chance.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from tqdm import tqdm

from instseg_ros.core.config import GroupingConfig
from instseg_ros.core.grouping import find_centers
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.core.silhouettes import color_distances
from instseg_ros.core.tracks import find
from instseg_ros.evaluation.tracking import box_overlaps, read_mot
from instseg_ros.media import VideoReader

DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'tracking'
MODEL = Path(__file__).resolve().parents[1] / 'models' / 'street.onnx'
LAGS = (1, 1), (5, 10), (20, 30)
"""First and last number of frames between two findings, for each column."""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--video', type=Path, default=DATA / 'TUD-Campus.mp4')
    parser.add_argument('--ground-truth', type=Path, default=DATA / 'TUD-Campus_gt.txt')
    parser.add_argument('--model', type=Path, default=MODEL)
    parser.add_argument('--center-threshold', type=float, default=0.5)
    args = parser.parse_args()
    segmenter = Segmenter.from_onnx(
        args.model, grouping=GroupingConfig(center_threshold=args.center_threshold))
    frames, people, embeddings, colors = [], [], [], []
    with VideoReader(args.video) as video:
        for frame, (image, truth) in enumerate(zip(tqdm(video), read_mot(args.ground_truth))):
            inference = segmenter.infer(image)
            found = find(segmenter.postprocess(inference), image)
            centers, _ = find_centers(inference.output, segmenter.model_info,
                                      segmenter.postprocessor.grouping)
            overlap = box_overlaps(found.silhouettes.boxes, truth.boxes)
            for i, j in zip(*linear_sum_assignment(-overlap)):
                if overlap[i, j] >= 0.5:
                    frames.append(frame)
                    people.append(truth.ids[j])
                    embeddings.append(centers.embeddings[found.ids[i] - 1])
                    colors.append(found.silhouettes.colors[i])
    lag = np.subtract.outer(frames, frames)
    same = np.equal.outer(people, people)
    vectors, shares = np.array(embeddings, np.float64), np.array(colors)
    print(f'{len(frames)} findings; frames between two: '
          + ', '.join(f'{first} to {last}' for first, last in LAGS))
    for name, distances in (
            ('embedding', np.linalg.norm(vectors[:, None] - vectors, axis=2)),
            ('colour', color_distances(shares, shares))):
        print(f'{name:10}', *(f'{area(distances[chosen], same[chosen]):.3f}'
                              for first, last in LAGS
                              for chosen in [(lag >= first) & (lag <= last)]))
    return 0


def area(distances: np.ndarray, same: np.ndarray) -> float:
    """Return the area under the ROC curve, from the ranks (Mann and Whitney)."""
    others = ~same
    ranks = rankdata(distances)[others].sum()
    return float((ranks - others.sum() * (others.sum() + 1) / 2) / (others.sum() * same.sum()))


if __name__ == '__main__':
    raise SystemExit(main())
