"""Floor 6: fits a head to a dataset and writes the model file with `export` inside it."""
