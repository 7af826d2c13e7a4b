import json

import cv2
import numpy as np
import pytest
from cityscapes_files import NAMES, STREETS, write_cityscapes
from coco_files import coco_document, rectangle, write_coco, write_panoptic
from tiny_models import paint_scene, rectangles, tiny_info

from instseg_ros import cli

# The file's ids are neither the model's nor without holes; the model has no class "bus".
CATEGORIES = ((90, 'car'), (7, 'bus'), (12, 'person'))
PERSON = (1, (16, 16, 56, 40))
CAR = (3, (80, 24, 128, 96))
BUS_SEEN_AS_CAR = (3, (0, 64, 60, 112))


@pytest.fixture
def street(tmp_path):
    """Return images, annotations and the document of one street with a person, a car, a bus."""
    document = coco_document((160, 120), [
        {'category_id': 12, 'segmentation': [rectangle(*PERSON[1])]},
        {'category_id': 90, 'segmentation': [rectangle(*CAR[1])]},
        {'category_id': 7, 'segmentation': [rectangle(*BUS_SEEN_AS_CAR[1])]}], CATEGORIES)
    images, annotations = write_coco(tmp_path, document)
    scene = rectangles((120, 160), [PERSON, CAR, BUS_SEEN_AS_CAR])
    image = paint_scene(*scene, tiny_info(), confidence={1: .8, 2: .9, 3: 1.})
    cv2.imwrite(str(images / 'a.png'), image[..., ::-1])
    return images, annotations, document


def evaluate(street, *arguments):
    return cli.main(['evaluate', '--images', str(street[0]), '--annotations', str(street[1]),
                     *map(str, arguments)])


def test_a_model_that_sees_all_reaches_one(street, tiny_model, tmp_path, capsys):
    out = tmp_path / 'new' / 'metrics.json'
    assert evaluate(street, '--model', tiny_model, '--refinement', 'nearest', '--json', out) == 0
    report = json.loads(out.read_text())
    assert report['images'] == 1
    assert report['semantic']['iou'] == {
        'background': 1, 'person': 1, 'bicycle': None, 'car': 1, 'motorcycle': None}
    assert report['instance']['ap50'] == report['instance']['ap'] == pytest.approx(1)
    assert set(report['instance']['per_class']['bicycle'].values()) == {None}
    assert report['panoptic']['pq'] == 1
    assert report['settings']['model'] == 'tiny.onnx'
    assert report['settings']['refinement']['method'] == 'nearest'
    assert report['settings']['labels'] == 'instances.json'
    shown = capsys.readouterr()
    assert 'person' in shown.out and str(out) in shown.out
    assert 'Running per image evaluation' not in shown.out + shown.err  # pycocotools is silent


def test_a_class_that_is_labelled_in_some_images_only_is_never_false(street, tiny_model, tmp_path):
    images, annotations, document = street
    del document['annotations'][1]  # the car
    document['annotations'][1]['category_id'] = 90  # and the bus is one
    annotations.write_text(json.dumps(document))
    figures = {}
    for name, arguments in (('all', ()), ('part', ('--labelled', 'person'))):
        out = tmp_path / f'{name}.json'
        assert evaluate(street, '--model', tiny_model, '--refinement', 'nearest', '--json', out,
                        *arguments) == 0
        report = json.loads(out.read_text())
        figures[name] = (report['semantic']['iou']['car'],
                         report['panoptic']['per_class']['car']['false'],
                         report['panoptic']['per_class']['background']['found'])
    assert figures['all'][0] < 1 and figures['all'][1] == 1
    assert figures['part'] == (1, 0, 1)


def test_a_page_with_pictures_is_written(street, tiny_model, tmp_path, capsys):
    out = tmp_path / 'new' / 'report.html'
    assert evaluate(street, '--model', tiny_model, '--refinement', 'nearest', '--html', out) == 0
    text = out.read_text()
    assert text.startswith('<!DOCTYPE html>') and text.rstrip().endswith('</html>')
    assert '<h3>a.png</h3>' in text and 'data:image/jpeg' in text and 'tiny.onnx' in text
    assert str(out) in capsys.readouterr().out


