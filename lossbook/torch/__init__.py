"""The bridge to torch: a loss as a criterion, and the CNN of the last chapter."""

from lossbook.torch.cnn import CNN
from lossbook.torch.criterion import Criterion, as_torch

__all__ = ["CNN", "Criterion", "as_torch"]
