"""What other tools write into COCO files: each form read rightly, or refused with its cause."""
import json
import struct
from contextlib import suppress

import cv2
import numpy as np
import pytest
from coco_files import coco_document, rectangle, write_coco
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.coco_file import CocoFile
from instseg_ros.datasets.masks import decode_segmentation, encode_mask
from instseg_ros.datasets.types import DatasetError

CLASSES = ('background', 'person', 'car')
BOX = (2, 1, 14, 5)
BOX_XYWH = [2, 1, 12, 4]
OBJECT = {'segmentation': [rectangle(*BOX)]}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10)


def load(folder, document, **options):
    return CocoDataset(*write_coco(folder, document, **options), CLASSES)


def write(folder, document):
    path = folder / 'instances.json'
    path.write_text(json.dumps(document))
    return path


def mask_of(box=BOX, shape=(10, 20)):
    mask = np.zeros(shape, bool)
    mask[box[1]:box[3], box[0]:box[2]] = True
    return mask


@pytest.mark.parametrize('name', ['/etc/passwd', '../a.png', 'x/../../a.png', '', 'a\0.png', None,
                                  1025 * 'x'])
def test_names_of_files_stay_below_the_folder_of_images(tmp_path, name):
    document = coco_document(annotations=[OBJECT])
    document['images'][0]['file_name'] = name
    with pytest.raises(DatasetError, match='"file_name" with the name of a file below the folder'):
        CocoFile(write(tmp_path, document))


def test_names_from_windows_are_explained(tmp_path):
    document = coco_document(annotations=[OBJECT])
    document['images'][0]['file_name'] = 'images\\a.png'
    dataset = CocoDataset(tmp_path, write(tmp_path, document), CLASSES)
    with pytest.raises(DatasetError, match=r'does not exist \(names with "\\" are from Windows'):
        dataset.check_images()


def test_a_record_that_announces_gigabytes_is_refused(tmp_path):
    document = coco_document((60000, 60000), [OBJECT])
    with pytest.raises(DatasetError, match=r'\(a.png\): expected .* pixels, got 60000x60000'):
        CocoFile(write(tmp_path, document))


def test_an_image_has_no_more_annotations_than_instance_ids(tmp_path):
    document = coco_document(annotations=[{}] * 70000)
    with pytest.raises(DatasetError, match='image 5: expected at most 65535 .*, got 70000'):
        CocoFile(write(tmp_path, document))


@pytest.mark.parametrize('counts', ['0' * 10 ** 7, 'o' * 10 ** 7, 'o' * 7 + '0', [0] * 10 ** 5,
                                    [2 ** 70], [-1, 201], [1.5, 198.5], 'é', '', [True] * 200])
def test_endless_run_lengths_are_refused_at_once(counts):
    with pytest.raises(ValueError, match='run lengths are damaged'):
        decode_segmentation({'size': [10, 20], 'counts': counts}, 10, 20)


