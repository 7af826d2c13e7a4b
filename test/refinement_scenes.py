"""Images with label maps for the tests of the refinement."""
import numpy as np
from hypothesis import strategies as st

from instseg_ros.core.types import UNLABELLED


@st.composite
def scenes(draw, largest=70):
    """Draw an image of blocks of colour with noise, its label maps, and the scale."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    strides = draw(st.floats(0.5, 17)), draw(st.floats(0.5, 17))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(max(1, round(length / stride))
                  for length, stride in zip((height, width), strides))
    pairs = np.array([(UNLABELLED, 0), (0, 0), (1, 0), (1, 7), (1, 65535), (2, 300)])
    pick = rng.integers(0, len(pairs), (-(-shape[0] // 3), -(-shape[1] // 3)))
    pick = np.kron(pick, np.ones((3, 3), int))[:shape[0], :shape[1]]
    speckle = rng.random(shape) < draw(st.sampled_from([0.0, 0.1, 1.0]))
    pick = np.where(speckle, rng.integers(0, len(pairs), shape), pick)
    image = np.kron(rng.integers(0, 256, (height // 5 + 1, width // 5 + 1, 3)),
                    np.ones((5, 5, 1), int))[:height, :width]
    image = np.clip(image + rng.normal(0, 10, image.shape), 0, 255).astype(np.uint8)
    scale = shape[0] / height, shape[1] / width
    return (image, pairs[pick, 0].astype(np.uint8), pairs[pick, 1].astype(np.uint16), scale)


def disc_scene(stride, jitter, seed=0, size=192):
    """Make a red disc before blue, and a label map of it whose boundary is off by some pixels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    inside = (y - 95)**2 + (x - 90)**2 < 60**2
    image = np.where(inside[..., None], (200, 60, 40), (40, 80, 190))
    image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    grid = np.stack(np.mgrid[:size // stride, :size // stride]) * stride + stride // 2
    moved = np.clip(grid + rng.normal(0, jitter, grid.shape), 0, size - 1).astype(int)
    labels = inside[moved[0], moved[1]]
    return image, labels.astype(np.uint8), labels.astype(np.uint16) * 9, inside
