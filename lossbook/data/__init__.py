"""Data sets: MNIST in full or as a packaged sample, and small real tables for the chapters.

Everything comes back as plain NumPy arrays. Importing this package loads NumPy only; what reads or
downloads a data set is imported when it is asked for.
"""

from lossbook.data.mnist import DataUnavailableError, load_mnist, resolve_source
from lossbook.data.splitting import split_validation
from lossbook.data.tables import Table, load_breast_cancer, load_diabetes

__all__ = [
    "DataUnavailableError",
    "Table",
    "load_breast_cancer",
    "load_diabetes",
    "load_mnist",
    "resolve_source",
    "split_validation",
]
