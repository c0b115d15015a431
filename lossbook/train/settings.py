"""All that decides a run, and what stands for it if nothing is said."""

from __future__ import annotations

from dataclasses import dataclass

from lossbook.checks import count, number
from lossbook.loss import LOSSES
from lossbook.optim import SGD, Adam, AdamW, one_cycle

#: The peak learning rate that each optimiser takes if none is given.
RATES = {"adam": 3e-3, "adamw": 3e-3, "sgd": 0.1}
#: Epochs if none are given: the sample is 15 times smaller, so it is read more often.
EPOCHS = {"full": 3, "sample": 20}

#: The losses that can train the network: its outputs can be read as their prediction.
TRAINABLE = tuple(name for name, loss in LOSSES.items() if loss.prediction.read)


@dataclass(frozen=True)
class Settings:
    """All that decides a run, apart from the data."""

    loss: str = "softmax_cross_entropy"
    optimizer: str = "adam"
    epochs: int = EPOCHS["full"]
    batch_size: int = 64
    lr: float | None = None
    seed: int = 0

    def __post_init__(self):
        if self.loss not in TRAINABLE:
            raise ValueError(f"loss must be one of {', '.join(TRAINABLE)}, got {self.loss!r}")
        if self.optimizer not in RATES:
            raise ValueError(f"optimizer must be one of {', '.join(RATES)}, got {self.optimizer!r}")
        rate = RATES[self.optimizer] if self.lr is None else self.lr
        checked = {
            "epochs": count("epochs", self.epochs),
            "batch_size": count("batch_size", self.batch_size),
            "lr": number("lr", rate, 0, open_low=True),
            "seed": count("seed", self.seed, least=0),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def build_optimizer(self, steps):
        """The optimiser, its learning rate a single cycle over all the steps."""
        rate = one_cycle(self.lr, max(steps, 2))
        match self.optimizer:
            case "sgd":
                return SGD(rate, momentum=0.9, nesterov=True)
            case "adam":
                return Adam(rate)
            case "adamw":
                return AdamW(rate)
