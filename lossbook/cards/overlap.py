"""Cards of the overlap losses: probabilities p and labels t of pixels, or corners of boxes."""

import sympy as sp

from lossbook.cards.card import Card
from lossbook.cards.convention import formula, keras, pytorch
from lossbook.cards.symbolic import EntryAxis, Symbolic, j, k, minus, n, over, product

p = sp.IndexedBase("p", positive=True)
t = sp.IndexedBase("t", real=True)
alpha, beta, s = sp.symbols("alpha beta s", real=True)
# Of masks: the hits, what is predicted too much, what is missed, and the denominator.
hits, excess, missed, whole = sp.symbols("I O M D", real=True)

_MASKS = {p: sp.Interval.open(0, 1), t: sp.Interval(0, 1), j: (1, n)}
_NOT_NEGATIVE = sp.Interval(0, sp.oo)
_HITS = over(product(p[k], t[k]), n)
_BOTH = sp.Add(over(p[k], n), over(t[k], n), evaluate=False)

# Of boxes: the corners of both, areas, and sides of what they have in common and of what is around.
corners = sp.symbols("x_1 y_1 x_2 y_2", real=True)
others = sp.symbols("u_1 v_1 u_2 v_2", real=True)
union, around = sp.symbols("U C", real=True)
common = sp.symbols("c_x c_y", real=True)
outer = sp.symbols("e_x e_y", real=True)
own = sp.symbols("a_x a_y", real=True)


def _step(x):
    """1 above 0, 0 below, and 1/2 at 0."""
    return sp.Heaviside(x, sp.S.Half)


def _by_edge(axis, end):
    """The slope by an edge: that of its own area, of what is common, of what is around."""
    edge, theirs = corners[axis + 2 * end], others[axis + 2 * end]
    outwards = 1 if end else -1
    inside = outwards * (theirs - edge)
    other_common = sp.Max(0, common[1 - axis])
    return outwards * sp.Add(
        (hits / union**2 - 1 / around) * own[1 - axis],
        (1 / around - 1 / union - hits / union**2)
        * other_common
        * _step(inside)
        * _step(common[axis]),
        union / around**2 * outer[1 - axis] * _step(-inside),
        evaluate=False,
    )


_SIDES = {
    union: own[0] * own[1] + (others[2] - others[0]) * (others[3] - others[1]) - hits,
    around: outer[0] * outer[1],
    hits: sp.Max(0, common[0]) * sp.Max(0, common[1]),
    own[0]: corners[2] - corners[0],
    own[1]: corners[3] - corners[1],
    common[0]: sp.Min(corners[2], others[2]) - sp.Max(corners[0], others[0]),
    common[1]: sp.Min(corners[3], others[3]) - sp.Max(corners[1], others[1]),
    outer[0]: sp.Max(corners[2], others[2]) - sp.Min(corners[0], others[0]),
    outer[1]: sp.Max(corners[3], others[3]) - sp.Min(corners[1], others[1]),
}

_NO_DENSITY = r"None: $e^{-\text{loss}}$ does not sum to a constant over the masks."
_SUMMED = "What is wrong is summed, not taken from 1: a loss close to 0 keeps its digits."
_EMPTY = (
    "None, but where nothing is predicted and nothing is there the value jumps to 0, and the slope "
    "0 is chosen."
)
_WITHOUT_LABELS = "Where they are all 0, the slope reaches"
_CERTAIN = "The mask itself, where it is certain."
_NO_LOSS = "No loss offers it."

