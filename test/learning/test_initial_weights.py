"""What tells the classes goes straight from the initial weights to the trained ones."""
import pytest
import torch
from safetensors.torch import load_file, save_file

from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.encoders import build_encoder
from instseg_ros.learning.initial_weights import blend_with_initial, start_from
from instseg_ros.learning.model import (
    VOC_CLASSES,
    InstanceSegmentationNetwork,
    load_initial_weights,
)
from instseg_ros.learning.module import TrainingModule

NAMES = ('background', 'person', 'crate')


def network(seed):
    torch.manual_seed(seed)
    return InstanceSegmentationNetwork(encoder=build_encoder('mobilenet_v2'), classes=len(NAMES),
                                       embedding_size=4, widths={16: 8, 8: 8, 4: 8})


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Initial weights with a classifier of VOC's classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'initial.safetensors'
    tensors = {**network(0).encoder.state_dict(),
               'logits.weight': torch.randn(len(VOC_CLASSES), 256, 1, 1),
               'logits.bias': torch.randn(len(VOC_CLASSES))}
    save_file(tensors, str(path))
    return path


def test_half_a_classifier_is_refused_by_name(weights, tmp_path):
    tensors = load_file(str(weights))
    del tensors['logits.bias']
    save_file(tensors, str(tmp_path / 'half.safetensors'))
    with pytest.raises(ValueError, match='half.safetensors: expected logits.bias beside'):
        load_initial_weights(network(2), tmp_path / 'half.safetensors', NAMES)


def trained_network():
    trained = network(1)
    with torch.no_grad():
        trained.semantic.residual.head[-1].weight.normal_()
    return trained


def test_the_ends_are_the_initial_and_the_trained_weights(weights):
    image = torch.rand(1, 3, 64, 64) * 255
    initial, trained = network(2).eval(), trained_network().eval()
    load_initial_weights(initial, weights, NAMES)
    start, end = trained_network().eval(), trained_network().eval()
    blend_with_initial(start, weights, NAMES, 0.0)
    blend_with_initial(end, weights, NAMES, 1.0)
    with torch.no_grad():
        torch.testing.assert_close(end(image), trained(image))
        # Training starts from the coarse guess alone, whatever the rest of the decoder is.
        expected, found = initial(image).semantic[:, :2], start(image).semantic[:, :2]
        torch.testing.assert_close(found, expected)


def test_in_between_weights_are_in_between_and_the_other_decoders_stay(weights):
    trained, initial, blended = trained_network(), network(2), trained_network()
    load_initial_weights(initial, weights, NAMES)
    blend_with_initial(blended, weights, NAMES, 0.25)
    for name in ('encoder.blocks.3.depthwise.weight', 'encoder.stem.bias',
                 'semantic.coarse.weight'):
        a, b, c = (net.state_dict()[name] for net in (trained, initial, blended))
        torch.testing.assert_close(c, 0.25 * a + 0.75 * b)
    a, c = trained.state_dict(), blended.state_dict()
    torch.testing.assert_close(c['semantic.residual.head.3.weight'],
                               0.25 * a['semantic.residual.head.3.weight'])
    for name in a:
        if name.startswith(('center.', 'embedding.')):
            assert torch.equal(a[name], c[name]), name


def detector(tmp_path, seed, assignment_width, stuff=()):
    """Return the configuration and the network of a small detector, and its checkpoint's path."""
    config = TrainingConfig.from_dict({
        'data': {'images': 'images', 'annotations': 'annotations.json',
                 'classes': ['background', 'person', 'car', 'road'], 'stuff': list(stuff)},
        'model': {'encoder': 'nanodet_plus_m', 'embedding_size': 4, 'residual_width': 0,
                  'assignment_width': assignment_width}})
    torch.manual_seed(seed)
    module, path = TrainingModule(config), tmp_path / f'{seed}.ckpt'
    torch.save({'state_dict': module.state_dict(), 'epoch': -1, 'global_step': 0,
                'hyper_parameters': {'config': config.to_dict()}}, path)
    return config, module.network.eval(), path


def test_a_decoder_that_a_checkpoint_lacks_adds_nothing_at_first(tmp_path):
    _, source, path = detector(tmp_path, 0, assignment_width=0)
    config, network, _ = detector(tmp_path, 1, assignment_width=16)
    start_from(network, path, config)
    image = 255 * torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = source(image), network(image)
    torch.testing.assert_close(found[:3], expected[:3])
    torch.testing.assert_close(found.corrected, expected.embedding)


def test_a_decoder_of_a_checkpoint_is_not_dropped(tmp_path):
    _, _, path = detector(tmp_path, 0, assignment_width=16)
    config, network, _ = detector(tmp_path, 1, assignment_width=0)
    with pytest.raises(ValueError, match='another network: model.assignment_width: 16'):
        start_from(network, path, config)


def test_a_detector_of_other_things_is_refused_though_there_are_as_many(tmp_path):
    _, _, path = detector(tmp_path, 0, assignment_width=0, stuff=['car'])
    config, network, _ = detector(tmp_path, 1, assignment_width=0, stuff=['road'])
    with pytest.raises(ValueError, match='trained with data.stuff background, car, .* road'):
        start_from(network, path, config)
