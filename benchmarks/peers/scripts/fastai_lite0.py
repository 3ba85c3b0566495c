"""fastai as its own introduction has it: image data loaders, a vision learner on EfficientNet-Lite0, `fine_tune`."""

from time import perf_counter

from fastai.vision.all import (
    ImageBlock,
    CategoryBlock,
    DataBlock,
    IndexSplitter,
    Learner,
    CrossEntropyLossFlat,
    Resize,
    ResizeMethod,
    aug_transforms,
    params,
    set_seed,
)
from torch import nn

from lite0 import pretrained
from pictures import listed, task, tell

SIDE, BATCH = 224, 32


def split(network: nn.Module) -> list[list[nn.Parameter]]:
    """What is frozen in the first epoch, and the new last layer."""
    head = params(network.head)
    return [[each for each in params(network) if not any(each is one for one in head)], head]


def main() -> None:
    told = task()
    set_seed(0)
    start = perf_counter()
    labels = dict(listed(told, "train"))
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock(vocab=[0, 1])),
        get_y=lambda path: labels[path],
        splitter=IndexSplitter([]),
        item_tfms=Resize(SIDE, ResizeMethod.Squish),
        batch_tfms=aug_transforms(),
    )
    loaders = block.dataloaders(list(labels), bs=BATCH, num_workers=0)
    network = Bytes(pretrained(told.weights, 2))
    learner = Learner(loaders, network, loss_func=CrossEntropyLossFlat(), splitter=lambda whole: split(whole.network))
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(told.epochs - 1)  # one more with the body frozen is its own default
    seconds = perf_counter() - start
    test = loaders.test_dl([path for path, _ in listed(told, "test")], num_workers=0)
    with learner.no_bar():
        found, _ = learner.get_preds(dl=test)
    tell(seconds, found[:, 1].tolist())


class Bytes(nn.Module):
    """The network takes 0..255, fastai gives 0..1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels):  # type: ignore[no-untyped-def]
        return self.network(pixels * 255)


main()
