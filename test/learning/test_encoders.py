"""Encoders: shapes, frozen stages, weights from files; ResNets against plain arithmetic."""
from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from instseg_ros.learning.encoders import ENCODERS, build_encoder
from instseg_ros.learning.encoders.encoder import EncoderConv2d

LAYOUTS = {'resnet18': (1, 2, (2, 2, 2, 2)), 'resnet34': (1, 2, (3, 4, 6, 3)),
           'resnet50': (4, 3, (3, 4, 6, 3))}
"""Expansion, convolutions in a block, and blocks in a layer."""


def torchvision_state(name, batches=True):
    """Make up a state dict in torchvision's layout, written down anew from its documentation."""
    expansion, convolutions, counts = LAYOUTS[name]
    generator = torch.Generator().manual_seed(7)
    state = {}

    def add(conv, norm, outputs, inputs, kernel):
        size = (outputs, inputs, kernel, kernel)
        state[f'{conv}.weight'] = torch.randn(size, generator=generator) * (
            1.4 / (inputs * kernel * kernel) ** 0.5)
        state[f'{norm}.weight'] = torch.rand(outputs, generator=generator) * 0.5 + 0.5
        for part in ('bias', 'running_mean'):
            state[f'{norm}.{part}'] = torch.randn(outputs, generator=generator) * 0.1
        state[f'{norm}.running_var'] = torch.rand(outputs, generator=generator) + 0.5
        if batches:
            state[f'{norm}.num_batches_tracked'] = torch.tensor(5)

    add('conv1', 'bn1', 64, 3, 7)
    inputs = 64
    for layer, (width, count) in enumerate(zip((64, 128, 256, 512), counts), start=1):
        for index in range(count):
            block, outputs = f'layer{layer}.{index}', width * expansion
            shapes = (((width, inputs, 3), (width, width, 3)) if convolutions == 2 else
                      ((width, inputs, 1), (width, width, 3), (outputs, width, 1)))
            for number, shape in enumerate(shapes, start=1):
                add(f'{block}.conv{number}', f'{block}.bn{number}', *shape)
            if index == 0 and (layer > 1 or inputs != outputs):
                add(f'{block}.downsample.0', f'{block}.downsample.1', outputs, inputs, 1)
            inputs = outputs
    state['fc.weight'], state['fc.bias'] = torch.zeros(1000, inputs), torch.zeros(1000)
    return state


