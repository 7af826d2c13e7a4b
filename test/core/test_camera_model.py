"""Where pixels look: pinhole, scaled and distorted cameras."""
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instseg_ros.core.camera_model import CameraModel, check_same_view

SIZE = 48, 64
MODEL = CameraModel(SIZE, (60.0, 55.0), (31.0, 25.0))
LENSES = {'polynomial': (-0.25, 0.08, 0.001, -0.002, 0.01),
          'rational': (-0.2, 0.05, 0.001, 0.002, 0.01, 0.1, 0.02, 0.001),
          'fisheye': (0.05, -0.02, 0.003, 0.001)}


def project(model, points):
    """Return the pixels (x, y) at which OpenCV sees points (N, 3)."""
    matrix = np.array([[model.focal[0], 0, model.principal[0]],
                       [0, model.focal[1], model.principal[1]], [0, 0, 1]])
    coefficients, zero = np.array(model.distortion or [0.0] * 4), np.zeros(3)
    if model.is_fisheye:
        seen, _ = cv2.fisheye.projectPoints(points[:, None], zero, zero, matrix, coefficients)
    else:
        seen, _ = cv2.projectPoints(points, zero, zero, matrix, coefficients)
    return seen.reshape(-1, 2)


@pytest.mark.parametrize('lens', ['', *LENSES])
def test_what_lies_on_a_ray_is_seen_at_its_pixel(lens):
    model = CameraModel(SIZE, MODEL.focal, MODEL.principal, LENSES.get(lens, ()),
                        lens == 'fisheye')
    rays = model.rays()
    assert rays.shape == (*SIZE, 2) and rays.dtype == np.float32
    points = np.concatenate([rays, np.ones((*SIZE, 1))], -1).reshape(-1, 3).astype(np.float64)
    rows, columns = np.mgrid[:SIZE[0], :SIZE[1]]
    wanted = np.stack([columns, rows], -1).reshape(-1, 2)
    assert np.abs(project(model, 2.5 * points) - wanted).max() < 0.05


@given(st.integers(1, 6))
def test_a_larger_image_of_the_same_view_shows_the_same_at_its_edges(factor):
    larger = MODEL.scaled_to((SIZE[0] * factor, SIZE[1] * factor)).rays()
    # A pixel of the small image covers factor x factor of the large one, around its ray.
    blocks = larger.reshape(SIZE[0], factor, SIZE[1], factor, 2).mean((1, 3))
    assert np.allclose(blocks, MODEL.rays(), atol=1e-5)


@settings(max_examples=50)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.integers(1, 300))
def test_only_another_scale_is_the_same_view(height, width, other_height, other_width):
    down, across = other_height / height, other_width / width
    if abs(down - across) <= 0.01 * max(down, across):
        check_same_view('depth', (height, width), (other_height, other_width))
    else:
        with pytest.raises(ValueError, match=f'{other_width}x{other_height}.*got '
                                             f'{width}x{height}'):
            check_same_view('depth', (height, width), (other_height, other_width))


@pytest.mark.parametrize('focal', [(0.0, 0.0), (np.nan, 5.0), (5.0, -1.0)])
def test_a_camera_that_is_not_calibrated_is_refused(focal):
    with pytest.raises(ValueError, match='camera matrix: expected finite numbers and positive'):
        CameraModel(SIZE, focal, (1.0, 1.0))
