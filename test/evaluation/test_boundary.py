import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from instseg_ros.evaluation.boundary import BoundaryScore, boundary_score


def halves(width, edge):
    """Return a map of 8 rows: 0 left of column `edge`, 1 from there on."""
    return np.broadcast_to(np.arange(width) >= edge, (8, width)).astype(np.uint8)


def slow_boundary(labels, known):
    height, width = labels.shape
    points = set()
    for y in range(height):
        for x in range(width):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < height and 0 <= u < width and known[y, x] and known[v, u] \
                        and labels[y, x] != labels[v, u]:
                    points.add((y, x))
    return points


def slow_score(truth, predicted, tolerance, ignore):
    def near(point, points):
        return any(math.dist(point, other) <= tolerance for other in points)

    unknown = [tuple(point) for point in np.argwhere(ignore)]
    true_points = slow_boundary(truth, ~ignore)
    predicted_points = slow_boundary(predicted, np.ones_like(ignore))
    counted_truth = [p for p in true_points if not near(p, unknown)]
    counted_predicted = [p for p in predicted_points if not near(p, unknown)]
    return BoundaryScore(len(counted_predicted),
                         sum(near(p, true_points) for p in counted_predicted),
                         len(counted_truth),
                         sum(near(p, predicted_points) for p in counted_truth))


def test_a_boundary_is_the_pixels_on_both_sides_of_it():
    score = boundary_score(halves(20, 10), halves(20, 10))
    assert score == BoundaryScore(16, 16, 16, 16)
    assert (score.precision, score.recall, score.f) == (1, 1, 1)


@pytest.mark.parametrize('shift, met', [(1, 16), (2, 16), (3, 8), (4, 0)])
def test_the_tolerance_is_two_pixels(shift, met):
    # Shifted by 3, only the nearer of the two columns of boundary pixels is within 2 pixels.
    assert boundary_score(halves(20, 8), halves(20, 8 + shift)) == BoundaryScore(16, met, 16, met)


def test_a_contour_that_is_not_there_lowers_precision_and_a_missed_one_recall():
    one, two = halves(40, 10), halves(40, 10) + halves(40, 30)
    assert (boundary_score(one, two).precision, boundary_score(one, two).recall) == (.5, 1)
    assert (boundary_score(two, one).precision, boundary_score(two, one).recall) == (1, .5)
    assert boundary_score(two, one).f == pytest.approx(2 / 3)


def test_without_any_boundary_there_is_no_score_and_with_one_missing_it_is_zero():
    flat, cut = np.zeros((8, 20), np.uint8), halves(20, 10)
    assert math.isnan(boundary_score(flat, flat).f)
    assert boundary_score(flat, cut).f == boundary_score(cut, flat).f == 0


def test_names_of_the_labels_do_not_matter():
    assert boundary_score(halves(20, 10), 7 - 3 * halves(20, 10)).f == 1


def test_boundaries_on_and_beside_ignored_pixels_do_not_count():
    truth = halves(40, 10)
    ignore = np.zeros(truth.shape, bool)
    ignore[:, 20:30] = True
    truth[ignore] = 255
    # One in the ignored columns, one beside them: neither is wrong.
    for edge in (19, 24, 31):
        assert boundary_score(truth, truth * 0 + halves(40, 10) + 2 * halves(40, edge),
                              ignore=ignore).precision == 1
    assert boundary_score(truth, halves(40, 10) + 2 * halves(40, 34),
                          ignore=ignore).precision == .5


def test_counts_add_up():
    assert BoundaryScore(1, 2, 3, 4) + BoundaryScore(10, 20, 30, 40) == \
        BoundaryScore(11, 22, 33, 44)


label_maps = hnp.arrays(np.uint8, (9, 11), elements=st.integers(0, 2))


@given(label_maps, label_maps, hnp.arrays(bool, (9, 11), elements=st.sampled_from([False] * 9 + [
    True])), st.sampled_from([0, 1, 1.5, 2, 3]))
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_a_slow_pixel_by_pixel_definition(truth, predicted, ignore, tolerance):
    assert boundary_score(truth, predicted, tolerance=tolerance, ignore=ignore) == \
        slow_score(truth, predicted, tolerance, ignore)


def test_maps_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r'predicted: expected shape \(8, 20\)'):
        boundary_score(halves(20, 3), halves(21, 3))


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match='tolerance'):
        boundary_score(halves(20, 3), halves(20, 3), tolerance=-1)
