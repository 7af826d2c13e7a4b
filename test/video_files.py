"""Made-up videos: even and uneven rates, edit lists, and files that are cut."""
import struct

import cv2
import numpy as np

from instseg_ros.media import VideoWriter


def write_video(path, *, count=12, size=(48, 64), rate=12.5):
    """Write frames of one gray value each, 10 times their number."""
    with VideoWriter(path, rate) as video:
        for number in range(count):
            video.write(np.full((*size, 3), 10 * number, np.uint8))
    return path


def cut(path, share):
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * share)])
    return path


def write_noise_avi(path, count):
    """Write an AVI file, whose header announces the frames; a cut one can still be read."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(count):
        writer.write(noise.integers(0, 255, (48, 64, 3)).astype(np.uint8))
    writer.release()
    return path


def write_uneven_video(path, times, pictures=None):
    """Write a Matroska file whose frames are shown at the given milliseconds.

    OpenCV writes even times only, so they are replaced in the file: in the blocks (track, time,
    flags) and in the duration. All must be in one cluster, so the file must be about 4 KB at most.
    """
    if pictures is None:
        pictures = [np.full((48, 64, 3), 10 * number, np.uint8) for number in range(len(times))]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10,
                             pictures[0].shape[1::-1])
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
    data, place = bytearray(path.read_bytes()), 0
    for number, time in enumerate(times):
        place = data.index(b'\x81' + struct.pack('>h', 100 * number) + b'\x80', place)
        data[place + 1:place + 3] = struct.pack('>h', time)
        place += 4
    place = data.index(b'\x44\x89\x88') + 3
    data[place:place + 8] = struct.pack('>d', times[-1] + 100)
    path.write_bytes(data)
    return path


def write_edited_video(path, *, count, shown):
    """Write an MP4 file of `count` frames at 10 a second, whose edit list shows the first ones."""
    write_video(path, count=count, rate=10)
    data = bytearray(path.read_bytes())
    place = data.index(b'elst') + 12  # behind version, flags and the number of entries
    assert struct.unpack_from('>I', data, place)[0] == 100 * count
    struct.pack_into('>I', data, place, 100 * shown)
    path.write_bytes(data)
    return path
