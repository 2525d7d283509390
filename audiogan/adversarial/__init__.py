"""The shared trainer of adversarial games: knows named modules and batches of tensors, and nothing of music."""
