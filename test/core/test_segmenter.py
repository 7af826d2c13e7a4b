"""From an image to its instances, through every stage."""
import dataclasses
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import paint_scene, painted_centers, rectangles, tiny_info, write_tiny_model

from instseg_ros import GroupingConfig, NetworkConfig, RefinementConfig, Segmenter
from instseg_ros.core.config import REFINEMENT_METHODS
from instseg_ros.core.network import Network
from instseg_ros.core.postprocessing import Postprocessor

ROOT = Path(__file__).resolve().parents[2]
INFO = tiny_info()
STAGES = ['scale', 'network', 'grouping', 'refinement', 'instances']
BOXES = [(1, (16, 16, 56, 40)), (3, (80, 24, 128, 96)), (1, (60, 16, 76, 44)),
         (2, (0, 84, 40, 120)), (4, (132, 0, 160, 60))]


@pytest.fixture(scope='module', params=REFINEMENT_METHODS)
def segmenter(tiny_model, request):
    return Segmenter.from_onnx(tiny_model, refinement=RefinementConfig(method=request.param))


@pytest.fixture(scope='module')
def nearest(tiny_model):
    return Segmenter.from_onnx(tiny_model, refinement=RefinementConfig(method='nearest'))


def same_instances(found, expected):
    """Say whether two instance maps differ at most in the numbers."""
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    return (len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
            and all((a == 0) == (b == 0) for a, b in pairs.T))


def test_rectangles_come_out_as_they_went_in(segmenter):
    semantic_ids, instance_ids = rectangles((120, 160), BOXES)
    confidence = {1: 0.8, 2: 0.95, 3: 0.9, 4: 0.75, 5: 0.85}
    result = segmenter.segment(paint_scene(semantic_ids, instance_ids, INFO,
                                           confidence=confidence))
    assert np.array_equal(result.semantic_ids, semantic_ids)
    assert same_instances(result.instance_ids, instance_ids)
    order = [2, 3, 5, 1, 4]  # by confidence
    assert [i.instance_id for i in result.instances] == [1, 2, 3, 4, 5]
    for instance, number in zip(result.instances, order):
        class_id, box = BOXES[number - 1]
        assert instance.class_id == class_id
        assert instance.class_name == INFO.class_names[class_id]
        assert instance.box_xyxy == box
        assert instance.area == (box[2] - box[0]) * (box[3] - box[1])
        assert instance.score == pytest.approx(confidence[number], abs=1 / 255)
        y, x = painted_centers(instance_ids, INFO)[number]
        assert instance.center_yx == (4 * y + 1.5, 4 * x + 1.5)
        assert np.all(instance_ids[result.instance_ids == instance.instance_id] == number)
    assert list(result.timings) == STAGES and min(result.timings.values()) >= 0
    assert result.instances_dropped == 0


@pytest.mark.parametrize('factor', [2, 5])
def test_results_are_in_the_pixels_of_a_larger_image(nearest, factor):
    semantic_ids, instance_ids = rectangles((120, 160), BOXES)
    image = paint_scene(semantic_ids, instance_ids, INFO)
    result = nearest.segment(image.repeat(factor, axis=0).repeat(factor, axis=1))
    assert np.array_equal(result.semantic_ids, np.kron(semantic_ids, np.ones((factor, factor))))
    assert same_instances(result.instance_ids,
                          instance_ids.repeat(factor, axis=0).repeat(factor, axis=1))
    boxes = {instance.box_xyxy for instance in result.instances}
    assert boxes == {tuple(factor * edge for edge in box) for _, box in BOXES}
    cell = 4 * factor
    assert {i.center_yx for i in result.instances} == {
        ((y + 0.5) * cell - 0.5, (x + 0.5) * cell - 0.5)
        for y, x in painted_centers(instance_ids, INFO).values()}


