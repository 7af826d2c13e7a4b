"""Metrics of predictions on labelled images, and reports of them; no torch, no rclpy."""
