"""Metrics: what a model is judged by, which is seldom what it is trained on.

Every function takes (prediction, target) by position: NumPy arrays, lists, or torch tensors on the
CPU that carry no gradient. Class ids and binary labels are integers or booleans. Scores are real
numbers of which more means more likely; infinities rank first and last. A NaN among scores or
probabilities makes the result NaN. Masked arrays are refused with a ``TypeError``: a mask would be
lost, so drop the masked entries first. Whatever the dtypes, counts are int64 and ratios float64.

A ratio 0/0 is undefined, and is reported as NaN, not as 0: to a model that predicts no positives, a
precision of 0 would attribute mistakes it did not make. Where a table or an average needs a number,
`undefined=0.0` supplies it in plain sight.
"""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np
from array_api_compat import is_torch_array

from lossbook import checks
from lossbook.spaces import BIT, CLASS_ID, LABEL_ROW


class PrecisionRecallF1(NamedTuple):
    """Three floats, or three arrays with an entry per class."""

    precision: float | np.ndarray
    recall: float | np.ndarray
    f1: float | np.ndarray


class PrecisionRecallCurve(NamedTuple):
    """Three arrays of one length, an entry for each distinct score, from the highest down."""

    precision: np.ndarray
    recall: np.ndarray
    threshold: np.ndarray


class ReliabilityCurve(NamedTuple):
    """Three arrays with an entry for each bin, from the least confident up."""

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def accuracy(predicted_ids, ids, /):
    """The fraction of class ids that are predicted right: mean of [predicted = true].

    Parameters
    ----------
    predicted_ids, ids : integer or boolean arrays of one shape, not empty

    Examples
    --------
    >>> accuracy([0, 2, 1, 1], [0, 1, 1, 1])
    0.75
    """
    predicted_ids, ids = _id_pair(predicted_ids, ids)
    return float(np.mean(predicted_ids == ids))


def top_k_accuracy(scores, ids, /, k):
    """The fraction of rows whose own class is among the k classes that score highest.

    Equal scores rank in the order of their class ids, as in `numpy.argmax`, so that k = 1 is the
    accuracy of the argmax and a model that scores all classes alike gains nothing by it.

    Parameters
    ----------
    scores : array of shape (N, C)
    ids : integer array of shape (N,), class ids in [0, C - 1]
    k : int in [1, C]

    Examples
    --------
    >>> scores = [[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]]
    >>> top_k_accuracy(scores, [2, 1], k=1), top_k_accuracy(scores, [2, 1], k=2)
    (0.0, 0.5)
    """
    scores, ids = _scores("scores", scores, 2), checks.plain("ids", ids)
    ids = CLASS_ID.checked("ids", ids, "scores", scores, axes=1)
    classes = scores.shape[1]
    k = checks.count("k", k, 1, classes)
    own = np.take_along_axis(scores, ids[:, None], axis=1)
    earlier = np.arange(classes) < ids[:, None]
    rank = np.sum((scores > own) | ((scores == own) & earlier), axis=1)
    return float("nan") if np.isnan(scores).any() else float(np.mean(rank < k))


