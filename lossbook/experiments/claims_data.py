"""The data of the claims under test: small packaged sets, and made worlds with stated parameters.

Every function returns NumPy arrays, the same ones whenever it is called. What a seed of a study
changes is how :func:`parts` splits them.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from lossbook.data import load_breast_cancer, load_diabetes, load_mnist, split_validation
from lossbook.extras import extra

#: The largest training and validation parts. What is left is the test part.
LARGEST = 300


def parts(seed, labels, training=LARGEST, validation=LARGEST):
    """The positions of a seed's training, validation and test rows; classes keep their shares.

    A fifth of the rows validates, but at most `validation` of them, and three fifths train, but at
    most `training`. All the others are test rows.

    >>> [len(each) for each in parts(0, np.arange(100) % 2)]
    [60, 20, 20]
    >>> [len(each) for each in parts(0, np.arange(1000) % 2, training=50, validation=40)]
    [50, 40, 910]
    """
    sizes = [min(len(labels) // 5, validation), min(3 * len(labels) // 5, training)]
    left, found = (np.arange(len(labels)), labels), []
    for size in sizes:
        left, part = split_validation(*left, size, seed=seed)
        found.append(part[0])
    return found[1], found[0], left[0]


def standardised(features, training):
    """Features less their mean over the training rows, over their deviation there.

    A feature that is constant there is left at 0.
    """
    known = features[training]
    spread = known.std(axis=0)
    return (features - known.mean(axis=0)) / np.where(spread > 0, spread, np.inf)


@cache
def _digits():
    with extra("data"):
        from sklearn import datasets

    return datasets.load_digits()


@cache
def _small_mnist(side):
    """The packaged images, test images included, with squares of pixels averaged to `side`."""
    both = [load_mnist(part, "sample") for part in ("train", "test")]
    images, labels = (np.concatenate(arrays) for arrays in zip(*both, strict=True))
    step = 28 // side
    squares = images.reshape(len(images), side, step, side, step).mean(axis=(2, 4)) / 255.0
    return squares.reshape(len(images), -1), labels.astype(np.int64)


# Two classes --------------------------------------------------------------------------------------


def noisy(rows=3000, flipped=0.1, positive=0.75):
    """A made world: 20 normal features, a rule with a bend in it, one label in ten wrong."""
    rng = np.random.default_rng(17)
    features = rng.normal(size=(rows, 20))
    score = features[:, :5].sum(axis=1) + np.abs(features[:, 5]) - features[:, 6] * features[:, 7]
    labels = (score > np.quantile(score, 1 - positive)).astype(np.int64)
    return features, np.where(rng.uniform(size=rows) < flipped, 1 - labels, labels)


BINARY = {
    "breast cancer": lambda: load_breast_cancer()[:2],
    "even digits": lambda: (_digits().data, 1 - _digits().target % 2),
    "diabetes": lambda: (
        load_diabetes().features,
        (load_diabetes().target > np.median(load_diabetes().target)).astype(np.int64),
    ),
    "made, noisy": noisy,
}


# More classes -------------------------------------------------------------------------------------


def wine():
    """178 wines of three growers, described by 13 measurements."""
    with extra("data"):
        from sklearn import datasets

    return datasets.load_wine(return_X_y=True)


MULTICLASS = {
    "wine": wine,
    "digits": lambda: (_digits().data, _digits().target),
    "MNIST, small": lambda: _small_mnist(7),
}


def texts(topics, length, likeness, vocabulary=200, rows=2000, spread=0.0):
    """A made world of texts: how often each of 200 words occurs, as the square root of the share.

    Every topic has its own frequencies of the words: a Zipf law that all share, times a gamma
    variable of shape `likeness`, the larger the more alike are the topics. A text has `length`
    words on average. With `spread`, topic k is exp(spread) times as common as topic k + 1.
    """
    rng = np.random.default_rng([18, topics])
    common = 1 / np.arange(1, vocabulary + 1)
    frequency = common * rng.gamma(likeness, size=(topics, vocabulary))
    frequency /= frequency.sum(axis=1, keepdims=True)
    share = np.exp(-spread * np.arange(topics))
    ids = rng.choice(topics, size=rows, p=share / share.sum())
    counts = rng.poisson(length * frequency[ids])
    return np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)), ids


TEXTS = {
    "4 topics, 15 words": lambda: texts(4, 15, 2.0),
    "10 topics, 40 words": lambda: texts(10, 40, 2.0),
    "6 topics, uneven": lambda: texts(6, 25, 2.0, spread=0.5),
}


# Images of two digits -----------------------------------------------------------------------------


def composites(source, digits, count, rng):
    """`count` images of two digits side by side, and the number of their pair.

    `source` is images of one digit and their labels; both digits are drawn from `digits`, and pair
    (a, b) has the number a * len(digits) + b in the order of `digits`.
    """
    images, labels = source
    pairs = rng.integers(0, len(digits), size=(count, 2))
    places = [np.flatnonzero(labels == digit) for digit in digits]
    chosen = np.array([[rng.choice(places[digit]) for digit in pair] for pair in pairs])
    return images[chosen].reshape(count, -1), pairs @ [len(digits), 1]


COMPOSITES = {
    "MNIST, 0 to 4": (lambda: _small_mnist(7), range(5)),
    "MNIST, 5 to 9": (lambda: _small_mnist(7), range(5, 10)),
    "digits, 0 to 5": (lambda: (_digits().data / 16.0, _digits().target), range(6)),
}
