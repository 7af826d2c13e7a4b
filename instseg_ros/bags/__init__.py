"""rosbag2 files in, rosbag2 files out, without a running ROS graph."""
