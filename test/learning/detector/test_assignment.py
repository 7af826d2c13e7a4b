"""Assignment: boxes of pixels are corrected, and only for the choice between centers."""
from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from instseg_ros.learning.detector.assignment import AssignmentDecoder
from instseg_ros.learning.detector.assignment_loss import assignment_loss
from instseg_ros.learning.detector.grids import to_finer_grid
from instseg_ros.learning.detector.modes import APART, embed_boxes, seek_modes
from instseg_ros.learning.detector.network import DetectorNetwork
from instseg_ros.learning.encoders.nanodet_plus import NanoDetPlus
from instseg_ros.learning.export.layout import BLOCK, fill_up_channels, fold_batch_norms
from instseg_ros.learning.model import Prediction

CLASSES, HEIGHT, WIDTH = 3, 16, 24
LEFT, RIGHT = (0., 0., 64., 64.), (32., 0., 96., 64.)
LEFT_CENTER, RIGHT_CENTER = (8, 6), (8, 18)


def two_people(border=12):
    """Return a prediction for two people of class 1 who overlap, and the truth of them.

    The boxes predicted left of column `border` are those of the left person.
    """
    columns = torch.arange(WIDTH) < border
    box = torch.where(columns, torch.tensor(LEFT)[:, None], torch.tensor(RIGHT)[:, None])
    embedding = embed_boxes(box[None, :, None].expand(1, 4, HEIGHT, WIDTH).contiguous())
    semantic = torch.zeros(1, CLASSES, HEIGHT, WIDTH)
    semantic[:, 1] = 5.0
    center = torch.full((1, HEIGHT, WIDTH), -8.0)
    center[0, LEFT_CENTER[0], LEFT_CENTER[1]] = 2.0
    center[0, RIGHT_CENTER[0], RIGHT_CENTER[1]] = 2.0
    instance_ids = torch.where(torch.arange(WIDTH) < 12, 3, 7).expand(1, HEIGHT, WIDTH)
    return (Prediction(semantic, center, embedding, None, embedding.clone()),
            torch.ones(1, HEIGHT, WIDTH, dtype=torch.int64), instance_ids)


def loss_of(prediction, semantic_ids, instance_ids):
    return assignment_loss(prediction, semantic_ids, instance_ids, (1, 2))


def test_the_loss_is_low_where_pixels_go_to_their_own_center():
    right, wrong = loss_of(*two_people()), loss_of(*two_people(border=16))
    assert 0 <= right < 0.1
    assert wrong > right + 0.1


