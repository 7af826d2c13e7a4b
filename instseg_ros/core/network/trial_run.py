"""The first run of a network, when it is loaded, which has to end."""
from __future__ import annotations

import threading
from typing import Mapping, Sequence

import numpy as np
import onnxruntime

from instseg_ros.core.model_info import ModelError

TIME_LIMITS = {'cpu': 20.0}
"""Seconds for the trial image, which takes milliseconds; see `OTHER_TIME_LIMIT`."""

OTHER_TIME_LIMIT = 900.0
"""The same on a GPU, whose driver may first have to compile for it."""

GRACE = 5.0
"""Seconds for a run to end that has been told to."""


def trial_image(side: int) -> np.ndarray:
    """Return an image (1, side, side, 3) uint8 with black and with noise, the same each time."""
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    image[:, :side // 2] = 0
    return image


def run_limited(session: onnxruntime.InferenceSession, names: Sequence[str],
                inputs: Mapping[str, np.ndarray], provider: str) -> list[np.ndarray]:
    """Run a session, but not for ever.

    Raises
    ------
    ModelError
        The run fails, or doesn't end in time. A run that can't be ended goes on in its thread.
    """
    options = onnxruntime.RunOptions()
    results: list[list[np.ndarray]] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(session.run(names, inputs, options))
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            errors.append(error)

    limit = TIME_LIMITS.get(provider, OTHER_TIME_LIMIT)
    thread = threading.Thread(target=run, name='instseg-trial', daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        options.terminate = True
        thread.join(GRACE)
        raise ModelError(f'expected a result within {limit:g} s for a small image, got none: the '
                         'network takes too long, or never ends')
    if errors:
        raise ModelError(f'it does not run on a small image: {errors[0]}') from errors[0]
    return results[0]
