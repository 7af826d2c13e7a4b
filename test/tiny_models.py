"""Tiny ONNX models whose answer is painted into the image, and images painted for them.

A tiny model fulfils the whole model file contract (see `instseg_ros.core.network`), runs in well
under a millisecond and is an exact function of its input. Output cell (i, j) looks at the single
input pixel (4 i + 1, 4 j + 1), or (s i + (s - 1) // 2, ...) for another output stride s:

====================== ============================================================
`semantic_ids`         red / step rounded to the nearest class; step = `red_step(info)`
`center_heatmap`       green / 255 where no cell of the 3x3 neighbourhood is greater, else 0
`embedding`            (blue, 0, 0, ...)
`semantic_confidence`  255 - 8 * how far red is from that of the class, at least 0
====================== ============================================================

So an instance is a region of one red and one blue value with one output cell in which green is
the center's confidence. `paint_scene` paints that from label maps, `rectangles` makes label maps:

>>> info = write_tiny_model('tiny.onnx')
>>> scene = rectangles((120, 160), [(1, (16, 16, 56, 40)), (3, (80, 24, 128, 96))])
>>> image = paint_scene(*scene, info)
>>> Segmenter.from_onnx('tiny.onnx').segment(image)   # finds exactly `scene`

The answer is exact when the image's long side is the model's input size (the image then isn't
scaled) and regions begin and end at multiples of the output stride, which `rectangles` checks.
Height and width themselves may be any, but with the remainder 1 modulo the stride the last row or
column of cells looks at padding.
"""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from instseg_ros.core.model_info import FORMAT_VERSION, METADATA_KEY, ModelInfo
from instseg_ros.core.network.model_file import seal

CLASS_NAMES = ('background', 'person', 'bicycle', 'car', 'motorcycle')
THING_IDS = (1, 2, 3, 4)
PALETTE = ((0, 0, 0), (220, 20, 60), (119, 11, 32), (0, 0, 142), (0, 0, 230))

BROKEN = {
    'no_metadata': 'the metadata entry is missing',
    'damaged_metadata': 'the metadata entry is no JSON',
    'future_format': 'the metadata entry is of a later format',
    'missing_output': 'the output embedding is missing',
    'wrong_dtype': 'semantic_ids is float32',
    'wrong_rank': 'center_heatmap has a channel axis',
    'wrong_embedding': 'embedding is longer than the metadata says',
    'wrong_stride': 'the outputs have half the stride that the metadata says',
    'wrong_input': 'the input is a float32 (1, 3, H, W) tensor',
    'wrong_input_name': 'the input has another name',
    'truncated': 'the second half of the file is missing',
    'empty': 'the file is empty',
    'not_onnx': 'the file holds text',
}
"""Ways in which `write_tiny_model(broken=...)` can break a model."""


def tiny_info(**changes) -> ModelInfo:
    """Return the default description of a tiny model with some fields changed."""
    values = {'class_names': CLASS_NAMES, 'thing_ids': THING_IDS, 'palette': PALETTE,
              'output_stride': 4, 'size_multiple': 32, 'embedding_size': 4, 'input_size': 160,
              'training': {'data': 'none: the answer is painted into the image'}}
    return ModelInfo(**{**values, **changes})


def red_step(info: ModelInfo) -> int:
    """Return how much red a class id is worth."""
    return 255 // max(1, len(info.class_names) - 1)


