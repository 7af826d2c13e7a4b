"""The street model is put together of a detector and a semantic branch, as these are."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from short_trainings import train, write_config

from instseg_ros.cli import main
from instseg_ros.learning.checkpoints import load_checkpoint
from instseg_ros.learning.detector.heads import COCO_CLASSES, DetectorHeads
from instseg_ros.learning.encoders import build_encoder

SCRIPT = Path(__file__).resolve().parents[1] / 'scripts' / 'compose_street.py'
CLASSES = ['background', 'person', 'car']
WIDTHS = {'width_16': 8, 'width_8': 8, 'width_4': 8}


@pytest.fixture(scope='module')
def parts(tmp_path_factory):
    """A folder with a trained model and its configuration, and weights of a detector."""
    folder = tmp_path_factory.mktemp('parts')
    config = write_config(folder, 4, epochs=1, data={
        'classes': CLASSES, 'class_map': {'box': 'person', 'post': 'car'}})
    assert train(config, folder / 'runs') == 0
    assert main(['export', str(folder / 'runs' / 'last.ckpt'), '--no-calibration',
                 '--out', str(folder / 'semantic.onnx')]) == 0
    torch.manual_seed(0)
    encoder = build_encoder('nanodet_plus_m')
    heads = DetectorHeads(encoder.channels[8], len(COCO_CLASSES))
    save_file({**encoder.state_dict(),
               **{f'head.{name}': tensor for name, tensor in heads.state_dict().items()}},
              str(folder / 'detector.safetensors'))
    composed = {'data': yaml.safe_load(config.read_text())['data'],
                'model': {**WIDTHS, 'encoder': 'nanodet_plus_m', 'embedding_size': 4,
                          'residual_width': 0, 'semantic_encoder': 'mobilenet_v2',
                          'weights': 'detector.safetensors'}}
    (folder / 'composed.yaml').write_text(yaml.safe_dump(composed))
    return folder


def compose(folder, out, *more):
    """Run the script."""
    return subprocess.run([sys.executable, SCRIPT, '--semantic', folder / 'semantic.onnx',
                           '--config', folder / 'composed.yaml', '--out', out, *more],
                          capture_output=True, text=True)


def composed_network(folder, name, *more):
    """Return the network that the script puts together."""
    out = folder / 'build' / f'{name}.ckpt'
    run = compose(folder, out, *more)
    assert run.returncode == 0, run.stderr
    return load_checkpoint(out)[0]


def semantic(network, image):
    """Return the class logits of the semantic branch alone."""
    with torch.no_grad():
        return network.semantic(network.semantic_encoder(
            (image - network.semantic_mean) / network.semantic_std))


def test_the_parts_are_as_they_were_and_class_weights_can_be_taken_back(parts):
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 255
    trained, _, _ = load_checkpoint(parts / 'runs' / 'last.ckpt')
    plain = composed_network(parts, 'plain')
    with torch.no_grad():
        torch.testing.assert_close(semantic(plain, image), trained(image).semantic,
                                   atol=1e-3, rtol=1e-3)
    heads = build_encoder('nanodet_plus_m').load_weights(parts / 'detector.safetensors')
    torch.testing.assert_close(plain.heads['8']['output'].weight[:2],
                               heads['head.8.output.weight'][[0, 2]])  # person and car
    unweighted = composed_network(parts, 'unweighted', '--class-weights',
                                  parts / 'training.yaml')
    weights = torch.load(parts / 'runs' / 'last.ckpt', weights_only=True)['state_dict'][
        'class_weights']
    assert weights.max() > 1.1 * weights.min()
    torch.testing.assert_close(semantic(unweighted, image),
                               semantic(plain, image) - weights.log().view(1, -1, 1, 1))


def test_class_weights_of_other_classes_are_refused(parts):
    config = yaml.safe_load((parts / 'training.yaml').read_text())
    config['data']['classes'] = ['background', 'car', 'person']
    (parts / 'other.yaml').write_text(yaml.safe_dump(config))
    run = compose(parts, parts / 'none.ckpt', '--class-weights', parts / 'other.yaml')
    assert run.returncode == 2
    assert 'other.yaml: expected the classes background, person, car, got background, car' in (
        run.stderr)
    assert not (parts / 'none.ckpt').exists()


def test_the_semantic_branch_can_be_trained_on_alone(parts):
    composed = composed_network(parts, 'start').state_dict()
    values = yaml.safe_load((parts / 'composed.yaml').read_text())
    values['model'].update(weights='build/start.ckpt', trained='classes', frozen_stages=3)
    values.update(yaml.safe_load((parts / 'training.yaml').read_text()) | values)
    values['loss'] = {'object_size_power': 1.0}
    (parts / 'classes.yaml').write_text(yaml.safe_dump(values))
    assert train(parts / 'classes.yaml', parts / 'classes') == 0
    trained = load_checkpoint(parts / 'classes' / 'last.ckpt')[0].state_dict()
    # The moving average rounds what does not change, too.
    changed = {name for name, tensor in trained.items()
               if not torch.allclose(tensor.float(), composed[name].float(), rtol=1e-5, atol=1e-6)}
    assert {name.partition('.')[0] for name in changed} == {'semantic_encoder', 'semantic'}
    encoder = build_encoder('mobilenet_v2')
    frozen = {id(p) for stage in encoder.stages()[:3] for part in stage for p in part.parameters()}
    names = {f'semantic_encoder.{name}' for name, p in encoder.named_parameters()
             if id(p) in frozen}
    assert names and not names & changed