def test_results_are_in_the_pixels_of_a_smaller_image(tiny_model):
    segmenter = Segmenter.from_onnx(tiny_model, network=NetworkConfig(input_size=320),
                                    refinement=RefinementConfig(method='nearest'))
    # At twice its size every pixel pair of the image becomes one output pixel.
    boxes = [(1, (10, 6, 40, 38)), (3, (80, 20, 130, 90))]
    semantic_ids, instance_ids = rectangles((120, 160), boxes, stride=2)
    result = segmenter.segment(paint_scene(semantic_ids, instance_ids, INFO))
    assert np.array_equal(result.semantic_ids, semantic_ids)
    assert {instance.box_xyxy for instance in result.instances} == {box for _, box in boxes}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2 ** 32 - 1),
       st.sampled_from([1, 8, 40]))
def test_any_image_gives_a_consistent_result(segmenter, height, width, seed, grain):
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (-(-height // grain), -(-width // grain), 3), np.uint8)
    image = np.ascontiguousarray(noise.repeat(grain, 0).repeat(grain, 1)[:height, :width])
    before = image.copy()
    result = segmenter.segment(image)
    assert np.array_equal(image, before)
    assert result.semantic_ids.shape == result.instance_ids.shape == (height, width)
    assert result.semantic_ids.max() < len(INFO.class_names)
    ids = {instance.instance_id for instance in result.instances}
    assert ids == set(np.unique(result.instance_ids)) - {0}
    scores = [instance.score for instance in result.instances]
    assert scores == sorted(scores, reverse=True)
    for instance in result.instances:
        mask = result.instance_ids == instance.instance_id
        ys, xs = np.nonzero(mask)
        assert instance.area == mask.sum()
        assert instance.box_xyxy == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        assert set(result.semantic_ids[mask]) == {instance.class_id}
        assert instance.class_id in INFO.thing_ids
        assert 0 <= instance.score <= 1
        assert -0.5 <= instance.center_yx[0] < height and -0.5 <= instance.center_yx[1] < width


def test_the_model_file_has_the_calibration_of_the_scores(tmp_path):
    info = dataclasses.replace(INFO, score_scale=0.5, score_shift=-1.0)
    write_tiny_model(tmp_path / 'calibrated.onnx', info)
    semantic_ids, instance_ids = rectangles((120, 160), [(2, (40, 40, 80, 60))])
    image = paint_scene(semantic_ids, instance_ids, INFO, confidence=0.8)
    instance, = Segmenter.from_onnx(tmp_path / 'calibrated.onnx').segment(image).instances
    assert instance.score == pytest.approx(1 / (1 + np.exp(1 - 0.5 * np.log(0.8 / 0.2))))


def test_things_without_a_center_keep_their_class(nearest):
    semantic_ids, instance_ids = rectangles((120, 160), BOXES[:2])
    image = paint_scene(semantic_ids, instance_ids, INFO, confidence={1: 0.6, 2: 0.9})
    result = nearest.segment(image)
    assert np.array_equal(result.semantic_ids, semantic_ids)
    assert np.array_equal(result.instance_ids > 0, instance_ids == 2)
    assert [instance.class_id for instance in result.instances] == [3]


def test_an_image_without_things(segmenter):
    result = segmenter.segment(np.zeros((120, 160, 3), np.uint8))
    assert result.instances == () and not result.instance_ids.any()
    assert not result.semantic_ids.any()


def test_max_instances_is_visible(tiny_model):
    segmenter = Segmenter.from_onnx(tiny_model, grouping=GroupingConfig(max_instances=2))
    semantic_ids, instance_ids = rectangles((120, 160), BOXES)
    result = segmenter.segment(paint_scene(semantic_ids, instance_ids, INFO))
    assert len(result.instances) == 2 and result.instances_dropped == 3


def test_options_may_change_between_images(tiny_model):
    segmenter = Segmenter.from_onnx(tiny_model)
    image = paint_scene(*rectangles((120, 160), BOXES), INFO, confidence=0.6)
    other = segmenter.with_options(grouping=GroupingConfig(center_threshold=0.5))
    assert len(segmenter.segment(image).instances) == 0
    assert len(other.segment(image).instances) == 5


def test_other_options_leave_everything_else_as_it_was(tiny_model):
    grouping = GroupingConfig(center_threshold=0.5)
    segmenter = Segmenter(Network(tiny_model), Postprocessor(INFO, grouping, threads=2), 320)
    changed = segmenter.with_options(refinement=RefinementConfig(method='nearest'))
    assert changed.network is segmenter.network and changed.input_size == 320
    assert changed.postprocessor == Postprocessor(INFO, grouping,
                                                  RefinementConfig(method='nearest'), threads=2)


@pytest.mark.parametrize('image, error, message', [
    (np.zeros((4, 4, 3)), TypeError, 'image: expected dtype uint8, got float64'),
    (np.zeros((4, 4), np.uint8), ValueError, r'image: expected shape \(H0, W0, 3\), got \(4, 4\)'),
    (np.zeros((4, 4, 4), np.uint8), ValueError, r'expected shape \(H0, W0, 3\)'),
    (np.zeros((0, 4, 3), np.uint8), ValueError, r'at least one pixel, got shape \(0, 4, 3\)'),
    (None, TypeError, 'image: expected a NumPy array, got NoneType'),
])
def test_bad_images_are_refused(nearest, image, error, message):
    with pytest.raises(error, match=message):
        nearest.segment(image)


def test_views_and_frozen_images_are_as_good(segmenter):
    image = paint_scene(*rectangles((120, 160), BOXES), INFO)
    expected = segmenter.segment(image)
    mirrored = image[:, ::-1].copy()[:, ::-1]
    frozen = np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape)
    for other in (mirrored, frozen):
        result = segmenter.segment(other)
        assert np.array_equal(result.instance_ids, expected.instance_ids)
        assert result.instances == expected.instances


def test_a_batch_gives_what_its_images_give_one_by_one(tiny_model):
    segmenter = Segmenter.from_onnx(tiny_model, network=NetworkConfig(max_batch=3))
    scene = paint_scene(*rectangles((120, 160), BOXES), INFO)
    images = [scene, scene[::-1], np.tile(scene, (2, 2, 1)), scene[:, :90], scene[:50]]
    assert segmenter.network_size(120, 160) == segmenter.network_size(240, 320) == (128, 160)
    for image, inference in zip(images, segmenter.infer_batch(images)):
        assert list(inference.timings) == STAGES[:2]
        result, expected = segmenter.postprocess(inference), segmenter.segment(image)
        assert np.array_equal(result.semantic_ids, expected.semantic_ids)
        assert np.array_equal(result.instance_ids, expected.instance_ids)
        assert result.instances == expected.instances
    with pytest.raises(ValueError, match=r'at least one pixel, got shape \(0, 4, 3\)'):
        segmenter.infer_batch([scene, np.zeros((0, 4, 3), np.uint8)])


def test_halves_make_the_whole(nearest):
    image = paint_scene(*rectangles((120, 160), BOXES), INFO)
    inference = nearest.infer(image)
    assert list(inference.timings) == STAGES[:2]
    result = nearest.postprocess(inference)
    assert list(result.timings) == STAGES
    assert result.instances == nearest.segment(image).instances


def test_several_threads_may_use_several_segmenters(tiny_model):
    segmenters = [Segmenter.from_onnx(tiny_model) for _ in range(2)]
    images = [paint_scene(*rectangles((120, 160), BOXES[:n]), INFO) for n in range(6)]
    together = threading.Barrier(4)

    def work(number):
        together.wait(timeout=60)
        return [len(segmenters[number % 2].segment(image).instances) for image in images]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [[0, 1, 2, 3, 4, 5]] * 4


def test_one_number_of_threads_applies_to_every_stage(tiny_model):
    image = paint_scene(*rectangles((120, 160), BOXES), INFO)
    before = cv2.getNumThreads()
    try:
        results = []
        for threads in (1, 3):
            segmenter = Segmenter.from_onnx(tiny_model, network=NetworkConfig(threads=threads))
            assert segmenter.postprocessor.threads == cv2.getNumThreads() == threads
            results.append(segmenter.segment(image))
        Segmenter.from_onnx(tiny_model)
        assert cv2.getNumThreads() == 3  # 0 leaves OpenCV as it is
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(results[0].instance_ids, results[1].instance_ids)
    assert results[0].instances == results[1].instances


def test_model_and_provider_are_visible(tiny_model):
    segmenter = Segmenter.from_onnx(tiny_model, 'cpu')
    assert segmenter.model_info == INFO and segmenter.provider == 'cpu'


WARM = textwrap.dedent("""
    import sys
    import numpy as np
    from instseg_ros import GroupingConfig, RefinementConfig, Segmenter
    from instseg_ros.core.config import REFINEMENT_METHODS

    segmenter = Segmenter.from_onnx(sys.argv[1])
    segmenter.warm_up()
    kernels = {f'{name}.{key}': value for name, module in sorted(sys.modules.items())
               if name.startswith('instseg_ros.core.') for key, value in vars(module).items()
               if hasattr(value, 'signatures')}
    before = {name: len(kernel.signatures) for name, kernel in kernels.items()}
    scene = np.load(sys.argv[2])
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    frozen = np.frombuffer(scene.tobytes(), np.uint8).reshape(scene.shape)
    empty, one_class = np.zeros((480, 640, 3), np.uint8), np.full((90, 700, 3), 63, np.uint8)
    found = 0
    for method in REFINEMENT_METHODS:
        for purity, most in ((1, 1), (0.5, 500)):
            segmenter = segmenter.with_options(
                refinement=RefinementConfig(method=method, purity=purity),
                grouping=GroupingConfig(duplicate_distance=1, max_instances=most))
            for image in (scene, frozen, scene[:, ::-1], noise, empty, one_class, empty[:1, :1]):
                found += len(segmenter.segment(image).instances)
    print(len(kernels), found)
    print(*(name for name in kernels if len(kernels[name].signatures) != before[name]))
""")


def test_after_warming_up_no_kernel_is_compiled_or_loaded(tiny_model, tmp_path):
    np.save(tmp_path / 'scene.npy', paint_scene(*rectangles((120, 160), BOXES), INFO))
    # In a process of its own: what other tests have had compiled would hide what is missing.
    result = subprocess.run(
        [sys.executable, '-c', WARM, str(tiny_model), str(tmp_path / 'scene.npy')], text=True,
        capture_output=True, timeout=300, env={**os.environ, 'PYTHONPATH': os.pathsep.join(
            [str(ROOT), os.environ.get('PYTHONPATH', '')])})
    assert result.returncode == 0, result.stderr
    counts, late, _ = result.stdout.split('\n')
    kernels, found = (int(count) for count in counts.split())
    assert kernels > 15 and found > 15
    assert late == ''


@pytest.mark.parametrize('things', [(), (2,), (0, 1, 2, 3, 4)])
def test_warming_up_works_for_every_model(tmp_path, things):
    info = tiny_info(thing_ids=things, output_stride=8, embedding_size=1)
    write_tiny_model(tmp_path / 'model.onnx', info)
    segmenter = Segmenter.from_onnx(tmp_path / 'model.onnx')
    segmenter.warm_up()
    assert segmenter.segment(np.zeros((10, 10, 3), np.uint8)).instances == ()


def test_the_confidence_of_classes_is_computed_on_request(segmenter, tmp_path):
    semantic_ids, instance_ids = rectangles((120, 160), BOXES)
    image = paint_scene(semantic_ids, instance_ids, INFO, doubt=2)
    assert segmenter.segment(image).semantic_confidence is None
    result = segmenter.segment(image, confidence=True)
    assert np.all(result.semantic_confidence == 255 - 8 * 2)
    assert [*result.timings] == [*STAGES, 'confidence']
    assert np.array_equal(result.semantic_ids, semantic_ids)
    write_tiny_model(tmp_path / 'older.onnx', confidence=False)
    older = Segmenter.from_onnx(tmp_path / 'older.onnx')
    assert not older.has_confidence and older.segment(image).semantic_confidence is None
    with pytest.raises(ValueError, match='no output "semantic_confidence".*export the model agai'):
        older.segment(image, confidence=True)
