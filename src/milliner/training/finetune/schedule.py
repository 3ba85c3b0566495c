"""The learning rate over the steps of a training."""

import math


def share_of_rate(step: int, steps: int, warm_up: int) -> float:
    """What part of its highest value the learning rate has at a step, counted from 0: above 0, up to 1.

    It rises in equal parts over `warm_up` steps, then falls along half a cosine towards 0 (Loshchilov & Hutter 2017,
    arXiv:1608.03983).
    """
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up + 1) / (steps - warm_up + 1)))
