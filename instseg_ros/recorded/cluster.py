"""Segments many bags side by side with Dask distributed: one task is one bag."""
from __future__ import annotations

import dataclasses
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Sequence
from uuid import uuid4

from tqdm import tqdm

from instseg_ros.recorded.job import Job, Outcome
from instseg_ros.recorded.one_by_one import failed, segmenter_for
from instseg_ros.recorded.segmenting import finished, segment_bag

if TYPE_CHECKING:
    from distributed import Client, Future


def segment_job(job: Job) -> Outcome:
    """Segment a bag in a worker; its session is kept for the next one."""
    try:
        outcome = None if job.force else finished(job)
        return outcome or segment_bag(job, segmenter_for(job.model))
    except (ValueError, FileExistsError, FileNotFoundError) as error:  # at every try the same
        return failed(job, error)


def segment_on_workers(jobs: Sequence[Job], scheduler: str, workers: int) -> list[Outcome]:
    """Return what came of each bag.

    A bag whose worker dies is given to another one, which goes on with what is written. Bags that
    fail all the same, for a reason that may pass, are tried once more, each alone.

    Parameters
    ----------
    jobs : sequence of Job
    scheduler : str
        Address of a Dask scheduler; empty for a cluster of this process.
    workers : int
        Number of processes of that cluster.
    """
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        if not scheduler:
            jobs = [share_cores(job, workers) for job in jobs]
            cluster = stack.enter_context(LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0))
            scheduler = cluster.scheduler_address
        client = stack.enter_context(Client(scheduler))
        progress = stack.enter_context(tqdm(total=len(jobs), unit='bag', dynamic_ncols=True))
        return run_tasks(client, jobs, progress)


def run_tasks(client: Client, jobs: Sequence[Job], progress: tqdm) -> list[Outcome]:
    """Return what came of each bag, from the workers of a Dask client."""
    from distributed import as_completed

    outcomes: dict[Job, Outcome] = {}

    def submit(job: Job) -> Future:
        return client.submit(segment_job, job, key=f'{job.source}-{uuid4().hex}')

    def take(job: Job, future: Future) -> None:
        error = future.exception()
        outcomes[job] = failed(job, error) if error else future.result()

    tasks = {submit(job): job for job in jobs}
    for future in as_completed(tasks):
        take(tasks[future], future)
        progress.update()
    for job in [job for future, job in tasks.items() if future.status == 'error']:
        future = submit(job)
        take(job, future)
    return [outcomes[job] for job in jobs]


def share_cores(job: Job, workers: int) -> Job:
    """Return a job that takes its part of the cores, if its options name no number of threads."""
    network = job.model.network
    if network.threads:
        return job
    threads = max(1, (os.cpu_count() or 1) // workers)
    model = dataclasses.replace(job.model, network=dataclasses.replace(network, threads=threads))
    return dataclasses.replace(job, model=model)
