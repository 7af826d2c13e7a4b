"""What viewers see while a source is played, and options change."""
import contextlib

import numpy as np
import pytest
from tiny_models import paint_scene, rectangles, tiny_info

from instseg_ros.view.frames import Frame
from instseg_ros.view.player import Player

PATIENCE = 30.0


class Painted:
    """Frames with one object that is as wide as the frame's number says; 2 can't be read."""

    name, rate, is_live, remarks = 'painted', 0.0, False, ()

    def __init__(self, count=5):
        self.count = count
        self.read_numbers = []

    def read(self, number):
        self.read_numbers.append(number)
        if number == 2:
            raise OSError('frame 2: damaged')
        if number >= self.count:
            return None
        boxes = [(1, (16, 16, 28 + 8 * number, 40)), (3, (100, 24, 128, 96))]
        scene = rectangles((120, 160), boxes)
        return Frame(number, f'frame {number}', paint_scene(
            *scene, tiny_info(), confidence={1: 1.0, 2: 0.8}))


class Viewer:
    """Waits for states, as a browser does."""

    def __init__(self, player):
        self.player, self.version, self.seen = player, -1, 0

    def until(self, condition):
        """Return the first state that fulfils the condition, and what came before."""
        past = []
        while True:
            state = self.player.wait(self.version, self.seen, PATIENCE)
            assert state is not None, f'no change after {past}'
            self.version = state.version
            self.seen = state.picture.serial if state.picture else 0
            past.append(state)
            if condition(state):
                return state


def shows(number):
    return lambda state: state.picture is not None and state.picture.number == number


@pytest.fixture
def source():
    return Painted()


@pytest.fixture
def player(segmenter, source):
    with contextlib.closing(Player(source, segmenter)) as player:
        yield player


def test_a_source_is_played_to_its_end_and_again(player, source):
    viewer = Viewer(player)
    end = viewer.until(lambda state: state.ended)
    assert not end.playing and end.picture.number == 4
    assert source.read_numbers == [0, 1, 2, 3, 4, 5]
    player.play()
    assert viewer.until(shows(1)).playing
    assert viewer.until(lambda state: state.ended).picture.number == 4


def test_every_frame_is_shown_and_a_damaged_one_is_named(player):
    viewer, shown = Viewer(player), {}

    def note(state):
        if state.picture:
            shown[state.picture.number] = state.picture.problem
        return state.ended
    viewer.until(note)
    assert shown == {0: '', 1: '', 2: 'frame 2: damaged', 3: '', 4: ''}


def test_nothing_is_computed_without_viewers(player, source):
    while player.wait(-1, 0, PATIENCE).picture is None:
        pass
    player.set_options({'grouping.max_instances': 3})  # a second picture: the player isn't stuck
    while player.wait(-1, 0, PATIENCE).picture.serial < 2:
        pass
    assert source.read_numbers == [0]
    Viewer(player).until(shows(1))


def test_step_seek_and_pause(player):
    viewer = Viewer(player)
    player.pause()
    player.seek(3)
    assert not viewer.until(shows(3)).playing
    player.step(1)
    viewer.until(shows(4))
    player.step(-4)
    viewer.until(shows(0))
    player.step(-1)
    player.seek(99)
    viewer.until(shows(4))
    player.seek(-5)
    viewer.until(shows(0))


def test_an_option_changes_the_frame_without_the_network(segmenter, source, monkeypatch):
    images = []
    infer = type(segmenter).infer
    monkeypatch.setattr(type(segmenter), 'infer',
                        lambda self, image: images.append(image) or infer(self, image))
    with contextlib.closing(Player(source, segmenter)) as player:
        player.pause()
        viewer = Viewer(player)
        first = viewer.until(lambda state: state.picture and not state.playing)
        runs = len(images)
        assert len(first.picture.describe()['objects']) == 2
        player.set_options({'grouping.center_threshold': 0.9})
        changed = viewer.until(lambda state: state.picture.serial > first.picture.serial)
        assert changed.options['grouping.center_threshold'] == 0.9
        described = changed.picture.describe()
        assert [item['class_name'] for item in described['objects']] == ['person']
        assert described['number'] == first.picture.number and not described['network_ran']
        assert len(images) == runs
        assert changed.picture.jpeg('overlay') != first.picture.jpeg('overlay')
        assert changed.picture.jpeg('image') == first.picture.jpeg('image')


def test_a_wrong_value_changes_nothing(player):
    player.pause()
    viewer = Viewer(player)
    state = viewer.until(lambda state: state.picture and not state.playing)
    with pytest.raises(ValueError, match='iterations: expected a value from 1 to 100'):
        player.set_options({'refinement.iterations': 0, 'grouping.max_instances': 1})
    player.seek(1)
    assert viewer.until(shows(1)).options == state.options


def test_several_viewers_see_the_same(player):
    viewers = [Viewer(player) for _ in range(3)]
    player.pause()
    player.seek(4)
    assert len({viewer.until(shows(4)).picture.serial for viewer in viewers}) == 1


def test_the_last_frame_is_shown_where_fewer_came_than_promised(segmenter):
    class Short(Painted):

        def read(self, number):
            frame = super().read(number) if number < 5 else None
            self.count = 5 if frame is None else self.count
            return frame
    with contextlib.closing(Player(Short(9), segmenter)) as player:
        player.pause()
        player.seek(8)
        assert Viewer(player).until(shows(4)).count == 5


def test_a_lost_camera_pauses_with_the_reason(segmenter):
    class Lost(Painted):
        is_live = True

        def read(self, number):
            raise OSError('camera 0: the camera gives no more images')
    with contextlib.closing(Player(Lost(0), segmenter)) as player:
        state = Viewer(player).until(lambda state: state.picture is not None)
        assert not state.playing and 'no more images' in state.picture.problem
        assert state.picture.jpeg('overlay') == b''


def test_large_pictures_are_sent_smaller():
    import cv2

    from instseg_ros.view.pictures import LONG_SIDE, encode
    data = encode(np.zeros((2 * LONG_SIDE, 100, 3), np.uint8))
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (
        LONG_SIDE, 50, 3)
