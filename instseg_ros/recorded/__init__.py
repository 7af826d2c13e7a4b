"""Recorded bags through the segmenter, without a ROS graph: images in, results out."""
