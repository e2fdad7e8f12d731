"""The published version: ONNX graph, golden rows, model card and plots."""
