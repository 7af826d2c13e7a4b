"""Made-up scenes on disk: COCO instances and COCO panoptic, of the same images."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable, Iterable

import cv2
import numpy as np

from instseg_ros.datasets.masks import encode_mask
from instseg_ros.datasets.scenes import SCENE_CLASSES, THINGS, Scene, make_scene
from instseg_ros.files import unfinished_folder

JPEG_QUALITY = 92
FIRST_THING = len(SCENE_CLASSES)
"""Ids of segments: 1 + class id for stuff, this + instance id for things."""


def write_scenes(folder: str | Path, count: int, seed: int,
                 progress: Callable[[Iterable[int]], Iterable[int]] = iter) -> Path:
    """Write a data set of made-up scenes; the same for the same seed.

    Parameters
    ----------
    folder : path
        Gets `images/`, `instances.json` (things), and `panoptic.json` with `panoptic/` (all).
    count : int
    seed : int
    progress : callable
        Wraps the numbers of the images, for example `tqdm.tqdm`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        The folder exists already, or `count` is not positive.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f'{folder} exists already: choose another folder')
    if count < 1:
        raise ValueError(f'expected at least one image, got {count}')
    images: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    with unfinished_folder(folder.parent) as temporary:
        whole = temporary / folder.name
        (whole / 'images').mkdir(parents=True)
        (whole / 'panoptic').mkdir()
        for number in progress(range(count)):
            scene = make_scene(np.random.default_rng((seed, number)))
            image = _image_record(number, scene)
            cv2.imwrite(str(whole / 'images' / image['file_name']), scene.image[..., ::-1],
                        [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            images.append(image)
            instances += _instance_records(number, scene, len(instances))
            segments.append(_write_segments(number, scene, whole / 'panoptic'))
        _write(whole / 'instances.json', images, instances, THINGS)
        _write(whole / 'panoptic.json', images, segments, SCENE_CLASSES)
        os.replace(whole, folder)
    return folder


def _image_record(number: int, scene: Scene) -> dict[str, Any]:
    height, width = scene.semantic_ids.shape
    return {'id': number, 'file_name': f'{number:06d}.jpg', 'height': height, 'width': width}


def _instance_records(number: int, scene: Scene, known: int) -> list[dict[str, Any]]:
    """Return an annotation for every visible instance; ids go on from `known`."""
    records: list[dict[str, Any]] = []
    for instance_id in np.unique(scene.instance_ids[scene.instance_ids > 0]).tolist():
        mask = scene.instance_ids == instance_id
        runs = encode_mask(mask)
        records.append({
            'id': known + len(records) + 1, 'image_id': number, 'iscrowd': 0,
            'category_id': _category_id(int(scene.semantic_ids[mask][0])),
            'segmentation': {'size': list(mask.shape), 'counts': runs['counts'].decode('ascii')},
            'area': int(mask.sum()), 'bbox': list(cv2.boundingRect(mask.astype(np.uint8)))})
    return records


def _write_segments(number: int, scene: Scene, folder: Path) -> dict[str, Any]:
    """Write the panoptic PNG of an image and return its annotation."""
    ids = np.where(scene.instance_ids > 0, FIRST_THING + scene.instance_ids.astype(np.int64),
                   1 + scene.semantic_ids)
    name = f'{number:06d}.png'
    # id = R + 256 G + 65536 B; OpenCV writes blue first.
    colors = np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=-1).astype(np.uint8)
    cv2.imwrite(str(folder / name), colors)
    segments = [{'id': value, 'iscrowd': 0, 'area': int(np.count_nonzero(ids == value)),
                 'category_id': _category_id(int(scene.semantic_ids[ids == value][0]))}
                for value in np.unique(ids).tolist()]
    return {'image_id': number, 'file_name': name, 'segments_info': segments}


def _category_id(class_id: int) -> int:
    return class_id + 1


def _write(path: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]],
           names: tuple[str, ...]) -> None:
    categories = [{'id': _category_id(SCENE_CLASSES.index(name)), 'name': name,
                   'isthing': int(name in THINGS)} for name in names]
    path.write_text(json.dumps({'images': images, 'annotations': annotations,
                                'categories': categories}), encoding='utf-8')
