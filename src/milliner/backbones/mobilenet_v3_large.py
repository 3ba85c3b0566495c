"""MobileNet-V3 large, pretrained on ImageNet (75.3 % top-1 at 224, 5.5 M weights)."""

from milliner.backbones.mobilenet_v3 import MobileNetV3


class MobileNetV3Large(MobileNetV3):
    """Width 960; torchvision's second, better weights."""

    name = "mobilenet_v3_large"
    file = "mobilenet_v3_large-5c1a4163.pth"
    width = 960
    hidden = 1280
    imagenet_top1 = 0.75274
    parameters = 5_483_032
    megabytes = 22.1
    stages = (
        (3, 16, 16, False, False, 1),
        (3, 64, 24, False, False, 2),
        (3, 72, 24, False, False, 1),
        (5, 72, 40, True, False, 2),
        (5, 120, 40, True, False, 1),
        (5, 120, 40, True, False, 1),
        (3, 240, 80, False, True, 2),
        (3, 200, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 480, 112, True, True, 1),
        (3, 672, 112, True, True, 1),
        (5, 672, 160, True, True, 2),
        (5, 960, 160, True, True, 1),
        (5, 960, 160, True, True, 1),
    )


BACKBONE = MobileNetV3Large()
