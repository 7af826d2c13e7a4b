"""Small COCO data sets that tests write to disk."""
import json

import cv2
import numpy as np


def rectangle(left, top, right, bottom):
    """Return the polygon whose pixels are columns left..right-1 and rows top..bottom-1."""
    return [left, top, right, top, right, bottom, left, bottom]


def coco_document(size=(20, 10), annotations=(), categories=((3, 'car'), (70, 'person'))):
    """Return a COCO document of one image a.png; annotations are dicts to complete."""
    width, height = size
    return {
        'images': [{'id': 5, 'file_name': 'a.png', 'width': width, 'height': height}],
        'categories': [{'id': number, 'name': name} for number, name in categories],
        'annotations': [{'id': 100 + k, 'image_id': 5, 'category_id': 3, 'iscrowd': 0, **values}
                        for k, values in enumerate(annotations)]}


def write_coco(folder, document, image_size=None):
    """Write the document and gray images; return the folder of images and the file."""
    images = folder / 'images'
    images.mkdir(exist_ok=True)
    for record in document['images']:
        width, height = image_size or (record['width'], record['height'])
        cv2.imwrite(str(images / record['file_name']), np.full((height, width, 3), 90, np.uint8))
    path = folder / 'instances.json'
    path.write_text(json.dumps(document))
    return images, path


def write_panoptic(folder, segments, ids, categories, name='panoptic'):
    """Write a COCO panoptic file of one image a.png, its PNG and a gray image.

    `segments` are dicts of segments_info, `ids` the (H, W) ids of the PNG and `categories`
    (id, name, isthing).
    """
    height, width = ids.shape
    (folder / 'images').mkdir(exist_ok=True)
    (folder / name).mkdir(exist_ok=True)
    cv2.imwrite(str(folder / 'images' / 'a.png'), np.full((height, width, 3), 90, np.uint8))
    colors = np.stack([ids // 65536, ids // 256 % 256, ids % 256], -1)  # blue first for OpenCV
    cv2.imwrite(str(folder / name / 'a.png'), colors.astype(np.uint8))
    path = folder / f'{name}.json'
    path.write_text(json.dumps({
        'images': [{'id': 5, 'file_name': 'a.png', 'width': width, 'height': height}],
        'categories': [{'id': number, 'name': label, 'isthing': thing}
                       for number, label, thing in categories],
        'annotations': [{'image_id': 5, 'file_name': 'a.png', 'segments_info': segments}]}))
    return folder / 'images', path
