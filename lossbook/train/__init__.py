"""Train the CNN of the last chapter with any loss of the book.

:func:`train` does so on arrays at hand, and ``python -m lossbook.train`` from the command line.
Everything random comes from the seed: the network's first weights, and each epoch's order of the
examples from the seed and the epoch. So a run that was stopped and resumed makes the steps that an
unbroken one makes.
"""

from lossbook.extras import extra

with extra("torch"):
    from lossbook.train.arrays import as_inputs
    from lossbook.train.evaluation import evaluate, fit_temperature, predict
    from lossbook.train.settings import EPOCHS, RATES, TRAINABLE, Settings
    from lossbook.train.step import objective, read_outputs, training_step
    from lossbook.train.trainer import Run, train

__all__ = [
    "EPOCHS",
    "RATES",
    "TRAINABLE",
    "Run",
    "Settings",
    "as_inputs",
    "evaluate",
    "fit_temperature",
    "objective",
    "predict",
    "read_outputs",
    "train",
    "training_step",
]
