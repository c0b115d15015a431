"""Cards of the regression losses: a real prediction p, a real target t, the residual p - t."""

import sympy as sp

from lossbook.cards.card import Card
from lossbook.cards.convention import Convention, estimator, keras, metric, optax, pytorch
from lossbook.cards.symbolic import Symbolic, cases, minus, product

p, t, s, mu, z = sp.symbols("p t s mu z", real=True)
delta, beta, tau = sp.symbols("delta beta tau", positive=True)

_r = p - t
_REAL = {p: sp.Reals, t: sp.Reals}
_POSITIVE = sp.Interval.open(0, sp.oo)

CARDS = {
    "squared_error": Card(
        title="Squared error",
        chapter=4,
        symbolic=Symbolic(p, t, _r**2, product(2, _r), domain=_REAL),
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
        conventions=(
            pytorch(
                "torch.nn.functional.mse_loss",
                weighted_mean="sum of weights",
                note="Shapes (N,) and (N, 1) broadcast to (N, N) with only a warning.",
            ),
            keras(
                "keras.losses.MeanSquaredError",
                note='`reduction="mean_with_sample_weight"` divides by the sum of the weights.',
            ),
            metric("sklearn.metrics.mean_squared_error"),
            optax("optax.losses.squared_error", note="Refuses arguments of different shapes."),
        ),
    ),
    "half_squared_error": Card(
        title="Half squared error",
        chapter=4,
        symbolic=Symbolic(p, t, _r**2 / 2, _r, domain=_REAL),
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
        conventions=(
            Convention("PyTorch", note="`0.5 * mse_loss(input, target)`"),
            Convention("Keras", note="Half of `MeanSquaredError`."),
            estimator(
                'sklearn.linear_model.SGDRegressor(loss="squared_error")',
                note="Halved in spite of its name; the metric `mean_squared_error` is not.",
            ),
            optax("optax.losses.l2_loss"),
        ),
    ),
    "absolute_error": Card(
        title="Absolute error",
        chapter=5,
        symbolic=Symbolic(p, t, sp.Abs(_r), sp.sign(_r), domain=_REAL),
        minimiser="The median of $t$.",
        noise_model="Laplace of scale 1.",
        convexity="Convex in the prediction, not strictly.",
        lipschitz="1-Lipschitz in the prediction.",
        kinks="At $p = t$, where the subgradient 0 is chosen.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure=(
            "Its slope does not shrink near the solution, so a fixed learning rate keeps "
            "stepping over it."
        ),
        conventions=(
            pytorch("torch.nn.functional.l1_loss", weighted_mean="sum of weights"),
            keras("keras.losses.MeanAbsoluteError"),
            metric("sklearn.metrics.mean_absolute_error"),
            Convention("optax", note="`jnp.abs(predictions - targets)`"),
        ),
    ),
    "huber": Card(
        title="Huber loss",
        chapter=5,
        symbolic=Symbolic(
            p,
            t,
            cases(
                (_r**2 / 2, sp.Abs(_r) <= delta),
                (product(delta, minus(sp.Abs(_r), delta / 2)), True),
            ),
            cases((_r, sp.Abs(_r) <= delta), (delta * sp.sign(_r), True)),
            hyperparameters={"delta": delta},
            domain=_REAL | {delta: _POSITIVE},
        ),
        minimiser=(
            r"The $p$ at which residuals clipped to $\pm\delta$ average 0: the mean for large "
            r"$\delta$, near the median for small."
        ),
        noise_model=r"Gaussian of variance 1 within $\delta$, with exponential tails.",
        convexity=r"Convex in the prediction, strictly only where $\lvert p - t \rvert < \delta$.",
        lipschitz=r"$\delta$-Lipschitz in the prediction; the gradient is 1-Lipschitz.",
        kinks=r"None; the second derivative jumps where $\lvert p - t \rvert = \delta$.",
        stable_form=(
            r"The outer branch is $\delta (\lvert r \rvert - \delta / 2)$: a large residual is "
            "not squared and cannot overflow."
        ),
        failure=(
            r"$\delta$ has the target's units: rescale the target, and the loss turns squared or "
            "absolute."
        ),
        conventions=(
            pytorch(
                "torch.nn.functional.huber_loss",
                weighted_mean="number of values",
                note="Its weighted mean differs from that of `mse_loss` and `l1_loss`.",
            ),
            keras("keras.losses.Huber"),
            estimator(
                'sklearn.linear_model.SGDRegressor(loss="huber")',
                note=(
                    "$\\delta$ is called `epsilon` and is 0.1 by default; `HuberRegressor` also "
                    "fits a scale: another loss."
                ),
            ),
            optax("optax.losses.huber_loss", note="Shapes (N,) and (N, 1) broadcast silently."),
        ),
    ),
    "smooth_l1": Card(
        title="Smooth L1 loss",
        chapter=5,
        symbolic=Symbolic(
            p,
            t,
            cases((_r**2 / (2 * beta), sp.Abs(_r) <= beta), (minus(sp.Abs(_r), beta / 2), True)),
            cases((_r / beta, sp.Abs(_r) <= beta), (sp.sign(_r), True)),
            hyperparameters={"beta": beta},
            domain=_REAL | {beta: _POSITIVE},
        ),
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
        conventions=(
            pytorch(
                "torch.nn.functional.smooth_l1_loss", note="Takes `beta=0` for absolute error."
            ),
            Convention("Keras", note="`Huber(delta=beta)`, divided by `beta`."),
            Convention("scikit-learn", note="The Huber loss, divided by its threshold."),
            Convention("optax", note="`huber_loss(predictions, targets, delta=beta) / beta`"),
        ),
    ),
    "log_cosh": Card(
        title="Log-cosh loss",
        chapter=5,
        symbolic=Symbolic(p, t, sp.log(sp.cosh(_r)), sp.tanh(_r), domain=_REAL),
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
            r"It bends where $\lvert r \rvert \approx 1$ in the target's units, and has nothing "
            "to set: scale the target."
        ),
        conventions=(
            Convention(
                "PyTorch",
                note=(
                    "`torch.logaddexp(d, -d) - math.log(2)` with `d = input - target`; it cancels "
                    "too: a residual of 1e-9 costs 0 in float64."
                ),
            ),
            keras("keras.losses.LogCosh", note="Cancels: a residual of 1e-9 costs 0 in float64."),
            Convention("scikit-learn", note="No metric or estimator offers it."),
            optax("optax.losses.log_cosh", note="Cancels: a residual of 1e-9 costs 0 in float64."),
        ),
    ),
    "quantile": Card(
        title="Quantile loss",
        chapter=5,
        symbolic=Symbolic(
            p,
            t,
            cases((product(tau, t - p), t > p), (product(1 - tau, _r), True)),
            cases((-tau, t > p), (1 - tau, t < p), (0, True)),
            hyperparameters={"level": tau},
            domain=_REAL | {tau: sp.Interval.open(0, 1)},
        ),
        minimiser=r"The $\tau$-quantile of $t$.",
        noise_model="Asymmetric Laplace of scale 1.",
        convexity="Convex in the prediction, not strictly.",
        lipschitz=r"$\max(\tau, 1 - \tau)$-Lipschitz in the prediction.",
        kinks="At $p = t$, where the subgradient 0 is chosen.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure=(
            "Quantiles fitted one by one can cross: a predicted 90 % quantile below the median."
        ),
        conventions=(
            Convention(
                "PyTorch",
                note="`torch.maximum(level * d, (level - 1) * d)` with `d = target - input`",
            ),
            Convention("Keras", note="As for PyTorch, with `keras.ops.maximum`."),
            metric("sklearn.metrics.mean_pinball_loss", note="The level is called `alpha`."),
            Convention("optax", note="As for PyTorch, with `jnp.maximum`."),
        ),
    ),
    "poisson_nll": Card(
        title="Poisson negative log-likelihood",
        chapter=3,
        symbolic=Symbolic(
            z,
            t,
            minus(sp.exp(z), t * z),
            minus(sp.exp(z), t),
            domain={z: sp.Reals, t: sp.Interval(0, sp.oo)},
        ),
        minimiser="The logarithm of the mean of $t$.",
        noise_model=r"Poisson of rate $e^z$, without the constant $\log t!$.",
        convexity="Strictly convex in the log-rate.",
        lipschitz="Not Lipschitz, and neither is the gradient.",
        kinks="None.",
        stable_form=(
            "The log-rate keeps the rate positive and needs no logarithm; $e^z$ overflows past "
            "$z = 709$ in float64."
        ),
        failure="One log-rate that is far too high gives an exponentially large step.",
        conventions=(
            pytorch(
                "torch.nn.functional.poisson_nll_loss",
                note=(
                    "`log_input=False` takes the rate, and adds `eps`, 1e-8, to it inside the "
                    "logarithm; `full=True` adds Stirling's $\\log t!$."
                ),
            ),
            keras(
                "keras.losses.Poisson",
                note="Takes the rate $e^z$, and adds 1e-7 to it inside the logarithm.",
            ),
            metric(
                "sklearn.metrics.mean_poisson_deviance",
                factor="2, plus a term of the target alone",
                note="Takes the rate $e^z$; a perfect prediction costs 0.",
            ),
            Convention("optax", note="`jnp.exp(z) - t * z`"),
        ),
    ),
    "gaussian_nll": Card(
        title="Gaussian negative log-likelihood",
        chapter=3,
        symbolic=Symbolic(
            (mu, s),
            t,
            product(sp.S.Half, sp.Add(s, (mu - t) ** 2 * sp.exp(-s), evaluate=False)),
            ((mu - t) * sp.exp(-s), product(sp.S.Half, minus(1, (mu - t) ** 2 * sp.exp(-s)))),
            domain={mu: sp.Reals, s: sp.Reals, t: sp.Reals},
        ),
        minimiser=r"$\mu$ the mean of $t$, and $e^s$ its variance.",
        noise_model=(
            r"Gaussian of mean $\mu$ and variance $e^s$, without the constant $\tfrac12 \log "
            r"2\pi$."
        ),
        convexity=r"Not jointly convex: only in $\mu$ for fixed $s$, and in $s$ for fixed $\mu$.",
        lipschitz="Not Lipschitz, and neither is the gradient.",
        kinks="None.",
        stable_form=(
            "$(r e^{-s/2})^2$ instead of $r^2 e^{-s}$: half the exponent at a time overflows "
            "much later."
        ),
        failure=(
            "A point that fits badly is given a large variance, which shrinks its pull on the mean."
        ),
        conventions=(
            pytorch(
                "torch.nn.functional.gaussian_nll_loss",
                arguments="(input, target, var)",
                note=(
                    "Takes the variance, not its logarithm, and raises it to `eps`, 1e-6; "
                    "`full=True` adds the constant."
                ),
            ),
            Convention("Keras", note="Written with `keras.ops` from the formula."),
            Convention("scikit-learn", note="No metric or estimator offers it."),
            Convention("optax", note="Written with `jnp` from the formula."),
        ),
    ),
}
