"""From labelled pictures of boards to the detector's ONNX file; never imported by the service."""
