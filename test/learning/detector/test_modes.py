"""Modes: whom pixels are drawn to, against the plain formulas."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from instseg_ros.core.config import GroupingConfig
from instseg_ros.learning.detector.modes import (
    APART,
    OUTSIDE,
    STRENGTH,
    corners_of,
    costs,
    embed_boxes,
    seek_modes,
)

STRIDE, CLASSES = 4, 3
HERE, THERE = (8., 8., 40., 56.), (48., 8., 80., 56.)


def scene(boxes_of_columns, peaks, class_ids=None, size=(16, 24)):
    """Return the embedding that is made of one box per column of pixels, and its modes' result.

    Parameters
    ----------
    boxes_of_columns : callable
        From a column to the box predicted there.
    peaks : dict of (int, int) to float
        Logit of the center at each (y, x).
    """
    boxes = torch.zeros(1, 4, *size)
    for x in range(size[1]):
        boxes[0, :, :, x] = torch.tensor(boxes_of_columns(x))[:, None]
    class_ids = torch.ones(1, *size, dtype=torch.int64) if class_ids is None else class_ids
    logits = torch.full((1, *size), -8.0)
    for (y, x), logit in peaks.items():
        logits[0, y, x] = logit
    embedding = embed_boxes(boxes)
    return embedding, seek_modes(class_ids, logits, logits > -8, embedding, CLASSES, STRIDE)


def two_objects(x):
    return HERE if x < 11 else THERE


def test_embeddings_hold_the_box():
    box = torch.tensor([10., 20., 50., 100.]).view(1, 4, 1, 1)
    embedding = embed_boxes(box).view(1, 1, 4)
    np.testing.assert_allclose(embedding[0, 0], (2.1, 4.2, 1.5 * np.log(40), 1.5 * np.log(80)),
                               rtol=1e-5)
    np.testing.assert_allclose(corners_of(embedding)[0, 0], (10, 20, 50, 100), rtol=1e-5)


def test_pixels_have_the_embedding_of_their_objects_center():
    embedding, got = scene(lambda x: tuple(np.add(two_objects(x), 3 * (x % 2))),
                           {(8, 6): 2.0, (8, 16): 1.0})
    for columns, center in ((slice(2, 10), 6), (slice(13, 20), 16)):
        want = APART * embedding[0, :, 8, center]
        assert torch.equal(got[0, :, :, columns],
                           want[:, None, None].expand(-1, 16, columns.stop - columns.start))


def test_duplicates_have_one_embedding_and_neighbours_are_apart():
    _, got = scene(lambda x: (9., 8., 42., 56.) if x == 4 else two_objects(x),
                   {(8, 6): 2.0, (8, 4): 1.0, (8, 16): 0.0})
    assert torch.equal(got[0, :, 8, 4], got[0, :, 8, 6])
    apart = torch.linalg.norm(got[0, :, 8, 6] - got[0, :, 8, 16])
    assert apart > GroupingConfig.duplicate_distance


def test_weak_peaks_draw_nothing():
    _, got = scene(two_objects, {(8, 6): 2.0, (8, 16): -3.0})
    assert torch.equal(got[0, :, 8, 16], got[0, :, 8, 6])


def test_pixels_are_drawn_by_their_own_class_only():
    class_ids = torch.ones(1, 16, 24, dtype=torch.int64)
    class_ids[:, 8:] = 2
    class_ids[:, 12:] = 0
    embedding, got = scene(two_objects, {(4, 6): 2.0, (9, 16): 1.0}, class_ids)
    assert torch.equal(got[0, :, 3, 20], APART * embedding[0, :, 4, 6])
    assert torch.equal(got[0, :, 9, 2], APART * embedding[0, :, 9, 16])
    # No mode is of class 0.
    assert torch.equal(got[:, :, 12:], APART * embedding[:, :, 12:])


def test_a_pixel_outside_of_a_box_goes_to_one_that_covers_it():
    # Column 11 is covered by THERE alone, though the box predicted there is nearer to HERE.
    between = tuple(0.7 * np.array(HERE) + 0.3 * np.array(THERE))
    embedding, got = scene(lambda x: between if x == 12 else two_objects(x),
                           {(8, 6): 0.0, (8, 16): 0.0})
    assert torch.equal(got[0, :, 8, 12], APART * embedding[0, :, 8, 16])


def test_costs_are_relative_squared_distances():
    generator = torch.Generator().manual_seed(3)
    points, modes = (torch.rand(1, n, 6, generator=generator) * 3 + 2 for n in (5, 4))
    classes, mode_classes = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([0, 1, 0, 1])
    handicap = torch.rand(1, 4, generator=generator)
    one_hot = torch.nn.functional.one_hot
    got = costs(points.double(), one_hot(classes)[None].double(), modes.double(),
                one_hot(mode_classes)[None].double(), handicap.double())[0]
    for p, k in np.ndindex(5, 4):
        if classes[p] != mode_classes[k]:
            assert got[p, k] > 100
            continue
        corners = corners_of(torch.stack([points[0, p], modes[0, k]])[None])[0].double()
        (ax, ay), (bx, by) = ((corners[:, :2] + corners[:, 2:]) / 2).tolist()
        (aw, ah), (bw, bh) = (corners[:, 2:] - corners[:, :2]).tolist()
        want = (((ax - bx) / bw) ** 2 + ((ay - by) / bh) ** 2
                + 0.25 * (np.log(aw / bw) ** 2 + np.log(ah / bh) ** 2)
                + float(((points[0, p, 4:] - modes[0, k, 4:]) ** 2).sum())
                + float(handicap[0, k]))
        np.testing.assert_allclose(float(got[p, k]), want, rtol=1e-4)


class Seeking(torch.nn.Module):
    """`seek_modes` as a network."""

    def forward(self, class_ids, logits, embedding):
        return seek_modes(class_ids, logits, logits > -8, embedding, CLASSES, STRIDE)


def test_onnx_runtime_draws_pixels_to_the_same_modes(tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    embedding, want = scene(lambda x: tuple(np.add(two_objects(x), 3 * (x % 2))),
                            {(8, 6): 2.0, (8, 16): 1.0})
    logits = torch.full((1, 16, 24), -8.0)
    logits[0, 8, 6], logits[0, 8, 16] = 2.0, 1.0
    class_ids = torch.ones(1, 16, 24, dtype=torch.int64)
    torch.onnx.export(Seeking(), (class_ids, logits, embedding), dynamo=True, verbose=False,
                      input_names=['class_ids', 'logits', 'embedding']).save(tmp_path / 'x.onnx')
    session = onnxruntime.InferenceSession(str(tmp_path / 'x.onnx'),
                                           providers=['CPUExecutionProvider'])
    got, = session.run(None, {'class_ids': class_ids.numpy(), 'logits': logits.numpy(),
                              'embedding': embedding.numpy()})
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)


def test_score_and_cover_cannot_outweigh_a_pixels_class():
    assert STRENGTH + OUTSIDE < 1e3