def test_figures_at_other_center_thresholds_are_reported(street, tiny_model, tmp_path, capsys):
    out = tmp_path / 'metrics.json'
    arguments = ('--model', tiny_model, '--refinement', 'nearest', '--json', out)
    assert evaluate(street, *arguments) == 0
    found = {row['threshold']: row['recall']
             for row in json.loads(out.read_text())['center_thresholds']['thresholds']}
    assert found == {**dict.fromkeys((.1, .2, .3, .4, .5, .6, .7, .8), 1), .9: .5}
    assert evaluate(street, *arguments, '--compare-thresholds', .95) == 0
    rows = json.loads(out.read_text())['center_thresholds']['thresholds']
    assert [row['threshold'] for row in rows] == [.7, .95]
    assert evaluate(street, *arguments, '--compare-thresholds') == 0
    assert 'center_thresholds' not in json.loads(out.read_text())
    predictions = tmp_path / 'theirs.json'
    predictions.write_text('[]')
    assert evaluate(street, '--predictions', predictions, '--compare-thresholds', .5) == 1
    assert '--compare-thresholds is for --model' in capsys.readouterr().err


def test_options_of_the_pipeline_change_the_figures(street, tiny_model, tmp_path):
    out = tmp_path / 'metrics.json'
    arguments = ('--model', tiny_model, '--refinement', 'nearest', '--json', out)
    assert evaluate(street, *arguments, '--center-threshold', .85) == 0
    report = json.loads(out.read_text())  # the person's center has only .8
    assert report['instance']['per_class']['car']['ap50'] == pytest.approx(1)
    assert report['instance']['per_class']['person']['ap50'] == 0
    assert report['semantic']['miou'] == 1
    assert report['settings']['grouping']['center_threshold'] == .85


def test_results_of_another_system_are_scored(street, tmp_path):
    path, out = tmp_path / 'theirs.json', tmp_path / 'metrics.json'
    path.write_text(json.dumps([
        {'image_id': 5, 'category_id': category, 'score': score,
         'segmentation': [rectangle(*box)]}
        for category, score, (_, box) in ((12, .9, PERSON), (90, .8, CAR),
                                          (90, .7, BUS_SEEN_AS_CAR))]))
    arguments = ('--predictions', path, '--json', out)
    assert evaluate(street, *arguments, '--classes', 'person', 'car') == 0
    report = json.loads(out.read_text())
    assert list(report['semantic']['iou']) == ['background', 'person', 'car']
    assert report['panoptic']['pq'] == 1
    assert report['instance']['ap'] == pytest.approx(1)
    assert report['settings'] == {'predictions': 'theirs.json', 'score_threshold': .5,
                                  'labels': 'instances.json'}
    # Without a choice of classes, the bus is one, and missed.
    assert evaluate(street, *arguments, '--score-threshold', .85) == 0
    report = json.loads(out.read_text())
    assert list(report['semantic']['iou']) == ['background', 'car', 'bus', 'person']
    assert report['instance']['per_class']['bus']['ap'] == 0
    assert report['semantic']['iou']['car'] == 0  # its .7 and .8 are too weak for the label map
    assert report['instance']['per_class']['car']['ap'] == pytest.approx(1)


def test_what_segment_writes_can_be_scored(street, tiny_model, tmp_path):
    out, direct, read = tmp_path / 'out', tmp_path / 'direct.json', tmp_path / 'read.json'
    nearest = ('--refinement', 'nearest')
    assert cli.main(['segment', str(street[0]), '--model', str(tiny_model), '--out', str(out),
                     *nearest]) == 0
    assert evaluate(street, '--predictions', out, '--json', read, '--classes', 'person',
                    'bicycle', 'car', 'motorcycle') == 0
    assert evaluate(street, '--model', tiny_model, '--json', direct, *nearest,
                    '--compare-thresholds') == 0
    reports = [json.loads(path.read_text()) for path in (read, direct)]
    for report in reports:
        del report['settings'], report['confidence']  # records hold scores of four digits
    assert reports[0] == reports[1]