CARDS = {
    "dice": Card(
        title="Dice loss",
        chapter=12,
        symbolic=EntryAxis(
            p,
            t,
            minus(1, (2 * hits + s) / whole),
            minus((2 * hits + s) / whole**2, 2 * t[j] / whole),
            hyperparameters={"smooth": s},
            domain=_MASKS | {s: _NOT_NEGATIVE},
            where={whole: sp.Add(*_BOTH.args, s, evaluate=False), hits: _HITS},
            size=n,
            first_axis=1,
        ),
        minimiser=_CERTAIN,
        noise_model=_NO_DENSITY,
        convexity="Not convex in the probabilities.",
        lipschitz=(
            "2-Lipschitz in the sum of the absolute changes of the probabilities, where the "
            f"labels sum to 1 or more. {_WITHOUT_LABELS} $1/s$."
        ),
        kinks=_EMPTY,
        stable_form=_SUMMED,
        failure="Where nothing is there and $s = 0$, every prediction costs 1 and has the slope 0.",
        conventions=(
            formula(
                "PyTorch", "1 - (2 * (p * t).sum(1) + smooth) / (p.sum(1) + t.sum(1) + smooth)"
            ),
            keras(
                "keras.losses.Dice(axis=1)(t, p)",
                reduction="sum_over_batch_size",
                note="Without `axis` the whole batch is one mask. Adds 1e-7 to the denominator.",
                evidence=(
                    "close(keras.losses.Dice()(t, p), 1 - 2 * keras.ops.sum(p * t)"
                    " / (keras.ops.sum(p) + keras.ops.sum(t)))",
                    "close(keras.losses.Dice()([[0.0]], [[1e-7]]), 1)",
                ),
            ),
            formula(
                "scikit-learn",
                "-",
                note="`f1_score` of a hard mask is one minus it.",
                evidence=("close(1 - sklearn.metrics.f1_score([1, 1, 0], [1, 0, 0]), 1 / 3)",),
            ),
            formula(
                "optax",
                "1 - (2 * (p * t).sum(axis=1) + smooth) / (p.sum(axis=1) + t.sum(axis=1) + smooth)",
            ),
        ),
    ),
    "jaccard": Card(
        title="Jaccard loss",
        chapter=12,
        symbolic=EntryAxis(
            p,
            t,
            minus(1, (hits + s) / whole),
            minus((hits + s) * (1 - t[j]) / whole**2, t[j] / whole),
            hyperparameters={"smooth": s},
            domain=_MASKS | {s: _NOT_NEGATIVE},
            where={whole: sp.Add(*_BOTH.args, -hits, s, evaluate=False), hits: _HITS},
            size=n,
            first_axis=1,
        ),
        minimiser=_CERTAIN,
        noise_model=_NO_DENSITY,
        convexity="Not convex in the probabilities.",
        lipschitz=(
            "1-Lipschitz in the sum of the absolute changes of the probabilities, where the "
            f"labels sum to 1 or more. {_WITHOUT_LABELS} $1/s$."
        ),
        kinks=_EMPTY,
        stable_form=_SUMMED,
        failure="A mask of one pixel weighs as much as one of thousands: to miss it costs 1.",
        conventions=(
            formula(
                "PyTorch",
                "1 - ((p * t).sum(1) + smooth) / ((p + t - p * t).sum(1) + smooth)",
            ),
            formula(
                "Keras",
                "1 - (keras.ops.sum(p * t, axis=1) + smooth)"
                " / (keras.ops.sum(p + t - p * t, axis=1) + smooth)",
            ),
            formula(
                "scikit-learn",
                "-",
                note="`jaccard_score` of a hard mask is one minus it.",
                evidence=("close(1 - sklearn.metrics.jaccard_score([1, 1, 0], [1, 0, 0]), 1 / 2)",),
            ),
            formula(
                "optax",
                "1 - ((p * t).sum(axis=1) + smooth) / ((p + t - p * t).sum(axis=1) + smooth)",
            ),
        ),
    ),
    "tversky": Card(
        title="Tversky loss",
        chapter=12,
        symbolic=EntryAxis(
            p,
            t,
            minus(1, (hits + s) / whole),
            minus((hits + s) * (t[j] + alpha * (1 - t[j]) - beta * t[j]) / whole**2, t[j] / whole),
            hyperparameters={"alpha": alpha, "beta": beta, "smooth": s},
            domain=_MASKS | dict.fromkeys((alpha, beta, s), _NOT_NEGATIVE),
            where={
                whole: sp.Add(hits, alpha * excess, beta * missed, s, evaluate=False),
                hits: _HITS,
                excess: over(product(p[k], 1 - t[k]), n),
                missed: over(product(1 - p[k], t[k]), n),
            },
            size=n,
            first_axis=1,
        ),
        minimiser=_CERTAIN,
        noise_model=_NO_DENSITY,
        convexity="Not convex in the probabilities.",
        lipschitz=(
            r"$\max(\beta, 1/\beta)$-Lipschitz in the sum of absolute changes, where "
            rf"$\alpha \le 1$ and labels sum to 1 or more. {_WITHOUT_LABELS} $\alpha/s$."
        ),
        kinks=_EMPTY,
        stable_form=_SUMMED,
        failure=r"With $\alpha = 0$ a mask of all pixels costs nothing.",
        conventions=(
            formula(
                "PyTorch",
                "1 - ((p * t).sum(1) + smooth) / ((p * t).sum(1) + alpha * (p * (1 - t)).sum(1)"
                " + beta * ((1 - p) * t).sum(1) + smooth)",
            ),
            keras(
                "keras.losses.Tversky(alpha=beta, beta=alpha, axis=1)(t, p)",
                reduction="sum_over_batch_size",
                note=(
                    "Its `alpha` weighs what is missed. Without `axis` the whole batch is one mask."
                ),
                evidence=(
                    "keras.losses.Tversky(alpha=0.0, beta=1.0)([[1.0, 1.0]], [[0.0, 1.0]]) < 1e-6",
                    "keras.losses.Tversky(reduction=None)(t, p).shape == ()",
                ),
            ),
            formula("scikit-learn", "-", note="No metric or estimator offers it."),
            formula(
                "optax",
                "1 - ((p * t).sum(axis=1) + smooth) / ((p * t).sum(axis=1)"
                " + alpha * (p * (1 - t)).sum(axis=1) + beta * ((1 - p) * t).sum(axis=1) + smooth)",
            ),
        ),
    ),
    "giou": Card(
        title="Generalised IoU loss",
        chapter=12,
        symbolic=Symbolic(
            corners,
            others,
            sp.Add(1, -hits / union, (around - union) / around, evaluate=False),
            tuple(_by_edge(axis, end) for end in (0, 1) for axis in (0, 1)),
            domain=dict.fromkeys((*corners, *others), sp.Reals),
            where=_SIDES,
        ),
        minimiser="The other box.",
        noise_model=(
            "None: it is bounded, so that $e^{-\\text{loss}}$ has no integral over the boxes."
        ),
        convexity="Not convex in the corners.",
        lipschitz="Not Lipschitz: the slope is as steep as the boxes are small.",
        kinks=(
            "Where an edge lies on the other box's, half of each side's slope is taken. Boxes that "
            "touch have the slope of boxes apart."
        ),
        stable_form=(
            "Sides are divided by those of the box around both: no area over- or underflows."
        ),
        failure="A box that lies anywhere inside the other costs the same: no slope centres it.",
        conventions=(
            pytorch(
                "torchvision.ops.generalized_box_iou_loss(p, t, eps=0)",
                reduction="none",
                note=(
                    "This function is in torchvision, which needs a build that matches torch, so "
                    "it is not run here. `eps` is 1e-7 by default."
                ),
                evidence=("default(torchvision.ops.generalized_box_iou_loss, 'eps') == 1e-7",),
            ),
            formula("Keras", "-", note=_NO_LOSS),
            formula("scikit-learn", "-", note="No metric or estimator offers it."),
            formula("optax", "-", note=_NO_LOSS),
        ),
    ),
}
