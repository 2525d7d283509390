"""Files' contents as tensors, and back: pure functions."""
