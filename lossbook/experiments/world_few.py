"""Chapter 19's world of 500 training images."""

from lossbook.experiments.worlds import World

WORLD = World(
    training=500,
    validation=500,
    epochs=20,
    batch_size=32,
    compared=("softmax_cross_entropy", "squared_error", "multiclass_hinge"),
    other_seeds=5,
)
plan, run = WORLD.plan, WORLD.run


def trial():
    """Each loss for two epochs of 40 digits."""
    return WORLD.trial(40, 20)