def confusion_matrix(predicted_ids, ids, /, *, classes=None):
    """Count each pair of true and predicted class: entry [t, p] counts rows of class t called p.

    Parameters
    ----------
    predicted_ids, ids : integer or boolean arrays of one shape, not empty
    classes : int, optional
        The number of classes; one more than the largest id where it is not given.

    Returns
    -------
    int64 array of shape (classes, classes)
        True classes in rows, predicted ones in columns, right answers on the diagonal.

    Examples
    --------
    >>> confusion_matrix([0, 2, 1, 1], [0, 1, 1, 1])
    array([[1, 0, 0],
           [0, 2, 1],
           [0, 0, 0]])
    """
    predicted_ids, ids = _id_pair(predicted_ids, ids)
    lowest, highest = _extremes(predicted_ids, ids)
    classes = highest + 1 if classes is None else checks.count("classes", classes)
    if lowest < 0 or highest >= classes:
        raise ValueError(
            f"class ids must lie in [0, {classes - 1}], got {lowest if lowest < 0 else highest}"
        )
    pairs = ids.astype(np.int64).ravel() * classes + predicted_ids.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def precision_recall_f1(predicted_ids, ids, /, *, average="binary", undefined=float("nan")):
    r"""Precision, recall and their harmonic mean, from true and false positives and negatives.

    .. math::
        P = \frac{TP}{TP + FP}, \quad R = \frac{TP}{TP + FN}, \quad
        F_1 = \frac{2\,TP}{2\,TP + FP + FN}

    Precision is undefined where nothing is predicted positive, recall where nothing is positive,
    F1 only where both hold.

    Parameters
    ----------
    predicted_ids, ids : integer or boolean arrays of one shape, not empty
    average : "binary", "none" or "macro"
        - "binary": labels are 0 or 1, and 1 is positive.
        - "none": one value per class, each class in its turn the positive one. The classes are 0
          to the largest id.
        - "macro": the mean of these over the classes that occur in `predicted_ids` or `ids`; it is
          undefined if one of them is.
    undefined : float, NaN included
        Takes the place of 0/0.

    Source: C. J. van Rijsbergen (1979), Information Retrieval, 2nd edition, chapter 7.

    Examples
    --------
    >>> precision_recall_f1([1, 1, 0, 0], [1, 0, 1, 0])
    PrecisionRecallF1(precision=0.5, recall=0.5, f1=0.5)
    >>> precision_recall_f1([0, 0], [1, 0])
    PrecisionRecallF1(precision=nan, recall=0.0, f1=0.0)
    """
    if average not in ("binary", "none", "macro"):
        raise ValueError(f"average must be 'binary', 'none' or 'macro', got {average!r}")
    if not isinstance(undefined, Real) or isinstance(undefined, bool):
        raise TypeError(f"undefined must be a number, got {undefined!r}")
    if average == "binary":
        predicted_ids, ids = _id_pair(predicted_ids, ids)
        _binary("predicted_ids", predicted_ids)
        _binary("ids", ids)
    counts = confusion_matrix(predicted_ids, ids, classes=2 if average == "binary" else None)
    right, predicted, true = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    values = (
        _ratio(right, predicted, undefined),
        _ratio(right, true, undefined),
        _ratio(2 * right, predicted + true, undefined),
    )
    if average == "binary":
        values = [float(value[1]) for value in values]
    elif average == "macro":
        values = [float(np.mean(value[predicted + true > 0])) for value in values]
    return PrecisionRecallF1(*values)


def precision_recall_curve(scores, labels, /):
    """Precision and recall for "positive where score >= threshold", at every distinct score.

    Parameters
    ----------
    scores : array of shape (N,)
    labels : array of shape (N,), 0 or 1 (or booleans)

    Returns
    -------
    PrecisionRecallCurve
        The recall rises to 1, or is NaN where there is no positive label. No point is added at
        recall 0, where no precision has been observed. With a NaN score all values are NaN.

    Examples
    --------
    >>> curve = precision_recall_curve([0.9, 0.8, 0.8, 0.1], [1, 0, 1, 0])
    >>> curve.threshold, curve.recall, curve.precision.round(2)
    (array([0.9, 0.8, 0.1]), array([0.5, 1. , 1. ]), array([1.  , 0.67, 0.5 ]))
    """
    scores, labels = _binary_pair("scores", scores, labels)
    order = np.argsort(scores)[::-1]
    scores, labels = scores[order], labels[order]
    last_of_equals = np.append(scores[1:] != scores[:-1], True)
    true_positives = np.cumsum(labels)[last_of_equals]
    positives = np.arange(1, len(scores) + 1)[last_of_equals]
    unknown = np.nan if np.isnan(scores).any() else 0.0
    return PrecisionRecallCurve(
        true_positives / positives + unknown,
        _ratio(true_positives, np.full_like(true_positives, labels.sum()), np.nan) + unknown,
        scores[last_of_equals] + unknown,
    )


def average_precision(scores, labels, /):
    r"""The area under the precision-recall curve as a step function: the sum over thresholds of

    .. math:: (R_n - R_{n-1})\, P_n, \qquad R_0 = 0

    with nothing interpolated. A random ranking gives about the share of positives. Undefined, and
    NaN, where no label is positive.

    Parameters
    ----------
    scores : array of shape (N,)
    labels : array of shape (N,), 0 or 1 (or booleans)

    Examples
    --------
    >>> round(average_precision([0.9, 0.8, 0.7], [1, 0, 1]), 4)    # 1/2 * 1 + 1/2 * 2/3
    0.8333
    """
    curve = precision_recall_curve(scores, labels)
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.precision))


