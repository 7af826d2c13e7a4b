"""What `instseg export` puts into the model file beside the network."""
import json
import re
from types import SimpleNamespace

import pytest

pytest.importorskip('torch', reason='export needs torch, the runtime does not')

import torch
from made_up import write_dataset

from instseg_ros.cli import main
from instseg_ros.core.types import ModelInfo
from instseg_ros.learning import calibration
from instseg_ros.learning.calibration import Calibration, CalibrationReport
from instseg_ros.learning.callbacks import MetadataWriter
from instseg_ros.learning.config import DataConfig, ModelConfig, TrainingConfig
from instseg_ros.learning.data_module import TrainingData
from instseg_ros.learning.export import onnx_export as export
from instseg_ros.learning.module import TrainingModule

REPORT = CalibrationReport(Calibration(2.0, 1.5), Calibration(0.75, -1.25), threshold=0.4,
                           quality={0.4: 0.2, 0.5: 0.21}, images=0, candidates=9, centers=5,
                           instances=4, right=3)


@pytest.fixture
def checkpoint(tmp_path):
    """Return a checkpoint of a small network as it is before training."""
    write_dataset(tmp_path, 12)
    config = TrainingConfig(
        DataConfig(images=str(tmp_path / 'images'), annotations=str(tmp_path / 'instances.json'),
                   classes=('background', 'box', 'post'), validation_images=3),
        ModelConfig(embedding_size=4, width_16=8, width_8=8, width_4=8, input_size=64))
    content = {'state_dict': TrainingModule(config).state_dict(), 'epoch': 0, 'global_step': 0,
               'hyper_parameters': {'config': config.to_dict()}}
    trainer = SimpleNamespace(world_size=1)
    MetadataWriter(TrainingData(config).record).on_save_checkpoint(trainer, None, content)
    path = tmp_path / 'untrained.ckpt'
    torch.save(content, path)
    return path


@pytest.fixture
def calibrated_on(monkeypatch):
    """Return the list of the numbers of objects of each image that is calibrated on."""
    areas = []

    def fit(outputs, targets, info, threshold):
        areas.extend(target.instance_ids.astype(bool).sum() for target in targets)
        return REPORT

    def write(network, center_calibration, info, path, *_):
        path.write_bytes(b'model')
        return {}

    monkeypatch.setattr(calibration, 'fit_calibration', fit)
    monkeypatch.setattr(export, 'export_onnx', write)
    return areas


def run_export(checkpoint, *more):
    return main(['export', str(checkpoint), '--out', str(checkpoint.with_suffix('.onnx')),
                 *map(str, more)])


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_images_that_are_added_after_the_training_change_nothing(checkpoint, calibrated_on):
    assert run_export(checkpoint) == 0
    before = list(calibrated_on)
    assert len(before) == 3
    more = write_dataset(checkpoint.parent / 'more', 5, seed=1)

    def add(document):
        added = json.loads(more.read_text())
        for record in added['images']:
            new = f'new{record["file_name"]}'
            (more.parent / 'images' / record['file_name']).rename(
                checkpoint.parent / 'images' / new)
            document['images'].insert(0, {**record, 'id': record['id'] + 100, 'file_name': new})
        for item in added['annotations']:
            document['annotations'].append({**item, 'id': item['id'] + 1000,
                                            'image_id': item['image_id'] + 100})

    edit(checkpoint.parent / 'instances.json', add)
    calibrated_on.clear()
    assert run_export(checkpoint) == 0
    assert calibrated_on == before


def enlarge_objects(document):
    for item in document['annotations']:
        (x0, y0, x1, _, _, y1, *_), = item['segmentation']
        item['segmentation'] = [[x0, y0, x1, y0, x1, y1 + 4, x0, y1 + 4]]


def keep_four_images(document):
    document['images'] = document['images'][:4]
    document['annotations'] = [item for item in document['annotations'] if item['image_id'] < 4]


@pytest.mark.parametrize('change, message', [
    (enlarge_objects, r'of its 3 validation images 3 with other labels \(\d+\.png'),
    (keep_four_images, r'of its 3 validation images \d missing \(\d+\.png')])
