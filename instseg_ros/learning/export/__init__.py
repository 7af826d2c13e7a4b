"""From a checkpoint to the ONNX file that a robot runs."""
