"""Stable ids, on made-up maps of rectangles."""
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.core.config import TrackingConfig
from instseg_ros.core.tracking import LAST_ID, Tracker
from instseg_ros.core.types import Instance, Segmentation

ROOT = Path(__file__).resolve().parents[2]
SHAPE = 120, 160
RED, GREEN, BLUE = (200, 20, 20), (20, 180, 30), (30, 40, 210)


def street(*objects, shape=SHAPE, numbers=None, background=90):
    """Return the segmentation and the image of objects: (left, top, right, bottom, options)."""
    semantic_ids, instance_ids = np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)
    image = np.full((*shape, 3), background, np.uint8)
    image[:shape[0] // 2] //= 2  # a layout to recognise the scene by
    instances = []
    for k, (left, top, right, bottom, options) in enumerate(objects):
        number = numbers[k] if numbers else k + 1
        class_id = options.get('class_id', 1)
        place = slice(top, bottom), slice(left, right)
        semantic_ids[place], instance_ids[place] = class_id, number
        image[place] = options.get('color', RED)
        instances.append((number, class_id, options.get('score', 0.9)))
    return Segmentation(semantic_ids, instance_ids, tuple(
        describe(instance_ids, *values) for values in instances
        if (instance_ids == values[0]).any())), image


def describe(instance_ids, number, class_id, score):
    rows, columns = np.nonzero(instance_ids == number)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    return Instance(number, class_id, f'class {class_id}', score,
                    ((box[1] + box[3]) / 2, (box[0] + box[2]) / 2), box, len(rows))


def box(left, top=40, width=20, height=50, **options):
    return left, top, left + width, top + height, options


def ids(segmentation):
    return [item.instance_id for item in segmentation.instances]


def run(frames, tracker=None, period=0.1):
    """Return the ids of the objects in each frame, in the order in which they are given."""
    tracker = tracker or Tracker()
    return [ids(tracker.update(*street_and_stamp(frame, n * period)))
            for n, frame in enumerate(frames)]


def street_and_stamp(objects, stamp):
    segmentation, image = street(*objects)
    return segmentation, stamp, image


objects_strategy = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 4), st.sampled_from([RED, GREEN, BLUE]),
              st.floats(0.05, 1), st.integers(1, 2)),
    max_size=12, unique_by=lambda values: values[:2])


def grid_street(values, numbers=None, order=None):
    boxes = [(20 * x + 2, 24 * y + 2, 20 * x + 18, 24 * y + 20,
              {'color': color, 'score': score, 'class_id': class_id})
             for x, y, color, score, class_id in values]
    segmentation, image = street(*boxes, numbers=numbers)
    if order is not None:
        segmentation = dataclasses.replace(
            segmentation, instances=tuple(segmentation.instances[k] for k in order))
    return segmentation, image


@settings(max_examples=60, deadline=None)
@given(st.lists(objects_strategy, min_size=1, max_size=6), st.booleans())
def test_ids_are_unique_and_fit_the_map(frames, with_image):
    tracker = Tracker()
    for n, values in enumerate(frames):
        before, image = grid_street(values)
        after = tracker.update(before, 0.1 * n, image if with_image else None)
        assert len(set(ids(after))) == len(values) and 0 not in ids(after)
        for old, new in zip(before.instances, after.instances):
            assert np.array_equal(before.instance_ids == old.instance_id,
                                  after.instance_ids == new.instance_id)
            assert dataclasses.replace(new, instance_id=old.instance_id) == old
        assert np.array_equal(before.instance_ids == 0, after.instance_ids == 0)
        assert after.semantic_ids is before.semantic_ids


