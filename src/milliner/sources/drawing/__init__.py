"""Drawn pictures and films of workers with and without safety helmets: a data set that needs no download."""

from milliner.sources.drawing.scene import Box, Scene, draw_scene
from milliner.sources.drawing.video import Event, write_video

__all__ = ["Box", "Event", "Scene", "draw_scene", "write_video"]
