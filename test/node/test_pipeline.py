"""Two stages at once, held and let go by the test; without ROS."""
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.node.pipeline import Pipeline, StuckError

TIMEOUT = 60.0


class Stage:
    """A stage that tells when it begins a frame and ends it when the test says so."""

    def __init__(self):
        self.seen, self.threads = [], set()
        self.fails = set()
        self._begun, self._may_end = threading.Semaphore(0), threading.Semaphore(0)
        self.open = False

    def __call__(self, frame):
        self.seen.append(frame)
        self.threads.add(threading.get_ident())
        self._begun.release()
        if not self.open:
            assert self._may_end.acquire(timeout=TIMEOUT), 'the test forgot this stage'
        if frame in self.fails:
            raise RuntimeError(f'no luck with {frame}')

    def wait_until_begun(self):
        assert self._begun.acquire(timeout=TIMEOUT), 'the stage did not begin'

    def end(self):
        self._may_end.release()


class Held:
    """A pipeline of two such stages."""

    def __init__(self, depth):
        self.first, self.second = Stage(), Stage()
        self.results, self.losses = [], []
        self.pipeline = Pipeline(
            lambda frame: None, lambda frames: self.first(*frames), self.second,
            on_result=self.results.append, depth=depth,
            on_error=lambda frame, error: self.losses.append(error))

    def let_go(self):
        for stage in (self.first, self.second):
            stage.open = True
            stage.end()


@pytest.fixture
def make():
    """Return a function that makes pipelines, whose threads are ended after the test."""
    made = []

    def make_held(depth=1):
        made.append(Held(depth))
        return made[-1]
    yield make_held
    for held in made:
        held.let_go()
        held.pipeline.close()


def test_the_first_stage_of_a_frame_runs_while_the_second_of_the_one_before_does(make):
    held = make()
    assert held.pipeline.submit('camera', 'a') == 0
    held.first.wait_until_begun()
    held.first.end()
    held.second.wait_until_begun()
    for previous, frame in zip('abc', 'bcd'):
        assert held.pipeline.submit('camera', frame) == 0
        held.first.wait_until_begun()  # and the second stage is held at the frame before
        assert (held.first.seen[-1], held.second.seen[-1]) == (frame, previous)
        held.first.end()
        held.second.end()
        held.second.wait_until_begun()
    assert held.second.seen == ['a', 'b', 'c', 'd']
    assert len(held.first.threads | held.second.threads) == 2


def test_while_the_second_stage_is_slow_the_first_waits_for_the_newest_frame(make):
    held = make()
    for frame in 'ab':
        held.pipeline.submit('camera', frame)
        held.first.wait_until_begun()
        held.first.end()
    held.second.wait_until_begun()
    # b is handed over and waits for a; so c and d are not begun, and neither will c ever be.
    assert [held.pipeline.submit('camera', frame) for frame in 'cd'] == [0, 1]
    held.first.end()
    held.second.end()
    held.first.wait_until_begun()
    assert held.first.seen == ['a', 'b', 'd']


@pytest.mark.parametrize('depth, kept', [(1, [9]), (3, [7, 8, 9]), (100, list(range(1, 10)))])
def test_the_newest_frames_are_kept_and_stay_in_order(make, depth, kept):
    held = make(depth)
    held.pipeline.submit('camera', 0)
    held.first.wait_until_begun()
    assert sum(held.pipeline.submit('camera', number) for number in range(1, 10)) == 9 - len(kept)
    held.let_go()
    for _ in range(1 + len(kept)):
        held.second.wait_until_begun()
    assert held.second.seen == [0, *kept]


@pytest.mark.parametrize('stage', ['first', 'second'])
def test_an_exception_costs_one_frame_and_is_told(make, stage):
    held = make(depth=5)
    getattr(held, stage).fails = {'b', 'c'}
    held.let_go()
    for frame in 'abcd':
        held.pipeline.submit('camera', frame)
    for _ in range(2 if stage == 'first' else 4):
        held.second.wait_until_begun()
    held.pipeline.close()
    assert [str(loss) for loss in held.losses] == ['no luck with b', 'no luck with c']
    assert held.second.seen == (['a', 'd'] if stage == 'first' else ['a', 'b', 'c', 'd'])
    assert held.results == ['a', 'd']


