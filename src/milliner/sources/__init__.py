"""Floor 3: the places that pictures come from, one plug-in a file, and `fetch`, which brings them into a folder."""