def plain_resnet(state, name, image):
    """Compute the feature maps as torchvision does (symmetric padding), layer4 being dilated."""
    _, convolutions, counts = LAYOUTS[name]

    def conv_norm(x, conv, norm, stride=1, dilation=1):
        weight = state[f'{conv}.weight']
        x = F.conv2d(x, weight, None, stride, dilation * (weight.shape[2] // 2), dilation)
        return F.batch_norm(x, *(state[f'{norm}.{part}'] for part in (
            'running_mean', 'running_var', 'weight', 'bias')))

    x = F.relu(conv_norm(image, 'conv1', 'bn1', 2))
    maps = {2: x}
    x = F.max_pool2d(x, 3, 2, 1)
    for layer, count in enumerate(counts, start=1):
        for index in range(count):
            block, y = f'layer{layer}.{index}', x
            stride = 2 if index == 0 and layer in (2, 3) else 1
            strided = 1 if convolutions == 2 else 2  # number of the convolution with the stride
            for number in range(1, convolutions + 1):
                kernel = state[f'{block}.conv{number}.weight'].shape[2]
                wide = layer == 4 and kernel == 3 and (index, number) != (0, strided)
                y = conv_norm(y, f'{block}.conv{number}', f'{block}.bn{number}',
                              stride if number == strided else 1, 2 if wide else 1)
                y = F.relu(y) if number < convolutions else y
            if f'{block}.downsample.0.weight' in state:
                x = conv_norm(x, f'{block}.downsample.0', f'{block}.downsample.1', stride)
            x = F.relu(x + y)
        maps[{1: 4, 2: 8, 3: 16, 4: 16}[layer]] = x
    return maps


@pytest.mark.parametrize('name', ENCODERS)
def test_there_is_a_map_of_the_stated_channels_at_every_stride(name):
    encoder = build_encoder(name).eval()
    with torch.no_grad():
        features = encoder(torch.randn(1, 3, 64, 96))
    assert {stride: tuple(x.shape) for stride, x in features.items()} == {
        stride: (1, channels, -(-64 // stride), -(-96 // stride))
        for stride, channels in encoder.channels.items()}
    assert set(features) >= {1, 2, 4, 8, 16}


@pytest.mark.parametrize('name, parameters', [
    ('resnet18', 11_176_512), ('resnet34', 21_284_672), ('resnet50', 23_508_032)])
def test_resnets_have_the_layout_of_torchvision(name, parameters):
    encoder = build_encoder(name)
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    want = {key: tuple(tensor.shape) for key, tensor in torchvision_state(name).items()
            if not key.startswith('fc.')}
    assert {key: tuple(tensor.shape) for key, tensor in encoder.state_dict().items()} == want


@pytest.mark.parametrize('name', ['resnet18', 'resnet50'])
def test_resnets_compute_what_torchvision_does_but_centered(name, tmp_path):
    state = torchvision_state(name)
    torch.save(state, tmp_path / 'weights.pth')
    encoder = build_encoder(name).eval()
    assert set(encoder.load_weights(tmp_path / 'weights.pth')) == {'fc.weight', 'fc.bias'}
    size = 480
    image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        got = encoder(image)
        # Cell i of torchvision is centered on s i; ours on s i + 1 at first, on s i + 5 later.
        for shift, strides in ((1, (2, 4)), (5, (8, 16))):
            want = plain_resnet(state, name, image[:, :, shift:, shift:])
            for stride in strides:
                # How far the padding at the borders reaches depends on the layers before.
                edge = -(-{2: 8, 4: 32, 8: 72, 16: 224}[stride] // stride)
                inner = slice(edge, size // stride - edge)
                assert inner.stop > inner.start
                torch.testing.assert_close(got[stride][:, :, inner, inner],
                                           want[stride][:, :, inner, inner],
                                           rtol=1e-3, atol=1e-3, msg=f'stride {stride}')


def test_weights_load_from_safetensors_and_without_counts_of_batches(tmp_path):
    state = torchvision_state('resnet18', batches=False)
    save_file(state, str(tmp_path / 'weights.safetensors'))
    encoder = build_encoder('resnet18')
    encoder.load_weights(tmp_path / 'weights.safetensors')
    torch.testing.assert_close(encoder.layer4[1].conv2.weight, state['layer4.1.conv2.weight'])


@pytest.mark.parametrize('theirs, message', [
    ('resnet34', 'no place for .*layer1.2.*another depth'),
    ('resnet50', 'expected layer1.0.conv1')])
def test_weights_of_another_depth_are_refused(theirs, message, tmp_path):
    torch.save(torchvision_state(theirs), tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=message):
        build_encoder('resnet18').load_weights(tmp_path / 'weights.pth')


def test_incomplete_weights_are_refused(tmp_path):
    state = torchvision_state('resnet18')
    del state['layer2.0.downsample.0.weight']
    torch.save(state, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='1 of its 120 tensors are missing.*layer2.0.downsample'):
        build_encoder('resnet18').load_weights(tmp_path / 'weights.pth')


class Code:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return open, ('executed', 'w')


def test_pickled_code_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'conv1.weight': Code()}, 'weights.pth')
    with open('plain.pth', 'wb') as file:
        pickle.dump(Code(), file, protocol=2)
    for name in ('weights.pth', 'plain.pth'):
        with pytest.raises(ValueError, match='pickled code'):
            build_encoder('resnet18').load_weights(name)
    assert not (tmp_path / 'executed').exists()


def test_files_that_are_no_weights_are_refused(tmp_path):
    encoder = build_encoder('mobilenet_v2')
    (tmp_path / 'x.safetensors').write_bytes(b'nonsense')
    torch.save([torch.zeros(3)], tmp_path / 'list.pt')
    (tmp_path / 'x.h5').write_bytes(b'')
    for name, message in (('x.safetensors', 'not a safetensors file'),
                          ('missing.safetensors', 'no such file'),
                          ('list.pt', 'expected a state dict.*got list'),
                          ('x.h5', 'expected weights as .safetensors, .pth, .pt')):
        with pytest.raises(ValueError, match=message):
            encoder.load_weights(tmp_path / name)


def test_unknown_encoder_names_the_known_ones():
    with pytest.raises(ValueError, match="expected one of mobilenet_v2, resnet18.*got 'vgg'"):
        build_encoder('vgg')


@pytest.mark.parametrize('name, count, trained', [
    ('mobilenet_v2', 3, {f'blocks.{index}' for index in range(6, 17)} | {'aspp'}),
    ('resnet18', 2, {'layer2', 'layer3', 'layer4'})])
def test_frozen_stages_are_the_first_ones(name, count, trained):
    encoder = build_encoder(name)
    encoder.freeze(count)
    names = {'.'.join(key.split('.')[:2]) if key.startswith('blocks') else key.split('.')[0]
             for key, p in encoder.named_parameters() if p.requires_grad}
    assert names == trained


def test_more_frozen_stages_than_there_are_is_an_error():
    with pytest.raises(ValueError, match='frozen_stages: expected 0 to 5.*got 6'):
        build_encoder('resnet18').freeze(6)


def test_batch_statistics_of_frozen_stages_stay():
    encoder = build_encoder('resnet18')
    encoder.freeze(2)
    encoder.train()
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    encoder(torch.randn(2, 3, 64, 64))
    changed = {key.split('.')[0] for key, tensor in encoder.state_dict().items()
               if not torch.equal(tensor, before[key])}
    assert changed == {'layer2', 'layer3', 'layer4'}


@pytest.mark.parametrize('size', [(64, 96), (48, 80)])  # an even number of cells, and an odd one
def test_training_computes_dilated_convolutions_as_inference_does(size):
    torch.manual_seed(0)
    encoder = build_encoder('mobilenet_v2')
    image = torch.randn(2, 3, *size)
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, EncoderConv2d):  # else little would arrive at the last layers
                torch.nn.init.kaiming_normal_(module.weight)
        trained, used = encoder.train()(image)[16], encoder.eval()(image)[16]
    assert used.std() > 0.01
    torch.testing.assert_close(trained, used, rtol=1e-3, atol=1e-4)
