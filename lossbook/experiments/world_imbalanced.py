"""Chapter 19's world in which odd digits are 50 times as rare as even ones."""

from lossbook.experiments.worlds import World

WORLD = World(
    training=1_950,
    validation=400,
    epochs=3,
    batch_size=128,
    compared=("softmax_cross_entropy", "softmax_focal"),
    rarity=50,
)
plan, run = WORLD.plan, WORLD.run


def trial():
    """Each loss for one epoch of 255 digits, of each odd class one."""
    return WORLD.trial(50, 50, epochs=1)
