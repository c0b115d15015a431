"""A stratified split, so that tuning never has to touch the test set."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np

from lossbook import checks


def split_validation(images, labels, size, seed=0):
    """Set aside a validation set in which every class keeps its share.

    Of `size` rows, class c gets size * n_c / N, rounded down; what rounding leaves over goes one
    each to the classes with the largest remainders, the lower class first among equals.

    Parameters
    ----------
    images : array of shape (N, ...)
    labels : integer array of shape (N,), N >= 2
        NumPy arrays, lists, or torch tensors on the CPU that carry no gradient.
    size : int or float
        A number of rows in [1, N - 1], or a fraction of N in (0, 1).
    seed : int, at least 0
        Chooses the rows; the same seed always chooses the same ones.

    Returns
    -------
    (train_images, train_labels), (validation_images, validation_labels)
        Copies, as NumPy arrays. Both parts keep the order the rows came in.

    Raises
    ------
    TypeError, ValueError
        If the lengths differ, the labels are no integers, `size` leaves either part empty, or an
        array is masked.

    Examples
    --------
    >>> images, labels = np.arange(10), np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1])
    >>> train, validation = split_validation(images, labels, 0.5)
    >>> train[1], validation[1]
    (array([0, 0, 0, 0, 1]), array([0, 0, 0, 0, 1]))
    """
    images, labels = checks.plain("images", images), checks.plain("labels", labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(
            "labels must be a one-dimensional array of integers, "
            f"got shape {labels.shape} and dtype {labels.dtype}"
        )
    if images.shape[:1] != labels.shape:
        raise ValueError(
            f"images has shape {images.shape} but labels has shape {labels.shape}; "
            "their first axes must be of one length"
        )
    count = _rows(size, len(labels))
    generator = np.random.default_rng(checks.count("seed", seed, 0))
    classes, members = np.unique(labels, return_counts=True)
    # In whole numbers: rounded remainders of 1.2 and 3.2 are not equal.
    quota, remainder = np.divmod(count * members, len(labels))
    left_over = count - quota.sum()
    quota[np.argsort(-remainder, kind="stable")[:left_over]] += 1

    chosen = np.zeros(len(labels), dtype=bool)
    for class_id, number in zip(classes, quota, strict=True):
        chosen[generator.permutation(np.flatnonzero(labels == class_id))[:number]] = True
    return (images[~chosen], labels[~chosen]), (images[chosen], labels[chosen])


def _rows(size, total):
    """The number of rows that `size` means."""
    if total < 2:
        raise ValueError(f"labels must have at least 2 rows to be split, got {total}")
    if isinstance(size, bool) or not isinstance(size, Real):
        raise TypeError(f"size must be a number of rows or a fraction, got {size!r}")
    is_fraction = not isinstance(size, Integral) and 0 < size < 1
    # As Python's numbers: in a narrow type the product would be rounded, or wrap.
    count = round(float(size) * total) if is_fraction else size
    if not isinstance(count, Integral) or not 0 < count < total:
        raise ValueError(
            f"size must be a number of rows in [1, {total - 1}], or a fraction in (0, 1) that "
            f"leaves rows in both parts, got {size!r}"
        )
    return int(count)
