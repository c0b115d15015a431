"""The losses of scikit-learn: metrics named loss, error or deviance, and options of estimators."""

from lossbook.names.entry import Entry

_TREE = "sklearn.tree.DecisionTree"
_RANKING = (
    "A share of pairs in the wrong order; its slope is 0. {ref}`The margin chapter "
    "<sec-08-ranking>` ranks by a surrogate."
)


ENTRIES = (
    Entry(
        "brier_score_loss",
        "squared_error",
        "squared_error(p, t).mean()",
        "sklearn.metrics.brier_score_loss(t, p)",
        note="For two classes. It is half of `brier`, which sums over both.",
        arrays="binary_cross_entropy",
    ),
    Entry("coverage_error", note="How far down a ranking all true labels are found; a metric."),
    Entry(
        "hamming_loss",
        note=(
            "The share of wrong labels, the zero-one loss label by label. "
            "{ref}`Chapter 1 <sec-01-accuracy>` says why it cannot be descended."
        ),
    ),
    Entry(
        "hinge_loss",
        "hinge",
        "hinge(p, t).mean()",
        "sklearn.metrics.hinge_loss(t, p)",
        note="With several classes it is `multiclass_hinge`.",
    ),
    Entry("label_ranking_loss", note=_RANKING),
    Entry(
        "log_loss",
        "categorical_cross_entropy",
        "categorical_cross_entropy(p, t).mean()",
        "sklearn.metrics.log_loss(t.argmax(axis=1), p, labels=range(p.shape[1]))",
        note="Takes probabilities and class ids.",
    ),
    Entry(
        "max_error",
        note="The largest absolute error of all examples, so it is no mean; a metric.",
    ),
    Entry(
        "mean_absolute_error",
        "absolute_error",
        "absolute_error(p, t).mean()",
        "sklearn.metrics.mean_absolute_error(t, p)",
    ),
    Entry(
        "mean_absolute_percentage_error",
        "absolute_error",
        "(absolute_error(p, t) / abs(t)).mean()",
        "sklearn.metrics.mean_absolute_percentage_error(t, p)",
        "(abs(p - t) / abs(t)).mean()",
        note="An absolute error weighted by one over the target. A share, not per cent.",
    ),
    Entry(
        "mean_gamma_deviance",
        note=(
            "Twice the negative log-likelihood of a gamma distribution, without its constants. "
            "{ref}`Chapter 3 <ch-likelihood>` makes losses in this way."
        ),
    ),
    Entry(
        "mean_pinball_loss",
        "quantile",
        "quantile(p, t, level=0.75).mean()",
        "sklearn.metrics.mean_pinball_loss(t, p, alpha=0.75)",
    ),
    Entry(
        "mean_poisson_deviance",
        "poisson_nll",
        "2 * (poisson_nll(p, 1 + t) - poisson_nll(log(1 + t), 1 + t)).mean()",
        "sklearn.metrics.mean_poisson_deviance(1 + t, np.exp(p))",
        "2 * ((1 + t) * (log(1 + t) - p) - (1 + t) + exp(p)).mean()",
        note="Twice the excess over the best rate; shown for counts `1 + t`, which are above 0.",
    ),
    Entry(
        "mean_squared_error",
        "squared_error",
        "squared_error(p, t).mean()",
        "sklearn.metrics.mean_squared_error(t, p)",
    ),
    Entry(
        "mean_squared_log_error",
        "squared_error",
        "squared_error(log(1 + abs(p)), log(1 + abs(t))).mean()",
        "sklearn.metrics.mean_squared_log_error(abs(t), abs(p))",
        "((log(1 + abs(p)) - log(1 + abs(t))) ** 2).mean()",
        note="For numbers that are not negative.",
    ),
    Entry(
        "mean_tweedie_deviance",
        "squared_error",
        "squared_error(p, t).mean()",
        "sklearn.metrics.mean_tweedie_deviance(t, p, power=0)",
        note="With power 0. Power 1 is the Poisson deviance, power 2 the gamma deviance.",
    ),
    Entry("median_absolute_error", note="A median over all examples, so it is no mean; a metric."),
    Entry(
        "root_mean_squared_error",
        "squared_error",
        "sqrt(squared_error(p, t).mean())",
        "sklearn.metrics.root_mean_squared_error(t, p)",
        "norm(p - t) / sqrt(len(p))",
        note="The root is taken after the mean, so it has the target's unit.",
    ),
    Entry(
        "root_mean_squared_log_error",
        "squared_error",
        "sqrt(squared_error(log(1 + abs(p)), log(1 + abs(t))).mean())",
        "sklearn.metrics.root_mean_squared_log_error(abs(t), abs(p))",
        "sqrt(((log(1 + abs(p)) - log(1 + abs(t))) ** 2).mean())",
    ),
    Entry(
        "zero_one_loss",
        note=(
            "The share of wrong answers. {ref}`Chapter 1 <sec-01-accuracy>` says why it cannot be "
            "descended."
        ),
    ),
    Entry(
        'criterion="absolute_error"',
        "absolute_error",
        "absolute_error(median(t) * ones(t), t).mean()",
        f'{_TREE}Regressor(criterion="absolute_error").fit(p[:, None], t).tree_.impurity[0]',
        note="The least mean of a leaf, which its median reaches.",
    ),
    Entry(
        'criterion="entropy"',
        "categorical_cross_entropy",
        "categorical_cross_entropy(t.mean(axis=0) * ones(t), t.mean(axis=0) * ones(t))[0] / log(2)",
        f'{_TREE}Classifier(criterion="entropy").fit(p, t.argmax(axis=1)).tree_.impurity[0]',
        note="The least mean of a leaf, in bits, which the shares of its classes reach.",
        also=('criterion="log_loss"',),
    ),
    Entry(
        'criterion="gini"',
        "brier",
        "brier(t.mean(axis=0) * ones(t), t).mean()",
        f'{_TREE}Classifier(criterion="gini").fit(p, t.argmax(axis=1)).tree_.impurity[0]',
        note="The least mean of a leaf, which the shares of its classes reach.",
    ),
    Entry(
        'criterion="poisson"',
        "poisson_nll",
        "(poisson_nll(log(t.mean() * ones(t)), t) - poisson_nll(log(t), t)).mean()",
        f'{_TREE}Regressor(criterion="poisson").fit(p[:, None], t).tree_.impurity[0]',
        note="Half the Poisson deviance of a leaf from its mean.",
    ),
    Entry(
        'criterion="squared_error"',
        "squared_error",
        "squared_error(t.mean() * ones(t), t).mean()",
        f'{_TREE}Regressor(criterion="squared_error").fit(p[:, None], t).tree_.impurity[0]',
        note="The least mean of a leaf, which is the variance of its targets.",
    ),
    Entry(
        'loss="absolute_error"',
        "absolute_error",
        "absolute_error(p, t).mean()",
        'fitted(sklearn.ensemble.GradientBoostingRegressor(loss="absolute_error"), p, t)',
    ),
    Entry(
        'loss="epsilon_insensitive"',
        "absolute_error",
        "maximum(0, absolute_error(p, t) - 0.1)",
        'step(sklearn.linear_model.SGDRegressor(loss="epsilon_insensitive"), p, t)',
        "maximum(0, maximum(p - t, t - p) - 0.1)",
        note="The loss of support vector regression, flat within 0.1 of the target.",
    ),
    Entry(
        'loss="exponential"',
        "exponential",
        "exponential(p, t)",
        note="Of half the score. In `AdaBoostRegressor` it is how examples are reweighted.",
    ),
    Entry('loss="gamma"', note="As `mean_gamma_deviance`."),
    Entry(
        'loss="hinge"',
        "hinge",
        "hinge(p, t)",
        'step(sklearn.linear_model.SGDClassifier(loss="hinge"), p, t)',
    ),
    Entry(
        'loss="huber"',
        "huber",
        "huber(p, t, delta=0.1)",
        'step(sklearn.linear_model.SGDRegressor(loss="huber", epsilon=0.1), p, t)',
        note="`GradientBoostingRegressor` sets delta to a quantile of the errors at each stage.",
    ),
    Entry(
        'loss="linear"',
        note="An option of `AdaBoostRegressor`: how examples are reweighted by their error.",
        also=('loss="square"',),
    ),
    Entry(
        'loss="log_loss"',
        "logistic",
        "logistic(p, t)",
        'step(sklearn.linear_model.SGDClassifier(loss="log_loss"), p, t)',
        note="With several classes `softmax_cross_entropy`.",
    ),
    Entry(
        'loss="modified_huber"',
        "hinge",
        "2 * huber(hinge(p, t), zeros(p), delta=2.0)",
        'step(sklearn.linear_model.SGDClassifier(loss="modified_huber"), p, t)',
        "maximum(0, 1 - t * p) ** 2 - maximum(0, -1 - t * p) ** 2",
        note="A squared hinge that goes on as a straight line below a margin of -1.",
    ),
    Entry(
        'loss="perceptron"',
        "perceptron",
        "perceptron(p, t)",
        'step(sklearn.linear_model.SGDClassifier(loss="perceptron"), p, t)',
    ),
    Entry(
        'loss="poisson"',
        "poisson_nll",
        "poisson_nll(p, t)",
        note="Half the deviance in `HistGradientBoostingRegressor`: `t log t - t` is added.",
    ),
    Entry(
        'loss="quantile"',
        "quantile",
        "quantile(p, t, level=0.75).mean()",
        'fitted(sklearn.ensemble.GradientBoostingRegressor(loss="quantile", alpha=0.75), p, t)',
    ),
    Entry(
        'loss="squared_epsilon_insensitive"',
        "absolute_error",
        "maximum(0, absolute_error(p, t) - 0.1) ** 2",
        'step(sklearn.linear_model.SGDRegressor(loss="squared_epsilon_insensitive"), p, t)',
        "maximum(0, maximum(p - t, t - p) - 0.1) ** 2",
    ),
    Entry(
        'loss="squared_error"',
        "half_squared_error",
        "half_squared_error(p, t)",
        'step(sklearn.linear_model.SGDRegressor(loss="squared_error"), p, t)',
        note="Halved in `SGDRegressor`.",
    ),
    Entry(
        'loss="squared_hinge"',
        "squared_hinge",
        "squared_hinge(p, t)",
        'step(sklearn.linear_model.SGDClassifier(loss="squared_hinge"), p, t)',
    ),
    Entry('penalty="l1"', "l1", "l1(p)"),
    Entry('penalty="l2"', "l2", "l2(p)", note="With the factor 1/2 in `SGDClassifier`."),
    Entry(
        'penalty="elasticnet"',
        "l1",
        "0.15 * l1(p) + 0.85 * l2(p)",
        "",
        "0.15 * abs(p).sum() + 0.85 * (p**2).sum() / 2",
        note="A mix of both; `l1_ratio` is 0.15 by default.",
    ),
)
