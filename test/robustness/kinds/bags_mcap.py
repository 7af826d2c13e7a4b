"""Damaged MCAP files, of every compression, with and without metadata."""
from bag_files import FRAMES, check_bag, put_metadata, sound_bytes
from mcap.writer import CompressionType
from mutations import byte_steps, damaged
from recordings import write_mcap

COMPRESSIONS = {'zstd': CompressionType.ZSTD, 'lz4': CompressionType.LZ4,
                'none': CompressionType.NONE}


def steps(rng):
    return [['compression', rng.choice(sorted(COMPRESSIONS))],
            *([['alone']] if rng.random() < 0.5 else []), *byte_steps(rng)]


def write_sound(path, compression):
    write_mcap(path, FRAMES, compression=COMPRESSIONS[compression])


def write(steps, folder):
    named = [step[1] for step in steps if step[0] == 'compression']
    sound = sound_bytes(write_sound, (named or ['zstd'])[0])
    if ['alone'] not in steps:
        put_metadata(folder, 'bag_0.mcap', 'mcap')
    edits = [step for step in steps if step[0] not in ('compression', 'alone')]
    (folder / 'bag_0.mcap').write_bytes(damaged(sound, edits))
    return folder


def check(path):
    check_bag(path, exact=True)
