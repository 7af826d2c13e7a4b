"""At most so many images a second, evenly spread."""
from __future__ import annotations


class RateLimit:
    """Lets images through so that their mean rate stays at or below a limit.

    The next image is due a period after the one before was due, not after it came: so images that
    come a little late don't lower the rate. It is due at least half a period after the one before,
    and a whole one after a pause, so that no burst follows.

    Parameters
    ----------
    rate : float
        Images a second; 0 lets every image through. May be changed at any time.
    """

    def __init__(self, rate: float = 0.0) -> None:
        self.rate = rate
        self._due = float('-inf')

    def allows(self, now: float) -> bool:
        """Return whether the image that comes now is let through.

        Parameters
        ----------
        now : float
            Seconds; never less than in the call before.
        """
        if self.rate <= 0:
            self._due = float('-inf')
            return True
        period = 1 / self.rate
        self._due = min(self._due, now + period)  # the limit may have been lower before
        if now < self._due:
            return False
        is_late = now > self._due + period
        self._due = now + period if is_late else max(self._due + period, now + period / 2)
        return True
