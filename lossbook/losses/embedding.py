r"""Embedding losses: points whose distances, or products, shall say what is alike.

Points have shape (..., dimension), and the values of :func:`contrastive` and :func:`triplet` have
shape (...). Every argument that holds points has a gradient of its own, that of the sum of the
values with respect to it; a gradient function returns them as a tuple, in the order of the
arguments, each with the shape of its argument and the dtype of the first.

In :func:`info_nce` every key of a batch is a candidate for every query of it, so that a value
depends on the whole batch: there is nothing to weigh.

All raise ``TypeError`` for points that are not floating-point arrays, and ``ValueError`` for
arguments of another shape, for values outside their domain and for a hyperparameter out of range.
"""

from __future__ import annotations

from array_api_compat import array_namespace, device

from lossbook import numerics
from lossbook.declaration import takes
from lossbook.numerics import clip
from lossbook.spaces import BIT, FLAG, POINT, POINTS, POSITIVE

# A loss has checked its arguments before it calls these.
length_and_direction = numerics.length_and_direction.unchecked
softmax_parts, log_softmax = numerics.softmax_parts.unchecked, numerics.log_softmax.unchecked

__all__ = [
    "contrastive",
    "contrastive_grad",
    "triplet",
    "triplet_grad",
    "info_nce",
    "info_nce_grad",
]


@takes(POINT, POINT, BIT, gradients=2, margin=POSITIVE)
def contrastive(a, b, same, /, *, margin=1.0):
    r"""Contrastive loss, :math:`s d^2 + (1 - s) \max(0, m - d)^2`, :math:`d = \lVert a - b \rVert`.

    Parameters
    ----------
    a, b : arrays of shape (..., dimension)
    same : array of shape (...): :math:`s` is 1 for two points that belong together, 0 for others
    margin : float > 0, the distance :math:`m` that points which do not belong together must keep

    Source: R. Hadsell, S. Chopra and Y. LeCun, "Dimensionality reduction by learning an invariant
    mapping", *CVPR* (2006), with a factor of 1/2 there.

    Examples
    --------
    >>> import numpy as np
    >>> a, b = np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([[0.3, 0.4], [0.3, 0.4]])
    >>> contrastive(a, b, np.array([1, 0]))
    array([0.25, 0.25])
    """
    xp = array_namespace(a)
    distance, _ = length_and_direction(a - b)
    gap = clip(margin - distance, 0.0)
    # The last branch is that of a NaN.
    return xp.where(same == 1, distance, xp.where(same == 0, gap, same)) ** 2


@takes(POINT, POINT, BIT, gradients=2, margin=POSITIVE)
def contrastive_grad(a, b, same, /, *, margin=1.0):
    r"""Gradients of :func:`contrastive` with respect to `a` and to `b`, as a tuple.

    With respect to `a` it is :math:`2 (a - b)` for points that belong together, for others
    :math:`-2 \max(0, m - d) (a - b) / d`; with respect to `b` it is minus that. Where two points
    that do not belong together are equal, no direction leads apart more than another, and 0 is
    chosen: they stay where they are.

    Examples
    --------
    >>> import numpy as np
    >>> by_a, by_b = contrastive_grad(np.array([[0.0, 0.0]]), np.array([[0.3, 0.4]]), np.array([0]))
    >>> by_a, by_b
    (array([[0.6, 0.8]]), array([[-0.6, -0.8]]))
    """
    return contrastive_value_and_grad(a, b, same, margin=margin)[1]


def contrastive_value_and_grad(a, b, same, /, *, margin=1.0):
    xp, apart = array_namespace(a), a - b
    distance, direction = length_and_direction(apart)
    gap = clip(margin - distance, 0.0)
    value = xp.where(same == 1, distance, xp.where(same == 0, gap, same)) ** 2
    s, pull = same[..., None], gap[..., None]
    push = xp.where(pull == 0, pull * 0, -2 * pull * direction)
    slope = xp.where(s == 1, 2 * apart, xp.where(s == 0, push, s + 0 * apart))
    return value, (slope, -slope)


@takes(POINT, POINT, POINT, gradients=3, margin=POSITIVE, squared=FLAG)
def triplet(anchor, positive, negative, /, *, margin=0.2, squared=True):
    r"""Triplet loss, :math:`\max(0, d_p - d_n + m)`: the positive shall be nearer by a margin.

    :math:`d_p` is the squared distance of anchor and positive, :math:`d_n` that of anchor and
    negative.

    Parameters
    ----------
    anchor, positive, negative : arrays of shape (..., dimension)
    margin : float > 0, :math:`m`, in the unit of the squared distances, or of the distances
    squared : bool; False takes the distances themselves

    Source: F. Schroff, D. Kalenichenko and J. Philbin, "FaceNet: a unified embedding for face
    recognition and clustering", *CVPR* (2015).

    Examples
    --------
    >>> import numpy as np
    >>> anchor, positive, negative = np.array([[0.0]]), np.array([[1.0]]), np.array([[-2.0]])
    >>> triplet(anchor, positive, negative, margin=4.0)
    array([1.])
    >>> triplet(anchor, positive, negative, margin=4.0, squared=False)
    array([3.])
    """
    near, _ = length_and_direction(anchor - positive)
    far, _ = length_and_direction(anchor - negative)
    # A difference of squares as a product, which overflows only where the difference does.
    return clip(margin + (near - far) * ((near + far) if squared else 1), 0.0)


