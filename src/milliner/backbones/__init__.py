"""Floor 3: pretrained feature extractors, one plug-in a file, each a torch-free ONNX graph in the user's cache."""
