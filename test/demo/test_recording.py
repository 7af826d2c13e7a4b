"""A video becomes a bag of compressed images at its rate."""
import numpy as np

from instseg_ros.bags.conversions import find_converter, to_rgb
from instseg_ros.bags.messages import stamp_of
from instseg_ros.bags.reader import BagReader
from instseg_ros.demo.recording import VIDEO_TOPIC, record_video
from instseg_ros.media import VideoReader, VideoWriter


def test_a_video_becomes_a_bag_at_its_rate(tmp_path):
    with VideoWriter(tmp_path / 'video.mp4', 8) as video:
        for number in range(6):
            video.write(np.full((32, 48, 3), 40 * number, np.uint8))
    seen = []
    with VideoReader(tmp_path / 'video.mp4') as video:
        record_video(video, tmp_path / 'video.mcap', start=10 ** 18,
                     on_frame=lambda: seen.append(1))
    assert len(seen) == 6
    with BagReader(tmp_path / 'video.mcap') as bag:
        messages = list(bag.read([VIDEO_TOPIC]))
        assert [message.time for message in messages] == [
            10 ** 18 + number * 125_000_000 for number in range(6)]
        for number, recorded in enumerate(messages):
            message = bag.parse(recorded)
            assert stamp_of(recorded.data) == recorded.time
            assert message.header.frame_id == 'camera'
            pixels = to_rgb(message, find_converter())
            assert pixels.shape == (32, 48, 3)
            assert np.abs(pixels.astype(int) - 40 * number).max() <= 6