@takes(POINT, POINT, POINT, gradients=3, margin=POSITIVE, squared=FLAG)
def triplet_grad(anchor, positive, negative, /, *, margin=0.2, squared=True):
    r"""Gradients of :func:`triplet` with respect to anchor, positive and negative, as a tuple.

    Where the loss is above 0 and distances are squared, they are :math:`2 (n - p)`,
    :math:`2 (p - a)` and :math:`2 (a - n)`. Unsquared, with the unit vectors :math:`u = (a - p) /
    d_p` and :math:`v = (a - n) / d_n`, they are :math:`u - v`, :math:`-u` and :math:`v`; at a
    distance of 0 the unit vector is taken to be 0. Where the loss is 0, so are all three, also
    exactly at the margin.

    Examples
    --------
    >>> import numpy as np
    >>> anchor, positive, negative = np.array([[0.0]]), np.array([[1.0]]), np.array([[-2.0]])
    >>> triplet_grad(anchor, positive, negative, margin=4.0)
    (array([[-6.]]), array([[2.]]), array([[4.]]))
    """
    return triplet_value_and_grad(anchor, positive, negative, margin=margin, squared=squared)[1]


def triplet_value_and_grad(anchor, positive, negative, /, *, margin=0.2, squared=True):
    xp, to_positive, to_negative = array_namespace(anchor), anchor - positive, anchor - negative
    near, toward = length_and_direction(to_positive)
    far, away = length_and_direction(to_negative)
    gap = margin + (near - far) * ((near + far) if squared else 1)
    by_anchor = 2 * (negative - positive) if squared else toward - away
    by_positive, by_negative = (-2 * to_positive, 2 * to_negative) if squared else (-toward, away)
    # A NaN is neither at most 0 nor above.
    is_met = (gap <= 0)[..., None]
    is_nan = xp.isnan(gap)[..., None]
    return clip(gap, 0.0), tuple(
        xp.where(is_met, xp.zeros_like(slope), xp.where(is_nan, gap[..., None], slope))
        for slope in (by_anchor, by_positive, by_negative)
    )


@takes(
    POINTS,
    POINTS,
    gradients=2,
    indivisible="each value depends on all keys of the batch, so that no weight leaves one out",
    temperature=POSITIVE,
)
def info_nce(queries, keys, /, *, temperature=0.1):
    r"""InfoNCE, :math:`-\log \operatorname{softmax}(q_i \cdot k / \tau)_i`: which key is query i's?

    It is the cross-entropy of a choice among all keys of the batch, of which key :math:`i` is the
    right one for query :math:`i`. The dot products are taken as they are: normalise the points
    first if cosines are meant. The other direction, from keys to queries, is another call.

    Parameters
    ----------
    queries, keys : arrays of shape (..., batch, dimension); values have shape (..., batch)
    temperature : float > 0, :math:`\tau`

    Source: A. van den Oord, Y. Li and O. Vinyals, "Representation learning with contrastive
    predictive coding" (2018).

    Examples
    --------
    >>> import numpy as np
    >>> info_nce(np.eye(2), np.eye(2), temperature=1.0).round(4)
    array([0.3133, 0.3133])
    """
    xp = array_namespace(queries)
    log_p = log_softmax(similarities(queries, keys, temperature))
    return xp.sum(xp.where(is_own_key(queries), -log_p, xp.zeros_like(log_p)), axis=-1)


@takes(
    POINTS,
    POINTS,
    gradients=2,
    indivisible="each value depends on all keys of the batch, so that no weight leaves one out",
    temperature=POSITIVE,
)
def info_nce_grad(queries, keys, /, *, temperature=0.1):
    r"""Gradients of :func:`info_nce` with respect to queries and keys, as a tuple.

    With :math:`P` the softmax of each row of the dot products over :math:`\tau`, they are
    :math:`(P - 1) K / \tau` and :math:`(P - 1)^\top Q / \tau`. As in the softmax cross-entropy,
    :math:`1 - P_{ii}` is summed from the other keys.

    Examples
    --------
    >>> import numpy as np
    >>> by_queries, by_keys = info_nce_grad(np.eye(2), np.eye(2), temperature=1.0)
    >>> by_queries.round(4)
    array([[-0.2689,  0.2689],
           [ 0.2689, -0.2689]])
    """
    return info_nce_value_and_grad(queries, keys, temperature=temperature)[1]


def info_nce_value_and_grad(queries, keys, /, *, temperature=0.1):
    xp = array_namespace(queries)
    log_p, p, complement = softmax_parts(similarities(queries, keys, temperature))
    is_own = is_own_key(queries)
    value = xp.sum(xp.where(is_own, -log_p, xp.zeros_like(log_p)), axis=-1)
    slope = xp.where(is_own, -complement, p) / temperature
    return value, (slope @ keys, xp.matrix_transpose(slope) @ queries)


def similarities(queries, keys, temperature):
    """The dot product of each query with each key, over the temperature."""
    return (queries @ array_namespace(keys).matrix_transpose(keys)) / temperature


def is_own_key(queries):
    """Whether a key, along the last axis, is that of a query, along the axis before."""
    numbers = array_namespace(queries).arange(queries.shape[-2], device=device(queries))
    return numbers[:, None] == numbers