def test_other_data_than_that_of_the_training_is_refused(checkpoint, calibrated_on, capsys,
                                                         change, message):
    edit(checkpoint.parent / 'instances.json', change)
    assert run_export(checkpoint) == 1
    error = capsys.readouterr().err
    assert 'not the data that the checkpoint was trained with' in error
    assert re.search(message, error) and '--config' in error and '--annotations' in error
    assert not calibrated_on


def test_data_that_has_moved_is_found_by_a_configuration(checkpoint, calibrated_on, capsys):
    assert run_export(checkpoint) == 0
    before = list(calibrated_on)
    new = checkpoint.parent / 'new'
    new.mkdir()
    for name in ('images', 'instances.json'):
        (checkpoint.parent / name).rename(new / name)
    assert run_export(checkpoint) == 1
    assert 'with the paths of that data (--config)' in capsys.readouterr().err
    config = new / 'training.yaml'
    config.write_text('data: {images: images, annotations: instances.json}\n'
                      'model: {encoder: nanodet_plus_m, weights: "${NOT_NEEDED}/weights.pth",\n'
                      '        teacher: "${NOT_NEEDED}/teacher.ckpt"}\n'
                      'loss: {distillation_weight: 1.0, consistency_weight: 1.0}\n')
    calibrated_on.clear()
    assert run_export(checkpoint, '--config', config) == 0
    assert calibrated_on == before


def test_other_labelled_images_can_be_named_to_calibrate_on(checkpoint, calibrated_on, capsys):
    other = write_dataset(checkpoint.parent / 'other', 5, seed=1)
    data = ['--images', other.parent / 'images', '--annotations', other]
    assert run_export(checkpoint, *data) == 0
    assert len(calibrated_on) == 5
    assert run_export(checkpoint, *data, '--config', 'training.yaml') == 1
    assert 'expected one of the two' in capsys.readouterr().err


def test_a_raw_threshold_that_is_not_tried_is_refused(checkpoint, capsys):
    arguments = '--out', str(checkpoint.with_suffix('.onnx')), '--raw-threshold', '0.31'
    assert main(['export', str(checkpoint), *arguments]) == 1
    assert '--raw-threshold: expected one of 0.06, 0.09' in capsys.readouterr().err


def test_options_that_would_do_nothing_are_refused(checkpoint, capsys):
    assert run_export(checkpoint, '--no-calibration', '--raw-threshold', 0.3) == 1
    assert '--raw-threshold: only with a calibration' in capsys.readouterr().err
    assert run_export(checkpoint, '--no-calibration', '--input-size', 0) == 1
    assert 'input_size' in capsys.readouterr().err


def test_a_checkpoint_that_does_not_record_its_images_says_what_to_do(checkpoint, capsys):
    content = torch.load(checkpoint, weights_only=True)
    content['instseg_ros'] = {'format': 2, 'processes': 1, 'images': {'held_out_images': 3}}
    torch.save(content, checkpoint)
    assert run_export(checkpoint) == 1
    error = capsys.readouterr().err
    assert 'of format 2' in error and '--images' in error and '--no-calibration' in error


def test_the_model_file_holds_the_calibration_of_scores(checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(calibration, 'fit_calibration', lambda *_: REPORT)
    written = []

    def write(network, center_calibration, info, path, *_):
        written.append((center_calibration, ModelInfo.from_metadata(info.to_metadata())))
        path.write_bytes(b'model')
        return {}

    monkeypatch.setattr(export, 'export_onnx', write)
    out = checkpoint.with_suffix('.onnx')
    assert main(['export', str(checkpoint), '--out', str(out)]) == 0
    (center_calibration, info), = written
    assert center_calibration == REPORT.calibration
    assert (info.score_scale, info.score_shift) == (0.75, -1.25)
    assert info.training['calibration'] == {
        'images': 0, 'raw_threshold': 0.4, 'scale': 2.0, 'shift': 1.5}
    assert '3 of 4 instances are right' in capsys.readouterr().out
