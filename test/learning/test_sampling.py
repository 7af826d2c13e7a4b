"""Which images crops are drawn from, by data set and class."""
from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.datasets.config import DataConfig
from instseg_ros.datasets.mixture import MixedImages
from instseg_ros.learning.augmentation import AugmentationConfig
from instseg_ros.learning.samples import CachedSamples
from instseg_ros.learning.sampling import ByClass, EpochSampler, TrainingCrops, plan_of

CLASSES = ('background', 'car', 'person', 'road')
THINGS = (1, 2)


class Painted:
    """A data set whose images show the classes of a list each, with or without instances."""

    class_names, thing_ids = CLASSES, THINGS

    def __init__(self, shown, candidates=(0,), instances=True):
        self.shown = shown
        self.instances = instances
        self._candidates = candidates

    def __len__(self):
        return len(self.shown)

    def candidates(self, index):
        return self._candidates

    def load_image(self, index):
        return np.full((64, 96, 3), 99, np.uint8)

    def load_label_maps(self, index):
        semantic_ids = np.zeros((64, 96), np.uint8)
        for class_id in self.shown[index]:
            semantic_ids[20:40, 20 * class_id:20 * class_id + 10] = class_id
        instance_ids = np.where(np.isin(semantic_ids, THINGS) & self.instances, semantic_ids, 0)
        return semantic_ids, instance_ids.astype(np.uint16)


def mixture(*parts, **options):
    """Return the samples of data sets and the configuration that mixes them."""
    dataset = MixedImages([str(k) for k in range(len(parts))], parts)
    shares = options.pop('shares', [1] * len(parts))
    sets = [{'name': str(k), 'images': 'x', 'annotations': 'y', 'share': share}
            for k, share in enumerate(shares)]
    config = DataConfig(classes=CLASSES, stuff=['road'], sets=sets, **options)
    return CachedSamples(dataset, range(len(dataset))), config


SHOWN = st.lists(st.lists(st.sampled_from([1, 2, 3]), unique=True), min_size=1, max_size=6)


@settings(deadline=None, max_examples=40)
@given(parts=st.lists(st.tuples(SHOWN, st.booleans()), min_size=1, max_size=3),
       empty_share=st.floats(0, 0.9), seed=st.integers(0, 99))
def test_draws_show_the_class_they_are_drawn_for(parts, empty_share, seed):
    samples, config = mixture(*(Painted(shown, instances=instances)
                                for shown, instances in parts), empty_share=empty_share)
    plan = ByClass(samples, config)
    rng = np.random.default_rng(seed)
    for number in range(20):
        drawn = plan.draw(number, rng)
        shown = samples.shows_class[drawn.sample]
        assert shown[drawn.class_id] if drawn.class_id else not shown[1:].any()
        source = plan.draw_source(rng)
        if source is None:
            assert not samples.with_instances
        else:
            assert source.sample in samples.with_instances
            assert source.class_id in THINGS
            assert samples.shows_class[source.sample][source.class_id]
    shares = plan.sample_shares()
    assert shares.sum() == pytest.approx(1) and (shares >= 0).all()
    assert plan.class_frequencies().sum() == pytest.approx(1)


def test_data_sets_and_classes_are_drawn_by_their_shares():
    many, few = Painted([[1]] * 12 + [[2]] * 3 + [[]] * 5), Painted([[3]])
    samples, config = mixture(many, few, shares=[3, 1], class_shares={'person': 2},
                              empty_share=0.2)
    plan = ByClass(samples, config)
    rng = np.random.default_rng(0)
    drawn = [plan.draw(number, rng) for number in range(4000)]
    counts = Counter(draw.class_id for draw in drawn)
    # In the first data set: cars sqrt(12), people 2 sqrt(3), which is the same.
    expected = {1: 0.75 * 0.8 / 2, 2: 0.75 * 0.8 / 2, None: 0.75 * 0.2, 3: 0.25}
    for class_id, share in expected.items():
        assert counts[class_id] / 4000 == pytest.approx(share, abs=0.03)
    found = np.bincount([draw.sample for draw in drawn], minlength=len(samples)) / 4000
    assert np.abs(found - plan.sample_shares()).max() < 0.03


