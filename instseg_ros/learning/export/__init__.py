"""Export of a trained network as an ONNX file."""
