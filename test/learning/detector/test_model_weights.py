"""A training that starts from a model file starts from the network in it."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from instseg_ros.core.network.model_file import read_model_file, seal
from instseg_ros.core.types import ModelInfo
from instseg_ros.datasets.scenes import make_scene
from instseg_ros.learning.build import build_network
from instseg_ros.learning.calibration import Calibration
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.export.parity import open_model
from instseg_ros.learning.export.precision import to_half
from instseg_ros.learning.export.wrapper import ExportedNetwork
from instseg_ros.learning.initial_weights import load_weights
from instseg_ros.learning.module import TrainingModule

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / 'models' / 'street.onnx'
INFO = ModelInfo.from_metadata(read_model_file(MODEL).metadata)


def configuration(classes=INFO.class_names, **model):
    """Return the configuration for own classes, with other options of the model."""
    values = TrainingConfig.from_yaml(ROOT / 'config' / 'training' / 'own_classes.yaml').to_dict()
    values['data']['classes'] = list(classes)
    values['data']['stuff'] = []
    values['model'].update(model)
    return TrainingConfig.from_dict(values)


def started(classes=INFO.class_names, path=MODEL, **model):
    """Return the network that starts from a model file, and the classes that it knows."""
    torch.manual_seed(0)
    network = build_network(configuration(classes, **model)).eval()
    return network, network.load_initial_weights(path, classes)


@pytest.fixture(scope='module')
def picture():
    return make_scene(np.random.default_rng(1), 192, 256).image


def predict(network, picture):
    with torch.no_grad():
        return network(torch.from_numpy(picture).permute(2, 0, 1)[None].float())


@pytest.mark.parametrize('width', [48, 0])
def test_it_predicts_what_the_file_predicts(picture, width, caplog):
    network, known = started(assignment_width=width)
    assert ('its part "assignment" is left out' in caplog.text) == (not width)
    assert known == list(INFO.class_names)
    calibration = Calibration(*(INFO.training['calibration'][key] for key in ('scale', 'shift')))
    got = ExportedNetwork(network, calibration).predict(picture)
    want = open_model(MODEL)(picture)
    assert (got.semantic_ids == want.semantic_ids).mean() > 0.999
    assert len(np.unique(want.semantic_ids)) > 1
    np.testing.assert_allclose(got.center_heatmap, want.center_heatmap, atol=1e-3)
    # Without the decoder that corrects the boxes of pixels, some go to other centers.
    apart = np.abs(got.embedding - want.embedding).max(-1)
    assert (apart < 0.1).mean() > (0.999 if width else 0.9)


def test_classes_are_matched_by_name_and_new_ones_start_from_nothing(picture):
    names = ('background', 'car', 'tram', 'person')
    network, known = started(names, evidence_gain=0.0, evidence_loss=0.0)
    assert known == ['background', 'car', 'person']
    whole, _ = started(evidence_gain=0.0, evidence_loss=0.0)
    got, want = predict(network, picture), predict(whole, picture)
    for stride, found in got.detections.items():
        torch.testing.assert_close(found.classes[:, [2, 0]],
                                   want.detections[stride].classes[:, [0, 2]])
        torch.testing.assert_close(found.distances, want.detections[stride].distances)
        assert (found.classes[:, 1].sigmoid() < 0.02).all()
    far = want.semantic[:, [0, 3, 1]]
    same = (got.semantic[:, [0, 1, 3]] - far).abs() < 1e-3  # but in small boxes
    assert same.float().mean() > 0.95
    assert not got.semantic[:, 2].any()


def test_the_choice_between_centers_is_kept_for_other_classes(picture):
    names = [INFO.class_names[k] for k in (0, 3, 1, 4, 2)]
    (moved, _), (whole, _) = started(names), started()
    got, want = predict(moved, picture), predict(whole, picture)
    assert (want.corrected - want.embedding).abs().max() > 0.1
    torch.testing.assert_close(got.corrected, want.corrected, atol=1e-3, rtol=1e-3)
    more, _ = started(('background', 'tram', *INFO.class_names[1:]))
    kernel, before = more.assignment.from_pixels.weight, whole.assignment.from_pixels.weight
    first = before.shape[1] - len(INFO.class_names)
    assert not kernel[:, first + 1].any()
    known = [column for column in range(kernel.shape[1]) if column != first + 1]
    torch.testing.assert_close(kernel[:, known], before)


@pytest.mark.parametrize('model, message', [
    ({'width_16': 32}, r'network\.semantic\.\S+ of shape \(32, '),
    ({'assignment_width': 24}, r'network\.assignment\.\S+ (of shape|for \d+ inputs)'),
    ({'semantic_encoder': ''}, r'network\.semantic\.\S+ is missing|with the part "semantic_enc'),
    ({'encoder': 'nanodet_plus_m'}, r'network\.(encoder|heads)\.\S+ of shape')])
def test_files_of_another_network_are_refused(model, message):
    with pytest.raises(ValueError, match=message) as error:
        started(**model)
    assert str(MODEL) in str(error.value)


def test_networks_that_take_class_scores_as_inputs_need_the_same_classes():
    with pytest.raises(ValueError, match='expected the classes background, tram, as decoders'):
        started(('background', 'tram'), semantic_encoder='')


def test_files_without_these_weights_are_refused(tmp_path):
    half = tmp_path / 'half.onnx'
    half.write_bytes(seal(to_half(onnx.load(MODEL)).SerializeToString()))
    with pytest.raises(ValueError, match=r'half.onnx: expected a model .*--precision fp32'):
        started(path=half)
    save_file({'a': torch.zeros(1)}, tmp_path / 'renamed.onnx')
    with pytest.raises(ValueError, match=r'renamed.onnx: expected an ONNX model'):
        started(path=tmp_path / 'renamed.onnx')


def normalisations(module):
    """Return the names of the normalisations of a network: those in training, and the others."""
    found = {True: set(), False: set()}
    for name, layer in module.network.named_modules():
        if isinstance(layer, (torch.nn.BatchNorm2d, torch.nn.SyncBatchNorm)):
            found[layer.training].add(name)
    return found[True], found[False]


def module_that_starts(config):
    module = TrainingModule(config)
    if config.model.weights:
        load_weights(module.network, config)
    return module.train()


def test_training_keeps_the_statistics_that_are_folded_into_the_weights(picture):
    module = module_that_starts(configuration())
    trained, kept = normalisations(module)
    assert kept and not trained
    before = predict(module.eval().network, picture).semantic
    predict(module.train().network, picture)
    torch.testing.assert_close(predict(module.eval().network, picture).semantic, before)
    module.train()
    assert any(layer.training for layer in module.network.semantic.modules()
               if isinstance(layer, torch.nn.Dropout2d))
    trained = {name.split('.')[0] for name, parameter in module.network.named_parameters()
               if parameter.requires_grad}
    assert trained == {'heads', 'semantic'}
    with pytest.raises(ValueError, match="no part for 'background', only encoder, heads"):
        TrainingModule(configuration(trained='background'))


def test_parts_that_the_file_lacks_learn_their_statistics(picture):
    module = module_that_starts(configuration(trained='all', residual_width=8))
    trained, kept = normalisations(module)
    assert {name.split('.')[0] for name in trained} == {'center', 'embedding'}
    assert {name.split('.')[0] for name in kept} == {'semantic', 'assignment'}
    # Several devices train with another kind of layer.
    torch.nn.SyncBatchNorm.convert_sync_batchnorm(module)
    assert normalisations(module.train()) == (trained, kept)


def test_a_resumed_training_and_one_from_its_checkpoint_keep_the_same_statistics(
        tmp_path, picture):
    config = configuration(trained='all', residual_width=8)
    module = module_that_starts(config)
    predict(module.network, picture)  # the statistics of new parts move
    resumed = TrainingModule(config)
    resumed.load_state_dict(module.state_dict())
    assert normalisations(resumed.train()) == normalisations(module)
    path = tmp_path / 'last.ckpt'
    torch.save({'state_dict': module.state_dict(), 'epoch': 0, 'global_step': 1,
                'hyper_parameters': {'config': config.to_dict()}}, path)
    further = module_that_starts(configuration(trained='all', residual_width=8, weights=str(path)))
    assert normalisations(further) == normalisations(module)


def test_without_a_model_file_all_parts_learn_their_statistics():
    trained, kept = normalisations(module_that_starts(configuration(trained='all', weights='')))
    assert trained and not kept
