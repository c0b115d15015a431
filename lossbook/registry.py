"""The table of losses: one row each, and everything that is generated comes from it.

A row, :class:`Loss`, is a loss's passport and its front door: it names the two functions, says
what the loss is for and how other libraries write it, and reduces. Tests, loss cards, the atlas and
training read this table; so adding a row adds a loss to all of them.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from lossbook import reduction as _reduction
from lossbook.conventions import CONVENTIONS
from lossbook.losses import binary, margin, multiclass, regression


@dataclass(frozen=True)
class Loss:
    """One loss: its passport, its unreduced functions, and their reduced versions.

    Attributes
    ----------
    function, gradient : the unreduced value and its gradient, as in :mod:`lossbook.losses`
    title, family, chapter : what it is called, the module it stands in, where it is derived
    prediction, target : what the arguments hold, in the words of :data:`PREDICTIONS` and
        :data:`TARGETS`
    dropped_axes : how many trailing axes of the prediction are summed over
    minimiser : which prediction minimises the expected loss
    noise_model : the likelihood it is the negative logarithm of, or why there is none
    convexity, lipschitz, kinks, stable_form, failure : what a reader should know before using it

    Examples
    --------
    >>> import numpy as np
    >>> p, t = np.array([1.0, 5.0]), np.array([3.0, 5.0])
    >>> float(LOSSES["huber"].value(p, t, delta=1.0))
    0.75
    >>> LOSSES["huber"].grad(p, t, reduction="none")
    array([-1.,  0.])
    """

    function: Callable
    gradient: Callable
    title: str
    family: str
    chapter: int
    prediction: str
    target: str
    minimiser: str
    noise_model: str
    convexity: str
    lipschitz: str
    kinks: str
    stable_form: str
    failure: str
    dropped_axes: int = 0

    @property
    def name(self):
        """The function's name, which is the loss's key in :data:`LOSSES`."""
        return self.function.__name__

    @cached_property
    def hyperparameters(self):
        """The keyword-only arguments and their defaults.

        >>> LOSSES["huber"].hyperparameters
        {'delta': 1.0}
        """
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @cached_property
    def symbolic(self):
        """The loss as a SymPy expression: an independent statement of the formula."""
        from lossbook.symbolic import SYMBOLIC

        return SYMBOLIC[self.name]

    @property
    def conventions(self):
        """The same loss in other libraries: a tuple of :class:`~lossbook.conventions.Convention`.

        >>> [convention.name for convention in LOSSES["hinge"].conventions][-1]
        'optax.losses.hinge_loss'
        """
        return CONVENTIONS[self.name]

    @property
    def formula(self):
        """The unreduced value as LaTeX."""
        return self.symbolic.value_latex

    @property
    def gradient_formula(self):
        """The unreduced gradient as LaTeX."""
        return self.symbolic.gradient_latex

    def value(self, *inputs, reduction="mean", weights=None, **hyperparameters):
        """The reduced loss: a number, or with ``reduction="none"`` an array.

        `weights` has exactly the shape of the unreduced values. ``mean`` divides by the number of
        values, or by the sum of the weights where they are given.
        """
        self.check_hyperparameters(hyperparameters)
        values = self.function(*inputs, **hyperparameters)
        return _reduction.reduce(values, reduction, weights)

    def grad(self, *inputs, reduction="mean", weights=None, **hyperparameters):
        """Gradient of the reduced loss, in the shape of the prediction."""
        self.check_hyperparameters(hyperparameters)
        gradient = self.gradient(*inputs, **hyperparameters)
        return _reduction.reduce_grad(gradient, self._values_shape(gradient), reduction, weights)

    def value_and_grad(self, *inputs, reduction="mean", weights=None, **hyperparameters):
        """The reduced loss and its gradient; what training calls.

        >>> import numpy as np
        >>> LOSSES["squared_error"].value_and_grad(np.array([3.0]), np.array([1.0]))
        (np.float64(4.0), array([4.]))
        """
        options = {"reduction": reduction, "weights": weights, **hyperparameters}
        return self.value(*inputs, **options), self.grad(*inputs, **options)

    def _values_shape(self, gradient):
        return tuple(gradient.shape)[: gradient.ndim - self.dropped_axes]

    def check_hyperparameters(self, hyperparameters):
        """Raise ``TypeError`` for a hyperparameter that this loss does not have."""
        unknown = [name for name in hyperparameters if name not in self.hyperparameters]
        if unknown:
            accepted = ", ".join(self.hyperparameters) or "none"
            raise TypeError(
                f"{self.name} has no hyperparameter {unknown[0]!r}; it accepts: {accepted}"
            )


#: What a prediction may hold; the last two have a class axis.
PREDICTIONS = (
    "real",
    "log-rate",
    "mean and log-variance",
    "probability",
    "logit",
    "score",
    "class probabilities",
    "class logits",
)
#: What a target may hold.
TARGETS = (
    "real",
    "count",
    "label in [0, 1]",
    "label 0 or 1",
    "label -1 or +1",
    "class probabilities",
    "class id",
    "class id or probabilities",
)


class Losses(dict):
    """Losses by name; an unknown name says which ones there are, or which was meant.

    >>> LOSSES["hubber"]
    Traceback (most recent call last):
    KeyError: "no loss is called 'hubber'; did you mean 'huber'?"
    """

    def __missing__(self, name):
        close = difflib.get_close_matches(str(name), self, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self)}"
        raise KeyError(f"no loss is called {name!r}; {hint}")


_ROWS = (
    Loss(
        function=regression.squared_error,
        gradient=regression.squared_error_grad,
        title="Squared error",
        family="regression",
        chapter=4,
        prediction="real",
        target="real",
        minimiser="The mean of $t$.",
        noise_model="Gaussian of variance $1/2$; any other fixed variance only rescales it.",
        convexity="Strictly convex in the prediction.",
        lipschitz="Not Lipschitz; the gradient is 2-Lipschitz.",
        kinks="None.",
        stable_form=(
            "The residual is taken before squaring: multiplied out, nearly equal squares would "
            "cancel."
        ),
        failure=(
            "One far outlier outweighs many good points, since its pull grows with its distance."
        ),
    ),
    Loss(
        function=regression.half_squared_error,
        gradient=regression.half_squared_error_grad,
        title="Half squared error",
        family="regression",
        chapter=4,
        prediction="real",
        target="real",
        minimiser="The mean of $t$.",
        noise_model="Gaussian of variance 1; any other fixed variance only rescales it.",
        convexity="Strictly convex in the prediction.",
        lipschitz="Not Lipschitz; the gradient is 1-Lipschitz.",
        kinks="None.",
        stable_form=(
            "The residual is taken before squaring: multiplied out, nearly equal squares would "
            "cancel."
        ),
        failure=(
            "Set beside a mean squared error it looks twice as good, and it wants twice the "
            "learning rate."
        ),
    ),
    Loss(
        function=regression.absolute_error,
        gradient=regression.absolute_error_grad,
        title="Absolute error",
        family="regression",
        chapter=5,
        prediction="real",
        target="real",
        minimiser="The median of $t$.",
        noise_model="Laplace of scale 1.",
        convexity="Convex in the prediction, not strictly.",
        lipschitz="1-Lipschitz in the prediction.",
        kinks="At $p = t$, where the subgradient 0 is chosen.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure=(
            "Its slope does not shrink near the solution, so a fixed learning rate keeps stepping "
            "over it."
        ),
    ),
    Loss(
        function=regression.huber,
        gradient=regression.huber_grad,
        title="Huber loss",
        family="regression",
        chapter=5,
        prediction="real",
        target="real",
        minimiser=(
            r"The $p$ at which residuals clipped to $\pm\delta$ average 0: the mean for large "
            r"$\delta$, near the median for small."
        ),
        noise_model=r"Gaussian of variance 1 within $\delta$, with exponential tails.",
        convexity=r"Convex in the prediction, strictly only where $\lvert p - t \rvert < \delta$.",
        lipschitz=r"$\delta$-Lipschitz in the prediction; the gradient is 1-Lipschitz.",
        kinks=r"None; the second derivative jumps where $\lvert p - t \rvert = \delta$.",
        stable_form=(
            r"The outer branch is $\delta (\lvert r \rvert - \delta / 2)$: a large residual is not "
            "squared and cannot overflow."
        ),
        failure=(
            r"$\delta$ has the target's units: rescale the target, and the loss turns squared or "
            "absolute."
        ),
    ),
    Loss(
        function=regression.smooth_l1,
        gradient=regression.smooth_l1_grad,
        title="Smooth L1 loss",
        family="regression",
        chapter=5,
        prediction="real",
        target="real",
        minimiser=(
            r"The $p$ at which residuals clipped to $\pm\beta$ average 0: the mean for large "
            r"$\beta$, near the median for small."
        ),
        noise_model=r"Gaussian of variance $\beta$ within $\beta$, with exponential tails.",
        convexity=r"Convex in the prediction, strictly only where $\lvert p - t \rvert < \beta$.",
        lipschitz=r"1-Lipschitz in the prediction; the gradient is $1/\beta$-Lipschitz.",
        kinks=r"None; the second derivative jumps where $\lvert p - t \rvert = \beta$.",
        stable_form=(
            r"The outer branch is $\lvert r \rvert - \beta / 2$: a large residual is not squared "
            "and cannot overflow."
        ),
        failure=(
            r"Taken for the Huber loss: unless $\beta = 1$ it is smaller or larger by the factor "
            r"$1/\beta$."
        ),
    ),
    Loss(
        function=regression.log_cosh,
        gradient=regression.log_cosh_grad,
        title="Log-cosh loss",
        family="regression",
        chapter=5,
        prediction="real",
        target="real",
        minimiser=(
            r"The $p$ at which $\tanh(p - t)$ averages 0: near the mean of narrow targets, near "
            "the median of wide ones."
        ),
        noise_model=r"Hyperbolic secant: density $1 / (\pi \cosh r)$.",
        convexity="Strictly convex in the prediction.",
        lipschitz="1-Lipschitz in the prediction; the gradient is 1-Lipschitz.",
        kinks="None.",
        stable_form=(
            r"$\log(1 + 2 \sinh^2(r/2))$ near 0 keeps tiny residuals; farther out no $\cosh$ "
            "overflows."
        ),
        failure=(
            r"It bends where $\lvert r \rvert \approx 1$ in the target's units, and has nothing to "
            "set: scale the target."
        ),
    ),
    Loss(
        function=regression.quantile,
        gradient=regression.quantile_grad,
        title="Quantile loss",
        family="regression",
        chapter=5,
        prediction="real",
        target="real",
        minimiser=r"The $\tau$-quantile of $t$.",
        noise_model="Asymmetric Laplace of scale 1.",
        convexity="Convex in the prediction, not strictly.",
        lipschitz=r"$\max(\tau, 1 - \tau)$-Lipschitz in the prediction.",
        kinks="At $p = t$, where the subgradient 0 is chosen.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure=(
            "Quantiles fitted one by one can cross: a predicted 90 % quantile below the median."
        ),
    ),
    Loss(
        function=regression.poisson_nll,
        gradient=regression.poisson_nll_grad,
        title="Poisson negative log-likelihood",
        family="regression",
        chapter=3,
        prediction="log-rate",
        target="count",
        minimiser="The logarithm of the mean of $t$.",
        noise_model=r"Poisson of rate $e^z$, without the constant $\log t!$.",
        convexity="Strictly convex in the log-rate.",
        lipschitz="Not Lipschitz, and neither is the gradient.",
        kinks="None.",
        stable_form=(
            "The log-rate keeps the rate positive and needs no logarithm; $e^z$ overflows past $z "
            "= 709$ in float64."
        ),
        failure="One log-rate that is far too high gives an exponentially large step.",
    ),
    Loss(
        function=regression.gaussian_nll,
        gradient=regression.gaussian_nll_grad,
        title="Gaussian negative log-likelihood",
        family="regression",
        chapter=3,
        prediction="mean and log-variance",
        target="real",
        minimiser=r"$\mu$ the mean of $t$, and $e^s$ its variance.",
        noise_model=(
            r"Gaussian of mean $\mu$ and variance $e^s$, without the constant $\tfrac12 \log "
            r"2\pi$."
        ),
        convexity=r"Not jointly convex: only in $\mu$ for fixed $s$, and in $s$ for fixed $\mu$.",
        lipschitz="Not Lipschitz, and neither is the gradient.",
        kinks="None.",
        stable_form=(
            "$(r e^{-s/2})^2$ instead of $r^2 e^{-s}$: half the exponent at a time overflows much "
            "later."
        ),
        failure=(
            "A point that fits badly is given a large variance, which shrinks its pull on the mean."
        ),
        dropped_axes=1,
    ),
    Loss(
        function=binary.binary_cross_entropy,
        gradient=binary.binary_cross_entropy_grad,
        title="Binary cross-entropy",
        family="binary",
        chapter=6,
        prediction="probability",
        target="label in [0, 1]",
        minimiser="The probability of label 1.",
        noise_model="Bernoulli of probability $p$.",
        convexity="Strictly convex in the probability.",
        lipschitz="Not Lipschitz: the slope has no bound towards $p = 0$ and $p = 1$.",
        kinks="None inside; at $p = y = 0$ and $p = y = 1$ the one-sided slopes, 1 and $-1$.",
        stable_form=(
            r"$\log(1 - p)$ is `log1p(-p)`, a term of weight 0 is left out, and nothing is "
            "clipped."
        ),
        failure=(
            "A probability rounded to 0 or 1 costs infinity where it is wrong: train on logits."
        ),
    ),
    Loss(
        function=binary.sigmoid_binary_cross_entropy,
        gradient=binary.sigmoid_binary_cross_entropy_grad,
        title="Binary cross-entropy of logits",
        family="binary",
        chapter=6,
        prediction="logit",
        target="label in [0, 1]",
        minimiser=r"The log-odds of label 1, plus $\log w$ if label 1 is weighted by $w$.",
        noise_model=r"Bernoulli of probability $\sigma(z)$, at $w = 1$.",
        convexity="Strictly convex in the logit.",
        lipschitz=r"$\max(1, w)$-Lipschitz in the logit; the gradient is $\max(1, w)/4$-Lipschitz.",
        kinks="None.",
        stable_form=(
            r"Softplus of $\pm z$ by `logaddexp`: neither $e^z$ nor $\log 0$ is ever computed."
        ),
        failure=(
            "Where the classes can be separated, no logit is large enough: weights grow without "
            "end."
        ),
    ),
    Loss(
        function=binary.sigmoid_focal,
        gradient=binary.sigmoid_focal_grad,
        title="Focal loss",
        family="binary",
        chapter=9,
        prediction="logit",
        target="label 0 or 1",
        minimiser=r"Without `alpha`, log-odds of the right sign but, for $\gamma > 0$, too near 0.",
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity=r"Not convex in the logit for $\gamma > 0$.",
        lipschitz=(
            r"Lipschitz in the logit, the constant at most $1 + \gamma / e$; 1.13 at $\gamma = 2$."
        ),
        kinks="None.",
        stable_form=(
            r"$1 - q$ is $\sigma(-m)$ and $-\log q$ a softplus: nothing is subtracted from 1."
        ),
        failure="Its probabilities are too near one half; recalibrate before reading them as such.",
    ),
    Loss(
        function=multiclass.categorical_cross_entropy,
        gradient=multiclass.categorical_cross_entropy_grad,
        title="Categorical cross-entropy",
        family="multiclass",
        chapter=7,
        prediction="class probabilities",
        target="class probabilities",
        minimiser="The class probabilities, among rows that sum to 1.",
        noise_model="Categorical of probabilities $p$.",
        convexity="Convex in the probabilities, strictly in those with $t_k > 0$.",
        lipschitz="Not Lipschitz: the slope has no bound towards $p_k = 0$.",
        kinks="None; where $t_k = 0$ the slope is 0.",
        stable_form="A term with $t_k = 0$ is left out, and nothing is clipped.",
        failure="Rows that sum to more than 1 look better than they are, and nothing notices.",
        dropped_axes=1,
    ),
    Loss(
        function=multiclass.softmax_cross_entropy,
        gradient=multiclass.softmax_cross_entropy_grad,
        title="Softmax cross-entropy",
        family="multiclass",
        chapter=7,
        prediction="class logits",
        target="class id or probabilities",
        minimiser="The logarithms of the class probabilities, plus any constant.",
        noise_model=r"Categorical of probabilities $\operatorname{softmax}(z)$.",
        convexity="Convex in the logits, not strictly: a constant added to all changes nothing.",
        lipschitz=(
            r"$\sqrt2$-Lipschitz in the Euclidean norm of the logits; the gradient is "
            "$1/2$-Lipschitz."
        ),
        kinks="None.",
        stable_form=(
            "The largest logit is taken out of the log-sum-exp, and $1 - p_k$ is summed from the "
            "others."
        ),
        failure=(
            "Fed with probabilities instead of logits it trains, slowly, towards a floor above 0."
        ),
        dropped_axes=1,
    ),
    Loss(
        function=multiclass.softmax_focal,
        gradient=multiclass.softmax_focal_grad,
        title="Softmax focal loss",
        family="multiclass",
        chapter=9,
        prediction="class logits",
        target="class id",
        minimiser=(
            r"For $\gamma > 0$ not the class probabilities, though the likeliest class stays on "
            "top."
        ),
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the classes.",
        convexity=r"Not convex in the logits for $\gamma > 0$.",
        lipschitz=(
            r"Lipschitz in the Euclidean norm of the logits, the constant at most $\sqrt2\, (1 + "
            r"\gamma / e)$."
        ),
        kinks="None.",
        stable_form=(
            "$1 - p_y$ is summed from the other classes, and their shares of it come from a "
            "softmax."
        ),
        failure="Its probabilities are too even; recalibrate before reading them as such.",
        dropped_axes=1,
    ),
    Loss(
        function=multiclass.brier,
        gradient=multiclass.brier_grad,
        title="Brier score",
        family="multiclass",
        chapter=6,
        prediction="class probabilities",
        target="class probabilities",
        minimiser="The class probabilities.",
        noise_model=(
            "None for labels; as a density of the row $t$, Gaussian of variance $1/2$ around $p$."
        ),
        convexity="Strictly convex in the probabilities; not in the logits of a softmax before it.",
        lipschitz=(
            r"$2\sqrt2$-Lipschitz in the Euclidean norm on rows that sum to 1; the gradient is "
            "2-Lipschitz."
        ),
        kinks="None.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure="Behind a softmax that is sure and wrong, its gradient vanishes.",
        dropped_axes=1,
    ),
    Loss(
        function=multiclass.multiclass_hinge,
        gradient=multiclass.multiclass_hinge_grad,
        title="Multiclass hinge loss",
        family="multiclass",
        chapter=8,
        prediction="class logits",
        target="class id",
        minimiser=(
            "A lead of $m$ for a class likelier than all others together; without one, a tie of "
            "all."
        ),
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the classes.",
        convexity="Convex in the logits, not strictly.",
        lipschitz=r"$\sqrt2$-Lipschitz in the Euclidean norm of the logits.",
        kinks=(
            "At a lead of exactly $m$, where 0 is chosen, and where rivals tie: the first is taken."
        ),
        stable_form="Rival less own logit first, then $m$: the margin is not lost in large logits.",
        failure="Its scores are no log-probabilities, and with no majority class they say nothing.",
        dropped_axes=1,
    ),
    Loss(
        function=margin.perceptron,
        gradient=margin.perceptron_grad,
        title="Perceptron loss",
        family="margin",
        chapter=8,
        prediction="score",
        target="label -1 or +1",
        minimiser="A score of 0, or of the right sign where the label is certain.",
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity="Convex in the score, not strictly.",
        lipschitz="1-Lipschitz in the score.",
        kinks="At margin 0, where $-y$ is chosen, so that zero weights move.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure="A score of 0 costs nothing, so scores shrink and no margin is built.",
    ),
    Loss(
        function=margin.hinge,
        gradient=margin.hinge_grad,
        title="Hinge loss",
        family="margin",
        chapter=8,
        prediction="score",
        target="label -1 or +1",
        minimiser="The likelier label, $-1$ or $+1$, as the score.",
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity="Convex in the score, not strictly.",
        lipschitz="1-Lipschitz in the score.",
        kinks="At margin 1, where 0 is chosen.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure="Its score shows which label is likelier, but not by how much.",
    ),
    Loss(
        function=margin.squared_hinge,
        gradient=margin.squared_hinge_grad,
        title="Squared hinge loss",
        family="margin",
        chapter=8,
        prediction="score",
        target="label -1 or +1",
        minimiser="The mean of $y$: the probability of $+1$ less that of $-1$.",
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity="Convex in the score, not strictly: flat beyond margin 1.",
        lipschitz="Not Lipschitz; the gradient is 2-Lipschitz.",
        kinks="None; the second derivative jumps at margin 1.",
        stable_form="Clipped at 0 before squaring, so that a wide margin costs exactly nothing.",
        failure="A wrong label far on the other side outweighs many right ones.",
    ),
    Loss(
        function=margin.exponential,
        gradient=margin.exponential_grad,
        title="Exponential loss",
        family="margin",
        chapter=8,
        prediction="score",
        target="label -1 or +1",
        minimiser="Half the log-odds of label $+1$.",
        noise_model=r"None: $e^{-\text{loss}}$ does not sum to a constant over the two labels.",
        convexity="Strictly convex in the score.",
        lipschitz="Not Lipschitz, and neither is the gradient.",
        kinks="None.",
        stable_form="As it stands; it overflows past a margin of $-709$ in float64.",
        failure="One wrong label takes nearly all the weight.",
    ),
    Loss(
        function=margin.logistic,
        gradient=margin.logistic_grad,
        title="Logistic loss",
        family="margin",
        chapter=8,
        prediction="score",
        target="label -1 or +1",
        minimiser="The log-odds of label $+1$.",
        noise_model=r"Bernoulli: label $y$ has probability $\sigma(y s)$.",
        convexity="Strictly convex in the score.",
        lipschitz="1-Lipschitz in the score; the gradient is $1/4$-Lipschitz.",
        kinks="None.",
        stable_form="Softplus of $-m$ by `logaddexp`: $e^{-m}$ alone is never computed.",
        failure=(
            "Where the labels can be separated, no score is large enough: weights grow without end."
        ),
    ),
)

#: Every loss of the book, by name.
LOSSES = Losses((loss.name, loss) for loss in _ROWS)
