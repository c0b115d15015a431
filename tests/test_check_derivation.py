"""A derivation is found to lead from a card's value to its gradient, and only where it does."""

import pytest
import sympy as sp

from lossbook import LOSSES
from lossbook.cards import check_derivation
from lossbook.derivation import Derivation, DerivationError
from lossbook.spaces import CLASS_ID

# Which entry of the gradient is the label's is settled at a concrete number of classes.
OF_AN_ID = [name for name, row in LOSSES.items() if row.target is CLASS_ID]


def derived(card):
    """Derivations of one step each, from what a card states to what it states."""
    return [
        Derivation(slope, "definition", domain=card.domain).step(gradient, "next")
        for slope, gradient in card.slopes
    ]


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in OF_AN_ID])
def test_a_derivation_from_the_card_to_the_card_is_found_so(name):
    found = check_derivation(name, *derived(LOSSES[name].symbolic))
    marks = {*found.starts, *found.ends}
    assert marks <= {"proved", "proved for every K"}
    assert f"derivation of {name}" in repr(found)


@pytest.mark.parametrize("name", OF_AN_ID)
def test_a_card_at_a_concrete_size_takes_a_derivation_for_each_class(name):
    card = LOSSES[name].symbolic.at(3, label=1)
    derivations = derived(card)
    assert len(check_derivation(name, *derivations, card=card).ends) == 3
    with pytest.raises(
        DerivationError, match="line 1 is not the derivative of the card's value: at "
    ):
        check_derivation(name, *derivations[::-1], card=card)


def test_symbols_are_matched_by_name():
    p, t = sp.symbols("p t")
    d = Derivation(sp.Derivative((p - t) ** 2, p), "definition").step(2 * (p - t), "power rule")
    assert check_derivation("squared_error", d).ends == ("proved",)


def test_a_derivation_of_another_loss_is_refused_at_its_first_line():
    with pytest.raises(
        DerivationError, match="line 1 is not the derivative of the card's value"
    ) as e:
        check_derivation("squared_error", *derived(LOSSES["half_squared_error"].symbolic))
    assert e.value.line == 1
    assert {"p", "t"} == e.value.counterexample.keys()


def test_another_choice_at_a_kink_is_refused_at_the_last_line():
    p, t = sp.symbols("p t", real=True)
    # Right wherever the derivative exists, and another value than the card's at the kink of |r|.
    slope = sp.Derivative(sp.Abs(p - t), p)
    d = Derivation(slope, "definition").step(
        sp.Piecewise((1, p > t), (-1, p < t), (sp.Rational(1, 2), True)), "two sides and a choice"
    )
    with pytest.raises(DerivationError, match="line 2 is not the card's gradient"):
        check_derivation("absolute_error", d)


def test_a_derivation_must_have_steps_and_all_of_them_equalities():
    p, t = sp.symbols("p t", real=True)
    slope = sp.Derivative((p - t) ** 2, p)
    start = Derivation(slope, "definition").argue("The gradient is a slope.")
    with pytest.raises(ValueError, match="must have a step from the value to the gradient"):
        check_derivation("squared_error", start)
    found = check_derivation("squared_error", start.step(2 * (p - t), "power rule"))
    assert "lines argued between: 1" in repr(found)
    bound = Derivation(slope, "definition").step(2 * (p - t), "power rule", "<=")
    with pytest.raises(ValueError, match="must be an equality, got '<='"):
        check_derivation("squared_error", bound)


def test_a_hyperparameter_is_put_in_on_the_card():
    z, y = sp.symbols("z y", real=True)
    value = y * sp.log(1 + sp.exp(-z)) + (1 - y) * sp.log(1 + sp.exp(z))
    d = Derivation(sp.Derivative(value, z), "definition", domain={y: sp.Interval(0, 1)})
    d.step(1 / (1 + sp.exp(-z)) - y, "slope of softplus, twice")
    assert check_derivation("sigmoid_binary_cross_entropy", d, pos_weight=1).starts == ("proved",)
    with pytest.raises(DerivationError, match="line 1"):
        check_derivation("sigmoid_binary_cross_entropy", d, pos_weight=2)


def test_a_check_of_a_derivation_says_what_it_needs():
    (d,) = derived(LOSSES["squared_error"].symbolic)
    with pytest.raises(TypeError, match=r"gaussian_nll needs 2 derivations, .* got 1"):
        check_derivation("gaussian_nll", d)
    with pytest.raises(TypeError, match="hyperparameters must be delta, got beta"):
        check_derivation("huber", d, beta=1)
    with pytest.raises(TypeError, match="derivations must be Derivation objects, got str: 'd'"):
        check_derivation("huber", "d")
    with pytest.raises(TypeError, match="card must be a Symbolic, got str: 'huber'"):
        check_derivation("huber", d, card="huber")
