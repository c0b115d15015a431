"""A loss of one's own: what may be registered, and where it is found afterwards."""

import dataclasses

import numpy as np
import pytest
import sympy as sp
import torch

from lossbook import LOSSES, register
from lossbook.cards import CARDS, Card, Symbolic, check_derivation
from lossbook.declaration import takes
from lossbook.derivation import Derivation
from lossbook.display import loss_card
from lossbook.gradcheck import check_gradient
from lossbook.loss import Loss, _moved, _refuse_disagreement
from lossbook.spaces import POSITIVE, REAL
from lossbook.torch import as_torch


@takes(REAL, REAL, scale=POSITIVE)
def quartic(prediction, target, /, *, scale=1.0):
    return (prediction - target) ** 4 / 4 / scale


@takes(REAL, REAL, scale=POSITIVE)
def quartic_grad(prediction, target, /, *, scale=1.0):
    return (prediction - target) ** 3 / scale


p, t = sp.symbols("p t", real=True)
c = sp.Symbol("c", positive=True)
CARD = Card(
    title="Quartic error",
    chapter=14,
    symbolic=Symbolic(
        p,
        t,
        (p - t) ** 4 / (4 * c),
        (p - t) ** 3 / c,
        hyperparameters={"scale": c},
        domain={p: sp.Reals, t: sp.Reals, c: sp.Interval.open(0, sp.oo)},
    ),
    minimiser="The $p$ at which cubed residuals sum to 0.",
    noise_model="None.",
    convexity="Convex.",
    lipschitz="No.",
    kinks="None.",
    stable_form="The residual is taken first.",
    failure="One far outlier decides everything.",
    conventions=(),
)


@pytest.fixture(autouse=True)
def only_here():
    """Takes out again what a test has registered."""
    before = set(LOSSES)
    yield
    for name in set(LOSSES) - before:
        del LOSSES[name], CARDS[name]


def test_a_registered_loss_is_found_wherever_losses_are():
    loss = register(quartic, quartic_grad, card=CARD)
    assert LOSSES["quartic"] is loss
    assert loss.card is CARD
    prediction, target = np.array([2.0, 0.0]), np.zeros(2)
    value, gradient = loss.value_and_grad(prediction, target)
    assert value == 2.0
    np.testing.assert_array_equal(gradient, [4.0, 0.0])
    tensor = torch.tensor([2.0, 0.0], requires_grad=True)
    as_torch("quartic", scale=2.0)(tensor, torch.zeros(2)).backward()
    assert tensor.grad.tolist() == [2.0, 0.0]
    assert check_gradient("quartic").passed
    d = Derivation(sp.Derivative(CARD.symbolic.value, p), "definition")
    check_derivation("quartic", d.step((p - t) ** 3 / c, "power rule"))
    assert loss_card("quartic").text.startswith("**Quartic error**: `quartic(prediction, target")


def wrong(function):
    """Declared as the quartic's functions are, under their names."""
    name = function.__name__.removeprefix("half_").removeprefix("not_")
    function.__name__ = name
    return takes(REAL, REAL, scale=POSITIVE)(function)


@wrong
def half_quartic_grad(prediction, target, /, *, scale=1.0):
    return (prediction - target) ** 3 / scale / 2


@wrong
def not_quartic_grad(prediction, target, /, *, scale=1.0):
    return np.full(prediction.shape, np.nan)


@wrong
def half_quartic(prediction, target, /, *, scale=1.0):
    return (prediction - target) ** 4 / 8 / scale


@wrong
def not_quartic(prediction, target, /, *, scale=1.0):
    return np.mean((prediction - target) ** 4 / 4 / scale)


def test_a_wrong_gradient_is_found_by_the_check():
    register(quartic, quartic_grad, card=CARD)
    assert not check_gradient(Loss(quartic, half_quartic_grad)).passed


def stating(**changed):
    return dataclasses.replace(CARD, symbolic=dataclasses.replace(CARD.symbolic, **changed))


@pytest.mark.parametrize(
    ("function", "gradient", "card", "says"),
    [
        (half_quartic, quartic_grad, CARD, "quartic must be the value on the card"),
        (
            not_quartic,
            quartic_grad,
            CARD,
            r"quartic must have the shape .* value, \(5,\), got \(\)",
        ),
        (quartic, half_quartic_grad, CARD, "quartic_grad must be the gradient on the card"),
        (quartic, not_quartic_grad, CARD, "quartic_grad must be the gradient on the card.* nan"),
        (quartic, quartic_grad, stating(stated_value=(p - t) ** 4 / c), "value on the card"),
        (quartic, quartic_grad, stating(stated_gradient=(t - p) ** 3 / c), "gradient on the card"),
        # Wrong at another scale than the default.
        (quartic, quartic_grad, stating(stated_value=(p - t) ** 4 * c / 4), "value on the card"),
    ],
)
def test_a_card_that_says_something_else_is_refused(function, gradient, card, says):
    with pytest.raises(ValueError, match=says):
        register(function, gradient, card=card)
    assert "quartic" not in LOSSES


def test_a_default_that_is_a_whole_number_hides_no_mistake():
    @takes(REAL, REAL, scale=POSITIVE)
    def quartic(prediction, target, /, *, scale=1):
        return (prediction - target) ** 4 / 4 / scale

    @takes(REAL, REAL, scale=POSITIVE)
    def quartic_grad(prediction, target, /, *, scale=1):
        return (prediction - target) ** 3 / scale

    with pytest.raises(ValueError, match="quartic must be the value on the card"):
        register(quartic, quartic_grad, card=stating(stated_value=(p - t) ** 4 * c / 4))
    assert register(quartic, quartic_grad, card=CARD).name == "quartic"


@pytest.mark.parametrize("name", LOSSES)
def test_no_loss_of_the_book_would_be_refused(name):
    if name in ("wasserstein_1d", "contrastive", "triplet"):
        pytest.skip("the formula takes seconds to compile, and the tests of the cards compare it")
    loss = LOSSES[name]
    for options in (loss.hyperparameters, _moved(loss)):
        _refuse_disagreement(loss, loss.card, options)


def test_the_last_one_counts():
    register(quartic, quartic_grad, card=CARD)
    loss = register(quartic, quartic_grad, card=dataclasses.replace(CARD, title="Fourth power"))
    assert LOSSES["quartic"].card is loss.card
    assert loss.card.title == "Fourth power"


def bare(prediction, target, /, *, scale=1.0):
    return prediction


def of_other_hyperparameters():
    @takes(REAL, REAL)
    def quartic_grad(prediction, target, /):
        return (prediction - target) ** 3

    return quartic_grad


HUBER = LOSSES["huber"]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((bare, quartic_grad, CARD), TypeError, r"function must be declared with takes"),
        ((quartic, bare, CARD), TypeError, r"gradient must be declared with takes"),
        ((quartic, quartic_grad, "card"), TypeError, "card must be a Card, got str"),
        ((HUBER.function, HUBER.gradient, HUBER.card), ValueError, "a loss of the book"),
        ((quartic, quartic, CARD), ValueError, "gradient must be called 'quartic_grad'"),
        ((quartic, of_other_hyperparameters(), CARD), ValueError, "gradient must have the hyperp"),
        ((quartic, quartic_grad, HUBER.card), ValueError, r"card must have .* got \('delta',\)"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, says):
    function, gradient, card = arguments
    before = set(LOSSES)
    with pytest.raises(error, match=says):
        register(function, gradient, card=card)
    assert set(LOSSES) == before
    assert LOSSES["huber"] is HUBER
