"""Floor 7: the project folder: its settings, its stages, and which of them are up to date."""
