"""Segments bags one after the other in this process, with a progress bar."""
from __future__ import annotations

from functools import lru_cache
from typing import Sequence

from tqdm import tqdm

from instseg_ros.core.segmenter import Segmenter
from instseg_ros.recorded.job import Job, ModelSettings, Outcome
from instseg_ros.recorded.segmenting import finished, segment_bag


@lru_cache(maxsize=1)
def segmenter_for(model: ModelSettings) -> Segmenter:
    """Return the segmenter of a model, ready for its first image; one in each process."""
    segmenter = Segmenter.from_onnx(model.path, network=model.network, grouping=model.grouping,
                                    refinement=model.refinement, selection=model.selection)
    segmenter.warm_up()
    return segmenter


def segment_here(jobs: Sequence[Job]) -> list[Outcome]:
    """Return what came of each bag.

    Raises
    ------
    OSError, ValueError
        If the only bag cannot be segmented. One of several is reported with its problem.
    """
    outcomes = []
    segmenter = segmenter_for(jobs[0].model)
    for job in jobs:
        with tqdm(unit='image', desc=job.source.name, dynamic_ncols=True) as progress:

            def start(total: int, progress: tqdm = progress) -> None:
                progress.reset(total)

            try:
                outcome = finished(job) if len(jobs) > 1 and not job.force else None
                outcomes.append(outcome or segment_bag(job, segmenter, on_start=start,
                                                       on_frame=progress.update))
            except (ValueError, OSError) as error:
                if len(jobs) == 1:
                    raise
                outcomes.append(failed(job, error))
    return outcomes


def failed(job: Job, error: Exception) -> Outcome:
    """Return the outcome of a bag that could not be segmented."""
    return Outcome(str(job.source), str(job.out),
                   problems=[str(error) or f'{job.source}: {type(error).__name__}'])
