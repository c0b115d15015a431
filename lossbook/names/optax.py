"""The losses of ``optax.losses``, none of which is averaged unless that is said."""

from lossbook.names.entry import Entry

_COSINE = "(p * t).sum(axis=-1) / (norm(p) * norm(t))"
_CTC = (
    "Sums the likelihood over all alignments of two sequences by dynamic programming "
    "{cite:p}`graves2006`."
)
_SPARSEMAX = "Puts a projection on the simplex where the softmax stands {cite:p}`martins2016`."

ENTRIES = (
    Entry(
        "binary_dice_loss",
        "dice",
        "dice(p, t, smooth=2.0)",
        "optax.losses.binary_dice_loss(jax.scipy.special.logit(p), t)",
        note="Its `smooth` is twice this book's. Takes logits by default.",
    ),
    Entry(
        "cosine_distance",
        "contrastive",
        "contrastive(unit(p), unit(t), ones(u)) / 2",
        "optax.losses.cosine_distance(p, t)",
        f"1 - {_COSINE}",
    ),
    Entry(
        "cosine_similarity",
        "contrastive",
        "1 - contrastive(unit(p), unit(t), ones(u)) / 2",
        "optax.losses.cosine_similarity(p, t)",
        _COSINE,
        note="It is large where points are alike, so it is maximised.",
    ),
    Entry("ctc_loss", note=_CTC),
    Entry("ctc_loss_with_forward_probs", note=_CTC),
    Entry(
        "dice_loss",
        "dice",
        "dice(p, t, smooth=2.0)",
        "optax.losses.dice_loss(jnp.stack([1 - p, p], -1), jnp.stack([1 - t, t], -1),"
        " apply_softmax=False, reduction='none')[..., 1]",
        note="For each class of the last axis, then their mean. Its `smooth` is twice this book's.",
    ),
    Entry(
        "generalized_kl_divergence",
        "kl_divergence",
        "kl_divergence(p, t) + exp(p).sum(axis=-1) - t.sum(axis=-1)",
        "optax.losses.generalized_kl_divergence(p, t)",
        "kl_divergence(p, t) + (exp(p) - t).sum(axis=-1)",
        note="For rows that need not sum to 1. `convex_kl_divergence` is an old name for it.",
        also=("convex_kl_divergence",),
    ),
    Entry("hinge_loss", "hinge", "hinge(p, t)", "optax.losses.hinge_loss(p, t)"),
    Entry("huber_loss", "huber", "huber(p, t)", "optax.losses.huber_loss(p, t)"),
    Entry(
        "kl_divergence",
        "kl_divergence",
        "kl_divergence(p, t)",
        "optax.losses.kl_divergence(p, t)",
    ),
    Entry(
        "kl_divergence_with_log_targets",
        "kl_divergence",
        "kl_divergence(p, t)",
        "optax.losses.kl_divergence_with_log_targets(p, jnp.log(jnp.maximum(t, 1e-300)))",
        note="Takes the logarithm of the target.",
    ),
    Entry(
        "l2_loss",
        "half_squared_error",
        "half_squared_error(p, t)",
        "optax.losses.l2_loss(p, t)",
        note="Halved in spite of its name.",
    ),
    Entry("log_cosh", "log_cosh", "log_cosh(p, t)", "optax.losses.log_cosh(p, t)"),
    Entry(
        "make_fenchel_young_loss",
        note=(
            "Makes a loss of any function that bounds the scores {cite:p}`blondel2020`. Of the "
            "log-sum-exp it makes `softmax_cross_entropy` of class probabilities."
        ),
    ),
    Entry(
        "multiclass_generalized_dice_loss",
        note=(
            "A weighted mean of `dice` over the classes, with one over the square of their "
            "sizes as "
            "weights. {cite:t}`sudre2017` weigh overlaps and sizes before they divide."
        ),
    ),
    Entry(
        "multiclass_hinge_loss",
        "multiclass_hinge",
        "multiclass_hinge(p, t, margin=1.0)",
        "optax.losses.multiclass_hinge_loss(p, t)",
    ),
    Entry(
        "multiclass_perceptron_loss",
        note=(
            "`multiclass_hinge` with margin 0, which this book refuses, because equal scores "
            "would cost nothing."
        ),
    ),
    Entry(
        "multiclass_sparsemax_loss",
        note=_SPARSEMAX,
    ),
    Entry(
        "ntxent",
        note=(
            "`info_nce` of points of length 1, in which every other point of the batch is a key, "
            "those of the queries too {cite:p}`chen2020`. {ref}`The embedding chapter "
            "<ch-embedding-losses>` has the one direction."
        ),
    ),
    Entry(
        "perceptron_loss",
        "perceptron",
        "perceptron(p, t)",
        "optax.losses.perceptron_loss(p, t)",
    ),
    Entry(
        "poly_loss_cross_entropy",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t) + 2 * generalized_cross_entropy(p, t, q=1.0)",
        "optax.losses.poly_loss_cross_entropy(p, jax.nn.one_hot(t, p.shape[-1]))",
        "-log(own(softmax(p), t)) + 2 * (1 - own(softmax(p), t))",
        note=(
            "The cross-entropy is a series in $1 - p$; its first term is raised {cite:p}`leng2022`."
        ),
    ),
    Entry(
        "ranking_softmax_loss",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t).mean()",
        "optax.losses.ranking_softmax_loss(p, jax.nn.one_hot(t, p.shape[-1]))",
        note="Of the scores of a list; labels are how relevant each item is. A mean.",
    ),
    Entry(
        "safe_softmax_cross_entropy",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t)",
        "optax.losses.safe_softmax_cross_entropy(p, jax.nn.one_hot(t, p.shape[-1]))",
        note="Counts a label of 0 as 0 where the logit is minus infinity.",
    ),
    Entry(
        "sigmoid_binary_cross_entropy",
        "sigmoid_binary_cross_entropy",
        "sigmoid_binary_cross_entropy(p, t)",
        "optax.losses.sigmoid_binary_cross_entropy(p, t)",
    ),
    Entry(
        "sigmoid_focal_loss",
        "sigmoid_focal",
        "sigmoid_focal(p, t)",
        "optax.losses.sigmoid_focal_loss(p, t)",
    ),
    Entry(
        "smooth_labels",
        note=(
            "No loss: it mixes labels with equal shares. `softmax_cross_entropy` has "
            "`label_smoothing`."
        ),
    ),
    Entry(
        "softmax_cross_entropy",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t)",
        "optax.losses.softmax_cross_entropy(p, jax.nn.one_hot(t, p.shape[-1]))",
        note="Takes label probabilities.",
    ),
    Entry(
        "softmax_cross_entropy_with_integer_labels",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t)",
        "optax.losses.softmax_cross_entropy_with_integer_labels(p, t)",
    ),
    Entry("sparsemax_loss", note=_SPARSEMAX),
    Entry(
        "squared_error",
        "squared_error",
        "squared_error(p, t)",
        "optax.losses.squared_error(p, t)",
    ),
    Entry(
        "triplet_margin_loss",
        "triplet",
        "triplet(p, t, u, margin=1.0, squared=False)",
        "optax.losses.triplet_margin_loss(p, t, u, eps=0.0)",
        note="Distances are not squared, the margin is 1, and 1e-6 is added below each root.",
    ),
)