def write_tiny_model(path: str | os.PathLike, info: ModelInfo | None = None, *,
                     broken: str = '', confidence: bool = True,
                     batch: str | int = 'N') -> ModelInfo:
    """Write a tiny model and return its description.

    Parameters
    ----------
    path : path
        The ONNX file to write.
    info : ModelInfo, optional
        Description in the file, which the graph follows; default `tiny_info()`.
    broken : str
        A key of `BROKEN`, or empty for a sound model.
    confidence : bool
        Whether there is the output `semantic_confidence`, which older files don't have.
    batch : int or str
        Length of the axis of images: a fixed one, or the name of a dynamic one.
    """
    if broken and broken not in BROKEN:
        raise ValueError(f'broken: expected one of {", ".join(BROKEN)}, got {broken!r}')
    info = info or tiny_info()
    path = Path(path)
    if broken == 'empty':
        path.write_bytes(b'')
        return info
    if broken == 'not_onnx':
        path.write_text('a text that claims to be a model\n' * 20)
        return info
    data = seal(_model(info, broken, confidence, batch).SerializeToString())
    path.write_bytes(data[:len(data) // 2] if broken == 'truncated' else data)
    return info


def rectangles(shape: tuple[int, int], boxes, *, stride: int = 4):
    """Return label maps with one instance a box; later boxes lie in front of earlier ones.

    Parameters
    ----------
    shape : (int, int)
        Height and width.
    boxes : sequence of (class_id, (left, top, right, bottom))
        In pixels, right and bottom exclusive, all multiples of `stride` or the image's border.

    Returns
    -------
    semantic_ids : (H, W) uint8
    instance_ids : (H, W) uint16
        1 for the first box, 2 for the second, ...
    """
    semantic_ids, instance_ids = np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)
    for number, (class_id, (left, top, right, bottom)) in enumerate(boxes, start=1):
        for edge, end in ((left, 0), (top, 0), (right, shape[1]), (bottom, shape[0])):
            if edge % stride and edge != end:
                raise ValueError(f'box {number}: expected multiples of {stride}, got {edge}')
        semantic_ids[top:bottom, left:right] = class_id
        instance_ids[top:bottom, left:right] = number
    return semantic_ids, instance_ids


def paint_scene(semantic_ids: np.ndarray, instance_ids: np.ndarray, info: ModelInfo, *,
                confidence: float | dict[int, float] = 1.0, doubt: int = 0) -> np.ndarray:
    """Paint the image in which a tiny model sees these label maps.

    The center of an instance is the cell, of those that look at the instance, nearest to their
    mean; for a rectangle of an odd number of cells a side that is the middle. `painted_centers`
    returns it.

    Parameters
    ----------
    semantic_ids : (H, W) uint8
    instance_ids : (H, W) integer
        0: no instance. At most 120 instances.
    confidence : float or dict of instance id to float
        Confidence of the centers, in [0, 1], rounded to a multiple of 1/255. Different values
        fix the order of the instances in the result; of equal ones the first in raster order
        of the centers comes first.
    doubt : int
        How far red is from that of the class; the confidence of the class is 255 - 8 * doubt. With
        the default classes, up to 3 for the last one and up to 31 for the others.

    Returns
    -------
    (H, W, 3) uint8
        RGB.
    """
    numbers = np.unique(instance_ids[instance_ids > 0])
    if len(numbers) > 120:
        raise ValueError(f'instance_ids: expected at most 120 instances, got {len(numbers)}')
    spacing = 240 // max(1, len(numbers))
    image = np.zeros((*semantic_ids.shape, 3), np.uint8)
    image[..., 0] = semantic_ids * red_step(info) + np.uint8(doubt)
    image[..., 2] = np.searchsorted(numbers, instance_ids, 'right') * spacing
    stride = info.output_stride
    for number, (y, x) in painted_centers(instance_ids, info).items():
        value = confidence[number] if isinstance(confidence, dict) else confidence
        image[y * stride:(y + 1) * stride, x * stride:(x + 1) * stride, 1] = round(255 * value)
    return image


def painted_centers(instance_ids: np.ndarray, info: ModelInfo) -> dict[int, tuple[int, int]]:
    """Return the output cell (y, x) in which `paint_scene` puts each instance's center."""
    stride, offset = info.output_stride, (info.output_stride - 1) // 2
    cells = instance_ids[offset::stride, offset::stride]
    centers = {}
    for number in np.unique(cells[cells > 0]):
        points = np.argwhere(cells == number)
        nearest = np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1))
        centers[int(number)] = (int(points[nearest, 0]), int(points[nearest, 1]))
    return centers


