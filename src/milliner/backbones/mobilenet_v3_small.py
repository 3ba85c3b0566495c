"""MobileNet-V3 small, pretrained on ImageNet (67.7 % top-1 at 224, 2.5 M weights)."""

from milliner.backbones.mobilenet_v3 import MobileNetV3


class MobileNetV3Small(MobileNetV3):
    """Width 576."""

    name = "mobilenet_v3_small"
    file = "mobilenet_v3_small-047dcff4.pth"
    width = 576
    hidden = 1024
    imagenet_top1 = 0.67668
    parameters = 2_542_856
    megabytes = 10.3
    stages = (
        (3, 16, 16, True, False, 2),
        (3, 72, 24, False, False, 2),
        (3, 88, 24, False, False, 1),
        (5, 96, 40, True, True, 2),
        (5, 240, 40, True, True, 1),
        (5, 240, 40, True, True, 1),
        (5, 120, 48, True, True, 1),
        (5, 144, 48, True, True, 1),
        (5, 288, 96, True, True, 2),
        (5, 576, 96, True, True, 1),
        (5, 576, 96, True, True, 1),
    )


BACKBONE = MobileNetV3Small()
