"""Small real data sets that scikit-learn packages: no network, no waiting."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lossbook.extras import extra


class Table(NamedTuple):
    """A data set of rows: features of shape (N, F), target of shape (N,), F feature names."""

    features: np.ndarray
    target: np.ndarray
    names: tuple[str, ...]


def load_diabetes():
    """442 diabetes patients and how far the disease had gone one year later: for regression.

    Features, float64 of shape (442, 10), in their original units: age in years, sex (1 or 2, which
    is which is not recorded), body mass index, mean blood pressure, and six blood serum
    measurements. The target, float64, is a score of disease progression from 25 to 346.

    Source: B. Efron, T. Hastie, I. Johnstone and R. Tibshirani (2004), Least angle regression,
    Annals of Statistics 32(2), 407-499.

    Examples
    --------
    >>> table = load_diabetes()
    >>> table.features.shape, table.target.shape, table.names[:3]
    ((442, 10), (442,), ('age', 'sex', 'bmi'))
    >>> table.features[0, 2], table.target[0]
    (np.float64(32.1), np.float64(151.0))
    """
    with extra("data"):
        from sklearn import datasets

    bunch = datasets.load_diabetes(scaled=False)
    return Table(bunch.data, bunch.target, tuple(map(str, bunch.feature_names)))


def load_breast_cancer():
    """569 breast masses, described by the cell nuclei in a needle biopsy: for binary labels.

    Features, float64 of shape (569, 30): the mean, standard error and largest value of ten
    measurements of the nuclei. The target, int64, is 0 for the 212 malignant masses and 1 for the
    357 benign ones, as in scikit-learn: take `1 - target` where malignant is to be the positive
    class.

    Source: W. N. Street, W. H. Wolberg and O. L. Mangasarian (1993), Nuclear feature extraction for
    breast tumor diagnosis, Proceedings of SPIE 1905, 861-870.

    Examples
    --------
    >>> table = load_breast_cancer()
    >>> table.features.shape, table.names[0], np.bincount(table.target)
    ((569, 30), 'mean radius', array([212, 357]))
    """
    with extra("data"):
        from sklearn import datasets

    bunch = datasets.load_breast_cancer()
    return Table(bunch.data, bunch.target, tuple(map(str, bunch.feature_names)))
