"""Damaged MCAP files, of every compression, in the folder of a recording with metadata."""
from bag_files import COUNT, FRAMES, check_bag
from mcap.writer import CompressionType
from mutations import byte_steps, damaged
from recordings import write_mcap, write_metadata

COMPRESSIONS = ('zstd', 'lz4', 'none')
KINDS = {'zstd': CompressionType.ZSTD, 'lz4': CompressionType.LZ4, 'none': CompressionType.NONE}


def steps(rng):
    return [['compression', rng.choice(COMPRESSIONS)], *byte_steps(rng)]


def write(steps, folder):
    named = [step[1] for step in steps if step[0] == 'compression']
    path = write_mcap(folder / 'bag_0.mcap', FRAMES, compression=KINDS[(named or ['zstd'])[0]])
    write_metadata(folder, ['bag_0.mcap'], COUNT)
    path.write_bytes(damaged(path.read_bytes(),
                             [step for step in steps if step[0] != 'compression']))
    return folder


def check(path):
    check_bag(path, exact=True)
