"""Floor 2: splitting a dataset and packing it into record files; reading them, and folders, as one kind of dataset."""