def _model(info: ModelInfo, broken: str, confidence: bool, batch: str | int) -> onnx.ModelProto:
    stride = info.output_stride // 2 if broken == 'wrong_stride' else info.output_stride
    length = info.embedding_size + (broken == 'wrong_embedding')
    step = red_step(info)
    constants = {
        'start': np.full(2, (stride - 1) // 2, np.int64), 'end': np.full(2, 2 ** 31, np.int64),
        'rows_and_columns': np.array([1, 2], np.int64), 'stride': np.full(2, stride, np.int64),
        'red_index': np.array(0, np.int64), 'green_index': np.array(1, np.int64),
        'blue_index': np.array(2, np.int64), 'step': np.array(step, np.float32),
        'half_step': np.array(step / 2, np.float32),
        'last_class': np.array(len(info.class_names) - 1, np.float32),
        'full': np.array(255, np.float32), 'channel_axis': np.array([1], np.int64),
        'last_axis': np.array([3], np.int64), 'first_unit': np.eye(1, length, dtype=np.float32)[0],
        'doubt': np.array(8, np.float32), 'zero': np.array(0, np.float32),
    }
    node = helper.make_node
    source = 'pixels' if broken == 'wrong_input' else 'image'
    nodes = [
        node('Slice', [source, 'start', 'end', 'rows_and_columns', 'stride'], ['samples']),
        node('Cast', ['samples'], ['rgb'], to=TensorProto.FLOAT),
        node('Gather', ['rgb', 'red_index'], ['red'], axis=3),
        node('Gather', ['rgb', 'green_index'], ['green'], axis=3),
        node('Gather', ['rgb', 'blue_index'], ['blue'], axis=3),
        node('Add', ['red', 'half_step'], ['red_shifted']),
        node('Div', ['red_shifted', 'step'], ['class_exact']),
        node('Floor', ['class_exact'], ['class_floor']),
        node('Min', ['class_floor', 'last_class'], ['class']),
        node('Cast', ['class'], ['semantic_ids'],
             to=TensorProto.FLOAT if broken == 'wrong_dtype' else TensorProto.UINT8),
        node('Div', ['green', 'full'], ['heat']),
        node('Unsqueeze', ['heat', 'channel_axis'], ['heat_channel']),
        node('MaxPool', ['heat_channel'], ['strongest_channel'], kernel_shape=[3, 3],
             pads=[1, 1, 1, 1], strides=[1, 1]),
        node('Squeeze', ['strongest_channel', 'channel_axis'], ['strongest']),
        node('Equal', ['heat', 'strongest'], ['is_peak']),
        node('Cast', ['is_peak'], ['peak'], to=TensorProto.FLOAT),
        node('Mul', ['heat', 'peak'], ['peaks']),
        node('Unsqueeze', ['peaks', 'channel_axis'], ['center_heatmap'])
        if broken == 'wrong_rank' else node('Identity', ['peaks'], ['center_heatmap']),
        node('Unsqueeze', ['blue', 'last_axis'], ['blue_column']),
        node('Mul', ['blue_column', 'first_unit'], ['embedding']),
        node('Mul', ['class', 'step'], ['class_red']),
        node('Sub', ['red', 'class_red'], ['offset']),
        node('Abs', ['offset'], ['distance']),
        node('Mul', ['distance', 'doubt'], ['doubts']),
        node('Sub', ['full', 'doubts'], ['sure']),
        node('Max', ['sure', 'zero'], ['sure_or_zero']),
        node('Cast', ['sure_or_zero'], ['semantic_confidence'], to=TensorProto.UINT8),
    ]
    value = helper.make_tensor_value_info
    image = value('image', TensorProto.UINT8, [batch, 'H', 'W', 3])
    if broken == 'wrong_input':
        nodes[:0] = [node('Transpose', ['image'], ['pixels'], perm=[0, 2, 3, 1])]
        image = value('image', TensorProto.FLOAT, [1, 3, 'H', 'W'])
    if broken == 'wrong_input_name':
        nodes[0].input[0] = 'camera'
        image = value('camera', TensorProto.UINT8, [batch, 'H', 'W', 3])
    ids_type = TensorProto.FLOAT if broken == 'wrong_dtype' else TensorProto.UINT8
    heatmap_shape = [batch, 1, 'h', 'w'] if broken == 'wrong_rank' else [batch, 'h', 'w']
    outputs = [value('semantic_ids', ids_type, [batch, 'h', 'w']),
               value('center_heatmap', TensorProto.FLOAT, heatmap_shape),
               value('embedding', TensorProto.FLOAT, [batch, 'h', 'w', length])]
    if broken == 'missing_output':
        outputs.pop()
    if confidence:
        outputs.append(value('semantic_confidence', TensorProto.UINT8, [batch, 'h', 'w']))
    graph = helper.make_graph(nodes, 'tiny', [image], outputs, [
        numpy_helper.from_array(array, name) for name, array in constants.items()])
    # An opset and a file version that every ONNX Runtime since 1.14 reads.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    metadata = info.to_metadata()
    if broken == 'no_metadata':
        metadata = {}
    elif broken == 'damaged_metadata':
        metadata = {METADATA_KEY: metadata[METADATA_KEY][:-5]}
    elif broken == 'future_format':
        metadata = {METADATA_KEY: metadata[METADATA_KEY].replace(
            f'"format_version": {FORMAT_VERSION}', '"format_version": 99')}
    helper.set_model_props(model, metadata)
    return model
