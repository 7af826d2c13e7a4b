"""Selections of images and names of classes for the measurement of how many images suffice."""
from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).resolve().parents[2] / 'benchmarks'
NAMES = ('person', 'bicycle', 'motorcycle', 'dog')


@pytest.fixture(scope='module')
def tool():
    """Return the script, which imports its neighbour."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = importlib.util.spec_from_file_location('few_images', BENCHMARKS / 'few_images.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    yield module
    sys.modules.pop('ablation', None)


def document(shown):
    """Return a COCO document of images that show one object each, of these categories."""
    return {'categories': [{'id': k + 1, 'name': name} for k, name in enumerate(NAMES)],
            'images': [{'id': k} for k in range(len(shown))],
            'annotations': [{'id': k, 'image_id': k, 'category_id': category}
                            for k, category in enumerate(shown)]}


def test_categories_of_one_new_name_become_one(tool):
    new = tool.renamed(document([1, 2, 3, 4]), {'bicycle': 'two_wheeler',
                                                'motorcycle': 'two_wheeler'})
    names = {item['id']: item['name'] for item in new['categories']}
    assert sorted(names.values()) == ['dog', 'person', 'two_wheeler']
    assert [names[item['category_id']] for item in new['annotations']] == [
        'person', 'two_wheeler', 'two_wheeler', 'dog']


@given(shown=st.lists(st.integers(1, 4), min_size=1, max_size=30), seed=st.integers(0, 9))
def test_larger_selections_hold_the_smaller_ones(tool, shown, seed):
    labels, before = document(shown), set()
    usable = sum(category != 4 for category in shown)
    for count in range(1, usable + 1):
        chosen = tool.selected(labels, ['background', *NAMES[:3]], count, seed)
        images = {item['id'] for item in chosen['images']}
        assert len(images) == count and images > before
        assert {item['image_id'] for item in chosen['annotations']} == images
        assert all(shown[image] != 4 for image in images)
        before = images
    with pytest.raises(SystemExit, match=f'expected at most {usable}, .*got {usable + 1}'):
        tool.selected(labels, ['background', *NAMES[:3]], usable + 1, seed)


def test_joined_data_sets_keep_their_images_and_labels_and_come_in_order(tool, tmp_path):
    parts = []
    for name, shown in (('street', [4, 1, 2]), ('more', [2, 3])):
        labels = document(shown)
        for item in labels['images']:
            item.update(file_name=f'{item["id"]}.jpg', kind=name)
        (tmp_path / f'{name}.json').write_text(json.dumps(labels))
        parts.append((tmp_path / name, tmp_path / f'{name}.json', ''))
    labels['categories'].reverse()
    labels['images'][1].update(labels=['motorcycle', 'person'], kind='other')
    (tmp_path / 'more.json').write_text(json.dumps(labels))
    parts[1:] = [(*parts[1][:2], 'kind!=more'), (*parts[1][:2], 'kind=more')]
    root, whole = tool.joined(parts, {'bicycle': 'two_wheeler', 'motorcycle': 'two_wheeler'})
    assert root == tmp_path.resolve()
    names = {item['id']: item['name'] for item in whole['categories']}
    assert sorted(names.values()) == ['dog', 'person', 'two_wheeler']
    files = {item['id']: item['file_name'] for item in whole['images']}
    shown = {files[item['image_id']]: names[item['category_id']] for item in whole['annotations']}
    assert shown == {'street/0.jpg': 'dog', 'street/1.jpg': 'person',
                     'street/2.jpg': 'two_wheeler', 'more/0.jpg': 'two_wheeler',
                     'more/1.jpg': 'two_wheeler'}
    assert len({item['id'] for item in whole['annotations']}) == len(files) == 5
    labelled = {item['file_name']: item['labels'] for item in whole['images']}
    assert labelled.pop('more/1.jpg') == ['person', 'two_wheeler']
    assert set(map(tuple, labelled.values())) == {('dog', 'person', 'two_wheeler')}
    order = [{item['file_name'] for item in tool.selected(
        whole, ['background', 'dog', 'person', 'two_wheeler'], count, 1)['images']}
        for count in (3, 4)]
    assert all(name.startswith('street') for name in order[0])
    assert order[1] - order[0] == {'more/1.jpg'}
