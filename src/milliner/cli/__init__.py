"""Floor 8: one module for each command; the only place that prints, prompts or exits."""
