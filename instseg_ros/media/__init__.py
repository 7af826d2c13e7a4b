"""Images and videos in, images and videos out; pixels are RGB everywhere.

`OSError` where a file cannot be had, `MediaError` where its content is no good.
"""
from instseg_ros.limits import MAX_PIXELS
from instseg_ros.media.files import MediaError, check_file
from instseg_ros.media.images import is_image, load_image, read_image, read_labels, write_image
from instseg_ros.media.overlay_video import OverlayVideo
from instseg_ros.media.videos import VideoReader, VideoWriter, codec_rate, fit

__all__ = ['MAX_PIXELS', 'MediaError', 'OverlayVideo', 'VideoReader', 'VideoWriter', 'check_file',
           'codec_rate', 'fit', 'is_image', 'load_image', 'read_image', 'read_labels',
           'write_image']
