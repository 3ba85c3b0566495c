"""Floor 1: what computes a network's graph; one runtime a file."""
