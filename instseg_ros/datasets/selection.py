"""Choice of images by what their records in an annotation or index file say."""
from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Mapping, Sequence

from instseg_ros.datasets.types import DatasetError


def selected_records(records: Sequence[Mapping[str, Any]], select: str,
                     path: Path) -> list[Any]:
    """Return the records that match FIELD=PATTERN (of `fnmatch`), or don't match FIELD!=PATTERN.

    Parameters
    ----------
    records : sequence of dict
    select : str
        '': all.
    path : Path
        The file of the records, for messages.

    Raises
    ------
    DatasetError
        No record matches.
    """
    if not select:
        return list(records)
    field, pattern = select.split('=', 1)
    wanted = not field.endswith('!')
    chosen = [record for record in records
              if wanted is fnmatchcase(str(record.get(field.rstrip('!'), '')), pattern)]
    if not chosen:
        raise DatasetError(f'{path}: no image matches {select!r}')
    return chosen
