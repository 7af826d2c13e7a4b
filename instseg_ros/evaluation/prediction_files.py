"""Predictions of any system, read from files.

Two formats: COCO's results file (https://cocodataset.org/#format-results), and a folder of label
images as `instseg segment` writes it.
"""
from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Mapping, Protocol, Sequence

import numpy as np

from instseg_ros.core.instances import instance_table
from instseg_ros.core.types import NO_INSTANCE, UNLABELLED, Instance, Segmentation
from instseg_ros.datasets.coco import CocoDataset
from instseg_ros.datasets.coco_file import Id
from instseg_ros.datasets.json_files import identifier, number, read_json
from instseg_ros.datasets.masks import decode_segmentation, encode_mask
from instseg_ros.datasets.pictures import read_values
from instseg_ros.datasets.types import DatasetError
from instseg_ros.evaluation.instances import Detection, detections_of
from instseg_ros.evaluation.predictions import Prediction
from instseg_ros.media.files import check_file

SCORE_THRESHOLD = 0.5
"""Detections of a results file with a lower score count in AP only, not in the label maps."""


class SizedImages(Protocol):
    """The part of a data set's interface that reading label images needs."""

    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""

    def image_name(self, index: int) -> str:
        """Return the file name of image `index`."""

    def image_size(self, index: int) -> tuple[int, int]:
        """Return height and width of image `index`."""


class ResultsFile:
    """Detections of a COCO results file.

    A list of {"image_id", "category_id", "segmentation", "score"}. Detections of a category that
    is no class are left out. Label maps are painted from the detections of at least
    `score_threshold`, the strongest in front; all other pixels are background.

    Parameters
    ----------
    path : path
    dataset : CocoDataset
        Whose image and category ids the file uses.
    score_threshold : float

    Raises
    ------
    DatasetError
        Naming the file and the detection that can't be used.
    """

    def __init__(self, path: str | Path, dataset: CocoDataset,
                 score_threshold: float = SCORE_THRESHOLD) -> None:
        self.path = Path(path)
        self.dataset = dataset
        self.score_threshold = score_threshold
        records = read_json(self.path)
        if not isinstance(records, list):
            raise DatasetError(f'{self.path}: not a COCO results file, expected a list of '
                               f'detections, got a {type(records).__name__}')
        known_categories = {category['id'] for category in dataset.categories}
        self._records: dict[Id, list[tuple[int, Mapping[str, Any]]]] = {
            record['id']: [] for record in dataset.images}
        for position, record in enumerate(records):
            where = f'{self.path}: detection {position}'
            if not isinstance(record, dict):
                raise DatasetError(f'{where}: expected a JSON object, got {record!r:.80}')
            for field, known in (('image_id', self._records), ('category_id', known_categories)):
                value = identifier(record.get(field))
                if value not in known:
                    raise DatasetError(f'{where}: {field} {record.get(field)!r:.80} is not in '
                                       f'{dataset.path.name}')
                record[field] = value
            score = number(record.get('score'))
            if score is None:
                raise DatasetError(f'{where}: expected a finite number as score, got '
                                   f'{record.get("score")!r:.80}')
            record['score'] = score
            self._records[record['image_id']].append((position, record))

    def load(self, index: int) -> Prediction:
        """Return the detections of image `index`, and the label maps painted from them."""
        image, shape = self.dataset.images[index], self.dataset.image_size(index)
        semantic_ids, instance_ids = np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)
        found: dict[int, tuple[int, float]] = {}
        detections = []
        strongest_last = sorted(self._records[image['id']], key=lambda item: item[1]['score'])
        for position, record in strongest_last:
            class_id = self.dataset.category_to_class.get(record['category_id'])
            if class_id is None:
                continue
            try:
                mask = decode_segmentation(record.get('segmentation'), *shape)
            except ValueError as error:
                raise DatasetError(f'{self.path}: detection {position}: {error}') from error
            detections.append(Detection(class_id, record['score'], encode_mask(mask)))
            if record['score'] >= self.score_threshold:
                identity = len(found) + 1
                semantic_ids[mask], instance_ids[mask] = class_id, identity
                found[identity] = (class_id, record['score'])
        instances = _instances(instance_ids, found, self.dataset.class_names)
        return Prediction(Segmentation(semantic_ids, instance_ids, instances), detections)


