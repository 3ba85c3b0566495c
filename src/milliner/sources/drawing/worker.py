"""A person at work: build, clothes and head sampled once, then drawn in any pose, from any side, at any size.

Lengths are in head heights. The figure's origin is on the ground between the feet, y points down; somebody of
stature 1 is 6.75 heads tall.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from milliner.sources.drawing.clothes import Outfit, draw_torso, sample_outfit
from milliner.sources.drawing.headwear import HeadLook, draw_head, draw_head_behind, sample_head_look
from milliner.sources.drawing.palette import chance, faded, pick, scaled
from milliner.sources.drawing.pen import Colour, Pen, Point

HEAD_LEVEL: Final = 6.25
"""Height of the head's middle above the ground of somebody who stands upright."""

_HIP, _SHOULDER, _NECK = 3.35, 5.3, 5.62
_ARMS = ("hang", "hang", "hang", "hips", "hips", "carry", "tablet", "fold", "point", "raise")


@dataclass(frozen=True)
class Worker:
    """Looks that stay with a person."""

    head: HeadLook
    outfit: Outfit
    build: float
    """Breadth, 1 is average."""
    stature: float


@dataclass(frozen=True)
class Pose:
    """What a person is doing at one moment."""

    yaw: float
    """Of the body: 0 faces the camera, +-pi/2 walks to the right or left."""
    look: float
    """Of the head, relative to the body."""
    pitch: float
    """The camera's view from above."""
    stride: float
    """Phase of the walk in radians."""
    step: float
    """Length of the steps, 0 stands still."""
    crouch: float
    """0 upright to 1 squatting."""
    lean: float
    """Tilt of the upper body in radians."""
    arms: tuple[str, str]
    light: float
    """The bright side, -1 left or 1 right."""


def sample_worker(rng: np.random.Generator, helmeted: bool) -> Worker:
    """Somebody; nothing but the headwear depends on `helmeted`."""
    outfit = sample_outfit(rng)
    build, stature = float(rng.uniform(0.82, 1.3)), float(rng.uniform(0.9, 1.06))
    return Worker(sample_head_look(rng, helmeted), outfit, build, stature)


def sample_pose(rng: np.random.Generator, pitch: float, light: float) -> Pose:
    """A pose of somebody at work, turned any way."""
    walking = chance(rng, 0.35)
    return Pose(
        yaw=float(rng.uniform(-math.pi, math.pi)),
        look=float(rng.normal(0, 0.35)),
        pitch=pitch,
        stride=float(rng.uniform(0, 2 * math.pi)),
        step=0.75 if walking else 0.12,
        crouch=float(rng.uniform(0.5, 1.0)) if chance(rng, 0.12) else 0.0,
        lean=float(rng.normal(0, 0.07)),
        arms=(pick(rng, _ARMS), pick(rng, _ARMS)),
        light=light,
    )


def head_level(worker: Worker, pose: Pose) -> float:
    """Height of the head's middle above the ground, in head heights."""
    return (HEAD_LEVEL - 2.0 * pose.crouch) * worker.stature


def draw_worker(pen: Pen, worker: Worker, pose: Pose) -> tuple[float, float, float, float]:
    """Draws the person standing on the pen's origin; left, top, right, bottom of the head in pixels."""
    pen.ellipse(-0.35 * pose.light, 0.0, 1.5, 0.22, (0, 0, 0, 70))
    figure = pen.at(0, 0, worker.stature)
    drop = 2.0 * pose.crouch
    _draw_legs(figure, worker, pose, drop)
    upper = figure.at(0, -_HIP + drop, 1.0, pose.lean)
    neck = upper.at(0.18 * math.sin(pose.yaw), _HIP - _NECK, 1.0, -0.6 * pose.lean)
    skull = neck.at(0.12 * math.sin(pose.yaw), _NECK - HEAD_LEVEL, 1.0 / worker.stature)
    yaw = math.remainder(pose.yaw + pose.look, 2 * math.pi)
    draw_head_behind(skull, worker.head, yaw, pose.pitch)
    far, near = (0, 1) if math.sin(pose.yaw) < 0 else (1, 0)
    _draw_arm(upper, worker, pose, far)
    away = math.cos(pose.yaw) < -0.2
    if away:
        _draw_arm(upper, worker, pose, near)
    neck.limb((0, 0.25), (0.08 * math.sin(pose.yaw), -0.35), 0.5, 0.42, scaled(worker.head.skin, 0.8))
    draw_torso(upper, worker.outfit, worker.build, pose.yaw, _SHOULDER - _HIP, pose.light)
    if not away:
        _draw_arm(upper, worker, pose, near)
    tracked = skull.tracked()  # drawn last, so that no arm hides the head
    draw_head(tracked, worker.head, yaw, pose.pitch, pose.light)
    return tracked.reach()


