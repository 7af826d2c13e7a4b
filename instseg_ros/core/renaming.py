"""Other ids in an instance map."""
from __future__ import annotations

import numpy as np

from instseg_ros.core.compiled import compiled

WORD = 4  # ids of 16 bits in one number of 64 bits


def replace_ids(instance_ids: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return a map with other ids.

    Parameters
    ----------
    instance_ids : (H, W) uint16
    table : (65536,) uint16
        The new id of each old one.

    Raises
    ------
    ValueError
        An object of the map would become none.
    """
    flat = np.ascontiguousarray(instance_ids).ravel()
    if flat.ctypes.data % 8:
        flat = flat.copy()
    replaced = np.empty_like(flat)
    end = len(flat) - len(flat) % WORD
    missing = _replace(flat[:end].view(np.uint64), table, replaced[:end].view(np.uint64))
    replaced[end:] = table[flat[end:]]
    lost = flat[end:][(flat[end:] != 0) & (replaced[end:] == 0)]
    if missing or len(lost):
        raise ValueError('segmentation: expected an instance for every id in the map, got none '
                         f'for {missing or lost[0]}')
    return replaced.reshape(instance_ids.shape)


@compiled
def _replace(words, table, replaced):
    """Replace the ids in whole words; most words are as the one before, which is a short cut."""
    last, new = np.uint64(0), np.uint64(0)
    missing = np.uint16(0)
    for n in range(len(words)):
        if words[n] != last:
            last, new = words[n], np.uint64(0)
            for shift in range(0, 64, 16):
                old_id = np.uint16((last >> np.uint64(shift)) & np.uint64(0xFFFF))
                new_id = table[old_id] if old_id else np.uint16(0)
                if old_id and not new_id:
                    missing = old_id
                new |= np.uint64(new_id) << np.uint64(shift)
        replaced[n] = new
    return missing
