"""SqueezeNet 1.0, pretrained on ImageNet (58.1 % top-1 at 224, 1.2 M weights)."""

from milliner.backbones.squeezenet import SqueezeNet


class SqueezeNet10(SqueezeNet):
    """The first version: a wide first kernel, and pooling late."""

    name = "squeezenet1_0"
    file = "squeezenet1_0-b66bff10.pth"
    imagenet_top1 = 0.58092
    parameters = 1_248_424
    megabytes = 5.0
    stem = (96, 7)
    fires = ((16, 64), (16, 64), (32, 128), None, (32, 128), (48, 192), (48, 192), (64, 256), None, (64, 256))


BACKBONE = SqueezeNet10()
