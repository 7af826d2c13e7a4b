"""A tiny Cityscapes folder that tests write to disk, with made-up streets."""
import cv2
import numpy as np

SIZE = (128, 256)
LABEL_IDS = {'ego vehicle': 1, 'road': 7, 'sky': 23, 'person': 24, 'car': 26}
NAMES = ('aachen_000000_000019', 'bochum_000000_000313')


def street(*boxes):
    """Return an instanceIds image: sky above road, and boxes (value, left, top, right, bottom)."""
    values = np.full(SIZE, LABEL_IDS['road'], np.uint16)
    values[:64] = LABEL_IDS['sky']
    values[120:] = LABEL_IDS['ego vehicle']
    for value, left, top, right, bottom in boxes:
        values[top:bottom, left:right] = value
    return values


STREETS = (
    street((26000, 20, 50, 80, 90), (26001, 100, 60, 140, 90), (24000, 160, 50, 180, 100)),
    street((26000, 60, 50, 120, 90), (26, 150, 50, 240, 90)))  # 26 alone: a group of cars


def write_cityscapes(root, split='val', streets=STREETS):
    """Write images and fine annotations of streets; return the root."""
    for name, values in zip(NAMES, streets):
        city = name.split('_')[0]
        images, truths = root / 'leftImg8bit' / split / city, root / 'gtFine' / split / city
        images.mkdir(parents=True)
        truths.mkdir(parents=True)
        cv2.imwrite(str(images / f'{name}_leftImg8bit.png'), np.full((*SIZE, 3), 90, np.uint8))
        cv2.imwrite(str(truths / f'{name}_gtFine_instanceIds.png'), values)
        label_ids = np.where(values >= 1000, values // 1000, values).astype(np.uint8)
        cv2.imwrite(str(truths / f'{name}_gtFine_labelIds.png'), label_ids)
    return root
