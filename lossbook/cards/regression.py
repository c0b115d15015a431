"""Cards of the regression losses: a real prediction p, a real target t, the residual p - t."""

import sympy as sp

from lossbook.cards.card import Card
from lossbook.cards.convention import estimator, formula, keras, metric, optax, pytorch
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
            "The residual is computed before it is squared. If the square were multiplied out, "
            "nearly equal numbers would cancel."
        ),
        failure=(
            "One far outlier outweighs many good points, since its pull grows with its distance."
        ),
        conventions=(
            pytorch(
                "F.mse_loss(p, t)",
                weights="weight=w",
                weighted_mean="sum of weights",
                note="Shapes (N,) and (N, 1) broadcast to (N, N) with only a warning.",
                evidence=(
                    "warned(F.mse_loss, p, t[:, None], reduction='none').shape == (len(p), len(p))",
                ),
            ),
            keras(
                "keras.losses.MeanSquaredError()(t, p)",
                note=(
                    '`reduction="mean_with_sample_weight"` divides by the sum of the weights. '
                    "The mean over the last axis is taken in float32, even for float64 input."
                ),
                evidence=(
                    "keras.losses.mean_squared_error(0 * t, 0 * p + 1 + 1e-9)[0] == 1",
                    "close(keras.losses.MeanSquaredError(reduction='mean_with_sample_weight')"
                    "(t, p, sample_weight=w), np.average(ours().mean(axis=-1), weights=w))",
                ),
            ),
            metric("sklearn.metrics.mean_squared_error(t, p)"),
            optax(
                "optax.losses.squared_error(p, t)",
                note="Refuses arguments of different shapes.",
                evidence=("refuses(optax.losses.squared_error, p, t[:, None])",),
            ),
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
            "The residual is computed before it is squared. If the square were multiplied out, "
            "nearly equal numbers would cancel."
        ),
        failure=(
            "It looks twice as good as a mean squared error, and it needs twice the learning rate."
        ),
        conventions=(
            formula("PyTorch", "0.5 * F.mse_loss(p, t)", reduction="mean"),
            formula(
                "Keras",
                "0.5 * keras.losses.MeanSquaredError()(t, p)",
                reduction="last axis, then sum_over_batch_size",
            ),
            estimator(
                'sklearn.linear_model.SGDRegressor(loss="squared_error")',
                note="Halved in spite of its name; the metric `mean_squared_error` is not.",
                evidence=("close(sklearn.metrics.mean_squared_error(t, p), 2 * ours().mean())",),
            ),
            optax(
                "optax.losses.l2_loss(p, t)",
                note="Halved in spite of its name; refuses arguments of different shapes.",
                evidence=(
                    "close(2 * optax.losses.l2_loss(p, t), optax.losses.squared_error(p, t))",
                    "refuses(optax.losses.l2_loss, p, t[:, None])",
                ),
            ),
        ),
    ),
    "absolute_error": Card(
        title="Absolute error",
        chapter=5,
        symbolic=Symbolic(p, t, sp.Abs(_r), sp.sign(_r), domain=_REAL),
        minimiser="The median of $t$, or any of them where there are several.",
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
            pytorch(
                "F.l1_loss(p, t)",
                weights="weight=w",
                weighted_mean="sum of weights",
                note="Shapes (N,) and (N, 1) broadcast to (N, N) with only a warning.",
                evidence=(
                    "warned(F.l1_loss, p, t[:, None], reduction='none').shape == (len(p), len(p))",
                ),
            ),
            keras("keras.losses.MeanAbsoluteError()(t, p)"),
            metric("sklearn.metrics.mean_absolute_error(t, p)"),
            formula("optax", "jnp.abs(p - t)"),
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
            r"The $p$ at which residuals clipped to $\pm\delta$ average 0. For large $\delta$ "
            r"this is the mean, and for small $\delta$ it is close to the median."
        ),
        noise_model=r"Gaussian of variance 1 within $\delta$, with exponential tails.",
        convexity=r"Convex in the prediction, strictly only where $\lvert p - t \rvert < \delta$.",
        lipschitz=r"$\delta$-Lipschitz in the prediction; the gradient is 1-Lipschitz.",
        kinks=r"None; the second derivative jumps where $\lvert p - t \rvert = \delta$.",
        stable_form=(
            r"Only the residual clipped to $\pm \delta$ is squared. A large one costs $\delta "
            r"(\lvert r \rvert - \delta / 2)$, where no square can overflow."
        ),
        failure=(
            r"$\delta$ has the target's units. If you rescale the target, the loss may become "
            "nearly squared or nearly absolute."
        ),
        conventions=(
            pytorch(
                "F.huber_loss(p, t, delta=delta)",
                weights="weight=w",
                weighted_mean="number of values",
                note=(
                    "Its weighted mean differs from that of `mse_loss` and `l1_loss`. Shapes (N,) "
                    "and (N, 1) broadcast to (N, N) with only a warning."
                ),
                evidence=(
                    "warned(F.huber_loss, p, t[:, None], reduction='none').shape"
                    " == (len(p), len(p))",
                ),
            ),
            keras("keras.losses.Huber(delta=delta)(t, p)"),
            estimator(
                'sklearn.linear_model.SGDRegressor(loss="huber", epsilon=delta)',
                note=(
                    "`epsilon` is 0.1 by default. `HuberRegressor` also fits a scale, so it "
                    "minimises a different loss."
                ),
                evidence=("sklearn.linear_model.SGDRegressor().epsilon == 0.1",),
            ),
            optax(
                "optax.losses.huber_loss(p, t, delta=delta)",
                note="Shapes (N,) and (N, 1) broadcast silently.",
                evidence=(
                    "silent(optax.losses.huber_loss, p, t[:, None]).shape == (len(p), len(p))",
                ),
            ),
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
            r"The $p$ at which residuals clipped to $\pm\beta$ average 0. For large $\beta$ "
            r"this is the mean, and for small $\beta$ it is close to the median."
        ),
        noise_model=r"Gaussian of variance $\beta$ within $\beta$, with exponential tails.",
        convexity=r"Convex in the prediction, strictly only where $\lvert p - t \rvert < \beta$.",
        lipschitz=r"1-Lipschitz in the prediction; the gradient is $1/\beta$-Lipschitz.",
        kinks=r"None; the second derivative jumps where $\lvert p - t \rvert = \beta$.",
        stable_form=(
            r"Only the residual clipped to $\pm \beta$ is squared. A large one costs $\lvert r "
            r"\rvert - \beta / 2$, where no square can overflow."
        ),
        failure=(
            "It is easily mistaken for the Huber loss, from which it differs by the factor "
            r"$1/\beta$ unless $\beta = 1$."
        ),
        conventions=(
            pytorch(
                "F.smooth_l1_loss(p, t, beta=beta)",
                note=(
                    "Takes `beta=0` for absolute error. Shapes (N,) and (N, 1) broadcast to (N, N) "
                    "with only a warning."
                ),
                evidence=(
                    "close(F.smooth_l1_loss(p, t, beta=0.0), F.l1_loss(p, t))",
                    "warned(F.smooth_l1_loss, p, t[:, None], reduction='none').shape"
                    " == (len(p), len(p))",
                ),
            ),
            formula(
                "Keras",
                "keras.losses.Huber(delta=beta)(t, p) / beta",
                reduction="last axis, then sum_over_batch_size",
            ),
            formula(
                "scikit-learn",
                "-",
                note=(
                    "No metric offers it. `SGDRegressor` minimises the Huber loss, so divide "
                    "its learning rate by the threshold."
                ),
                evidence=(
                    "close(step(sklearn.linear_model.SGDRegressor(loss='huber', epsilon=2.0), p, t)"
                    " / 2, np.clip((p - t) / 2, -1, 1))",
                ),
            ),
            formula("optax", "optax.losses.huber_loss(p, t, delta=beta) / beta"),
        ),
    ),
    "log_cosh": Card(
        title="Log-cosh loss",
        chapter=5,
        symbolic=Symbolic(p, t, sp.log(sp.cosh(_r)), sp.tanh(_r), domain=_REAL),
        minimiser=(
            r"The $p$ at which $\tanh(p - t)$ averages 0. It is close to the mean of narrow "
            "targets and to the median of wide ones."
        ),
        noise_model=r"Hyperbolic secant: density $1 / (\pi \cosh r)$.",
        convexity="Strictly convex in the prediction.",
        lipschitz="1-Lipschitz in the prediction; the gradient is 1-Lipschitz.",
        kinks="None.",
        stable_form=(
            r"$\log(1 + 2 \sinh^2(r/2))$ near 0 keeps tiny residuals; farther out $\cosh$ is not "
            "computed, so that it cannot overflow."
        ),
        failure=(
            r"It bends where $\lvert r \rvert \approx 1$ in the target's units, and no "
            "parameter changes this. Scale the target."
        ),
        conventions=(
            formula(
                "PyTorch",
                "torch.logaddexp(d := p - t, -d) - math.log(2)",
                note="Cancels: a residual of 1e-9 costs 0 in float64.",
                evidence=(
                    "torch.logaddexp(d := torch.tensor(1e-9).double(), -d) - math.log(2) == 0",
                ),
            ),
            keras(
                "keras.losses.LogCosh()(t, p)",
                note="Cancels: a residual of 1e-9 costs 0 in float64.",
                evidence=("keras.losses.LogCosh()(0 * t, 0 * p + 1e-9) == 0",),
            ),
            formula("scikit-learn", "-", note="No metric or estimator offers it."),
            optax(
                "optax.losses.log_cosh(p, t)",
                note=(
                    "Cancels: a residual of 1e-9 costs 0 in float64. Shapes (N,) and (N, 1) "
                    "broadcast silently."
                ),
                evidence=(
                    "(optax.losses.log_cosh(0 * p + 1e-9, 0 * t) == 0).all()",
                    "silent(optax.losses.log_cosh, p, t[:, None]).shape == (len(p), len(p))",
                ),
            ),
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
        minimiser=r"The $\tau$-quantile of $t$, or any of them where there are several.",
        noise_model=(
            r"Asymmetric Laplace: density $\tau (1 - \tau) e^{-\text{loss}}$, which at $\tau = "
            "1/2$ is a Laplace of scale 2."
        ),
        convexity="Convex in the prediction, not strictly.",
        lipschitz=r"$\max(\tau, 1 - \tau)$-Lipschitz in the prediction.",
        kinks="At $p = t$, where the subgradient 0 is chosen.",
        stable_form="As it stands: nothing overflows or cancels.",
        failure=(
            "Quantiles that are fitted one by one can cross, so that a predicted 90 % quantile "
            "lies below the median."
        ),
        conventions=(
            formula("PyTorch", "torch.maximum(level * (t - p), (level - 1) * (t - p))"),
            formula("Keras", "keras.ops.maximum(level * (t - p), (level - 1) * (t - p))"),
            metric("sklearn.metrics.mean_pinball_loss(t, p, alpha=level)"),
            formula("optax", "jnp.maximum(level * (t - p), (level - 1) * (t - p))"),
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
        minimiser=r"The logarithm of the mean of $t$, which is $-\infty$ where every $t$ is 0.",
        noise_model=r"Poisson of rate $e^z$ for whole $t$, without the constant $\log t!$.",
        convexity="Strictly convex in the log-rate.",
        lipschitz="Not Lipschitz, and neither is the gradient.",
        kinks="None.",
        stable_form=(
            "The log-rate keeps the rate positive and needs no logarithm. $e^z$ overflows past "
            "$z = 709$ in float64."
        ),
        failure="One log-rate that is far too high gives an exponentially large step.",
        conventions=(
            pytorch(
                "F.poisson_nll_loss(p, t)",
                note=(
                    "`log_input=False` takes the rate, and adds `eps`, 1e-8, to it inside the "
                    "logarithm; `full=True` adds Stirling's $\\log t!$ where $t > 1$. Shapes (N,) "
                    "and (N, 1) broadcast silently."
                ),
                evidence=(
                    "silent(F.poisson_nll_loss, p, t[:, None], reduction='none').shape"
                    " == (len(p), len(p))",
                    "close(F.poisson_nll_loss(p.exp(), t, log_input=False),"
                    " (p.exp() - t * torch.log(p.exp() + 1e-8)).mean())",
                    "close(F.poisson_nll_loss(p, t, full=True) - F.poisson_nll_loss(p, t),"
                    " torch.where(t > 1, torch.xlogy(t, t) - t + torch.log(2 * math.pi * t) / 2, 0)"
                    ".mean())",
                ),
            ),
            keras(
                "keras.losses.Poisson()(t, keras.ops.exp(p))",
                theirs="ours + t * (p - np.log(np.exp(p) + 1e-7))",
                note="Takes the rate $e^z$, and adds 1e-7 to it inside the logarithm.",
            ),
            metric(
                "sklearn.metrics.mean_poisson_deviance(t, np.exp(p))",
                theirs="2 * (ours + special.xlogy(t, t) - t)",
                note="Takes the rate $e^z$; a perfect prediction costs 0.",
                evidence=("sklearn.metrics.mean_poisson_deviance(t + 1, t + 1) == 0",),
            ),
            optax(
                "optax.losses.generalized_kl_divergence(p[..., None], t[..., None])",
                theirs="ours + special.xlogy(t, t) - t",
                note=(
                    "Half the Poisson deviance, so that a perfect prediction costs 0. It sums "
                    "over the last axis, which here has length 1. Shapes broadcast silently."
                ),
                evidence=(
                    "close(optax.losses.generalized_kl_divergence(jnp.log(t + 1)[:, None],"
                    " (t + 1)[:, None]), 0 * p)",
                    "close(optax.losses.generalized_kl_divergence(p, t),"
                    " optax.losses.generalized_kl_divergence(p[:, None], t[:, None]).sum())",
                    "silent(optax.losses.generalized_kl_divergence, p[:, None], t).shape"
                    " == p.shape",
                ),
            ),
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
        minimiser=(
            r"$\mu$ is the mean of $t$, and $e^s$ its variance. If the variance is 0, the loss "
            "has no lower bound."
        ),
        noise_model=(
            r"Gaussian of mean $\mu$ and variance $e^s$, without the constant $\tfrac12 \log "
            r"2\pi$."
        ),
        convexity=r"Not jointly convex: only in $\mu$ for fixed $s$, and in $s$ for fixed $\mu$.",
        lipschitz="Not Lipschitz, and neither is the gradient.",
        kinks="None.",
        stable_form=(
            "The residual is divided by $e^{s/2}$ in two steps before it is squared, so that it "
            "overflows only if the result does."
        ),
        failure=(
            "A point that fits badly is given a large variance, which shrinks its pull on the mean."
        ),
        conventions=(
            pytorch(
                "F.gaussian_nll_loss(p[..., 0], t, torch.exp(p[..., 1]))",
                note=(
                    "Takes the variance, not its logarithm, and raises it to `eps`, 1e-6; "
                    "`full=True` adds the constant. Shapes (N,) and (N, 1) broadcast silently."
                ),
                evidence=(
                    "silent(F.gaussian_nll_loss, p[..., 0], t[:, None], p[..., 1].exp(),"
                    " reduction='none').shape == (len(p), len(p))",
                    "close(F.gaussian_nll_loss(t, t, 0 * t + 1e-9), math.log(1e-6) / 2)",
                    "close(F.gaussian_nll_loss(t, t, 0 * t + 1, full=True),"
                    " math.log(2 * math.pi) / 2)",
                ),
            ),
            formula("Keras", "(p[..., 1] + (p[..., 0] - t) ** 2 * keras.ops.exp(-p[..., 1])) / 2"),
            formula("scikit-learn", "-", note="No metric or estimator offers it."),
            formula("optax", "(p[..., 1] + (p[..., 0] - t) ** 2 * jnp.exp(-p[..., 1])) / 2"),
        ),
    ),
}
