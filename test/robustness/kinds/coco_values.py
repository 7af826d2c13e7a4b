"""COCO instances files in which values are of another type or size, or missing."""
from coco_cases import DOCUMENT, check_truths, dumped, open_instances, write_instances
from mutations import edited, value_steps, written


def steps(rng):
    return value_steps(rng, DOCUMENT)


def write(steps, folder):
    return write_instances(folder, written(dumped(edited(DOCUMENT, steps))))


def check(path):
    check_truths(open_instances(path))
