"""The campaign itself: it recognises every way to fail, minimises, and goes on where it ended."""
import json
import textwrap

import pytest
from campaign import Campaign, Worker

KIND = textwrap.dedent("""
    import json, os, time

    WAYS = ['fine', 'refused', 'wrong', 'bug', 'crash', 'endless', 'memory', 'unprintable']

    def steps(rng):
        return ['fine', rng.choice(WAYS), 'fine']

    def write(steps, folder):
        (folder / 'input').write_text(json.dumps(steps))
        return folder / 'input'

    def check(path):
        for way in json.loads(path.read_text()):
            if way == 'refused':
                raise ValueError('expected something else')
            if way == 'wrong':
                assert 1 + 1 == 3
            if way == 'bug':
                {}['x']
            if way == 'crash':
                os.abort()
            if way == 'endless':
                while True:
                    time.sleep(1)
            if way == 'memory':
                bytearray(8 << 30)
            if way == 'unprintable':
                raise ValueError('\\ud800')
""")


@pytest.fixture
def kinds(tmp_path):
    folder = tmp_path / 'kinds'
    folder.mkdir()
    (folder / 'made_up.py').write_text(KIND)
    return folder


def test_a_worker_recognises_every_way_to_fail(kinds):
    expected = {'fine': 'right', 'refused': 'error', 'wrong': 'wrong', 'bug': 'traceback',
                'memory': 'memory', 'unprintable': 'unprintable', 'crash': 'crash'}
    worker = Worker('made_up', kinds)
    for way, name in expected.items():
        outcome = worker.run({'steps': ['fine', way]})
        assert outcome.name == name, outcome
    assert 'SIGABRT' in outcome.detail and not worker.is_alive
    worker.close()


def test_a_case_without_end_is_stopped(kinds):
    worker = Worker('made_up', kinds, limit=0.5)
    outcome = worker.run({'steps': ['endless']})
    worker.close()
    assert outcome.name == 'hang' and 'in check' in outcome.detail  # where it was


def test_findings_are_kept_minimal_and_a_run_goes_on(kinds, tmp_path):
    def run(cases):
        campaign = Campaign(tmp_path / 'out', ['made_up'], kinds, limit=0.5)
        campaign.run(1, 600, cases, report=lambda line: None)
        return campaign

    first = run(6)
    assert first.done == 6
    both = run(14)
    assert both.done == both.state['made_up']['next'] == 14
    assert both.state == json.loads((tmp_path / 'out' / 'state.json').read_text())
    kept = [json.loads(path.read_text()) for path in (tmp_path / 'out').rglob('case.json')]
    assert kept and all(len(case['steps']) == 1 for case in kept)
    assert len(kept) <= both.findings
    row = both.table().splitlines()[2]
    assert row.startswith('| made_up | 14 |')


def test_a_kind_whose_sound_input_fails_does_not_start(kinds):
    (kinds / 'broken.py').write_text(KIND.replace('json.loads(path.read_text())', "['bug']"))
    with pytest.raises(RuntimeError, match='an input without damage has the outcome'):
        Worker('broken', kinds)
