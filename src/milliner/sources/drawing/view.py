"""Where the camera stands: which size things have at which depth, and the light."""

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """A picture of level ground. All lengths are pixels; a thing's `unit` is the head height at its depth."""

    width: int
    height: int
    horizon: float
    camera: float
    """Height of the camera above the ground, in head heights."""
    far: float
    """Unit at the back of the ground, where walls and buildings stand."""
    light: float
    """The bright side, -1 left or 1 right."""
    pitch: float
    """Radians by which the camera looks down on things."""

    def ground(self, unit: float) -> float:
        """Where somebody with heads of this size has the feet."""
        return self.horizon + self.camera * unit

    @property
    def base(self) -> float:
        """Where the ground ends at the back."""
        return self.ground(self.far)
