"""Chapter 19's world in which 40 % of the labels are another class: few images, read often."""

from lossbook.experiments.worlds import World

WORLD = World(
    training=2_500,
    validation=1_000,
    epochs=20,
    batch_size=64,
    compared=("softmax_cross_entropy", "generalized_cross_entropy"),
    flipped=True,
    adam_rates=(3e-4, 1e-3, 3e-3),
)
plan, run = WORLD.plan, WORLD.run


def trial():
    """Each loss for two epochs of 40 digits."""
    return WORLD.trial(40, 20)
