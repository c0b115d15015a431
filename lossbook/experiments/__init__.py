"""Studies over many seeds: one file each, run by ``python -m lossbook.experiments run``.

A study is a module with three functions: ``plan(done)`` returns the settings of the next runs,
given the runs so far; ``run(settings)`` makes one run and returns what it measured; ``trial()``
makes a few short runs with the same code, and returns all that they measured. What is stored in
``book/results`` is the settings, the results, the versions of the libraries, and the trial, so that
a test can tell when the stored numbers are stale: where the trial comes out otherwise.
"""

from lossbook.extras import extra

with extra("experiments"):
    from lossbook.experiments.study import is_current, load

STUDIES = (
    "blur",
    "claims_anomaly",
    "claims_binary",
    "claims_boxes",
    "claims_images",
    "claims_imbalance",
    "claims_multiclass",
    "claims_rates",
    "claims_regression",
    "cnn_mnist",
    "embedding",
    "memorisation",
    "numpy_cnn",
    "rates",
    "segmentation",
    "two_losses",
    "what_matters",
    "world_clean",
    "world_few",
    "world_flipped",
    "world_imbalanced",
)

__all__ = ["STUDIES", "is_current", "load"]
