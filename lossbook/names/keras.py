"""The losses of ``keras.losses``; each class has a function in snake case."""

from lossbook.names.entry import Entry

ENTRIES = (
    Entry(
        "BinaryCrossentropy",
        "binary_cross_entropy",
        "binary_cross_entropy(p, t).mean()",
        "keras.losses.BinaryCrossentropy()(t, p)",
        note="With `from_logits=True` it is `sigmoid_binary_cross_entropy`.",
    ),
    Entry(
        "BinaryFocalCrossentropy",
        "sigmoid_focal",
        "sigmoid_focal(p, t, gamma=2.0).mean()",
        "keras.losses.BinaryFocalCrossentropy(from_logits=True)(t, p)",
    ),
    Entry(
        "CTC",
        note=(
            "Sums the likelihood over all alignments of two sequences by dynamic programming "
            "{cite:p}`graves2006`."
        ),
    ),
    Entry(
        "CategoricalCrossentropy",
        "categorical_cross_entropy",
        "categorical_cross_entropy(p, t).mean()",
        "keras.losses.CategoricalCrossentropy()(t, p)",
        note="With `from_logits=True` it is `softmax_cross_entropy`.",
    ),
    Entry(
        "CategoricalFocalCrossentropy",
        "softmax_focal",
        "0.25 * softmax_focal(p, t, gamma=2.0).mean()",
        "keras.losses.CategoricalFocalCrossentropy(from_logits=True)"
        "(keras.ops.one_hot(t, p.shape[-1]), p)",
        note="`alpha=0.25`, its default, multiplies every class alike.",
    ),
    Entry(
        "CategoricalGeneralizedCrossEntropy",
        "generalized_cross_entropy",
        "generalized_cross_entropy(p, t, q=0.5).mean()",
        "keras.losses.CategoricalGeneralizedCrossEntropy(q=0.5)(t, keras.ops.softmax(p))",
        note="Takes probabilities; this book's takes logits.",
    ),
    Entry(
        "CategoricalHinge",
        "multiclass_hinge",
        "multiclass_hinge(p, t, margin=1.0).mean()",
        "keras.losses.CategoricalHinge()(keras.ops.one_hot(t, p.shape[-1]), p + 10)",
        note="Counts a rival's score as 0 where it is below 0; here all scores are above.",
    ),
    Entry(
        "Circle",
        note=(
            "Weighs each similarity by how far it is from its optimum {cite:p}`sun2020`. "
            "{ref}`The embedding chapter <ch-embedding-losses>` has the losses that it unites."
        ),
    ),
    Entry(
        "CosineSimilarity",
        "contrastive",
        "(contrastive(unit(p), unit(t), ones(u)) / 2 - 1).mean()",
        "keras.losses.CosineSimilarity()(t, p)",
        "(-(p * t).sum(axis=-1) / (norm(p) * norm(t))).mean()",
        note="Minus the cosine, so that -1 is the best.",
    ),
    Entry(
        "Dice",
        "dice",
        "dice(p.reshape(1, -1), t.reshape(1, -1))[0]",
        "keras.losses.Dice()(t, p)",
        note="Without `axis` the whole batch is one mask. Adds 1e-7 to the denominator.",
    ),
    Entry("Hinge", "hinge", "hinge(p, t).mean()", "keras.losses.Hinge()(t, p)"),
    Entry("Huber", "huber", "huber(p, t).mean()", "keras.losses.Huber()(t, p)"),
    Entry(
        "KLDivergence",
        "kl_divergence",
        "kl_divergence(p, t).mean()",
        "keras.losses.KLDivergence()(t, keras.ops.exp(p))",
        note="Takes probabilities, and clips both to [1e-7, 1].",
    ),
    Entry("LogCosh", "log_cosh", "log_cosh(p, t).mean()", "keras.losses.LogCosh()(t, p)"),
    Entry(
        "MeanAbsoluteError",
        "absolute_error",
        "absolute_error(p, t).mean()",
        "keras.losses.MeanAbsoluteError()(t, p)",
    ),
    Entry(
        "MeanAbsolutePercentageError",
        "absolute_error",
        "100 * (absolute_error(p, t) / abs(t)).mean()",
        "keras.losses.MeanAbsolutePercentageError()(t, p)",
        "100 * (abs(p - t) / abs(t)).mean()",
        note="An absolute error weighted by one over the target; useless near target 0.",
    ),
    Entry(
        "MeanSquaredError",
        "squared_error",
        "squared_error(p, t).mean()",
        "keras.losses.MeanSquaredError()(t, p)",
    ),
    Entry(
        "MeanSquaredLogarithmicError",
        "squared_error",
        "squared_error(log(1 + abs(p)), log(1 + abs(t))).mean()",
        "keras.losses.MeanSquaredLogarithmicError()(keras.ops.abs(t), keras.ops.abs(p))",
        "((log(1 + abs(p)) - log(1 + abs(t))) ** 2).mean()",
        note="For numbers that are not negative.",
    ),
    Entry(
        "Poisson",
        "poisson_nll",
        "poisson_nll(p, t).mean()",
        "keras.losses.Poisson()(t, keras.ops.exp(p))",
        note="Takes the rate; this book's takes its logarithm.",
    ),
    Entry(
        "SparseCategoricalCrossentropy",
        "softmax_cross_entropy",
        "softmax_cross_entropy(p, t).mean()",
        "keras.losses.SparseCategoricalCrossentropy(from_logits=True)(t, p)",
    ),
    Entry(
        "SquaredHinge",
        "squared_hinge",
        "squared_hinge(p, t).mean()",
        "keras.losses.SquaredHinge()(t, p)",
    ),
    Entry(
        "Tversky",
        "tversky",
        "tversky(p.reshape(1, -1), t.reshape(1, -1))[0]",
        "keras.losses.Tversky()(t, p)",
        note="Without `axis` the whole batch is one mask. Adds 1e-7 to the denominator.",
    ),
)
