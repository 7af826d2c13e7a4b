"""What is no recording, or no message, is refused with the reason."""
import os
import sqlite3

import pytest
from recordings import CAMERA, SECOND, write_mcap

from instseg_ros.bags.messages import IMAGE
from instseg_ros.bags.reader import BagReader
from instseg_ros.bags.types import BagError


def test_what_is_no_bag_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.mcap: no such file or folder'):
        BagReader(tmp_path / 'gone.mcap')
    (tmp_path / 'notes.txt').write_text('milk, bread')
    (tmp_path / 'notes.mcap').write_text('milk, bread')
    (tmp_path / 'empty.mcap').touch()
    (tmp_path / 'folder').mkdir()
    sqlite3.connect(tmp_path / 'empty.db3').close()
    for name in ('notes.txt', 'notes.mcap', 'empty.mcap', 'folder', 'empty.db3'):
        with pytest.raises(BagError, match=f'{name}: expected a bag file or the folder of a'):
            BagReader(tmp_path / name)
    with sqlite3.connect(tmp_path / 'other.db3') as database:
        database.execute('CREATE TABLE shopping(item TEXT)')
    with pytest.raises(BagError, match='other.db3: expected an SQLite3 file of rosbag2'):
        BagReader(tmp_path / 'other.db3')


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / 'pipe.mcap')
    with pytest.raises(BagError, match='got something that is no file'):
        BagReader(tmp_path / 'pipe.mcap')


def test_bytes_that_are_no_message_are_an_error(tmp_path):
    path = write_mcap(tmp_path / 'a.mcap', [(SECOND, b'\0\1\0\0rubbish')])
    with BagReader(path) as bag:
        message, = bag.read(bag.topics)
        with pytest.raises(BagError, match=f'{CAMERA} at 1000000000 ns: expected a {IMAGE}'):
            bag.parse(message)
