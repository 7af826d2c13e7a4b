"""ROS-free core: numpy, numba, opencv, scikit-image and onnxruntime; never rclpy or torch."""
