"""Floor 5: fits a head to a dataset and writes the model file with `export` inside it."""
