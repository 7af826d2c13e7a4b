"""Made-up videos: the same for the same seed, and things that keep id and class and move."""
import numpy as np

from instseg_ros.core.tracking import Tracker
from instseg_ros.core.types import Instance, Segmentation
from instseg_ros.datasets.moving_scenes import moving_scenes


def make(seed=0, frames=20, **options):
    return list(moving_scenes(np.random.default_rng(seed), frames, height=90, width=160,
                              **options))


def test_a_seed_decides_all():
    for one, other in zip(make(1, 5), make(1, 5)):
        for name in ('image', 'semantic_ids', 'instance_ids'):
            assert np.array_equal(getattr(one, name), getattr(other, name))
    assert not np.array_equal(make(1, 1)[0].image, make(2, 1)[0].image)


def test_things_keep_their_class_move_come_and_go():
    classes, places, present = {}, {}, []
    for scene in make():
        present.append(set(np.unique(scene.instance_ids).tolist()) - {0})
        for number in present[-1]:
            mask = scene.instance_ids == number
            assert len(np.unique(scene.semantic_ids[mask])) == 1
            classes.setdefault(number, set()).add(int(scene.semantic_ids[mask][0]))
            places.setdefault(number, []).append(np.nonzero(mask)[1].mean())
    assert len(classes) > 5 and all(len(values) == 1 for values in classes.values())
    assert all(np.ptp(values) > 0 for values in places.values() if len(values) > 10)
    assert len({frozenset(numbers) for numbers in present}) > 1


def test_the_tracker_keeps_most_ids_in_them():
    """A coarse check that nothing is broken; figures are in docs/measurements/tracking.md."""
    tracker, kept, total, last = Tracker(), 0, 0, {}
    for n, scene in enumerate(make(3, 40, things=5)):
        instances = []
        for number in np.unique(scene.instance_ids[scene.instance_ids > 0]).tolist():
            rows, columns = np.nonzero(scene.instance_ids == number)
            instances.append(Instance(
                number, int(scene.semantic_ids[rows[0], columns[0]]), 'thing', 0.9,
                (rows.mean(), columns.mean()), (columns.min(), rows.min(), columns.max() + 1,
                                                rows.max() + 1), len(rows)))
        result = tracker.update(Segmentation(scene.semantic_ids, scene.instance_ids,
                                             tuple(instances)), n / 10, scene.image)
        for old, new in zip(instances, result.instances):
            if old.instance_id in last:
                total += 1
                kept += last[old.instance_id] == new.instance_id
            last[old.instance_id] = new.instance_id
    assert total > 50 and kept > 0.9 * total
