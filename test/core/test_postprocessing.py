"""Everything after the network, from its output and the image to a segmentation."""
import dataclasses

import numpy as np
import pytest
from tiny_models import tiny_info

from instseg_ros.benchmark.scene import street_scene
from instseg_ros.core.config import REFINEMENT_METHODS, GroupingConfig, RefinementConfig
from instseg_ros.core.postprocessing import Postprocessor, example


@pytest.fixture(scope='module')
def street():
    return street_scene((240, 320), 12)


def same(one, other):
    return (np.array_equal(one.semantic_ids, other.semantic_ids)
            and np.array_equal(one.instance_ids, other.instance_ids)
            and one.instances == other.instances)


@pytest.mark.parametrize('method', REFINEMENT_METHODS)
def test_objects_of_a_street_are_found_whatever_the_number_of_threads(street, method):
    image, output, scale = street.inference.image, street.inference.output, street.inference.scale
    results = [Postprocessor(street.info, refinement=RefinementConfig(method=method),
                             threads=threads).run(output, image, scale) for threads in (0, 1, 3)]
    assert len(results[0].instances) > 5
    assert list(results[0].timings) == ['grouping', 'refinement', 'instances']
    assert same(results[0], results[1]) and same(results[0], results[2])
    right = (results[0].instance_ids > 0) == (street.instance_ids > 0)
    assert right.mean() > 0.95


def test_without_a_scale_the_image_is_the_input_of_the_network(street):
    image, output = street.inference.image, street.inference.output
    postprocessor = Postprocessor(street.info)
    assert same(postprocessor.run(output, image), postprocessor.run(output, image, (1 / 4, 1 / 4)))


def test_options_apply_to_the_postprocessor_they_were_given_to(street):
    image, output = street.inference.image, street.inference.output
    every = Postprocessor(street.info, threads=1)
    few = dataclasses.replace(every, grouping=GroupingConfig(max_instances=2))
    assert few.threads == 1
    result, limited = every.run(output, image), few.run(output, image)
    assert len(limited.instances) == 2
    assert limited.instances_dropped == len(result.instances) - 2
    assert same(every.run(output, image), result)


@pytest.mark.parametrize('things, objects', [((), 0), ((0,), 2), ((2,), 2), ((0, 1, 2, 3, 4), 2)])
def test_the_example_for_warming_up_has_a_boundary(things, objects):
    info = tiny_info(thing_ids=things, output_stride=8)
    result = Postprocessor(info).run(*example(info))
    assert len(result.instances) == objects
    labels = result.semantic_ids.astype(int) << 16 | result.instance_ids
    assert len(np.unique(labels)) > 1
