"""What was left out of a data set or looks wrong in it, to be said at the end."""
from __future__ import annotations


class Remarks:
    """Collects sentences about objects of a file; the same object counts once.

    Parameters
    ----------
    source : str
        Name of the file, for the sentences.
    """

    def __init__(self, source: object) -> None:
        self.source = source
        self._found: dict[str, dict[str, None]] = {}

    def note(self, what: str, where: str) -> None:
        """Add an object.

        Parameters
        ----------
        what : str
            As in "objects without pixels, left out".
        where : str
            The object, as in "annotation 5 of a.jpg".
        """
        self._found.setdefault(what, {}).setdefault(where)

    def sentences(self) -> list[str]:
        """Return one sentence for each kind of finding, with its number of objects."""
        return [f'{self.source}: {len(places)} {what} (first: {next(iter(places))})'
                for what, places in self._found.items()]
