"""Floor 3: fits a head on cached embeddings and writes the model file."""