def remove_image(images, annotations):
    (images / 'a.png').unlink()


def write_no_json(images, annotations):
    annotations.write_text('{')


def move_polygon(images, annotations):
    document = json.loads(annotations.read_text())
    document['annotations'][0]['segmentation'] = [rectangle(900, 0, 990, 50)]
    annotations.write_text(json.dumps(document))


def remove_annotations(images, annotations):
    annotations.unlink()


@pytest.mark.parametrize('damage, message', [
    (remove_image, 'a.png: image 5 of instances.json does not exist'),
    (write_no_json, 'instances.json: not valid JSON'),
    (move_polygon, 'instances.json: annotation 100 of a.png: its segmentation has a polygon outs'),
    (remove_annotations, 'instances.json: no such file')])
def test_unusable_data_is_one_sentence_and_leaves_the_old_file(
        street, tiny_model, tmp_path, capsys, damage, message):
    out = tmp_path / 'metrics.json'
    out.write_text('older figures')
    damage(*street[:2])
    assert evaluate(street, '--model', tiny_model, '--json', out) == 1
    last = capsys.readouterr().err.strip().split('\n')[-1]
    assert last.startswith('instseg evaluate: error: ') and message in last
    assert out.read_text() == 'older figures'
    assert not list(tmp_path.glob('.unfinished-*'))


@pytest.mark.parametrize('arguments, message', [
    (('--predictions', 'x.json', '--refinement', 'nearest'), 'are for --model'),
    (('--model', 'x.onnx', '--classes', 'car'), '--classes is for --predictions'),
    (('--model', 'x.onnx', '--score-threshold', '0.5'), '--score-threshold is for --predictions'),
    (('--predictions', 'x.json', '--classes', 'tree'), 'none of its categories'),
    (('--predictions', 'x.json'), 'x.json: no such file'),
    (('--predictions', 'x.json', '--labelled', 'tree'), "labelled: 'tree' is none of the classes"),
    (('--predictions', '.', '--score-threshold', '0.5'), 'is for a COCO results file'),
    (('--model', 'x.onnx', '--cityscapes', '.'), 'either --images and --annotations, or --citys'),
    (('--model', 'nowhere.onnx'), 'nowhere.onnx')])
def test_what_can_not_be_done_is_said(street, capsys, arguments, message):
    assert evaluate(street, *arguments) == 1
    assert message in capsys.readouterr().err


