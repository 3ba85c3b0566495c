"""Floor 2: the model file at run time: load it, check it, predict with it. Needs numpy, Pillow and a runtime only."""
