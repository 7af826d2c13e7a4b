"""`instseg view`: a page that shows what the live options do."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from instseg_ros.commands.options import add_config_arguments, configs_of

if TYPE_CHECKING:
    from instseg_ros.view.addresses import Address
    from instseg_ros.view.player import Player

EPILOG = """\
Open the printed address in a browser: overlay, objects, times of the stages, and a slider for
each live option. "Save as segmenter.yaml" gives a parameter file for the node.

examples:
  instseg view street.mp4
  instseg view recording/ --topic /front/image_raw
  instseg view photos/ --model my.onnx
  instseg view 0                       the first camera
  instseg view 0 --host 0.0.0.0        for other computers: the address contains a token
  instseg view street.mp4 --foxglove   for the Foxglove app instead of a browser

Ctrl-C ends it; the exit code is then 0.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EPILOG
    parser.add_argument('source', metavar='SOURCE',
                        help='video, bag, image, folder of images, or index of a camera')
    parser.add_argument('--topic', default='', metavar='NAME',
                        help='topic of images, if a bag has several')
    parser.add_argument('--model', type=Path, metavar='FILE',
                        help='the ONNX model (default: the street model that is installed)')
    parser.add_argument('--host', default='127.0.0.1', metavar='ADDRESS',
                        help='address to listen on (default 127.0.0.1: this computer only)')
    parser.add_argument('--port', type=int, default=8765, metavar='INT',
                        help='port to listen on; 0 takes a free one (default 8765)')
    parser.add_argument('--foxglove', action='store_true',
                        help='serve the Foxglove app (WebSocket) instead of a page')
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C and return the exit code."""
    from contextlib import closing

    from instseg_ros import Segmenter
    from instseg_ros.installed import default_model
    from instseg_ros.view.addresses import Address
    from instseg_ros.view.player import Player
    from instseg_ros.view.server import ViewServer
    from instseg_ros.view.sources import open_source

    if not 0 <= args.port <= 65535:
        raise ValueError(f'--port: expected a number from 0 to 65535, got {args.port}')
    configs = configs_of(args)
    address = Address.find(args.host)
    try:
        with closing(open_source(args.source, args.topic)) as source:
            print('Loading the model ...', flush=True)
            segmenter = Segmenter.from_onnx(args.model or default_model(), **configs)
            segmenter.warm_up()
            model = str(args.model.absolute()) if args.model else ''
            fixed = {part: configs[part] for part in ('network', 'selection')}
            with closing(Player(source, segmenter)) as player:
                if args.foxglove:
                    serve_foxglove(player, address, args.port)
                else:
                    with ViewServer(player, address, args.port, fixed, model) as server:
                        print(f'Open {server.url} in a browser; Ctrl-C ends.', flush=True)
                        server.serve_forever()
    except KeyboardInterrupt:
        print()
    return 0


def serve_foxglove(player: Player, address: Address, port: int) -> None:
    """Serve the Foxglove app until Ctrl-C."""
    from instseg_ros.installed import FOXGLOVE_LAYOUT, installed_file
    from instseg_ros.view.foxglove_server import FoxgloveServer

    with FoxgloveServer(player, address, port) as server:
        print(f'In Foxglove, open the connection {server.url} (Foxglove WebSocket) and import the '
              f'layout {installed_file(FOXGLOVE_LAYOUT)}; Ctrl-C ends.', flush=True)
        server.serve_forever()