def recall_at_k(scores, relevant, /, *, k=1):
    """The share of queries that have a relevant item among the k that score highest.

    Of equal scores those of irrelevant items count as higher, so that a model that scores all items
    alike gains nothing by it. Undefined, and NaN, where no item is relevant to a query.

    Parameters
    ----------
    scores : array of shape (N, M), of every item for every query, such as minus their distance
    relevant : array of shape (N, M), booleans or 0 and 1
    k : int in [1, M]

    Source: H. Oh Song, Y. Xiang, S. Jegelka and S. Savarese (2016), Deep metric learning via lifted
    structured feature embedding, CVPR.

    Examples
    --------
    >>> scores, relevant = [[0.9, 0.8, 0.1], [0.7, 0.6, 0.5]], [[1, 0, 1], [0, 1, 0]]
    >>> recall_at_k(scores, relevant, k=1), recall_at_k(scores, relevant, k=2)
    (0.5, 1.0)
    """
    scores, relevant = _ranked("relevant", scores, relevant)
    k = checks.count("k", k, 1, scores.shape[1])
    best = np.max(scores, axis=1, keepdims=True, initial=-np.inf, where=relevant)
    ahead = np.sum(~relevant & (scores >= best), axis=1)
    if np.isnan(scores).any() or not relevant.any(axis=1).all():
        return float("nan")
    return float(np.mean(ahead < k))


def mean_average_precision(scores, relevant, /):
    """The mean over queries of :func:`average_precision`: how well whole rankings are sorted.

    Parameters
    ----------
    scores : array of shape (N, M), of every item for every query, such as minus their distance
    relevant : array of shape (N, M), booleans or 0 and 1

    Examples
    --------
    >>> scores, relevant = [[0.9, 0.8, 0.1], [0.7, 0.6, 0.5]], [[1, 0, 1], [0, 1, 0]]
    >>> round(mean_average_precision(scores, relevant), 4)    # 5/6 and 1/2
    0.6667
    """
    rows = zip(*_ranked("relevant", scores, relevant), strict=True)
    return float(np.mean([average_precision(*row) for row in rows]))


def reliability_curve(probabilities, ids, /, *, bins=15, strategy="uniform"):
    """What a model claims and what comes true, in bins of equal width or of equal counts.

    Under "uniform", bin m of M holds the confidences in ((m - 1)/M, m/M]; a confidence of 0 goes to
    the first. Under "quantile" the rows are sorted by confidence and cut into M parts, as equal in
    number as they can be while equal confidences share a bin: that of the first of them.

    Parameters
    ----------
    probabilities : array of shape (N, C) or (N,)
        Rows that sum to 1: the confidence is the largest probability, the first where several are
        equal, and accuracy is how often its class is right. Or probabilities of label 1: the
        confidence is that probability, and accuracy is how often the label is 1.
    ids : array of shape (N,)
        Class ids in [0, C - 1], or labels 0 and 1.
    bins : int, at least 1
    strategy : "uniform" or "quantile"

    Returns
    -------
    ReliabilityCurve
        For each bin the mean confidence, the accuracy and the number of rows. An empty bin has
        count 0 and NaN for the others; with a NaN probability all three are NaN throughout.

    Source: C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger (2017), On calibration of modern neural
    networks, ICML; for labels 0 and 1, M. P. Naeini, G. Cooper and M. Hauskrecht (2015), Obtaining
    well calibrated probabilities using Bayesian binning, AAAI.

    Examples
    --------
    >>> curve = reliability_curve([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0, 1, 1], bins=2)
    >>> curve.confidence.round(2), curve.accuracy.round(2), curve.count
    (array([ nan, 0.77]), array([ nan, 0.67]), array([0, 3]))
    >>> reliability_curve([0.6, 0.7, 0.8, 0.9], [0, 1, 1, 1], bins=2, strategy="quantile").count
    array([2, 2])
    """
    bins = checks.count("bins", bins)
    if not isinstance(strategy, str) or strategy not in ("uniform", "quantile"):
        raise ValueError(f"strategy must be 'uniform' or 'quantile', got {strategy!r}")
    confidence, correct = _confidences(probabilities, ids)
    if np.isnan(confidence).any():
        return ReliabilityCurve(*np.full((3, bins), np.nan))
    if strategy == "uniform":
        bin_ids = np.digitize(confidence, np.arange(1, bins) / bins, right=True)
    else:
        ahead = np.searchsorted(np.sort(confidence), confidence)
        bin_ids = ahead * bins // len(confidence)
    count = np.bincount(bin_ids, minlength=bins)
    return ReliabilityCurve(
        _ratio(np.bincount(bin_ids, confidence, minlength=bins), count, np.nan),
        _ratio(np.bincount(bin_ids, correct, minlength=bins), count, np.nan),
        count,
    )