def test_a_file_names_the_labelled_images(street, tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('STREET', str(street[0]))
    data, out = tmp_path / 'street.yaml', tmp_path / 'metrics.json'
    data.write_text(f'images: ${{STREET}}\nannotations: {street[1].relative_to(tmp_path)}\n'
                    'class_map: {bus: car}\n')
    model = '--model', str(tiny_model), '--refinement', 'nearest'
    assert cli.main(['evaluate', *model, '--data', str(data), '--json', str(out)]) == 0
    report = json.loads(out.read_text())
    assert report['settings']['labels'] == 'street.yaml'
    assert report['panoptic']['per_class']['car']['found'] == 2
    assert evaluate(street, *model, '--data', data) == 1
    assert '--data names the labelled images' in capsys.readouterr().err
    data.write_text('image: here\n')
    assert cli.main(['evaluate', *model, '--data', str(data)]) == 1
    assert 'street.yaml: unknown key "image"' in capsys.readouterr().err


def test_labelled_images_are_needed(capsys):
    assert cli.main(['evaluate', '--model', 'x.onnx', '--images', '.']) == 1
    assert 'either --images and --annotations, or --cityscapes' in capsys.readouterr().err


def test_cityscapes_is_scored_by_the_official_scripts_too(tmp_path, capsys):
    pytest.importorskip('cityscapesscripts', reason='needs: pip install --no-deps -r '
                        'requirements/cityscapes.txt')
    root, labels, out = tmp_path / 'data', tmp_path / 'labels', tmp_path / 'metrics.json'
    write_cityscapes(root)
    class_of = {7: 0, 23: 10, 24: 11, 26: 13, 1: 0}  # train ids; under the hood may be anything
    for name, values in zip(NAMES, STREETS):
        label_ids = np.where(values >= 1000, values // 1000, values)
        semantic_ids = np.vectorize(class_of.get)(label_ids).astype(np.uint8)
        instance_ids = np.where(values >= 1000, values - 23999, 0).astype(np.uint16)
        for kind, image in (('semantic', semantic_ids), ('instance', instance_ids)):
            (labels / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(labels / kind / f'{name}_leftImg8bit.png'), image)
    assert cli.main(['evaluate', '--cityscapes', str(root), '--predictions', str(labels),
                     '--json', str(out)]) == 0
    report = json.loads(out.read_text())
    assert report['semantic']['miou'] == report['cityscapes']['miou'] == 1
    assert report['cityscapes']['ap'] == pytest.approx(1)
    assert report['cityscapes']['pq'] == pytest.approx(1)
    assert 'By the scripts of Cityscapes: mIoU 1.000, AP 1.000' in capsys.readouterr().out


def test_exactly_one_source_of_predictions_is_asked_for(street, capsys):
    for arguments in ((), ('--model', 'a', '--predictions', 'b')):
        with pytest.raises(SystemExit) as exit_info:
            evaluate(street, *arguments)
        assert exit_info.value.code == 2
        assert '--predictions' in capsys.readouterr().err


def test_a_panoptic_file_is_evaluated_too(tmp_path, tiny_model, capsys):
    # Classes are matched by name: the model's background is all stuff that it has no class for.
    scene = rectangles((120, 160), [PERSON, CAR])
    ids = np.select([scene[1] == 1, scene[1] == 2], [300, 70000], 7)
    images, path = write_panoptic(tmp_path, [
        {'id': 7, 'category_id': 9}, {'id': 300, 'category_id': 12},
        {'id': 70000, 'category_id': 90}], ids, ((9, 'road', 0), (12, 'person', 1),
                                                 (90, 'car', 1)))
    image = paint_scene(*scene, tiny_info(), confidence={1: .8, 2: .9})
    cv2.imwrite(str(images / 'a.png'), image[..., ::-1])
    data, out = (images, path), tmp_path / 'metrics.json'
    assert evaluate(data, '--model', tiny_model, '--refinement', 'nearest', '--json', out) == 0
    report = json.loads(out.read_text())
    assert report['panoptic']['pq'] == report['semantic']['miou'] == 1
    assert report['semantic']['iou']['background'] == 1
    assert report['instance']['ap'] == pytest.approx(1)
    # Label images of another system have the categories' places as class ids.
    labels = tmp_path / 'labels'
    for kind, values in (('semantic', np.select([ids == 300, ids == 70000], [1, 2], 0)),
                         ('instance', scene[1])):
        (labels / kind).mkdir(parents=True)
        cv2.imwrite(str(labels / kind / 'a.png'), values.astype(np.uint8))
    assert evaluate(data, '--predictions', labels, '--json', out) == 0
    assert json.loads(out.read_text())['semantic']['iou'] == {'road': 1, 'person': 1, 'car': 1}
    theirs = tmp_path / 'theirs.json'
    theirs.write_text('[]')
    assert evaluate(data, '--predictions', theirs) == 1
    assert 'are read from a folder of label images only' in capsys.readouterr().err


def test_a_folder_of_segments_is_for_panoptic_files(street, tiny_model, tmp_path, capsys):
    assert evaluate(street, '--model', tiny_model, '--segments', tmp_path) == 1
    assert '--segments is for a panoptic file' in capsys.readouterr().err
