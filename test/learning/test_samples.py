"""Data sets as a training takes them: layouts, classes, memory, and messages on failures."""
from __future__ import annotations

import dataclasses
import json
import re
import weakref
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import yaml
from cityscapes_files import write_cityscapes
from coco_files import coco_document, rectangle, write_coco, write_panoptic
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import write_dataset

from instseg_ros.cli import main
from instseg_ros.core.scaling import scale_image, to_image
from instseg_ros.core.types import ModelInfo
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.config import DataConfig
from instseg_ros.datasets.opening import open_training_data, open_validation_data
from instseg_ros.datasets.types import DatasetError
from instseg_ros.learning import module
from instseg_ros.learning.augmentation import AugmentationConfig, Sample, change_colors
from instseg_ros.learning.checkpoints import load_checkpoint
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.data_module import scaled_images
from instseg_ros.learning.export.onnx_export import class_colors
from instseg_ros.learning.samples import CachedSamples, WholeImages
from instseg_ros.learning.sampling import EveryImage, TrainingCrops

ROOT = Path(__file__).resolve().parents[2]
INFO = ModelInfo(('background', 'box', 'post'), (1, 2), ((0, 0, 0),) * 3, output_stride=4,
                 size_multiple=32, embedding_size=4, input_size=64)
CATEGORIES = ((3, 'car'), (70, 'person'), (8, 'road'), (9, 'tree'))
BOXES = [{'category_id': 8, 'segmentation': [rectangle(0, 6, 20, 10)]},
         {'category_id': 3, 'segmentation': [rectangle(0, 0, 4, 4)]},
         {'category_id': 70, 'segmentation': [rectangle(10, 0, 14, 4)]}]


def coco_config(folder, annotations=BOXES, **options):
    images, path = write_coco(folder, coco_document(annotations=annotations,
                                                    categories=CATEGORIES))
    return DataConfig(images=str(images), annotations=str(path), **options)


def panoptic_config(folder, **options):
    ids = np.full((10, 20), 7)
    ids[:4, :4] = 300
    images, path = write_panoptic(folder, [{'id': 7, 'category_id': 9},
                                           {'id': 300, 'category_id': 2}], ids,
                                  ((9, 'road', 0), (2, 'car', 1), (4, 'bus', 1)))
    return DataConfig(format='coco_panoptic', images=str(images), annotations=str(path), **options)


def test_without_classes_all_annotated_categories_are_classes(tmp_path):
    dataset, config = open_training_data(coco_config(tmp_path))
    assert config.classes == dataset.class_names == ('background', 'car', 'person', 'road')
    assert config.stuff == ('background',) and config.thing_ids == (1, 2, 3)


def test_stuff_of_coco_instances_is_named_in_the_configuration(tmp_path):
    dataset, config = open_training_data(coco_config(tmp_path, stuff=['road']))
    assert config.stuff == ('background', 'road')
    assert config.thing_ids == dataset.thing_ids == (1, 2)
    semantic_ids, instance_ids = dataset.load_label_maps(0)
    assert semantic_ids[9, 0] == 3 and instance_ids[9, 0] == 0
    # From the values in a checkpoint, the same data set opens again.
    assert open_training_data(DataConfig(**dataclasses.asdict(config)))[1] == config


def test_panoptic_data_determines_what_is_stuff(tmp_path):
    _, config = open_training_data(panoptic_config(tmp_path))
    assert (config.classes, config.stuff, config.thing_ids) == (('road', 'car'), ('road',), (1,))
    assert open_training_data(config)[1] == config
    with pytest.raises(DatasetError, match='data.stuff: expected some of road; got car'):
        open_training_data(dataclasses.replace(
            panoptic_config(tmp_path, classes=('road', 'car')), stuff=('car',)))


def test_a_background_takes_the_stuff_of_panoptic_data_that_is_no_class(tmp_path):
    dataset, config = open_training_data(panoptic_config(tmp_path, classes=('background', 'car')))
    assert config.stuff == ('background',) and config.thing_ids == (1,)
    assert dataset.load_label_maps(0)[0][9, 0] == 0


