"""Floor 9: one module for each command; the only place that prints, prompts or exits."""
