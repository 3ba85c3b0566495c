"""Floor 6: measures a model on labelled pictures, beside what could be said untrained, and writes the report."""
