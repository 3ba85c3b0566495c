"""SqueezeNet 1.1, pretrained on ImageNet (58.2 % top-1 at 224, 1.2 M weights)."""

from milliner.backbones.squeezenet import SqueezeNet


class SqueezeNet11(SqueezeNet):
    """The second version: less than half the work by pooling earlier."""

    name = "squeezenet1_1"
    file = "squeezenet1_1-b8a52dc0.pth"
    imagenet_top1 = 0.58178
    parameters = 1_235_496
    megabytes = 5.0
    stem = (64, 3)
    fires = ((16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256), (64, 256))


BACKBONE = SqueezeNet11()
