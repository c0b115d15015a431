"""Faults that tests plant in what trains a network, to see that the trial of a study notices them.

Each function returns a function of pytest's monkeypatch, which plants the fault.
"""

from dataclasses import replace

import numpy as np

from lossbook import train


def draws_of(rule):
    """Draws of another seed, where a seed is a list: `rule` makes another one of its entries."""

    def plant(patch):
        draw = np.random.default_rng

        def other(seed):
            return draw(rule(*seed) if isinstance(seed, list) else seed)

        patch.setattr(np.random, "default_rng", other)

    return plant


def optimiser_with(kind, **options):
    """An optimiser of this kind, "sgd" or "adam", with other options than its settings give it."""

    def plant(patch):
        build = train.Settings.build_optimizer

        def build_other(self, steps):
            built = build(self, steps)
            return replace(built, **options) if self.optimizer == kind else built

        patch.setattr(train.Settings, "build_optimizer", build_other)

    return plant
