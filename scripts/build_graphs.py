#!/usr/bin/env python3
"""Write the ONNX graphs by which a GPU groups pixels: instseg_ros/core/network/graphs/*.onnx.

The graphs are committed, as a robot has ONNX Runtime, but not the package onnx. For their use see
instseg_ros/core/network/device_grouping.py.

    python scripts/build_graphs.py
"""
from pathlib import Path

import onnx
from onnx import parser

FOLDER = Path(__file__).resolve().parents[1] / 'instseg_ros' / 'core' / 'network' / 'graphs'

# An opset and a file version that every ONNX Runtime since 1.14 reads.
HEADER = '<ir_version: 8, opset_import: ["": 13]>'

GRAPHS = {
    # The embeddings of some pixels, given as (image, y, x).
    'take': """
        take (float[n, h, w, e] embedding, int64[k, 3] pixels) => (float[k, e] taken)
        {
            taken = GatherND(embedding, pixels)
        }
    """,
    # For each pixel the column of `centers` with the highest score: its product with the pixel's
    # embedding, plus the offset for the pixel's class and this column. The pixels are those of one
    # image, from `start` = (image, 0, 0) to `end` = (image + 1, h, w).
    'assign': """
        assign (float[n, H, W, e] embedding, int64[3] start, int64[3] end,
                uint8[1, h, w] semantic_ids, float[e, k] centers, float[c, k] offsets)
                => (uint16[1, h, w] rows)
        <int64[3] axes = {0, 1, 2}>
        {
            inside = Slice(embedding, start, end, axes)
            products = MatMul(inside, centers)
            classes = Cast<to = 6>(semantic_ids)
            class_offsets = Gather<axis = 0>(offsets, classes)
            scores = Add(products, class_offsets)
            best = ArgMax<axis = 3, keepdims = 0>(scores)
            rows = Cast<to = 4>(best)
        }
    """}


def build(name: str) -> onnx.ModelProto:
    """Return one of the graphs as a model."""
    model = parser.parse_model(HEADER + GRAPHS[name])
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Write all graphs."""
    FOLDER.mkdir(exist_ok=True)
    for name in GRAPHS:
        onnx.save(build(name), FOLDER / f'{name}.onnx')


if __name__ == '__main__':
    main()
