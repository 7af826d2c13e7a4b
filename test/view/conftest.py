"""A tiny model, frames painted for it, and a page served to a test."""
import contextlib
import threading

import pytest

from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.media import write_image
from instseg_ros.view.addresses import Address
from instseg_ros.view.player import Player
from instseg_ros.view.server import ViewServer
from instseg_ros.view.sources import open_source


@pytest.fixture(scope='session')
def frame():
    """Return an image with a sure and a less sure object."""
    tiny_models = pytest.importorskip('tiny_models', reason='needs onnx')
    scene = tiny_models.rectangles((120, 160), [(1, (16, 16, 56, 40)), (3, (80, 24, 128, 96))])
    return tiny_models.paint_scene(*scene, tiny_models.tiny_info(), confidence={1: 1.0, 2: 0.8})


@pytest.fixture(scope='session')
def segmenter(tiny_model):
    made = Segmenter.from_onnx(tiny_model, 'cpu')
    made.warm_up()
    return made


@pytest.fixture(scope='session')
def photos(tmp_path_factory, frame):
    """Return a folder of three images: two objects, none, two objects."""
    folder = tmp_path_factory.mktemp('photos')
    write_image(folder / 'a.png', frame)
    write_image(folder / 'b.png', frame * 0)
    write_image(folder / 'sub' / 'c.png', frame)
    return folder


@pytest.fixture
def serve(segmenter):
    """Return a function that serves a source on a free port and returns the server."""
    with contextlib.ExitStack() as stack:
        def start(source, *, host='127.0.0.1', model='', network=NetworkConfig()):
            opened = open_source(str(source)) if not hasattr(source, 'read') else source
            stack.callback(opened.close)
            player = stack.enter_context(contextlib.closing(Player(opened, segmenter)))
            player.pause()
            server = stack.enter_context(ViewServer(
                player, Address.find(host), 0, {'network': network}, model))
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server
        yield start