class LabelFolder:
    """Label images as `instseg segment` writes them.

    `semantic/NAME.png` holds class ids (8 bits; 255: unlabelled) and `instance/NAME.png` instance
    ids (8 or 16 bits; 0: none). NAME is the image's path in the dataset: a.jpg, front/a.jpg. If
    there is no such file, it is the image's name without folder and suffix, which no two images
    may share then. Scores come from `instances.jsonl`, if it is there; without it, every score
    is 1.

    Parameters
    ----------
    path : path
    dataset : SizedImages
    thing_ids : sequence of int
        Classes that have instances.

    Raises
    ------
    DatasetError
        Naming the file that is missing or can't be used.
    """

    def __init__(self, path: str | Path, dataset: SizedImages, thing_ids: Sequence[int]) -> None:
        self.path = Path(path)
        self.dataset = dataset
        self.thing_ids = tuple(thing_ids)
        for kind in ('semantic', 'instance'):
            if not (self.path / kind).is_dir():
                raise DatasetError(f'{self.path}: expected the folders "semantic" and "instance" '
                                   f'of label images, there is no "{kind}"')
        self._stems = Counter(Path(dataset.image_name(index)).stem
                              for index in range(len(dataset)))
        scores = self.path / 'instances.jsonl'
        self._scores = _read_scores(scores) if scores.exists() else None

    def load(self, index: int) -> Prediction:
        """Return the label maps of image `index`, and their instances."""
        name, shape = self._name(index), self.dataset.image_size(index)
        semantic_ids = self._read('semantic', name, shape, (np.uint8,))
        instance_ids = self._read('instance', name, shape, (np.uint8, np.uint16))
        class_count = len(self.dataset.class_names)
        unknown = (semantic_ids >= class_count) & (semantic_ids != UNLABELLED)
        if unknown.any():
            raise DatasetError(f'{self.path / "semantic" / name}.png: expected class ids below '
                               f'{class_count} or {UNLABELLED}, got {semantic_ids[unknown][0]}')
        found = {}
        for identity in np.unique(instance_ids[instance_ids != NO_INSTANCE]).tolist():
            class_ids = np.unique(semantic_ids[instance_ids == identity]).tolist()
            where = f'{self.path / "instance" / name}.png: instance {identity}'
            if len(class_ids) > 1 or class_ids[0] not in self.thing_ids:
                raise DatasetError(f'{where}: expected pixels of one class that has instances, '
                                   f'got the class ids {class_ids}')
            score, class_name = 1.0, None
            if self._scores is not None:
                if (name, identity) not in self._scores:
                    raise DatasetError(f'{where}: not in instances.jsonl')
                score, class_name = self._scores[name, identity]
            known = self.dataset.class_names[class_ids[0]]
            if class_name not in (None, known):
                raise DatasetError(
                    f'{where}: a {class_name} in instances.jsonl, but class {class_ids[0]} of the '
                    f'annotations is {known}; --classes names the classes in their order')
            found[identity] = class_ids[0], score
        instance_ids = instance_ids.astype(np.uint16)
        instances = _instances(instance_ids, found, self.dataset.class_names)
        segmentation = Segmentation(semantic_ids, instance_ids, instances)
        return Prediction(segmentation, list(detections_of(segmentation)))

    def _name(self, index: int) -> str:
        """Return what the label images of image `index` are called, without their suffix."""
        image = self.dataset.image_name(index)
        if (self.path / 'semantic' / f'{image}.png').is_file():
            return image
        stem = Path(image).stem
        if self._stems[stem] > 1:
            raise DatasetError(f'{self.path / "semantic" / image}.png: does not exist, and '
                               f'{stem}.png could belong to {self._stems[stem]} images')
        return stem

    def _read(self, kind: str, name: str, shape: tuple[int, int],
              dtypes: tuple[type, ...]) -> np.ndarray:
        path = self.path / kind / f'{name}.png'
        labels = read_values(path)
        if labels.shape != shape or labels.dtype not in dtypes:
            bits = ' or '.join(str(8 * np.dtype(dtype).itemsize) for dtype in dtypes)
            raise DatasetError(f'{path}: expected one channel of {bits} bits and {shape[1]}x'
                               f'{shape[0]} pixels, got {labels.dtype} of shape {labels.shape}')
        return labels


def _instances(instance_ids: np.ndarray, found: Mapping[int, tuple[int, float]],
               class_names: tuple[str, ...]) -> tuple[Instance, ...]:
    """Describe the instances that have a pixel, strongest first; the center is the box's."""
    table = instance_table(instance_ids, max(found, default=0))
    instances = []
    for identity, (class_id, score) in found.items():
        if table.areas[identity - 1]:
            left, top, right, bottom = (int(edge) for edge in table.boxes_xyxy[identity - 1])
            instances.append(Instance(
                identity, class_id, class_names[class_id], float(score),
                ((top + bottom - 1) / 2, (left + right - 1) / 2), (left, top, right, bottom),
                int(table.areas[identity - 1])))
    return tuple(sorted(instances, key=lambda instance: -instance.score))


def _read_scores(path: Path) -> dict[tuple[str, int], tuple[float, str | None]]:
    """Return score and class of each instance under (name of the label images, id)."""
    scores = {}
    try:
        lines = check_file(path, may_be_empty=True).read_text(encoding='utf-8').splitlines()
    except (OSError, ValueError) as error:
        raise DatasetError(f'{path}: expected text in UTF-8 ({error})') from error
    for position, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            name = str(record.get('name', Path(record['source']).stem))
            for item in record['instances']:
                score = number(item['score'])
                if score is None:
                    raise ValueError(f'score {item["score"]!r:.80}')
                scores[name, int(item['id'])] = score, item.get('class_name')
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DatasetError(f'{path}: line {position}: expected {{"source", "instances": '
                               f'[{{"id", "score"}}]}} ({error})') from error
    return scores
