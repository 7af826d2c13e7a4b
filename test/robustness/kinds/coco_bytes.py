"""COCO instances files with damaged bytes."""
from coco_cases import DOCUMENT, check_truths, dumped, open_instances, write_instances
from mutations import byte_steps, damaged


def steps(rng):
    return byte_steps(rng)


def write(steps, folder):
    write_instances(folder, '')
    (folder / 'instances.json').write_bytes(damaged(dumped(DOCUMENT).encode(), steps))
    return folder


def check(path):
    check_truths(open_instances(path))
