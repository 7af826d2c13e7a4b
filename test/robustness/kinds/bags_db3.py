"""Damaged SQLite3 files in the folder of a recording with metadata; they have no checksums."""
from bag_files import COUNT, FRAMES, check_bag
from mutations import byte_steps, damaged
from recordings import write_db3, write_metadata


def steps(rng):
    return byte_steps(rng)


def write(steps, folder):
    path = write_db3(folder / 'bag_0.db3', FRAMES)
    write_metadata(folder, ['bag_0.db3'], COUNT, storage_identifier='sqlite3')
    path.write_bytes(damaged(path.read_bytes(), steps))
    return folder


def check(path):
    check_bag(path, exact=False)