def test_a_data_set_without_share_is_never_drawn():
    samples, config = mixture(Painted([[1], [2]]), Painted([[1], [3]]), shares=[0, 1])
    plan = ByClass(samples, config)
    rng = np.random.default_rng(0)
    assert {plan.draw(k, rng).sample for k in range(200)} == {2, 3}
    assert {plan.draw_source(rng).sample for k in range(50)} == {2}


def test_shares_that_leave_nothing_to_draw_are_refused():
    samples, config = mixture(Painted([[1], [1, 3]]), class_shares={
        'car': 0, 'person': 1, 'road': 0})
    with pytest.raises(ValueError, match='data.class_shares: expected a share above 0'):
        ByClass(samples, config)


def test_numbers_go_on_from_epoch_to_epoch_and_decide_a_crop_alone():
    samples, config = mixture(Painted([[1], [2], [3]], candidates=(0, 3)), crops=7)
    plan = plan_of(samples, config)
    sampler = EpochSampler(plan, seed=0)
    numbers = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        numbers += list(sampler)
    assert numbers == list(range(21)) and len(sampler) == 7
    crops = TrainingCrops(plan, AugmentationConfig(crop_size=64), 4, seed=1)
    assert len(crops) == 7
    first, again, other = crops[9], crops[9], crops[16]
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first['color_map'], other['color_map'])
    assert first['candidates'].tolist() == [True, False, False, True]


def test_crops_drawn_for_a_class_mostly_show_it():
    samples, config = mixture(Painted([[1, 2, 3]] * 3), empty_share=0)
    plan = ByClass(samples, config)
    augmentation = AugmentationConfig(crop_size=64, long_side_min=400, long_side_max=500,
                                      paste_probability=0, thing_probability=1)
    shown = []
    for number in range(60):
        class_id = plan.draw(number, fresh_rng(plan, number)).class_id
        crop = TrainingCrops(plan, augmentation, 4, seed=1)[number]
        shown.append(bool((crop['semantic_ids'] == class_id).any()))
    assert np.mean(shown) > 0.9


def test_crops_become_crowded_where_instances_are_set_beside_others():
    class Large(Painted):

        def load_image(self, index):
            return np.full((128, 160, 3), 99, np.uint8)

        def load_label_maps(self, index):
            maps = np.zeros((128, 160), np.uint8)
            maps[30:90, 40:80] = 1
            return maps, maps.astype(np.uint16)

    samples, config = mixture(Large([[1]] * 3))

    def instances(**changes):
        crops = TrainingCrops(plan_of(samples, config), AugmentationConfig(
            crop_size=128, long_side_min=150, long_side_max=160, paste_probability=0, **changes),
            4, seed=1)
        return [len(crops[k]['instance_ids'].unique()) - 1 for k in range(30)]

    assert max(instances()) == 1
    crowded = instances(beside_probability=1.0, beside_max=6)
    assert max(crowded) > 3 and np.mean(crowded) > 2
    assert instances(beside_probability=1.0, beside_max=6) == crowded
    some = instances(beside_probability=0.5, beside_max=6)
    assert 5 < np.count_nonzero(np.array(some) == 1) < 25


def fresh_rng(plan, number):
    """Return the generator of a crop as it is when its sample is drawn."""
    rng = np.random.default_rng((1, number))
    plan.draw_source(rng)
    return rng


def test_centers_are_unknown_where_things_have_no_instances():
    samples, config = mixture(Painted([[1, 3]], instances=False))
    crop = TrainingCrops(plan_of(samples, config), AugmentationConfig(crop_size=64), 4, seed=1)[0]
    car = crop['semantic_ids'] == 1
    assert (crop['center_mask'][car] == 255).all()
    assert not crop['center_mask'][crop['semantic_ids'] == 0].any()


def test_a_single_data_set_is_drawn_by_class_only_if_shares_are_given():
    paths = {'images': 'x', 'annotations': 'y', 'classes': CLASSES, 'stuff': ['road']}
    samples = CachedSamples(Painted([[1], [2]]), range(2))
    assert type(plan_of(samples, DataConfig(**paths))).__name__ == 'EveryImage'
    for options in ({'class_shares': {'car': 2}}, {'crops': 5}):
        plan = plan_of(samples, DataConfig(**paths, **options))
        assert isinstance(plan, ByClass) and plan.crops == options.get('crops', 2)