def expected_calibration_error(probabilities, ids, /, *, bins=15, strategy="uniform"):
    r"""How far claims and outcomes lie apart on average, over the bins of `reliability_curve`.

    .. math:: \sum_m \frac{n_m}{N} \left| \mathrm{acc}_m - \mathrm{conf}_m \right|

    Empty bins count nothing. The number depends on `bins`: more of them find more error, the more
    so the fewer rows there are.

    Takes the arguments of `reliability_curve`, and has its sources.

    Examples
    --------
    >>> round(expected_calibration_error([0.9, 0.9, 0.9, 0.9], [1, 1, 1, 0]), 4)
    0.15
    """
    curve = reliability_curve(probabilities, ids, bins=bins, strategy=strategy)
    used = curve.count != 0
    gaps = np.abs(curve.accuracy - curve.confidence)[used]
    return float(np.average(gaps, weights=curve.count[used]))


def iou(prediction, target, /):
    """Intersection over union of two masks: how many elements are in both, over how many in either.

    Two empty masks agree entirely: 1. (The Jaccard loss likewise gives them 0.)

    Parameters
    ----------
    prediction, target : arrays of one shape, booleans or 0 and 1

    Source: P. Jaccard (1912), The distribution of the flora in the alpine zone, New Phytologist
    11(2), 37-50.

    Examples
    --------
    >>> iou([[1, 1], [0, 0]], [[1, 0], [1, 0]])
    0.3333333333333333
    """
    prediction, target = _binary("prediction", prediction), _binary("target", target)
    checks.same_shape("target", target, "prediction", prediction)
    union = np.sum(prediction | target)
    return float(np.sum(prediction & target) / union) if union else 1.0


def _id_pair(predicted_ids, ids):
    predicted_ids = checks.plain("predicted_ids", predicted_ids)
    ids = checks.plain("ids", ids)
    for name, array in (("predicted_ids", predicted_ids), ("ids", ids)):
        _not_empty(name, array)
        if array.dtype.kind not in "iub":
            raise TypeError(
                f"{name} must hold class ids, integers or booleans, got dtype {array.dtype}; "
                "scores become class ids by argmax, probabilities by a threshold"
            )
    checks.same_shape("ids", ids, "predicted_ids", predicted_ids)
    return predicted_ids, ids


def _extremes(predicted_ids, ids):
    return (
        min(int(predicted_ids.min()), int(ids.min())),
        max(int(predicted_ids.max()), int(ids.max())),
    )


def _scores(name, scores, ndim):
    scores = checks.plain(name, scores)
    _not_empty(name, scores)
    if scores.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {scores.dtype}")
    if scores.ndim != ndim:
        shape = "(N,)" if ndim == 1 else "(N, C)"
        raise ValueError(f"{name} must have shape {shape}, got {scores.shape}")
    return scores


def _not_empty(name, array):
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")


def _binary(name, array):
    """Booleans from booleans or from numbers that are 0 or 1."""
    array = checks.plain(name, array)
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name} must be booleans or 0 and 1, got dtype {array.dtype}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name} must be 0 or 1, got nan")
    if array.dtype.kind != "b":
        BIT.refuse(name, array, array, array)
    return array.astype(bool)


def _binary_pair(name, scores, labels):
    scores = _scores(name, scores, 1)
    return scores, checks.same_shape("labels", _binary("labels", labels), name, scores)


def _ranked(name, scores, relevant):
    """Scores of items in rows, one for each query, and whether each item is relevant to it."""
    scores = _scores("scores", scores, 2)
    return scores, checks.same_shape(name, _binary(name, relevant), "scores", scores)


def _confidences(probabilities, ids):
    """The confidence of each row, and whether the outcome bore it out."""
    rows = checks.plain("probabilities", probabilities)
    if rows.ndim == 1:
        confidence, correct = _binary_pair("probabilities", rows, ids)
        return checks.within("probabilities", confidence, 0, 1), correct
    rows = _scores("probabilities", rows, 2)
    # How far a row's sum may be from 1 depends on the dtype that it was rounded in.
    LABEL_ROW.checked("probabilities", probabilities if is_torch_array(probabilities) else rows)
    ids = CLASS_ID.checked("ids", checks.plain("ids", ids), "probabilities", rows, axes=1)
    return rows.max(axis=1), rows.argmax(axis=1) == ids


def _ratio(numerator, denominator, undefined):
    """Elementwise quotient, `undefined` where the denominator is 0."""
    result = np.full(numerator.shape, undefined, dtype=np.float64)
    return np.divide(numerator, denominator, out=result, where=denominator != 0)
