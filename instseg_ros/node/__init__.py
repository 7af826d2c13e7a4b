"""The ROS 2 node; the only room, with the demo, in which rclpy is known."""
