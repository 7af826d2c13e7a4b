"""ROS-free core: NumPy, Numba, OpenCV and ONNX Runtime; never rclpy or torch."""
