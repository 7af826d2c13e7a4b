"""`instseg segment-bag` with cameras that are mounted turned."""
import numpy as np
import pytest
from recorded_scene import FRONT, REAR, SECOND, scene

from instseg_ros.bags.bag import BagWriter
from instseg_ros.bags.images import make_image
from instseg_ros.bags.messages import IMAGE
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.results import read_results
from instseg_ros.cli import main
from instseg_ros.core.rotation import rotate_back
from instseg_ros.core.segmenter import Segmenter


def record(path, **topics):
    """Write a bag with three images of each topic, turned by so many degrees."""
    with BagWriter(path) as bag:
        for topic in topics:
            bag.add_topic(topic, IMAGE)
        for number in range(3):
            for topic, degrees in topics.items():
                image = rotate_back(scene(number), degrees)
                bag.write_message(topic, number * SECOND, make_image(image, number * SECOND, ''))
    return path


def segment(source, params, text, model):
    params.write_text(text)
    result = source.with_name('result.mcap')
    assert main(['segment-bag', str(source), '--out', str(result), '--model', str(model),
                 '--params', str(params)]) == 0
    return result


def check(result, prefix, degrees, model):
    """Check the results of a topic against those of the upright images."""
    segmenter = Segmenter.from_onnx(model)
    with BagReader(result) as bag:
        results = [segmentation for _, segmentation in read_results(bag, prefix)]
    assert len(results) == 3
    for number, found in enumerate(results):
        upright = segmenter.segment(scene(number))
        assert len(upright.instances) == 2
        np.testing.assert_array_equal(found.semantic_ids,
                                      rotate_back(upright.semantic_ids, degrees))
        np.testing.assert_array_equal(found.instance_ids,
                                      rotate_back(upright.instance_ids, degrees))
        for instance in found.instances:
            y, x = np.nonzero(found.instance_ids == instance.instance_id)
            assert instance.box_xyxy == (x.min(), y.min(), x.max() + 1, y.max() + 1)


@pytest.mark.parametrize('degrees', [90, 180, 270])
def test_results_are_in_the_orientation_of_the_camera(tmp_path, tiny_model, degrees):
    source = record(tmp_path / 'camera.mcap', **{FRONT: degrees})
    result = segment(source, tmp_path / 'segmenter.yaml',
                     f'segmenter: {{ros__parameters: {{rotate: {degrees}}}}}', tiny_model)
    check(result, '/segmenter/', degrees, tiny_model)


def test_cameras_with_rotations_of_their_own_are_found_by_the_names_of_their_topics(tmp_path,
                                                                                    tiny_model):
    source = record(tmp_path / 'camera.mcap', **{FRONT: 180, REAR: 90})
    result = segment(source, tmp_path / 'segmenter.yaml',
                     'segmenter: {ros__parameters: {rotate: 90, cameras: [front, rear], '
                     'front: {rotate: 180}}}', tiny_model)
    check(result, f'/segmenter{FRONT}/', 180, tiny_model)
    check(result, f'/segmenter{REAR}/', 90, tiny_model)