def test_closing_finishes_what_was_begun_and_gives_up_what_waits(make):
    held = make(depth=10 ** 9)
    held.pipeline.submit('camera', 'a')
    held.first.wait_until_begun()
    held.first.end()
    held.second.wait_until_begun()
    held.pipeline.submit('camera', 'b')
    held.first.wait_until_begun()
    with ThreadPoolExecutor(1) as closing:
        given_up = closing.submit(held.pipeline.close)
        waiting = 0
        # It takes frames until the other thread closes it.
        while held.pipeline.submit('camera', 'late') == 0:
            waiting += 1
        assert not given_up.done()  # it waits for the stages, which are at a and b
        held.let_go()
        assert len(given_up.result(TIMEOUT)) == waiting
    assert held.second.seen == ['a', 'b']
    assert held.pipeline.submit('camera', 'later') == 1
    assert held.pipeline.close() == []


def test_no_thread_is_left(make):
    before = threading.active_count()
    held = make()
    held.let_go()
    for number in range(20):
        held.pipeline.submit('camera', number)
    assert threading.active_count() > before
    held.pipeline.close()
    assert threading.active_count() == before


@settings(max_examples=50, deadline=None)
@given(count=st.integers(0, 30), depth=st.integers(1, 5), data=st.data())
def test_every_frame_is_accounted_for_and_order_is_kept(count, depth, data):
    numbers = st.sets(st.integers(0, max(0, count - 1)))
    fails = data.draw(numbers, 'first'), data.draw(numbers, 'second')
    done, losses = [], []

    def stage(failing, result):
        def work(number):
            if number in failing:
                raise ValueError(number)
            result.append(number)
        return work

    pipeline = Pipeline(stage(fails[0], []), lambda frames: None, stage(fails[1], []),
                        on_result=done.append, depth=depth,
                        on_error=lambda frame, error: losses.append(error))
    given_up = sum(pipeline.submit('camera', number) for number in range(count))
    given_up += len(pipeline.close())
    assert done == sorted(set(done))
    lost = [loss.args[0] for loss in losses]
    assert set(lost) <= fails[0] | fails[1] and not set(lost) & set(done)
    assert len(done) + len(lost) + given_up == count


@pytest.mark.parametrize('error', [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError])
@pytest.mark.parametrize('stage', range(4))
def test_no_exception_stops_it(error, stage):
    def fail(frame):
        if frame in ('b', ['b']):
            raise error('the lamp is off')
    works = [fail if number == stage else lambda frame: None for number in range(4)]
    done, lost = [], []

    def on_result(frame):
        works[3](frame)
        done.append(frame)
    pipeline = Pipeline(*works[:3], on_result=on_result, depth=9,
                        on_error=lambda frame, error: lost.append((frame, type(error))))
    assert [pipeline.submit('camera', frame) for frame in 'abc'] == [0, 0, 0]
    while len(done) + len(lost) < 3:
        time.sleep(0.001)
    assert pipeline.close(TIMEOUT) == []
    assert (done, lost) == (['a', 'c'], [('b', error)])


@pytest.mark.parametrize('stage', ['first', 'second'])
def test_closing_gives_up_a_stage_that_does_not_return(make, stage):
    held = make(depth=5)
    if stage == 'second':
        held.first.open = True
    for frame in 'abcd':
        held.pipeline.submit('camera', frame)
    getattr(held, stage).wait_until_begun()
    if stage == 'second':
        held.first.wait_until_begun()
        held.first.wait_until_begun()  # it has b as well
        while held.pipeline.longest_step() is None or len(held.pipeline._steps) > 1:
            time.sleep(0.001)
    given_up = held.pipeline.close(timeout=0.01)
    begun = {'first': 'a', 'second': 'ab'}[stage]
    assert given_up == [frame for frame in 'abcd' if frame not in begun]
    assert [type(loss) for loss in held.losses] == [StuckError] * len(begun)
    assert 'has not returned for' in str(held.losses[0])
    # It returns after all: nothing is made of that, and the threads end.
    held.let_go()
    assert held.pipeline.close() == []
    assert held.results == [] and len(held.losses) == len(begun)
    assert len(held.second.seen) == (stage == 'second')


def test_the_longest_step_is_that_of_the_slower_stage(make):
    held = make()
    assert held.pipeline.longest_step() is None
    held.pipeline.submit('camera', 'a')
    held.first.wait_until_begun()
    before = time.monotonic()
    held.first.end()
    held.second.wait_until_begun()
    held.pipeline.submit('camera', 'b')
    held.first.wait_until_begun()
    step = held.pipeline.longest_step()
    assert before <= step.began <= time.monotonic()
    held.let_go()
    held.pipeline.close()
    assert held.pipeline.longest_step() is None
