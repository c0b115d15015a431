"""Arithmetic of any number of digits: what the references of the cases are made of.

A number is an mpmath number, a row of numbers a list of them, a class id an int.
"""

import mpmath as mp
import numpy as np


def exact(number):
    """One entry of an array without any rounding; None, a hyperparameter not given, as it is."""
    if isinstance(number, np.ndarray):
        return [exact(entry) for entry in number]
    if isinstance(number, np.integer):
        return int(number)
    return None if number is None else mp.mpf(float(number))


def softplus(x):
    return mp.log1p(mp.exp(x))


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def softmax(z, k):
    return 1 / mp.fsum(mp.exp(other - z[k]) for other in z) if z[k] != -mp.inf else mp.mpf(0)


def softmax_complement(z, k):
    return mp.fsum(softmax(z, j) for j in range(len(z)) if j != k)


def minus_log_softmax(z, k):
    if z[k] == -mp.inf:
        return mp.inf
    return mp.log1p(mp.fsum(mp.exp(other - z[k]) for j, other in enumerate(z) if j != k))


def entropy_term(t, p):
    return -t * mp.log(p) if t else mp.mpf(0)
