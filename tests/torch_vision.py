"""torchvision, also where its compiled operators are those of another build of torch: they are declared then, so that
its Python part can be imported, and nothing here calls them.
"""

import warnings
from typing import Any

import torch

_OPERATORS = ("nms", "qnms")


def imported() -> Any:
    """The package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its codecs are not needed either
        try:
            import torchvision
        except RuntimeError:
            library = torch.library.Library("torchvision", "FRAGMENT")
            for name in _OPERATORS:
                library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            imported.library = library  # type: ignore[attr-defined]  # it lasts as long as its declarations are needed
            import torchvision
    return torchvision


torchvision = imported()


def network(name: str, seed: int = 0) -> Any:
    """One of its networks with random weights, and batch norms that do something."""
    torch.manual_seed(seed)
    found = getattr(torchvision.models, name)(weights=None).eval()
    for module in found.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(1, 1.5)
    return found


def normalised(images: Any) -> torch.Tensor:
    """uint8 [n, h, w, 3] as its networks take them."""
    values = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (values - mean) / deviation
