"""What every source of images gives to the player: numbered frames."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Sequence

import numpy as np


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Attributes
    ----------
    number : int
        From 0.
    label : str
        For people: a file name, or a time.
    image : (H0, W0, 3) uint8, RGB
    """

    number: int
    label: str
    image: np.ndarray


class Source(Protocol):
    """Frames to look at.

    Attributes
    ----------
    name : str
    count : int
        Number of frames; 0 if it isn't known.
    rate : float
        Frames per second at which to play; 0 for as fast as possible.
    is_live : bool
        It shows the present, whatever number is read.
    remarks : sequence of str
        What is wrong with the source as a whole, a sentence each; may grow while it is read.
    """

    name: str
    count: int
    rate: float
    is_live: bool

    @property
    def remarks(self) -> Sequence[str]:
        """See above."""

    def read(self, number: int) -> Frame | None:
        """Return a frame, or None if the source has ended; a camera returns its newest one.

        Raises
        ------
        OSError, ValueError
            This frame can't be read; others may be sound.
        """

    def close(self) -> None:
        """Free files and devices."""
