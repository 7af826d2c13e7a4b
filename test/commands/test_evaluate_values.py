"""Figures that were wrong for odd but understandable data, each with its right value."""
import json

import cv2
import numpy as np
import pytest
from coco_files import coco_document, rectangle, write_coco

from instseg_ros import cli

CAR, PERSON, BACKGROUND = 3, 70, 9
WITH_BACKGROUND = ((BACKGROUND, 'background'), (PERSON, 'person'), (CAR, 'car'))


def whole_image(width, height):
    return {'category_id': BACKGROUND, 'segmentation': [rectangle(0, 0, width, height)]}


def report_on(tmp_path, data, predictions, *arguments):
    """Return the report on predictions that are the records of a results file, or a folder."""
    if isinstance(predictions, list):
        path = tmp_path / 'results.json'
        path.write_text(json.dumps(predictions))
    else:
        path = predictions
    out = tmp_path / 'metrics.json'
    assert cli.main(['evaluate', '--images', str(data[0]), '--annotations', str(data[1]),
                     '--predictions', str(path), '--json', str(out), *arguments]) == 0
    return json.loads(out.read_text())


def found(category, box, score=.9, image_id=5):
    return {'image_id': image_id, 'category_id': category, 'segmentation': [rectangle(*box)],
            'score': score}


def test_an_object_that_is_found_in_annotated_background_is_false(tmp_path):
    person, car = (0, 0, 4, 10), (10, 0, 11, 10)
    data = write_coco(tmp_path, coco_document(annotations=[
        whole_image(20, 10), {'category_id': PERSON, 'segmentation': [rectangle(*person)]}],
        categories=WITH_BACKGROUND))
    report = report_on(tmp_path, data, [found(PERSON, person), found(CAR, car)])
    # Background 150 / 160 pixels, the person 1, the car 0.
    assert report['panoptic']['pq'] == pytest.approx(.646, abs=5e-4)


def test_annotated_background_counts_in_the_frequencies_of_training(tmp_path):
    pytest.importorskip('torch')
    from instseg_ros.datasets.coco import CocoDataset
    from instseg_ros.learning.samples import CachedSamples

    data = write_coco(tmp_path, coco_document((60, 40), [
        whole_image(60, 40), {'category_id': PERSON, 'segmentation': [rectangle(0, 0, 10, 10)]},
        {'category_id': CAR, 'segmentation': [rectangle(20, 0, 34, 10)]}], WITH_BACKGROUND))
    dataset = CocoDataset(*data, ('background', 'person', 'car'))
    frequencies = CachedSamples(dataset, [0], cache_gb=0).class_frequencies()
    assert frequencies.tolist() == pytest.approx([.9, .042, .058], abs=5e-4)


def test_objects_without_pixels_are_not_missed(tmp_path, capsys):
    boxes = [(4 * k, 0, 4 * k + 3, 8) for k in range(5)]
    data = write_coco(tmp_path, coco_document(annotations=[
        *({'segmentation': [rectangle(*box)]} for box in boxes),
        {'segmentation': {'size': [10, 20], 'counts': [200]}}]))
    report = report_on(tmp_path, data, [found(CAR, box) for box in boxes])
    assert report['instance']['ap'] == pytest.approx(1)  # 5 of 6 would be .832
    assert '1 annotations have no pixels, left out' in capsys.readouterr().err


@pytest.mark.parametrize('iscrowd', [0, False, None])
def test_an_object_that_is_no_crowd_has_an_average_precision(tmp_path, iscrowd):
    data = write_coco(tmp_path, coco_document(annotations=[
        {'segmentation': [rectangle(0, 0, 8, 8)], 'iscrowd': iscrowd}]))
    report = report_on(tmp_path, data, [found(CAR, (0, 0, 8, 8))])
    assert report['instance']['ap'] == pytest.approx(1)
    assert report['panoptic']['pq_things'] == 1


def write_labels(folder, name, semantic_ids, records=None):
    for kind, values in (('semantic', semantic_ids), ('instance', semantic_ids > 0)):
        path = folder / kind / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), values.astype(np.uint8))
    if records is not None:
        (folder / 'instances.jsonl').write_text(json.dumps(
            {'frame': 0, 'source': name, 'name': name, 'instances': records}) + '\n')
    return folder


def test_an_unused_root_category_is_no_class_as_in_training(tmp_path, capsys):
    # Roboflow writes the name of the project as the first category.
    data = write_coco(tmp_path, coco_document(
        annotations=[{'segmentation': [rectangle(0, 0, 8, 8)]}],
        categories=((0, 'street-objects'), (CAR, 'car'))))
    labels = np.zeros((10, 20), np.uint8)
    labels[:8, :8] = 1
    folder = write_labels(tmp_path / 'out', 'a.png', labels)
    report = report_on(tmp_path, data, folder)
    assert report['semantic']['iou'] == {'background': 1, 'car': 1}
    write_labels(folder, 'a.png', labels, [{'id': 1, 'score': .9, 'class_name': 'truck'}])
    assert cli.main(['evaluate', '--images', str(data[0]), '--annotations', str(data[1]),
                     '--predictions', str(folder)]) == 1
    assert 'a truck in instances.jsonl, but class 1 of the annotations is car; --classes' \
        in capsys.readouterr().err


def test_images_of_one_stem_keep_their_own_labels(tmp_path):
    names = ['a.jpg', 'a.png', 'a-2.png', 'left/a.png']
    document = coco_document()
    document['images'] = [{'id': k, 'file_name': name, 'width': 20, 'height': 10}
                          for k, name in enumerate(names)]
    document['annotations'] = [
        {'id': k, 'image_id': k, 'category_id': CAR, 'segmentation': [rectangle(0, 0, 2 + k, 8)]}
        for k in range(len(names))]
    (tmp_path / 'images' / 'left').mkdir(parents=True)
    data = write_coco(tmp_path, document)
    for k, name in enumerate(names):
        labels = np.zeros((10, 20), np.uint8)
        labels[:8, :2 + k] = 1
        write_labels(tmp_path / 'out', name, labels)
    report = report_on(tmp_path, data, tmp_path / 'out')
    assert report['semantic']['miou'] == 1


def test_a_score_is_a_number(tmp_path, capsys):
    data = write_coco(tmp_path, coco_document(annotations=[
        {'segmentation': [rectangle(0, 0, 8, 8)]}]))
    path = tmp_path / 'results.json'
    for score in (True, '0.5', None, float('nan')):
        path.write_text(json.dumps([found(CAR, (0, 0, 8, 8), score)]))
        assert cli.main(['evaluate', '--images', str(data[0]), '--annotations', str(data[1]),
                         '--predictions', str(path)]) == 1
        assert 'detection 0: expected a finite number as score' in capsys.readouterr().err


def test_more_categories_than_class_ids_need_a_choice(tmp_path, capsys):
    categories = tuple((k, f'thing {k}') for k in range(1, 1204))
    data = write_coco(tmp_path, coco_document(annotations=[
        {'category_id': 7, 'segmentation': [rectangle(0, 0, 8, 8)]}], categories=categories))
    path = tmp_path / 'results.json'
    path.write_text(json.dumps([found(7, (0, 0, 8, 8))]))
    arguments = ['evaluate', '--images', str(data[0]), '--annotations', str(data[1]),
                 '--predictions', str(path)]
    assert cli.main(arguments) == 1
    assert 'expected at most 255 classes, got the 1204 categories of the file; choose some ' \
        '(--classes' in capsys.readouterr().err
    assert cli.main([*arguments, '--classes', 'thing 7']) == 0
