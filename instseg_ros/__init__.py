"""Semantic and instance segmentation of camera images, live, on the robot's own computer."""