@given(st.integers(0, 2 ** 32), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_compressed_runs_give_the_mask_they_were_made_of(seed, height, width, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    assert np.array_equal(decode_segmentation(encode_mask(mask), height, width), mask)


@pytest.mark.parametrize('value, crowd', [(0, False), (1, True), (False, False), (True, True),
                                          (None, False), (0.0, False), (1.0, True)])
def test_iscrowd_is_a_flag(tmp_path, value, crowd):
    truth = load(tmp_path, coco_document(annotations=[{**OBJECT, 'iscrowd': value}])
                 ).load_ground_truth(0)
    assert truth.objects[0].crowd is crowd


@pytest.mark.parametrize('value', ['0', 'false', 2, -1, [], 0.5])
def test_no_other_value_is_taken_for_a_crowd(tmp_path, value):
    document = coco_document(annotations=[{**OBJECT, 'iscrowd': value}])
    with pytest.raises(DatasetError, match='"iscrowd" with 0, 1, true, false or null, got'):
        CocoFile(write(tmp_path, document))


@pytest.mark.parametrize('form', [float, str])
def test_whole_numbers_may_be_written_in_other_ways(tmp_path, form):
    document = coco_document(annotations=[OBJECT])
    images, path = write_coco(tmp_path, document)
    expected = CocoDataset(images, path, CLASSES).load_ground_truth(0)
    for record in (*document['images'], *document['categories'], *document['annotations']):
        for field in ('id', 'image_id', 'category_id'):
            if field in record:
                record[field] = form(record[field])
    if form is float:
        document['images'][0].update(width=20., height=10.)
    truth = CocoDataset(images, write(tmp_path, document), CLASSES).load_ground_truth(0)
    assert np.array_equal(truth.instance_ids, expected.instance_ids)


def test_ids_may_be_names(tmp_path):
    document = coco_document(annotations=[{**OBJECT, 'image_id': 'front_007', 'id': 'x'}])
    document['images'][0]['id'] = 'front_007'
    assert load(tmp_path, document).load_ground_truth(0).instance_ids.any()


@pytest.mark.parametrize('name', ['x' * 201, '\ud800', 'a\nb'])
def test_an_id_can_be_printed(tmp_path, name):
    with pytest.raises(DatasetError, match='"image_id" with a whole number or a text') as error:
        load(tmp_path, coco_document(annotations=[{**OBJECT, 'image_id': name}]))
    assert len(str(error.value).encode()) < 400


def test_a_byte_order_mark_is_no_error(tmp_path):
    images, path = write_coco(tmp_path, coco_document(annotations=[OBJECT]))
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    assert len(CocoDataset(images, path, CLASSES)) == 1


def test_empty_parts_beside_good_ones_are_left_out_and_counted(tmp_path):
    parts = [rectangle(*BOX), [], [1, 2, 3, 4]]
    dataset = load(tmp_path, coco_document(annotations=[{'segmentation': parts}] * 3))
    for _ in range(2):
        assert np.array_equal(dataset.load_ground_truth(0).instance_ids > 0, mask_of())
    assert dataset.remarks() == [f'{dataset.path}: 3 annotations have parts of fewer than three '
                                 'points, left out (first: annotation 100 of a.png)']


def test_only_a_box_is_left_out_in_a_category_that_is_no_class(tmp_path):
    dataset = load(tmp_path, coco_document(
        annotations=[OBJECT, {'category_id': 8}], categories=((3, 'car'), (8, 'bus'))))
    assert len(dataset.load_ground_truth(0).objects) == 2  # the car; anyone may be a person
    assert dataset.remarks()[0].endswith('1 annotations without a usable mask in categories that '
                                         'are no class, left out (first: annotation 101 of a.png)')


def test_objects_without_pixels_are_left_out_and_counted(tmp_path):
    empty = {'segmentation': {'size': [10, 20], 'counts': [200]}}
    dataset = load(tmp_path, coco_document(annotations=[empty, OBJECT]))
    truth = dataset.load_ground_truth(0)
    assert [annotation['id'] for annotation in truth.annotations] == [101]
    assert (truth.instance_ids == 1).sum() == mask_of().sum()
    assert dataset.remarks() == [f'{dataset.path}: 1 annotations have no pixels, left out '
                                 '(first: annotation 100 of a.png)']


def along_rows():
    pixels = mask_of().ravel()
    edges = np.flatnonzero(np.diff(pixels)) + 1
    return {'size': [10, 20], 'counts': np.diff([0, *edges, pixels.size]).tolist()}


def scaled(values, width, height):
    return [value / (height if k % 2 else width) for k, value in enumerate(values)]


WRONG = {
    'go along the rows': {'segmentation': along_rows(), 'bbox': BOX_XYWH},
    'coordinates from 0 to 1': {'segmentation': [scaled(rectangle(*BOX), 20, 10)],
                                'bbox': scaled(BOX_XYWH, 20, 10)},
    'coordinates from 0 to 1, where': {'segmentation': [scaled(rectangle(*BOX), 20, 10)],
                                       'bbox': BOX_XYWH},
    'y before x': {'segmentation': [rectangle(1, 2, 5, 10)], 'bbox': [2, 1, 8, 4]},
    'EXIF orientation': {'segmentation': [rectangle(6, 5, 18, 9)], 'bbox': BOX_XYWH},
    'disagrees with their "bbox"': {'segmentation': [rectangle(0, 0, 3, 3)],
                                    'bbox': [9, 2, 5, 3]},
}


@pytest.mark.parametrize('cause', WRONG)
def test_masks_that_disagree_with_their_boxes_are_refused_with_the_likely_cause(tmp_path, cause):
    dataset = load(tmp_path, coco_document(annotations=[WRONG[cause]] * 3))
    with pytest.raises(DatasetError, match=f'instances.json: 3 of 3 annotations .*{cause}'):
        dataset.check_images()


@pytest.mark.parametrize('cause', WRONG)
def test_few_masks_that_disagree_are_counted(tmp_path, cause):
    right = {**OBJECT, 'bbox': BOX_XYWH}
    dataset = load(tmp_path, coco_document(annotations=[WRONG[cause], right, right]))
    dataset.check_images()
    dataset.load_ground_truth(0)
    assert any(cause in sentence and ': 1 annotations' in sentence
               for sentence in dataset.remarks())


@pytest.mark.parametrize('bbox, text', [
    ([20, 10, 8, 6], ''), ([20.4, 9.7, 7.5, 6.2], ''), (None, ''), ([1, 2], ''), ('x' * 4, ''),
    ([20, 10, 28, 16], 'is it left, top, right, bottom?'),
    (scaled([20, 10, 8, 6], 60, 40), 'is it in parts of the image?')])
def test_boxes_are_not_needed_and_another_form_is_only_remarked(tmp_path, bbox, text):
    box = 20, 10, 28, 16
    document = coco_document((60, 40), [{'segmentation': [rectangle(*box)], 'bbox': bbox}])
    dataset = load(tmp_path, document)
    dataset.check_images()
    assert np.array_equal(dataset.load_ground_truth(0).instance_ids > 0, mask_of(box, (40, 60)))
    assert [text in sentence for sentence in dataset.remarks()] == [True] * bool(text)


def jpeg(orientation, size=(10, 20), order='<'):
    """Return a JPEG file with an EXIF orientation."""
    data = cv2.imencode('.jpg', np.full((*size, 3), 90, np.uint8))[1].tobytes()
    tiff = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(
        order + 'IHHHIHHI', 8, 1, 0x112, 3, 1, orientation, 0, 0)
    return (data[:2] + b'\xff\xe1' + struct.pack('>H', 8 + len(tiff)) + b'Exif\0\0' + tiff
            + data[2:])


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('orientation, shape, remarked', [
    (1, (10, 20), False), (3, (10, 20), True), (2, (10, 20), True), (6, (20, 10), False),
    (6, (10, 10), True)])
def test_a_turn_that_leaves_the_size_is_remarked(tmp_path, orientation, shape, remarked, order):
    turned = shape[::-1] if orientation == 6 else shape
    document = coco_document(turned[::-1], [{'segmentation': [rectangle(1, 1, 5, 4)]}])
    dataset = load(tmp_path, document)
    (tmp_path / 'images' / 'a.png').write_bytes(jpeg(orientation, shape, order))
    assert dataset.load_image(0).shape[:2] == turned
    assert [sentence.endswith('upright image (first: a.png)')
            for sentence in dataset.remarks()] == [True] * remarked


@settings(deadline=None)
@given(kind=st.sampled_from(['images', 'categories', 'annotations']),
       field=st.sampled_from(['id', 'file_name', 'width', 'height', 'name', 'image_id', 'bbox',
                              'category_id', 'iscrowd', 'segmentation']), value=ANYTHING)
def test_any_value_of_any_field_is_used_or_refused(tmp_path_factory, kind, field, value):
    folder = tmp_path_factory.getbasetemp()
    images, _ = write_coco(folder, coco_document())
    document = coco_document(annotations=[OBJECT])
    document[kind][0][field] = value
    with suppress(DatasetError):
        dataset = CocoDataset(images, write(folder, document), CLASSES)
        dataset.check_images()
        truth = dataset.load_ground_truth(0)
        assert truth.semantic_ids.shape == dataset.load_image(0).shape[:2]