@settings(max_examples=60, deadline=None)
@given(st.lists(objects_strategy, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_order_and_the_numbers_of_detections_change_nothing(frames, random):
    first, second = Tracker(), Tracker()
    for n, values in enumerate(frames):
        one, image = grid_street(values)
        order = list(range(len(values)))
        random.shuffle(order)
        numbers = random.sample(range(1, LAST_ID + 1), len(values))
        other, _ = grid_street(values, numbers, order)
        assert np.array_equal(first.update(one, 0.1 * n, image).instance_ids,
                              second.update(other, 0.1 * n, image).instance_ids)


@given(objects_strategy)
def test_nothing_changes_while_tracking_is_off(values):
    segmentation, image = grid_street(values)
    assert Tracker(TrackingConfig()).update(segmentation, 0.0, image) is segmentation


def test_it_is_off_by_default():
    assert not TrackingConfig().enabled


def test_objects_keep_their_ids_while_they_move():
    assert run([[box(10 + 6 * n, color=RED), box(130 - 6 * n, top=5, height=30, color=BLUE)]
                for n in range(12)]) == [[1, 2]] * 12


def test_people_who_cross_keep_their_ids():
    def frame(n):
        back, front = box(10 + 8 * n, color=BLUE), box(122 - 8 * n, color=RED)
        return [back, front]  # later ones hide earlier ones

    for n in range(15):
        segmentation, _ = street(*frame(n))
        hidden = len(segmentation.instances) == 1
        if hidden:
            break
    assert hidden  # for an instant only one shows
    tracker = Tracker()
    for n in range(15):
        segmentation, image = street(*frame(n))
        result = tracker.update(segmentation, 0.1 * n, image)
        for old, new in zip(segmentation.instances, result.instances):
            assert new.instance_id == old.instance_id  # 1 is blue, 2 is red


@pytest.mark.parametrize('missed, expected', [(5, 1), (25, 2)])
def test_a_lost_object_returns_within_keep(missed, expected):
    frames = [[box(20 + 2 * n)] if not 5 <= n < 5 + missed else [] for n in range(35)]
    assert run(frames)[-1] == [expected]


def test_an_object_with_a_low_score_is_matched_and_not_kept():
    weak = box(20, score=0.2)
    assert run([[weak], [weak], [], [weak]]) == [[1], [1], [], [2]]
    assert run([[box(20)], [weak], [], [weak]]) == [[1], [1], [], [1]]


def test_a_high_score_is_matched_first():
    # The weaker one overlaps more with the known object, but it is matched later.
    strong, weak = box(27, color=RED, score=0.9), box(19, width=8, color=RED, score=0.3)
    assert run([[box(20, color=RED)], [weak, strong]])[1] == [2, 1]


def test_another_class_is_another_object():
    assert run([[box(20, class_id=1)], [box(20, class_id=2)]]) == [[1], [2]]


def test_colours_tell_apart_who_returns():
    frames = [[box(70, color=RED)]] * 3 + [[]] * 3
    assert run([*frames, [box(45, color=RED)]])[-1] == [1]
    assert run([*frames, [box(45, color=GREEN)]])[-1] == [2]


@pytest.mark.parametrize('stamps, expected', [
    ([10.0, 10.1], 1), ([10.0, 9.9], 2), ([10.0, 11.5], 2), ([10.0, 10.9], 1), ([0.0, 0.0], 1),
    ([-3.0, -2.9], 1)])
def test_a_jump_in_time_begins_anew(stamps, expected):
    tracker = Tracker(TrackingConfig(enabled=True, keep=1.0))
    results = [ids(tracker.update(*street_and_stamp([box(20)], stamp))) for stamp in stamps]
    assert results == [[1], [expected]]


def test_lost_objects_are_forgotten_though_time_stands_still():
    frames = [[box(20)]] + [[]] * 40 + [[box(20)]]
    assert run(frames, period=0)[-1] == [2]


def test_a_cut_or_another_size_begins_anew():
    tracker = Tracker()
    segmentation, image = street(box(20))
    assert ids(tracker.update(segmentation, 0.0, image)) == [1]
    assert ids(tracker.update(segmentation, 0.1, image // 2 + 20)) == [1]  # the exposure changed
    assert ids(tracker.update(segmentation, 0.2, 255 - image)) == [2]  # another scene
    large, image = street(box(20), shape=(240, 320))
    assert ids(tracker.update(large, 0.3, image)) == [3]


def test_switching_off_forgets_and_ids_go_on():
    tracker = Tracker()
    assert run([[box(20)]], tracker) == [[1]]
    tracker.config = TrackingConfig()
    run([[box(20)]], tracker)
    tracker.config = TrackingConfig(enabled=True)
    assert run([[box(20)]], tracker) == [[2]]


def test_no_id_returns_before_all_others_were_given():
    tracker = Tracker()
    # Every frame is a jump back in time, so all ids are new.
    given, count = [], 40
    boxes = [box(4 * (n % 40), top=2 + 20 * (n // 40), width=3, height=10) for n in range(count)]
    segmentation, _ = street(*boxes)
    while len(given) < LAST_ID + 3 * count:
        given += ids(tracker.update(segmentation, -float(len(given))))
    last = {}
    for n, number in enumerate(given):
        assert 1 <= number <= LAST_ID
        assert n - last.get(number, -LAST_ID) > LAST_ID - 1
        last[number] = n
    assert len(last) == LAST_ID


def test_an_object_keeps_its_id_while_the_others_wrap_around():
    tracker = Tracker(TrackingConfig(enabled=True, high_score=0.5))
    stay, stamp = box(2, top=2, width=12, height=100, color=BLUE), 0.0
    seen, boxes = set(), [box(20 + 4 * n, top=2, width=3, height=100, color=RED)
                          for n in range(34)]
    for number in range(2 * (LAST_ID // len(boxes)) + 8):
        # Objects that are found in every second image with a low score are new ones each time.
        weak = [(*item[:4], {**item[4], 'score': 0.2}) for item in boxes] if number % 2 else []
        segmentation, _ = street(stay, *weak)
        first, *others = ids(tracker.update(segmentation, stamp))
        assert first == 1 and 1 not in others
        seen.update(others)
        stamp += 0.1
    assert seen == set(range(2, LAST_ID + 1))


def test_bad_input_is_refused():
    segmentation, image = street(box(20))
    with pytest.raises(ValueError, match='stamp: expected a finite number of seconds, got nan'):
        Tracker().update(segmentation, float('nan'))
    with pytest.raises(ValueError, match='image: expected shape'):
        Tracker().update(segmentation, 0.0, image[1:])
    nameless = dataclasses.replace(segmentation, instances=())
    with pytest.raises(ValueError, match='expected an instance for every id in the map'):
        Tracker().update(nameless, 0.0, image)


def test_results_are_timed():
    segmentation, image = street(box(20))
    segmentation = dataclasses.replace(segmentation, timings={'grouping': 1.0})
    timings = Tracker().update(segmentation, 0.0, image).timings
    assert list(timings) == ['grouping', 'tracking'] and timings['tracking'] > 0


WARM = """
import sys
sys.path.insert(0, sys.argv[1])
from test_tracking import box, street
from instseg_ros.core import silhouettes, renaming, tracking
tracking.warm_up()
kernels = [value for module in (silhouettes, renaming) for value in vars(module).values()
           if hasattr(value, 'signatures')]
before = [len(kernel.signatures) for kernel in kernels]
tracker = tracking.Tracker()
segmentation, image = street(box(20), box(60))
frozen = image.copy()
frozen.setflags(write=False)
for stamp, pixels in enumerate((image, None, frozen, image[:, ::-1])):
    tracker.update(segmentation, 0.1 * stamp, pixels)
assert kernels and before == [len(kernel.signatures) for kernel in kernels]
"""


def test_after_warming_up_no_kernel_is_compiled():
    result = subprocess.run([sys.executable, '-c', WARM, str(Path(__file__).parent)], cwd=ROOT,
                            capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
