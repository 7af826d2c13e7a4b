"""Many bags: how they are found and named, and workers that share them."""
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from recorded_scene import write_camera
from tqdm import tqdm

from instseg_ros.bags.bag import BagFolder
from instseg_ros.bags.reader import BagReader
from instseg_ros.cli import main
from instseg_ros.recorded.finding import find_bags
from instseg_ros.recorded.job import Job, ModelSettings

LIMIT = 120.0  # seconds; far above what a run takes


def frames(path):
    """Return the number of images with a result."""
    with BagReader(path) as bag:
        return sum(count for topic, count in bag.counts.items()
                   if topic.name.endswith('/instances'))


@pytest.fixture
def recordings(tmp_path):
    """Return a folder of bags: two days with bags of the same name, a folder, and no bag."""
    folder = tmp_path / 'recordings'
    write_camera(folder / 'monday' / 'run.mcap', count=2)
    write_camera(folder / 'tuesday' / 'run.mcap', count=3)
    (folder / 'wednesday').mkdir()
    write_camera(folder / 'wednesday' / 'front', count=4, writer=BagFolder)
    (folder / 'notes.txt').write_text('milk, bread')
    return folder


def test_bags_are_found_in_folders_and_named_by_their_place(recordings):
    assert {name: path.relative_to(recordings) for path, name in find_bags([str(recordings)])} == {
        'monday/run': Path('monday/run.mcap'), 'tuesday/run': Path('tuesday/run.mcap'),
        'wednesday/front': Path('wednesday/front')}
    (found, name), = find_bags([str(recordings / 'wednesday' / 'fr*')])
    assert (found, name) == (recordings / 'wednesday' / 'front', 'front')


def test_a_split_recording_without_metadata_is_one_bag(tmp_path):
    for name in ('run_0.mcap', 'run_1.mcap'):
        write_camera(tmp_path / 'run' / name, count=1)
    assert find_bags([str(tmp_path / 'run')]) == [(tmp_path / 'run', 'run')]


def test_inputs_without_bags_or_with_equal_names_are_refused(recordings, tmp_path):
    (tmp_path / 'empty').mkdir()
    for inputs, error, words in [
            (['empty'], ValueError, 'found none'), (['gone*'], OSError, 'no such file'),
            (['recordings/monday', 'recordings/tuesday'], ValueError, 'of different names')]:
        with pytest.raises(error, match=words):
            find_bags([str(tmp_path / name) for name in inputs])


def test_one_report_for_all_bags(recordings, tiny_model, tmp_path, capsys):
    (recordings / 'broken.mcap').write_text('milk, bread')
    command = ['segment-bag', str(recordings), '--out', str(tmp_path / 'out'), '--model',
               str(tiny_model)]
    assert main(command) == 1
    text = capsys.readouterr()
    assert '3 of 4 bags segmented' in text.out and 'broken.mcap: expected a bag' in text.err
    report = {Path(bag['source']).relative_to(recordings).as_posix(): bag
              for bag in json.loads((tmp_path / 'out' / 'report.json').read_text())['bags']}
    assert {name: bag['frames'] for name, bag in report.items()} == {
        'broken.mcap': 0, 'monday/run.mcap': 2, 'tuesday/run.mcap': 3, 'wednesday/front': 4}
    assert report['monday/run.mcap']['instances'] == {'car': 2, 'person': 2}
    assert frames(tmp_path / 'out' / 'monday' / 'run.mcap') == 2
    # Again: what is finished stays, and the broken bag alone is tried.
    made = (tmp_path / 'out' / 'monday' / 'run.mcap').stat().st_mtime_ns
    (recordings / 'broken.mcap').unlink()
    assert main(command) == 0
    assert (tmp_path / 'out' / 'monday' / 'run.mcap').stat().st_mtime_ns == made


