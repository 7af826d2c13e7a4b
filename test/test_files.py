"""Files that are either whole or not there."""
import pytest

from instseg_ros.files import replacing, unfinished_folder


def test_the_file_appears_at_the_end(tmp_path):
    path = tmp_path / 'new' / 'result.json'
    with replacing(path) as temporary:
        temporary.write_text('whole')
        assert not path.exists()
        assert temporary.suffix == '.json'
    assert path.read_text() == 'whole'
    assert [entry.name for entry in path.parent.iterdir()] == ['result.json']


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_what_was_there(tmp_path, error):
    path = tmp_path / 'result.json'
    path.write_text('old')
    with pytest.raises(error):
        with replacing(path) as temporary:
            temporary.write_text('half')
            raise error
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_the_unfinished_folder_is_removed_with_all_in_it(tmp_path):
    with unfinished_folder(tmp_path / 'out') as folder:
        (folder / 'deep').mkdir()
        (folder / 'deep' / 'file').write_text('half')
        assert folder.parent == tmp_path / 'out'
    assert list((tmp_path / 'out').iterdir()) == []