def _joint(start: Point, end: Point, first: float, second: float, side: float) -> Point:
    """Knee or elbow of a limb of two lengths; `side` chooses which way it bends."""
    x, y = end[0] - start[0], end[1] - start[1]
    distance = min(max(math.hypot(x, y), 1e-6), first + second - 1e-6)
    along = (first**2 - second**2 + distance**2) / (2 * distance)
    across = math.sqrt(max(first**2 - along**2, 0.0)) * side
    unit_x, unit_y = x / distance, y / distance
    return start[0] + unit_x * along - unit_y * across, start[1] + unit_y * along + unit_x * across


def _draw_legs(pen: Pen, worker: Worker, pose: Pose, drop: float) -> None:
    frontal, sideways = abs(math.cos(pose.yaw)), math.sin(pose.yaw)
    outfit = worker.outfit
    thick = 0.62 * (0.6 + 0.4 * worker.build)
    order = (-1, 1) if sideways >= 0 else (1, -1)
    for rank, side in enumerate(order):
        swing = pose.step * math.sin(pose.stride + (math.pi if side > 0 else 0.0))
        stance = (0.3 + 0.25 * pose.crouch) * side * frontal * worker.build
        foot_x = stance + 1.25 * swing * sideways + 0.08 * side
        foot_y = -0.16 + 0.12 * swing * math.cos(pose.yaw)
        hip = (0.3 * side * frontal * worker.build, -_HIP + drop)
        bend = -1.0 if sideways > 0.25 else 1.0 if sideways < -0.25 else float(-side)
        knee = _joint(hip, (foot_x, foot_y), 1.68, 1.58, bend)
        colour: Colour = scaled(outfit.trousers, 0.8 if rank == 0 else 1.0)
        pen.limb(hip, knee, thick, thick * 0.78, colour)
        pen.limb(knee, (foot_x, foot_y - 0.12), thick * 0.78, thick * 0.62, colour)
        if outfit.leg_bands:
            centre_x, centre_y = (knee[0] + foot_x) / 2, (knee[1] + foot_y) / 2
            pen.rectangle(centre_x - 0.24, centre_y - 0.08, centre_x + 0.24, centre_y + 0.1, (216, 218, 214))
        toe = 0.34 * sideways
        boot = scaled(outfit.boots, 0.85 if rank == 0 else 1.0)
        pen.limb((foot_x, foot_y), (foot_x + toe, foot_y + 0.04 + 0.05 * frontal), 0.36, 0.3, boot)


def _hand(pose: Pose, side: int, reach: float) -> tuple[Point, Point]:
    """Where the hand is, and where the shoulder, relative to the hips."""
    frontal, sideways = math.cos(pose.yaw), math.sin(pose.yaw)
    outward = side * frontal
    shoulder = (outward * reach, _HIP - _SHOULDER + 0.22)
    swing = pose.step * math.sin(pose.stride + (0.0 if side > 0 else math.pi))
    places = {
        "hang": (outward * (reach + 0.25) + 0.9 * swing * sideways + 0.1 * sideways, -0.1),
        "hips": (outward * 0.72 + 0.2 * sideways, -0.45),
        "carry": (outward * 0.35 + 1.1 * sideways, -0.95),
        "point": (outward * 1.9 + 2.0 * sideways + 0.1, -2.1),
        "raise": (outward * 2.1 + 1.5 * sideways, -2.9),
        "fold": (-outward * 0.3 + 0.55 * sideways, -1.0),
        "tablet": (outward * 0.2 + 0.95 * sideways, -1.25),
    }
    return places[pose.arms[0 if side < 0 else 1]], shoulder


def _draw_arm(pen: Pen, worker: Worker, pose: Pose, which: int) -> None:
    side = -1 if which == 0 else 1
    outfit = worker.outfit
    hand, shoulder = _hand(pose, side, 0.78 * worker.build)
    bend = 1.0 if hand[0] < shoulder[0] else -1.0
    if pose.arms[which] in ("hips", "fold", "tablet", "carry"):
        bend = float(side) if math.cos(pose.yaw) > 0 else float(-side)
    elbow = _joint(shoulder, hand, 1.12, 1.05, bend)
    thick = 0.42 * (0.6 + 0.4 * worker.build)
    sleeve = scaled(outfit.top, 0.9)
    forearm = worker.head.skin if outfit.short_sleeves else sleeve
    if pose.arms[which] == "tablet":
        pen.rectangle(hand[0] - 0.4, hand[1] - 0.45, hand[0] + 0.4, hand[1] + 0.15, outfit.load)
    if pose.arms[which] == "carry":
        pen.rectangle(hand[0] - 0.55, hand[1] - 0.3, hand[0] + 0.55, hand[1] + 0.4, outfit.load)
    pen.limb(elbow, hand, thick * 0.8, thick * 0.62, scaled(forearm, 0.92))
    pen.limb(shoulder, elbow, thick, thick * 0.82, sleeve)
    pen.ellipse(*hand, 0.19, 0.2, outfit.gloves or worker.head.skin)
    pen.line([shoulder, elbow], 0.04, faded((0, 0, 0), 0.2))
