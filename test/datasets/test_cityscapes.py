import cv2
import numpy as np
import pytest
from cityscapes_files import LABEL_IDS, NAMES, SIZE, STREETS, write_cityscapes

from instseg_ros.core.types import Instance, Segmentation
from instseg_ros.datasets.masks import decode_segmentation
from instseg_ros.datasets.types import DatasetError
from instseg_ros.evaluation.evaluation import evaluate_predictions
from instseg_ros.evaluation.instances import detections_of
from instseg_ros.evaluation.predictions import Prediction

pytest.importorskip('cityscapesscripts', reason='needs: pip install --no-deps -r '
                    'requirements/cityscapes.txt')
cityscapes = pytest.importorskip('instseg_ros.datasets.cityscapes')
official = pytest.importorskip('instseg_ros.evaluation.cityscapes_official')
ROAD, SKY, PERSON, CAR = (cityscapes.CITYSCAPES_CLASSES.index(name)
                          for name in ('road', 'sky', 'person', 'car'))


@pytest.fixture
def dataset(tmp_path):
    return cityscapes.CityscapesDataset(write_cityscapes(tmp_path / 'data'), 'val')


class Painted:
    """Predictions painted as instanceIds images."""

    def __init__(self, *streets):
        self.streets = streets

    def load(self, index):
        values = self.streets[index]
        label_ids = np.where(values >= 1000, values // 1000, values)
        class_of = {label.id: label.trainId for label in cityscapes.EVALUATED}
        semantic_ids = np.vectorize(lambda label: class_of.get(label, 255))(label_ids)
        instance_ids, instances = np.zeros(SIZE, np.uint16), []
        for number, value in enumerate(np.unique(values[values >= 1000]).tolist(), start=1):
            mask = values == value
            instance_ids[mask] = number
            instances.append(Instance(number, class_of[value // 1000], '', .9 - number / 100,
                                      (0., 0.), (0, 0, 1, 1), int(mask.sum())))
        segmentation = Segmentation(semantic_ids.astype(np.uint8), instance_ids,
                                    tuple(instances))
        return Prediction(segmentation, list(detections_of(segmentation)))


def both_reports(dataset, folder, *streets):
    """Return our report and the official one."""
    folder.mkdir()
    things = cityscapes.CITYSCAPES_THINGS
    recorded = official.RecordedPredictions(Painted(*streets), dataset, things, folder)
    return evaluate_predictions(recorded, dataset, things).report(), recorded.official_report()


def test_the_classes_are_the_19_evaluated_ones_in_the_order_of_the_train_ids():
    assert len(cityscapes.CITYSCAPES_CLASSES) == 19
    assert cityscapes.CITYSCAPES_CLASSES[:2] == ('road', 'sidewalk')
    assert cityscapes.CITYSCAPES_CLASSES[-1] == 'bicycle'
    assert cityscapes.CITYSCAPES_THINGS == (11, 12, 13, 14, 15, 16, 17, 18)


def test_labels_become_classes_instances_groups_and_ignored_pixels(dataset):
    assert len(dataset) == 2
    assert dataset.image_name(0) == f'aachen/{NAMES[0]}_leftImg8bit.png'
    assert dataset.load_image(0).shape == (*SIZE, 3)
    assert dataset.image_size(0) == SIZE
    truth = dataset.load_ground_truth(0)
    assert truth.semantic_ids[0, 0] == SKY and truth.semantic_ids[110, 0] == ROAD
    assert (truth.semantic_ids[120:] == 255).all()  # the ego vehicle is not evaluated
    assert truth.semantic_ids[60, 30] == CAR
    assert len(np.unique(truth.instance_ids)) == 1 + 3
    assert sorted(item.class_id for item in truth.objects) == [PERSON, CAR, CAR]
    group = dataset.load_ground_truth(1)
    assert group.semantic_ids[60, 200] == CAR and group.instance_ids[60, 200] == 0
    assert [item.crowd for item in group.objects] == [False, True]


def test_classes_of_another_model_are_matched_by_name(tmp_path):
    root = write_cityscapes(tmp_path)
    dataset = cityscapes.CityscapesDataset(root, 'val', ('background', 'person', 'car'))
    truth = dataset.load_ground_truth(0)
    assert truth.semantic_ids[0, 0] == truth.semantic_ids[110, 0] == 0  # sky and road
    assert set(np.unique(truth.semantic_ids)) == {0, 1, 2, 255}
    assert dataset.thing_ids == (1, 2)
    assert dataset.label_ids == {1: LABEL_IDS['person'], 2: LABEL_IDS['car']}


def test_without_a_background_what_is_no_class_is_ignored(tmp_path):
    dataset = cityscapes.CityscapesDataset(write_cityscapes(tmp_path), 'val', ('sky', 'car'))
    assert dataset.thing_ids == (1,)
    assert set(np.unique(dataset.load_ground_truth(0).semantic_ids)) == {0, 1, 255}
    other = cityscapes.CityscapesDataset(tmp_path, 'val', ('background', 'car'))
    assert (other.load_ground_truth(0).semantic_ids[60, 165] == 255)  # a person is no background


def test_label_maps_are_those_of_the_ground_truth(dataset):
    for index in range(2):
        truth = dataset.load_ground_truth(index)
        semantic_ids, instance_ids = dataset.load_label_maps(index)
        assert np.array_equal(semantic_ids, truth.semantic_ids)
        assert np.array_equal(instance_ids, truth.instance_ids)
        assert dataset.shows_object(index)
        for number, item in enumerate(truth.objects, start=1):
            if not item.crowd:
                mask = decode_segmentation(item.mask, *SIZE)
                assert np.array_equal(mask, truth.instance_ids == number)


def test_a_perfect_prediction_reaches_one_in_the_official_evaluation(dataset, tmp_path, capfd):
    ours, theirs = both_reports(dataset, tmp_path / 'work', *STREETS)
    assert ours['semantic']['miou'] == theirs['miou'] == 1
    assert ours['instance']['ap'] == pytest.approx(1)
    assert theirs['ap'] == theirs['ap50'] == pytest.approx(1)
    assert theirs['ap_per_class']['car'] == pytest.approx({'ap': 1, 'ap50': 1})
    assert theirs['ap_per_class']['bus'] == {'ap': None, 'ap50': None}
    assert theirs['iou']['car'] == 1 and theirs['iou']['bus'] is None
    assert capfd.readouterr().out == ''


def test_our_figures_agree_with_the_official_ones(dataset, tmp_path):
    moved, gone = STREETS[0].copy(), STREETS[0].copy()
    moved[:120] = np.roll(moved, 8, axis=1)[:120]
    gone[gone == 26001] = LABEL_IDS['road']
    gone[0:30, 0:30] = 24005  # a person in the sky
    streets = moved, gone
    for name, values in zip(NAMES, (STREETS[0], STREETS[0])):
        path = dataset.truth_path(NAMES.index(name))
        cv2.imwrite(str(path), values)
        cv2.imwrite(str(path).replace('instanceIds', 'labelIds'),
                    np.where(values >= 1000, values // 1000, values).astype(np.uint8))
    ours, theirs = both_reports(dataset, tmp_path / 'work', *streets)
    assert 0 < theirs['miou'] < 1
    assert theirs['miou'] == pytest.approx(ours['semantic']['miou'])
    assert theirs['iou'] == pytest.approx(ours['semantic']['iou'])
    for key in ('pq', 'sq', 'rq', 'pq_things', 'pq_stuff'):
        assert 0 < theirs[key] < 1
        assert theirs[key] == pytest.approx(ours['panoptic'][key])
    # The areas under the two precision-recall curves are taken differently.
    assert theirs['ap50'] == pytest.approx(ours['instance']['ap50'], abs=.15)


def test_detections_in_a_group_are_not_false(dataset, tmp_path):
    found = STREETS[1].copy()
    found[55:85, 160:200] = 26007
    ours, theirs = both_reports(dataset, tmp_path / 'work', STREETS[0], found)
    assert theirs['ap'] == pytest.approx(1)
    assert ours['instance']['ap'] == pytest.approx(1)
    assert ours['panoptic']['per_class']['car']['false'] == 0


def test_files_that_are_missing_or_wrong_are_named(dataset):
    path = dataset.truth_path(0)
    cv2.imwrite(str(path), np.zeros(SIZE, np.uint8))
    with pytest.raises(DatasetError, match='instanceIds.png: expected one channel of 16 bits'):
        dataset.load_ground_truth(0)
    path.write_text('no image')
    with pytest.raises(DatasetError, match='instanceIds.png: expected an image'):
        dataset.load_ground_truth(0)
    path.unlink()
    with pytest.raises(DatasetError, match='instanceIds.png: does not exist'):
        dataset.check_images()


def test_a_folder_without_images_and_foreign_classes_are_refused(tmp_path):
    with pytest.raises(DatasetError, match='leftImg8bit/val: expected images'):
        cityscapes.CityscapesDataset(tmp_path, 'val')
    with pytest.raises(DatasetError, match='none of the classes'):
        cityscapes.CityscapesDataset(write_cityscapes(tmp_path), 'val', ('tree',))
