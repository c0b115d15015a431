"""The bridge to torch: a loss as a criterion, and the CNN of the last chapter."""

from lossbook.extras import extra

with extra("torch"):
    from lossbook.torch.cnn import CNN
    from lossbook.torch.criterion import Criterion, as_torch

__all__ = ["CNN", "Criterion", "as_torch"]
