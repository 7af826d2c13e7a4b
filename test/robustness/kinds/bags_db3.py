"""Damaged SQLite3 files with and without metadata; they have no checksums."""
from bag_files import FRAMES, check_bag, put_metadata, sound_bytes
from mutations import byte_steps, damaged
from recordings import write_db3


def steps(rng):
    return [*([['alone']] if rng.random() < 0.5 else []), *byte_steps(rng)]


def write_sound(path):
    write_db3(path, FRAMES)


def write(steps, folder):
    if ['alone'] not in steps:
        put_metadata(folder, 'bag_0.db3', 'sqlite3')
    edits = [step for step in steps if step != ['alone']]
    (folder / 'bag_0.db3').write_bytes(damaged(sound_bytes(write_sound), edits))
    return folder


def check(path):
    check_bag(path, exact=False)