def test_cityscapes_brings_its_official_classes(tmp_path):
    cityscapes = pytest.importorskip('instseg_ros.datasets.cityscapes')
    write_cityscapes(tmp_path, 'train')
    dataset, config = open_training_data(DataConfig(format='cityscapes', root=str(tmp_path)))
    assert config.classes == cityscapes.CITYSCAPES_CLASSES
    assert config.thing_ids == cityscapes.CITYSCAPES_THINGS == dataset.thing_ids
    assert config.source == tmp_path.name
    with pytest.raises(DatasetError, match="no annotation has the class 'tram'; Cityscapes has"):
        open_training_data(DataConfig(format='cityscapes', root=str(tmp_path),
                                      classes=('road', 'tram')))


@pytest.mark.parametrize('classes, message', [
    (('background', 'car', 'bycicle'), r"no annotation has the class 'bycicle'; .*instances.json: "
     r'its annotations are of: car \(1\), person \(1\), road \(1\)$'),
    (('background', 'tree'), r"no annotation has the class 'tree'"),  # only in the categories
    (('car', 'person'), "the first one is the background, but 'car' is a category"),
])
def test_classes_that_do_not_fit_the_data_are_refused(tmp_path, classes, message):
    with pytest.raises(DatasetError, match=message):
        open_training_data(coco_config(tmp_path, classes=classes))


def test_a_file_without_annotations_is_refused(tmp_path):
    with pytest.raises(DatasetError, match='has no annotations, there is nothing to learn'):
        open_training_data(coco_config(tmp_path, annotations=()))


def test_the_wrong_format_is_named_with_the_right_one(tmp_path):
    config = panoptic_config(tmp_path)
    with pytest.raises(DatasetError, match=r'of format coco_panoptic \(data.format: coco_pan'):
        open_training_data(dataclasses.replace(config, format='coco'))
    with pytest.raises(DatasetError, match=r'of format coco \(data.format: coco\)'):
        open_training_data(dataclasses.replace(coco_config(tmp_path), format='coco_panoptic'))


def test_a_missing_image_is_named_before_anything_is_read(tmp_path):
    config = coco_config(tmp_path)
    (tmp_path / 'images' / 'a.png').unlink()
    with pytest.raises(DatasetError, match='a.png: image 5 of instances.json does not exist'):
        open_training_data(config)


@pytest.mark.parametrize('values, message', [
    ({'images': 'a'}, r'data.annotations: expected a path, got nothing \(format coco needs'),
    ({'format': 'cityscapes'}, 'data.root: expected a path'),
    ({'format': 'cityscapes', 'root': 'r', 'images': 'a'},
     'data.images: format cityscapes has no'),
    ({'format': 'voc'}, 'data.format: expected one of coco, coco_panoptic, label_images'),
    ({'classes': 'car'}, "data.classes: expected a list of names, got 'car'"),
    ({'classes': ['b', 'car', 'car']}, 'data.classes: expected at most 255 different names'),
    ({'classes': ['b', 'car'], 'stuff': ['road']}, "data.stuff: 'road' is none of the classes"),
    ({'cache_gb': -1}, 'data.cache_gb: expected a value of at least 0 GB, got -1'),
])
def test_a_wrong_section_is_one_clear_sentence(values, message):
    paths = {} if {'format', 'images'} & set(values) else {'images': 'a', 'annotations': 'b'}
    with pytest.raises(ValueError, match=message):
        DataConfig(**{**paths, **values})


def test_a_checkpoint_from_before_there_was_stuff_still_opens():
    data = {'images': 'a', 'annotations': 'b', 'classes': ('background', 'box', 'post'),
            'validation_images': 2, 'empty_share': 0.1}
    assert TrainingConfig.from_dict({'data': data}).data.thing_ids == (1, 2)


@pytest.fixture
def scenes(tmp_path):
    """Return the configuration of a few made-up scenes."""
    assert main(['scenes', '--out', str(tmp_path / 'scenes'), '--count', '5']) == 0
    return DataConfig(images=str(tmp_path / 'scenes' / 'images'),
                      annotations=str(tmp_path / 'scenes' / 'instances.json'))