def test_several_bags_need_a_folder(recordings, tiny_model, tmp_path, capsys):
    assert main(['segment-bag', str(recordings), '--out', str(tmp_path / 'r.mcap'), '--model',
                 str(tiny_model)]) == 1
    assert 'expected a folder for the results of 3 bags' in capsys.readouterr().err


def test_results_among_the_recordings_are_refused(recordings, tiny_model, capsys):
    assert main(['segment-bag', str(recordings), '--out', str(recordings / 'out'), '--model',
                 str(tiny_model)]) == 1
    assert 'expected an output apart from the input' in capsys.readouterr().err
    assert not (recordings / 'out').exists()


class TestWorkers:
    """With Dask distributed."""

    @pytest.fixture(autouse=True)
    def needs_dask(self):
        """Skip without the extra."""
        pytest.importorskip('distributed')

    @pytest.fixture
    def jobs(self, tmp_path, tiny_model):
        """Return two jobs that take a worker some seconds each."""
        model = ModelSettings(tiny_model)
        return [Job(write_camera(tmp_path / f'{name}.mcap', count=200),
                    tmp_path / 'out' / f'{name}.mcap', model) for name in 'ab']

    def test_a_worker_that_is_killed_costs_no_result(self, jobs):
        from distributed import Client, LocalCluster

        from instseg_ros.recorded.cluster import run_tasks

        outcomes = []
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None,
                          memory_limit=0) as cluster, Client(cluster) as client:
            pids = client.run(os.getpid)
            assert len(set(pids.values())) == 2
            thread = threading.Thread(target=lambda: outcomes.extend(
                run_tasks(client, jobs, tqdm(disable=True))))
            thread.start()
            end = time.monotonic() + LIMIT
            part = jobs[0].out.with_suffix('.unfinished') / '0000'
            while not part.exists() and time.monotonic() < end:
                time.sleep(0.01)
            worker, = (worker for worker, keys in client.processing().items()
                       if any(str(jobs[0].source) in key for key in keys))
            os.kill(pids[worker], signal.SIGKILL)
            thread.join(LIMIT)
            assert not thread.is_alive()
        assert [outcome.problems for outcome in outcomes] == [[], []]
        for job in jobs:
            assert frames(job.out) == 200
        assert len(list(jobs[0].out.parent.iterdir())) == 2

    def test_the_command_shares_bags_among_workers(self, recordings, tiny_model, tmp_path, capfd):
        (recordings / 'broken.mcap').write_text('milk, bread')
        code = main(['segment-bag', str(recordings), '--out', str(tmp_path / 'out'), '--model',
                     str(tiny_model), '--workers', '2'])
        text = capfd.readouterr()
        assert code == 1, text.err
        assert '3 of 4 bags segmented' in text.out and 'broken.mcap: expected a bag' in text.err
        assert frames(tmp_path / 'out' / 'tuesday' / 'run.mcap') == 3

    def test_a_failed_bag_is_tried_again_alone(self, tmp_path, tiny_model, monkeypatch):
        from distributed import Client

        from instseg_ros.recorded import cluster
        from instseg_ros.recorded.job import Outcome

        log = tmp_path / 'tries.txt'  # the function is copied to the worker

        def segment_job(job):
            is_first = not log.exists() or job.source.stem not in log.read_text()
            with log.open('a') as file:
                file.write(job.source.stem)
            if is_first and job.source.stem == 'a':
                raise RuntimeError('out of luck')
            return Outcome(str(job.source), str(job.out), frames=1)

        monkeypatch.setattr(cluster, 'segment_job', segment_job)
        jobs = [Job(tmp_path / f'{name}.mcap', tmp_path / f'{name}.out.mcap',
                    ModelSettings(tiny_model)) for name in 'ab']
        with Client(processes=False, n_workers=1, threads_per_worker=1,
                    dashboard_address=None) as client:
            outcomes = cluster.run_tasks(client, jobs, tqdm(disable=True))
        assert log.read_text() in ('aba', 'baa')
        assert [outcome.frames for outcome in outcomes] == [1, 1]
