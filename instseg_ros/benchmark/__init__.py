"""What `instseg benchmark` measures: times beside a known yardstick, in one run; no ROS, no torch.

Milliseconds don't carry over from one machine to another; ratios of what ran in turns do.
"""
