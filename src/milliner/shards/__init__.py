"""Floor 3: files that hold many pictures: their writers, readers and repair; reading them, and folders, as one kind."""
