"""Floor 5: the dataset as a whole: what is wrong with its pictures, which belong together, and how they are packed."""
