"""Model files whose graph was changed, with a checksum that fits: errors, or possible results."""
import numpy as np
import onnx
from model_files import check_model, sound_bytes
from onnx import TensorProto, numpy_helper

from instseg_ros.core.network.model_file import seal

CHANGES = ('op', 'drop', 'rewire', 'attribute', 'constant', 'dims', 'output', 'type', 'external')
OPERATORS = ('Add', 'Mul', 'Div', 'Sqrt', 'Log', 'Exp', 'Neg', 'Identity', 'Floor', 'Cast',
             'Shape', 'Reciprocal', 'Transpose', 'Squeeze', 'Unsqueeze', 'Gather', 'Slice',
             'Pad', 'Nope')
VALUES = (0, 1, -1, 2, 1000, 2 ** 31, -2 ** 31, 2 ** 62, float('nan'), float('inf'), 1e-30, 1e30)


def steps(rng):
    return [[rng.choice(CHANGES), rng.randrange(1000), rng.randrange(1000)]
            for _ in range(rng.randint(1, 2))]


def write(steps, folder):
    model = onnx.load_from_string(sound_bytes())
    for change, which, what in steps:
        changed(model.graph, change, which, what)
    path = folder / 'model.onnx'
    path.write_bytes(seal(model.SerializeToString()))
    return path


def changed(graph, change, which, what):
    if not graph.node:
        return
    node = graph.node[which % len(graph.node)]
    tensor = graph.initializer[which % len(graph.initializer)]
    names = [*(item.name for item in graph.initializer), 'image',
             *(name for other in graph.node for name in other.output)]
    if change == 'op':
        node.op_type = OPERATORS[what % len(OPERATORS)]
    elif change == 'drop':
        graph.node.remove(node)
    elif change == 'rewire' and node.input:
        node.input[what % len(node.input)] = names[what % len(names)]
    elif change == 'attribute' and node.attribute:
        attribute = node.attribute[what % len(node.attribute)]
        attribute.i = (-1, 0, 1, 7, 99, 2 ** 40)[what % 6]
        if attribute.ints:
            attribute.ints[what % len(attribute.ints)] = (-1, 0, 99, 2 ** 40)[what % 4]
    elif change == 'constant':
        try:
            array = numpy_helper.to_array(tensor)
        except Exception:  # after one of the changes below
            return
        value = VALUES[what % len(VALUES)]
        with np.errstate(all='ignore'):
            if array.dtype.kind == 'i':
                array = np.full_like(array, int(value) if abs(value) < 2 ** 63 else 0)
            else:
                array = np.full_like(array, value)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    elif change == 'dims':
        tensor.dims.append((0, 1, 3, 2 ** 20, 2 ** 62, -1)[what % 6])
    elif change == 'output':
        output = graph.output[which % len(graph.output)]
        dims = output.type.tensor_type.shape.dim
        if dims:
            dims[what % len(dims)].dim_value = (0, 1, 5, 2 ** 31)[what % 4]
    elif change == 'type':
        graph.output[which % len(graph.output)].type.tensor_type.elem_type = what % 20
    elif change == 'external':
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key='location', value=('/etc/passwd', 'x', '../x')[what % 3])


def check(path):
    check_model(path)