def test_samples_are_the_same_whether_memory_suffices_or_not(scenes):
    dataset, _ = open_training_data(scenes)
    few = 2.5 * 6 * 360 * 640 / 1e9
    caches = [CachedSamples(dataset, range(5), cache_gb=size) for size in (1, 0, few)]
    for number in range(5):
        samples = [cache[number] for cache in caches]
        for name in ('image', 'semantic_ids', 'instance_ids'):
            arrays = [getattr(sample, name) for sample in samples]
            assert all(array.dtype == arrays[0].dtype for array in arrays)
            assert all(np.array_equal(array, arrays[0]) for array in arrays)
    assert caches[0][4] is caches[0][4] and caches[1][0] is not caches[1][0]
    assert caches[2][1] is caches[2][1] and caches[2][2] is not caches[2][2]
    shares = [cache.class_frequencies() for cache in caches]
    assert torch.equal(shares[0], shares[1]) and shares[0].sum() == pytest.approx(1)
    assert caches[0].with_instances == caches[1].with_instances == list(range(5))


def test_a_crop_is_the_same_whenever_it_is_made(scenes):
    samples = CachedSamples(open_training_data(scenes)[0], range(5), cache_gb=0)
    crops = TrainingCrops(EveryImage(samples, 0.1),
                          AugmentationConfig(crop_size=128, crop_height=64), 4, seed=1)
    first, again, later = crops[3], crops[3], crops[8]
    assert first['image'].shape == (3, 64, 128) and first['semantic_ids'].shape == (16, 32)
    assert first['color_map'].shape == (3, 4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first['image'], later['image'])
    assert 'color_map' not in WholeImages(samples, 128, 32, 4)[0]


class Samples(list):
    """A few samples of no data set on disk."""

    dataset = SimpleNamespace(class_names=('background',), thing_ids=())


@settings(deadline=None, max_examples=40)
@given(height=st.integers(1, 90), width=st.integers(1, 90), long_side=st.integers(32, 100),
       seed=st.integers(0, 99))
