"""Made-up scenes: exact labels, and files that say the same as the scenes."""
from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.cli import main
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.coco_panoptic import CocoPanopticDataset
from instseg_ros.datasets.scenes import SCENE_CLASSES, STUFF, THINGS, make_scene

NAMES = ('background', *THINGS)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10 ** 6))
def test_things_have_instances_of_one_class_and_stuff_has_none(seed):
    scene = make_scene(np.random.default_rng(seed), 90, 160)
    assert scene.image.shape == (90, 160, 3) and scene.image.dtype == np.uint8
    is_thing = scene.semantic_ids >= len(STUFF)
    assert np.array_equal(is_thing, scene.instance_ids > 0)
    assert scene.semantic_ids.max() < len(SCENE_CLASSES)
    for instance_id in np.unique(scene.instance_ids[is_thing]):
        assert len(np.unique(scene.semantic_ids[scene.instance_ids == instance_id])) == 1


def test_a_scene_depends_on_its_seed_alone():
    scenes = [make_scene(np.random.default_rng(seed), 90, 160) for seed in (1, 1, 2)]
    assert np.array_equal(scenes[0].image, scenes[1].image)
    assert np.array_equal(scenes[0].instance_ids, scenes[1].instance_ids)
    assert not np.array_equal(scenes[0].image, scenes[2].image)


@pytest.mark.parametrize('things', [0, 1, 50])
def test_the_number_of_things_may_be_given(things):
    scene = make_scene(np.random.default_rng(1), 180, 320, things)
    assert 0.8 * things <= len(np.unique(scene.instance_ids)) - 1 <= things
    assert scene.instance_ids.max() <= things


def test_labels_fit_the_picture():
    # Without light and noise of their own, two objects differ more than an object within itself.
    scene = make_scene(np.random.default_rng(3))
    labels = scene.instance_ids.astype(int)
    edge = labels[:, 1:] != labels[:, :-1]
    change = np.abs(np.diff(scene.image.astype(int), axis=1)).sum(-1)
    assert edge.any() and change[edge].mean() > 3 * change[~edge].mean()


def test_nearer_things_hide_others():
    hidden = 0
    for seed in range(5):
        scene = make_scene(np.random.default_rng(seed), 90, 160)
        numbers = np.unique(scene.instance_ids[scene.instance_ids > 0])
        hidden += numbers.max() - len(numbers)
    assert hidden > 0


def test_the_files_say_what_the_scenes_are(tmp_path, capsys):
    out = tmp_path / 'new' / 'scenes'
    assert main(['scenes', '--out', str(out), '--count', '3', '--seed', '4']) == 0
    assert '3 images in' in capsys.readouterr().out
    instances = CocoDataset(out / 'images', out / 'instances.json', NAMES)
    panoptic = CocoPanopticDataset(out / 'images', out / 'panoptic.json')
    assert len(instances) == len(panoptic) == 3
    assert panoptic.class_names == SCENE_CLASSES
    assert panoptic.thing_ids == tuple(range(len(STUFF), len(SCENE_CLASSES)))
    for number in range(3):
        scene = make_scene(np.random.default_rng((4, number)))
        semantic_ids, instance_ids = panoptic.load_label_maps(number)
        assert np.array_equal(semantic_ids, scene.semantic_ids)
        assert same_segments(instance_ids, scene.instance_ids)
        semantic_ids, instance_ids = instances.load_label_maps(number)
        assert np.array_equal(semantic_ids == 0, scene.semantic_ids < len(STUFF))
        assert same_segments(instance_ids, scene.instance_ids)
        read = instances.load_image(number).astype(int)
        assert np.abs(read - scene.image).mean() < 6  # JPEG
    assert not list((tmp_path / 'new').glob('.unfinished-*'))


def same_segments(first, second):
    """Tell whether two label maps differ in nothing but numbers."""
    pairs = set(zip(first.ravel().tolist(), second.ravel().tolist()))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_annotations_have_boxes_and_areas(tmp_path):
    assert main(['scenes', '--out', str(tmp_path / 'scenes'), '--count', '1']) == 0
    document = json.loads((tmp_path / 'scenes' / 'instances.json').read_text())
    scene = make_scene(np.random.default_rng((0, 0)))
    for annotation in document['annotations']:
        left, top, width, height = annotation['bbox']
        box = scene.instance_ids[top:top + height, left:left + width]
        assert annotation['area'] <= width * height
        assert annotation['area'] in [np.count_nonzero(box == k) for k in np.unique(box)]


@pytest.mark.parametrize('arguments, message', [
    (['--count', '0'], 'expected at least one image, got 0'),
    (['--seed', '-1'], '--seed: expected 0 or more, got -1')])
def test_what_can_not_be_made_is_said(tmp_path, capsys, arguments, message):
    assert main(['scenes', '--out', str(tmp_path / 'scenes'), *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_left_alone(tmp_path, capsys):
    (tmp_path / 'mine').write_text('precious')
    assert main(['scenes', '--out', str(tmp_path)]) == 1
    assert 'exists already' in capsys.readouterr().err