def test_descent_brings_pixels_to_their_own_center():
    prediction, *truth = two_people(border=16)
    corrected = prediction.embedding.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([corrected], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        loss_of(prediction._replace(corrected=corrected), *truth).backward()
        optimizer.step()
    drawn = seek_modes(truth[0], prediction.center, prediction.center > -8, prediction.embedding,
                       CLASSES, 4, corrected.detach())
    for column, center in ((13, RIGHT_CENTER), (15, RIGHT_CENTER), (2, LEFT_CENTER)):
        want = APART * prediction.embedding[0, :, center[0], center[1]]
        assert torch.equal(drawn[0, :, :, column], want[:, None].expand(-1, HEIGHT))


def test_pixels_without_a_right_answer_have_no_gradient():
    prediction, semantic_ids, instance_ids = two_people(border=8)
    prediction.semantic[:, 2, :4] = 9.0  # a wrong class
    prediction.center[:, RIGHT_CENTER[0], RIGHT_CENTER[1]] = -8.0
    prediction.center[:, 4, 3] = 1.9  # a second center on the left person
    half = torch.tensor([0., 0., 24., 64.]).view(1, 4, 1, 1)
    prediction.embedding[:, :, 4, 3] = embed_boxes(half)[:, :, 0, 0]
    instance_ids = instance_ids.clone()
    instance_ids[:, 4, 5] = 0
    corrected = prediction.embedding.clone().requires_grad_(True)
    loss_of(prediction._replace(corrected=corrected), semantic_ids, instance_ids).backward()
    touched = corrected.grad.abs().sum(1)[0] > 0
    assert touched[4:, :12].any()
    assert not touched[:4].any() and not touched[:, 12:].any() and not touched[4, 5]


def test_images_without_objects_or_centers_have_no_loss():
    prediction, semantic_ids, instance_ids = two_people()
    assert loss_of(prediction, semantic_ids, torch.zeros_like(instance_ids)) == 0
    nothing = prediction._replace(center=torch.full_like(prediction.center, -8.0),
                                  corrected=prediction.corrected.requires_grad_(True))
    loss = loss_of(nothing, semantic_ids, instance_ids)
    loss.backward()  # as in a training
    assert loss == 0 and not nothing.corrected.grad.any()


def test_corrections_change_neither_centers_nor_duplicates():
    prediction, class_ids, _ = two_people()
    drawn = seek_modes(class_ids, prediction.center, prediction.center > -8, prediction.embedding,
                       CLASSES, 4, torch.randn(prediction.embedding.shape))
    centers = [APART * prediction.embedding[0, :, y, x] for y, x in (LEFT_CENTER, RIGHT_CENTER)]
    is_left, is_right = ((drawn[0] == center[:, None, None]).all(0) for center in centers)
    assert (is_left | is_right).all()


def test_maps_are_interpolated_at_the_cells_of_half_their_stride():
    x = torch.rand(1, 2, 3, 4)
    fine = to_finer_grid(x)
    assert fine.shape == (1, 2, 6, 8)
    torch.testing.assert_close(fine[:, :, ::2, ::2], x)
    torch.testing.assert_close(fine[:, :, ::2, 1:-1:2], (x[..., 1:] + x[..., :-1]) / 2)
    torch.testing.assert_close(fine[:, :, -1, ::2], x[:, :, -1])


def small_network(**changes):
    torch.manual_seed(1)
    network = DetectorNetwork(**{
        'encoder': NanoDetPlus((16, 32, 64), 16), 'class_names': ('background', 'person', 'car'),
        'thing_ids': (1, 2), 'embedding_size': 4, 'output_stride': 4, 'residual_width': 0,
        'semantic_encoder': None, 'widths': {16: 16, 8: 16, 4: 8}, 'evidence': (1.0, 2.0),
        'assignment_width': 16, **changes}).eval()
    with torch.no_grad():
        for head in network.heads.values():
            head['output'].weight.mul_(20)
    return network


def test_it_starts_from_the_boxes_of_the_detector():
    with torch.no_grad():
        prediction = small_network()(torch.rand(1, 3, 64, 96) * 255)
    assert torch.equal(prediction.corrected, prediction.embedding)


def test_channels_that_the_export_adds_change_nothing():
    network, image = small_network(), torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():
        network.assignment.last.weight.normal_(0, 0.1)
        fold_batch_norms(network)
        network.semantic = None  # on the detector's features, which are left as they are
        features = network.encoder(image)
        inputs = (torch.rand(1, 3, 16, 24), torch.rand(1, 16, 24), two_people()[0].embedding)
        want = network.assignment(features, *inputs)
        fill_up_channels(network)
        assert network.assignment.from_4.in_channels % BLOCK == 0
        features = network.encoder(image)
        torch.testing.assert_close(network.assignment(features, *inputs), want, rtol=1e-4,
                                   atol=1e-4)


def test_a_correction_is_relative_to_the_box():
    decoder = AssignmentDecoder({4: 8, 8: 16, 16: 16}, CLASSES, 16, 0.0).eval()
    with torch.no_grad():
        decoder.last.bias.copy_(torch.tensor([0.5, -0.25, 0.1, 0.2]))
    boxes = torch.tensor([[10., 10., 50., 90.], [20., 30., 40., 50.]])
    embedding = embed_boxes(boxes.T.reshape(1, 4, 1, 2).repeat(1, 1, 8, 4))
    features = {stride: torch.rand(1, decoder_channels, 32 // stride, 32 // stride)
                for stride, decoder_channels in ((4, 8), (8, 16), (16, 16))}
    with torch.no_grad():
        got = decoder(features, torch.rand(1, CLASSES, 8, 8), torch.zeros(1, 8, 8), embedding)
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    torch.testing.assert_close(got[0, :, 3, :2] - embedding[0, :, 3, :2], torch.stack([
        0.07 * 0.5 * widths, -0.07 * 0.25 * heights, torch.full((2,), 0.15),
        torch.full((2,), 0.3)]), rtol=1e-4, atol=1e-4)


def test_onnx_runtime_corrects_the_same(tmp_path):
    decoder = AssignmentDecoder({4: 8, 8: 16, 16: 16}, CLASSES, 16, 0.0).eval()
    with torch.no_grad():
        decoder.last.weight.normal_(0, 0.1)
    inputs = ({4: torch.rand(1, 8, 16, 24), 8: torch.rand(1, 16, 8, 12),
               16: torch.rand(1, 16, 4, 6)}, torch.rand(1, CLASSES, 16, 24),
              torch.randn(1, 16, 24), two_people()[0].embedding)
    path = str(tmp_path / 'decoder.onnx')
    torch.onnx.export(decoder, inputs, path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path)
    values = [*inputs[0].values(), *inputs[1:]]
    got, = session.run(None, {node.name: value.numpy() for node, value in
                              zip(session.get_inputs(), values)})
    with torch.no_grad():
        np.testing.assert_allclose(got, decoder(*inputs), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('changes', [{'output_stride': 8},
                                     {'embedding_size': 6, 'residual_width': 8}])
def test_networks_whose_pixels_cannot_be_corrected_are_refused(changes):
    with pytest.raises(ValueError, match='assignment_width: only with'):
        small_network(**changes)
