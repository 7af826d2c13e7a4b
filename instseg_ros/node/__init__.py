"""The ROS 2 node. Besides the demo, the only part of the package that uses rclpy."""
