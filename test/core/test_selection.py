"""Classes that are not selected become background, their objects go, all else stays."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import paint_scene, rectangles, tiny_info

from instseg_ros import Segmenter
from instseg_ros.core.config import SelectionConfig
from instseg_ros.core.selection import class_table
from instseg_ros.core.types import UNLABELLED

INFO = tiny_info()


@given(st.sets(st.sampled_from(INFO.class_names), min_size=1))
def test_a_class_stays_what_it_is_or_becomes_background(names):
    table = class_table(SelectionConfig(' , '.join(names)), INFO)
    for class_id, name in enumerate(INFO.class_names):
        assert table[class_id] == (class_id if name in names else 0)
    assert table[UNLABELLED] == UNLABELLED


@pytest.mark.parametrize('text', ['', ' ', ',', ' , '])
def test_no_name_selects_every_class(text):
    assert np.array_equal(class_table(SelectionConfig(text), INFO), np.arange(256))


def test_without_a_background_the_rest_is_unlabelled():
    info = tiny_info(class_names=('road', 'car'), thing_ids=(1,), palette=((0, 0, 0), (1, 1, 1)))
    assert class_table(SelectionConfig('car'), info)[:2].tolist() == [UNLABELLED, 1]


@pytest.mark.parametrize('classes, reason', [
    ('persn', r"got 'persn'; did you mean person\?"),
    ('car, Person', r"got 'Person'; did you mean person\?"),
    ('zebra', 'it has background, person, bicycle, car, motorcycle')])
def test_a_class_that_the_model_lacks_is_refused_by_name(tiny_model, classes, reason):
    with pytest.raises(ValueError, match=f'selection.classes: .*{reason}'):
        Segmenter.from_onnx(tiny_model, selection=SelectionConfig(classes))
    segmenter = Segmenter.from_onnx(tiny_model)
    with pytest.raises(ValueError, match=reason):
        segmenter.with_options(selection=SelectionConfig(classes))


@pytest.mark.parametrize('names, kept', [
    ('person', {1}), ('car,bicycle', {2, 3}), ('background', set()), ('', {1, 2, 3})])
def test_objects_of_other_classes_are_in_no_result(tiny_model, names, kept):
    semantic_ids, instance_ids = rectangles(
        (120, 160), [(1, (16, 16, 56, 40)), (3, (80, 24, 128, 96)), (2, (8, 60, 48, 100))])
    image = paint_scene(semantic_ids, instance_ids, INFO, confidence={1: 1.0, 2: 0.9, 3: 0.8})
    segmenter = Segmenter.from_onnx(tiny_model).with_options(selection=SelectionConfig(names))
    result = segmenter.segment(image)
    assert np.array_equal(result.semantic_ids,
                          np.where(np.isin(semantic_ids, list(kept)), semantic_ids, 0))
    assert {instance.class_id for instance in result.instances} == kept
    assert np.array_equal(result.instance_ids > 0, np.isin(semantic_ids, list(kept)))


def test_other_options_leave_the_selection_as_it_is(tiny_model):
    segmenter = Segmenter.from_onnx(tiny_model, selection=SelectionConfig('car'))
    assert segmenter.with_options().postprocessor.selection == SelectionConfig('car')
