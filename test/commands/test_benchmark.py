"""`instseg benchmark` on tiny images and a tiny model. No figure is judged here."""
import json
import sys

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from instseg_ros import cli
from instseg_ros.benchmark.measurement import peak_memory_of
from instseg_ros.benchmark.report import align, missed_node_targets, missed_targets
from instseg_ros.benchmark.stages import TARGETS, YARDSTICK

TINY = ('--size', '64x96', '--rounds', '1', '--instances', '5', '--threads', '1')
TIMES = {'wall_ms', 'cpu_ms'}
STAGES = {'grouping', 'instances', *(f'{stage}_{method}'
                                     for stage in ('refinement', 'postprocessing')
                                     for method in ('bilateral', 'slic'))}


def benchmark(*arguments):
    return cli.main(['benchmark', *TINY, *map(str, arguments)])


def write_network(path, shape, kind=TensorProto.FLOAT):
    """Write a network whose output is its input."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph([helper.make_node('Identity', ['images'], ['same'])], 'same',
                              [value('images', kind, shape)], [value('same', kind, shape)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)],
                                ir_version=8), path)
    return path


def test_all_parts(tiny_model, tmp_path, capsys):
    out, plot = tmp_path / 'new' / 'figures.json', tmp_path / 'new' / 'growth.png'
    other = write_network(tmp_path / 'theirs.onnx', [1, 3, 16, 24])
    assert benchmark('--model', tiny_model, '--json', out, '--plot', plot,
                     '--compare', other) == 0
    report = json.loads(out.read_text())
    assert set(report) == {'format_version', 'machine', 'settings', 'stages', 'growth', 'model',
                           'node'}
    assert report['node'] == []  # it needs ROS 2, and is measured only when it is named
    assert report['format_version'] == 1
    assert report['settings'] == {'threads': 1, 'rounds': 1, 'instances': 5, 'classes': 19,
                                  'output_stride': 4}
    assert set(report['machine']) == {'cpu', 'cores', 'system', 'python', 'modules',
                                      'load_average', 'busy'}
    (stages,) = report['stages']
    assert (stages['size'], stages['instances'], stages['superpixels']) == ([64, 96], 5, 43)
    assert set(stages['times']) == STAGES | {'refinement_nearest', 'postprocessing_nearest',
                                             YARDSTICK}
    for times in stages['times'].values():
        assert set(times) == TIMES | {'ratio', 'target'} and times['wall_ms'] > 0
        assert times['target'] is None  # the targets are about another set-up
    assert stages['times'][YARDSTICK]['ratio'] == {'wall': 1, 'cpu': 1}
    assert set(stages['boundary_recall']) == {'tolerance_px', 'nearest', 'slic', 'bilateral',
                                              'slic_of_scikit_image'}
    growth = report['growth']
    assert [point['size'] for point in growth['pixels']][::4] == [[16, 24], [64, 96]]
    assert growth['instances'][0]['instances'] == 0
    for axis in ('pixels', 'instances'):
        assert set(growth['exponents'][axis]) == STAGES
        assert all(set(point['times']) == STAGES for point in growth[axis])
    (model,) = report['model']
    assert (model['model'], model['provider']) == ('tiny.onnx', 'cpu')
    assert (model['size'], model['network_size']) == ([64, 96], [128, 160])
    assert set(model['segment']) == set(model['network']) == TIMES | {'fps'}
    assert list(model['stages_ms']) == ['scale', 'network', 'grouping', 'refinement', 'instances']
    assert model['peak_memory_mib'] > 20
    (compared,) = model['others']
    assert (compared['network'], compared['shape']) == ('theirs.onnx', [1, 3, 16, 24])
    assert set(compared['ratio']) == {'wall', 'cpu'}
    assert cv2.imread(str(plot)).shape[:2] >= (400, 800)
    shown = capsys.readouterr().out
    for text in ('After the network, 64x96', 'Growth with the number of pixels', 'end to end',
                 'theirs.onnx alone', str(out), str(plot)):
        assert text in shown


def test_the_node_beside_the_library(tiny_model, tmp_path, capsys):
    pytest.importorskip('vision_msgs.msg', reason='needs ROS 2 with vision_msgs')
    out, plot = tmp_path / 'figures.json', tmp_path / 'latency.png'
    picture = tmp_path / 'picture.png'
    cv2.imwrite(str(picture), np.full((30, 50, 3), 90, np.uint8))
    assert benchmark('--parts', 'node', '--model', tiny_model, '--json', out, '--plot', plot,
                     '--image', picture) == 0
    (node,) = json.loads(out.read_text())['node']
    assert (node['model'], node['provider'], node['size']) == ('tiny.onnx', 'cpu', [64, 96])
    assert list(node['overhead']) == ['one_at_a_time', 'highest_rate']
    for name, shares in node['overhead'].items():
        assert set(node[name]) == set(node['library']) == TIMES | {'fps'}
        for clock, share in shares.items():
            ratio = node[name][f'{clock}_ms'] / node['library'][f'{clock}_ms']
            assert share == pytest.approx(ratio - 1)
    assert {'convert', 'network', 'publish'} <= set(node['stages_ms'])
    steady = node['steady']
    assert steady['fps'] == pytest.approx(0.8 * node['highest_rate']['fps'])
    assert len(steady['latencies_ms']) + steady['dropped'] == steady['frames'] == 60
    assert steady['median_ms'] <= steady['p95_ms'] <= steady['max_ms']
    assert cv2.imread(str(plot)).shape[:2] >= (400, 400)
    shown = capsys.readouterr().out
    for text in ('Node with tiny.onnx on cpu, images of 64x96', 'node, one at a time',
                 'latency at a steady', 'times the median'):
        assert text in shown


def test_the_node_needs_ros(tiny_model, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    for name in [name for name in sys.modules if name.startswith('instseg_ros.demo')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, 'instseg_ros.benchmark.node', raising=False)
    assert benchmark('--parts', 'node', '--model', tiny_model) == cli.EXIT_USAGE
    assert 'instseg benchmark needs rclpy, which is not installed' in capsys.readouterr().err


def test_parts_can_be_left_out(tiny_model, tmp_path, capsys):
    out = tmp_path / 'figures.json'
    assert benchmark('--parts', 'stages', '--size', '32x32', '--json', out) == 0
    report = json.loads(out.read_text())
    assert [item['size'] for item in report['stages']] == [[64, 96], [32, 32]]
    assert report['growth'] is None and report['model'] == []
    assert 'Growth' not in capsys.readouterr().out


def test_only_the_stages_need_scikit_image(tiny_model, monkeypatch, capsys):
    for name in ('skimage', 'skimage.segmentation'):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, 'instseg_ros.benchmark.reference', raising=False)
    assert benchmark('--parts', 'growth', 'model', '--model', tiny_model) == 0
    assert 'skimage' not in capsys.readouterr().out
    assert benchmark('--parts', 'stages') == cli.EXIT_USAGE
    assert 'instseg benchmark needs skimage, which is not installed' in capsys.readouterr().err


def test_a_street_without_any_boundary(tmp_path, capsys):
    out = tmp_path / 'figures.json'
    assert benchmark('--parts', 'stages', '--classes', '1', '--instances', '0', '--json', out) == 0
    assert json.loads(out.read_text())['stages'][0]['boundary_recall']['slic'] is None
    assert 'slic -' in capsys.readouterr().out


def test_the_shape_of_a_network_may_be_open(tiny_model, tmp_path):
    other = write_network(tmp_path / 'open.onnx', ['n', 3, 'h', 'w'], TensorProto.UINT8)
    out = tmp_path / 'figures.json'
    assert benchmark('--parts', 'model', '--model', tiny_model, '--compare', other,
                     '--compare-shape', '1x3x8x16', '--json', out) == 0
    assert json.loads(out.read_text())['model'][0]['others'][0]['shape'] == [1, 3, 8, 16]


@pytest.mark.parametrize('arguments, message', [
    (('--size', '640'), 'expected height x width, 32 to 16384 pixels each, for example 480x640, '
                        "got '640'"),
    (('--size', '0x9'), 'expected height x width'),
    (('--parts', 'nothing'), 'invalid choice'),
    (('--compare-shape', '1x-3'), 'expected lengths of axes')])
def test_a_wrong_command_line_shows_the_usage(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        benchmark(*arguments)
    assert stop.value.code == cli.EXIT_USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('arguments, message', [
    (('--model', 'nowhere.onnx'), 'nowhere.onnx'),
    (('--compare', 'nowhere.onnx'), 'nowhere.onnx: expected a model file'),
    (('--threads', '-1'), 'threads: expected a value from 0 to 1024, got -1'),
    (('--rounds', '0'), 'rounds: expected a value from 1 to'),
    (('--classes', '0'), 'classes: expected a value from 1 to 255'),
    (('--plot', 'x.txt'), '--plot: expected a file name that ends in one of .png, .svg, .pdf'),
    (('--plot', 'x.png', '--parts', 'model'), '--plot is for growth and node, which --parts'),
    (('--parts', 'stages', '--compare', 'x.onnx'), '--compare is for model, which --parts'),
    (('--parts', 'stages', '--model', 'x.onnx'), '--model is for model and node, which --parts'),
    (('--image', 'x.png'), '--image is for node, which --parts'),
    (('--parts', 'node', '--image', 'nowhere.png'), 'nowhere.png'),
    (('--compare-shape', '1x3x8x8'), 'for a network given by --compare')])
def test_what_can_not_be_done_is_said_before_anything_is_measured(
        arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert benchmark(*arguments) == 1
    shown = capsys.readouterr()
    assert message in shown.err.splitlines()[-1]
    assert 'After the network' not in shown.out


@pytest.mark.parametrize('shape, given, message', [
    (['n', 3, 8, 8], (), 'has no fixed shape; give one, for example --compare-shape'),
    (['n', 3, 8, 8], ('--compare-shape', '1x3x9x9'), 'does not run on an input of 1x3x9x9')])
def test_a_network_of_another_shape(tiny_model, tmp_path, capsys, shape, given, message):
    other = write_network(tmp_path / 'other.onnx', shape)
    assert benchmark('--model', tiny_model, '--compare', other, *given) == 1
    assert message in capsys.readouterr().err


def test_a_network_of_another_kind_of_input(tiny_model, tmp_path, capsys):
    other = write_network(tmp_path / 'other.onnx', [1, 3], TensorProto.INT64)
    assert benchmark('--model', tiny_model, '--compare', other) == 1
    assert 'expected a network with one input of tensor(float)' in capsys.readouterr().err


def test_an_interrupted_run_leaves_older_files(tiny_model, tmp_path):
    out = tmp_path / 'figures.json'
    out.write_text('older figures')
    assert benchmark('--json', out, '--model', 'nowhere.onnx') == 1
    assert out.read_text() == 'older figures' and not list(tmp_path.glob('.unfinished-*'))


def test_missed_targets_are_named():
    item = {'times': {name: {'target': target, 'ratio': {'wall': target}}
                      for name, target in TARGETS.items()},
            'boundary_recall': {'slic': .98, 'slic_of_scikit_image': .985}}
    assert missed_targets(item) == []
    item['times']['postprocessing_slic']['ratio']['wall'] = 34.94
    item['boundary_recall']['slic'] = .97
    assert missed_targets(item) == [
        'MISSED: all of it, slic: the ratio is 34.9, wanted 35',
        "MISSED: boundary recall of slic: 0.9700, wanted at least scikit-image's less 0.01"]


def test_missed_targets_of_the_node_are_named():
    item = {'overhead': {'one_at_a_time': {'wall': .5, 'cpu': .1}},
            'steady': {'p95_over_median': 1.5}}
    assert missed_node_targets(item) == []
    item = {'overhead': {'highest_rate': {'wall': -.2, 'cpu': .104}},
            'steady': {'p95_over_median': 1.51}}
    assert missed_node_targets(item) == [
        'MISSED: overhead of the node, highest rate: 10.4 % by the processor, wanted at most '
        '10.0 %', 'MISSED: 95 % of the latency is 1.51 times the median, wanted at most 1.5']


def test_columns_are_aligned():
    assert list(align([('', 'ms'), ('grouping', '1.25'), ('all', '10.00')])) == [
        '             ms', '-' * 15, 'grouping   1.25', 'all       10.00']


def test_peak_memory_is_that_of_the_function():
    small, large = peak_memory_of(np.zeros, 1), peak_memory_of(np.ones, 20 * 2**17)
    assert 15 < large - small < 60  # 20 MiB, and noise
