"""Chapter 19's clean world: 30,000 images with their own labels, read once, by SGD and Adam."""

from lossbook.experiments.worlds import World

WORLD = World(
    training=30_000,
    validation=5_000,
    epochs=1,
    batch_size=128,
    compared=("softmax_cross_entropy", "squared_error"),
    adam_rates=(1e-3, 3e-3, 1e-2),
    sgd=True,
)
plan, run = WORLD.plan, WORLD.run


def trial():
    """Each pair of loss and optimiser for two epochs of 40 digits."""
    return WORLD.trial(40, 20)
