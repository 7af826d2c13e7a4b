"""The calibration in a CameraInfo message, for the images that the camera publishes."""
from types import SimpleNamespace

import pytest

from instseg_ros.bags.camera_info import camera_model


def info(*, d=(), model='plumb_bob', k=None, p=None, binning=(0, 0), roi=(0, 0, 0, 0),
         size=(480, 640)):
    """Return a message; `roi` is x, y, width, height."""
    return SimpleNamespace(
        height=size[0], width=size[1], d=list(d), distortion_model=model,
        k=k or [600.0, 0, 320, 0, 610.0, 240, 0, 0, 1],
        p=p or [500.0, 0, 310, -30, 0, 510.0, 230, 0, 0, 0, 1, 0],
        binning_x=binning[0], binning_y=binning[1],
        roi=SimpleNamespace(x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3]))


def test_rectified_images_have_the_matrix_p_and_raw_ones_k_with_its_distortion():
    message = info(d=[0.1, 0, 0, 0, 0])
    rectified, raw = (camera_model(message, rectified=value) for value in (True, False))
    assert (rectified.focal, rectified.principal) == ((500.0, 510.0), (310.0, 230.0))
    assert rectified.distortion == () and rectified.size == (480, 640)
    assert (raw.focal, raw.principal) == ((600.0, 610.0), (320.0, 240.0))
    assert raw.distortion == (0.1, 0, 0, 0, 0) and not raw.is_fisheye
    assert camera_model(info(d=[0.1, 0, 0, 0], model='equidistant'), rectified=False).is_fisheye


def test_without_distortion_its_model_does_not_matter():
    assert camera_model(info(d=[0.0] * 5, model=''), rectified=False).distortion == ()


def test_a_region_and_binning_give_the_matrix_of_the_images():
    model = camera_model(info(roi=(100, 40, 400, 300), binning=(2, 2)), rectified=True)
    assert model.size == (150, 200) and model.focal == (250, 255)
    assert model.principal == ((310 - 100 + 0.5) / 2 - 0.5, (230 - 40 + 0.5) / 2 - 0.5)


@pytest.mark.parametrize('message, rectified, text', [
    (info(p=[0.0] * 12), True, 'a calibrated camera, got fx = 0 and fy = 0 in P'),
    (info(k=[0.0] * 9), False, 'in K, and 640x480 pixels'),
    (info(size=(0, 0)), True, '0x0 pixels'),
    (info(d=[0.1] * 5, model='smile'), False, "got 'smile' with 5"),
    (info(d=[0.1] * 3), False, "got 'plumb_bob' with 3"),
])
def test_a_message_without_a_usable_calibration_is_refused(message, rectified, text):
    with pytest.raises(ValueError, match=f'camera_info: expected .*{text}'):
        camera_model(message, rectified=rectified)