def test_whole_images_are_scaled_as_for_inference(height, width, long_side, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    rows, columns = np.arange(height, dtype=np.uint8), np.arange(width, dtype=np.uint16)
    sample = Sample(image, np.broadcast_to(rows[:, None], (height, width)).copy(),
                    np.broadcast_to(1 + columns, (height, width)).copy())
    whole = WholeImages(Samples([sample]), long_side, 32, stride=1)[0]
    scaled = scale_image(image, long_side, 32, 1)
    assert np.array_equal(whole['image'].permute(1, 2, 0).numpy(), scaled.pixels)
    # Every label is that of the image pixel that scaling puts there.
    inside_rows, inside_columns = scaled.grid
    semantic_ids, instance_ids = whole['semantic_ids'].numpy(), whole['instance_ids'].numpy()
    for axis, count, found in ((0, inside_rows, semantic_ids[:inside_rows, 0]),
                               (1, inside_columns, instance_ids[0, :inside_columns] - 1)):
        expected = to_image(np.arange(count), scaled.scale[axis])
        assert np.abs(found - expected).max() <= 0.5 + 1e-6
    assert (semantic_ids[inside_rows:] == 255).all()
    assert (semantic_ids[:, inside_columns:] == 255).all()
    assert not instance_ids[inside_rows:].any() and not instance_ids[:, inside_columns:].any()


def test_calibration_holds_one_decoded_image_at_a_time(tmp_path, monkeypatch):
    write_dataset(tmp_path, 12)
    config = DataConfig(images=str(tmp_path / 'images'),
                        annotations=str(tmp_path / 'instances.json'))
    alive, most = [], []
    load = CocoDataset.load_image

    def load_and_count(dataset, index):
        image = load(dataset, index)
        alive.append(weakref.ref(image))
        most.append(sum(reference() is not None for reference in alive))
        return image

    monkeypatch.setattr(CocoDataset, 'load_image', load_and_count)
    images, _ = scaled_images(open_training_data(config)[0], [0, 4, 7], INFO)
    assert len(images) == len(most) > 2 >= max(most)


def test_labels_of_another_size_than_the_image_are_named(tmp_path):
    pytest.importorskip('cityscapesscripts')
    write_cityscapes(tmp_path, 'train')
    path = next((tmp_path / 'leftImg8bit').rglob('aachen*.png'))
    cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    dataset, _ = open_training_data(DataConfig(format='cityscapes', root=str(tmp_path)))
    with pytest.raises(DatasetError, match='aachen/aachen_.*: the image has 64x64 pixels, its '
                       'labels have 256x128'):
        CachedSamples(dataset, range(2))


@pytest.mark.parametrize('path', sorted((ROOT / 'config' / 'training').glob('*.yaml')),
                         ids=lambda path: path.name)
def test_the_configurations_that_come_along_are_sound(path, monkeypatch):
    for file in path.parent.glob('*.yaml'):  # any of them may be its base
        for name in re.findall(r'\$\{(\w+)\}', file.read_text()):
            monkeypatch.setenv(name, '/data')
    config = TrainingConfig.from_yaml(path)
    config.augmentation.check_crop(32)
    assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_cityscapes_trains_with_the_configuration_that_comes_along(tmp_path, monkeypatch):
    cityscapes = pytest.importorskip('instseg_ros.datasets.cityscapes')
    config = yaml.safe_load((ROOT / 'config' / 'training' / 'cityscapes.yaml').read_text())
    config['data'].update(root=str(write_cityscapes(tmp_path / 'data', 'train')))
    del config['model']['weights']
    config['model'].update(width_16=8, width_8=8, width_4=8, frozen_stages=5)
    config['augmentation'].update(crop_size=128, crop_height=64, long_side_min=128,
                                  long_side_max=256)
    config['optimization'].update(epochs=1, batch_size=2, workers=0, precision='fp32')
    path = tmp_path / 'training.yaml'
    path.write_text(yaml.safe_dump(config))
    batches = []
    monkeypatch.setattr(module, 'change_colors', lambda *batch: (
        batches.append([tuple(tensor.shape) for tensor in batch]), change_colors(*batch))[1])
    assert main(['train', '--config', str(path), '--out', str(tmp_path / 'run')]) == 0
    _, trained, metadata = load_checkpoint(tmp_path / 'run' / 'last.ckpt')
    assert trained.data.classes == cityscapes.CITYSCAPES_CLASSES
    assert trained.data.thing_ids == cityscapes.CITYSCAPES_THINGS
    assert metadata.training_summary(trained)['annotations'] == 'data' and metadata.steps == 1
    assert batches == [[(2, 3, 64, 128), (2, 3, 4)]]  # colours change once, for the whole batch


def test_colours_of_classes_differ_and_only_a_background_is_black():
    many = tuple(f'class {k}' for k in range(60))
    assert len(set(class_colors(many))) == 60 and (0, 0, 0) not in class_colors(many)
    assert class_colors(('background', 'box')) == ((0, 0, 0), class_colors(('box',))[0])


def test_the_data_of_the_street_model_opens_with_what_is_labelled_in_it(shared, monkeypatch):
    monkeypatch.setenv('INSTSEG_DATA', str(shared / 'data'))
    monkeypatch.setenv('INSTSEG_WEIGHTS', str(shared / 'weights'))
    config = TrainingConfig.from_yaml(ROOT / 'config' / 'training' / 'street_detector.yaml')
    dataset, data = open_training_data(config.data)
    assert [len(part) for part in dataset.parts] == [392, 117, 1002, 70]
    stuff = tuple(range(7, 13))
    found = [{dataset.candidates(k) for k in range(len(dataset))
              if dataset.part_of(k)[0] == part} for part in range(4)]
    buses, trucks = data.classes.index('bus'), data.classes.index('truck')
    assert found[0] == {(0, buses, trucks, *stuff)}
    assert found[1] == {(0, *stuff), (0, *range(2, 13)), (0, trucks, *stuff)}
    assert found[2] == {(0, *range(2, 13))} and found[3] == {(0,)}
    semantic_ids, instance_ids = dataset.load_label_maps(len(dataset) - 1)
    assert semantic_ids.shape == instance_ids.shape and not instance_ids.any()
    assert open_validation_data(data).candidates(0) == (0, *stuff)
