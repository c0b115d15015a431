"""The kinds of arguments: each accepts what it draws, and refuses what it must."""

import math
import re

import numpy as np
import pytest
import torch

from lossbook import LOSSES, spaces
from lossbook.losses.multiclass import softmax
from lossbook.spaces import (
    BIT,
    CLASS_ID,
    CLASS_ID_OR_ROW,
    CLASS_PROBABILITIES,
    COUNT,
    FRACTION,
    LABEL_ROW,
    PROBABILITY,
    REAL,
    SIGN,
    WEIGHT,
    ClassId,
    Mask,
    Number,
    Row,
    Space,
    Whole,
)

CLASSES = 4
SPACES = {name: value for name, value in vars(spaces).items() if isinstance(value, Space)}
NUMBERS = {name: value for name, value in vars(spaces).items() if isinstance(value, Number)}

every_space = pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))
every_number = pytest.mark.parametrize("number", NUMBERS.values(), ids=list(NUMBERS))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def checked(space, array, like=None):
    """The array, checked as a target of predictions `like`, or of any that it would go with."""
    is_id = isinstance(space, ClassId)
    if like is None:
        like = np.zeros((*array.shape, CLASSES) if is_id else array.shape)
    axes = 1 if is_id else space.axes_of(array)
    return space.checked("x", array, "like", like, axes)


class TestExamples:
    @every_space
    @pytest.mark.parametrize("make", ["draw", "magnitudes"])
    @pytest.mark.parametrize("shape", [(50,), (2, 3), (), (0,)])
    def test_they_are_valid_and_of_the_right_shape(self, space, make, shape, rng):
        array = np.asarray(getattr(space, make)(rng, shape, CLASSES))
        assert array.shape[: len(shape)] == shape
        assert array.ndim - len(shape) == isinstance(space, Row)
        assert array.dtype == (np.int64 if isinstance(space, ClassId) else np.float64)
        np.testing.assert_array_equal(checked(space, array), array)

    @every_space
    def test_the_axes_that_make_up_one_value(self, space, rng):
        array = space.draw(rng, (2, 3), CLASSES)
        axes = 2 if isinstance(space, Mask) else 3 if isinstance(space, Whole) else 1
        assert space.axes_of(array) == (axes if isinstance(space, Row) else 0)

    @every_space
    def test_refused_numbers_are_refused_one_at_a_time(self, space, rng):
        is_bounded = any(map(math.isfinite, (space.low, space.high))) or isinstance(space, ClassId)
        assert bool(space.refused) == is_bounded
        for bad in space.refused:
            array = space.draw(rng, (5,), CLASSES)
            array.reshape(-1)[3] = bad
            with pytest.raises(ValueError, match=r"^x must .*, got "):
                checked(space, array)

    def test_magnitudes_span_all_sizes_and_come_near_every_end(self, rng):
        sizes = np.log10(np.abs(REAL.magnitudes(rng, (500,))))
        assert sizes.min() < -28
        assert sizes.max() > 28
        probabilities = PROBABILITY.magnitudes(rng, (500,))
        assert probabilities.min() < 1e-28
        assert 0 < 1 - probabilities.max() < 1e-14

    @pytest.mark.parametrize("space", [BIT, SIGN])
    def test_there_are_two_and_both_are_drawn(self, space, rng):
        assert set(space.draw(rng, (50,))) == {space.low, space.high}


class TestEnds:
    @pytest.mark.parametrize(
        ("space", "low", "high"),
        [
            (COUNT, 0, math.inf),
            (WEIGHT, 0, math.inf),
            (FRACTION, 0, 1),
            (PROBABILITY, 0, 1),
            (CLASS_PROBABILITIES, 0, 1),
        ],
    )
    def test_the_ends_are_in_it_and_nothing_beyond(self, space, low, high):
        row = np.array([low, min(high, 1e300)], np.float64)
        np.testing.assert_array_equal(checked(space, row), row)
        for end, beyond in ((low, low - 1e-9), (high, high + 1e-9)):
            if math.isfinite(end):
                with pytest.raises(ValueError, match=r"^x must lie in \[0, "):
                    checked(space, np.array([low, beyond]))

    @pytest.mark.parametrize(("space", "two"), [(BIT, [0, 1]), (SIGN, [-1, 1])])
    def test_of_two_numbers_nothing_near_them_is_one(self, space, two):
        np.testing.assert_array_equal(checked(space, np.array(two)), two)
        for near in (two[0] - 1e-9, two[0] + 1e-9, two[1] - 1e-9, two[1] + 1e-9):
            with pytest.raises(ValueError, match=rf"^x must be {two[0]} or {two[1]}, got"):
                checked(space, np.array([two[0], near]))


class TestRowsThatSumToOne:
    @pytest.mark.parametrize(
        ("dtype", "fine", "wrong"),
        # Between them lies the root of the dtype's epsilon: half of the digits must be right.
        [("float64", 1e-9, 1e-7), ("float32", 1e-4, 1e-3), ("float16", 0.01, 0.1)],
    )
    @pytest.mark.parametrize("sign", [-1, 1])
    @pytest.mark.parametrize("space", [LABEL_ROW, CLASS_ID_OR_ROW])
    def test_up_to_rounding_in_their_own_dtype(self, space, dtype, fine, wrong, sign):
        like, row = np.zeros((2, 2)), np.array([[0.25, 0.75], [0.25, 0.5]])
        for off, is_refused in ((fine, False), (wrong, True)):
            row[1, 1] = 0.75 + sign * off
            arguments = "labels", row.astype(dtype), "logits", like, 1
            if is_refused:
                with pytest.raises(ValueError, match="labels must sum to 1 along the last axis"):
                    space.checked(*arguments)
            else:
                assert space.checked(*arguments).dtype == like.dtype

    def test_a_whole_row_of_integers_may_be_one_class_for_sure(self):
        for dtype in (np.bool_, np.uint8, np.int64):
            row = np.array([[0, 1, 0]], dtype)
            assert LABEL_ROW.checked("labels", row, "p", np.zeros((1, 3)), 1).dtype == np.float64

    @pytest.mark.parametrize("name", [n for n in LOSSES if LOSSES[n].target is LABEL_ROW])
    def test_a_loss_refuses_rows_that_miss_it_by_a_hundredth(self, name):
        rows = np.array([[0.5, 0.5], [0.5, 0.49]])
        # A logarithm is at most 0, a probability at most 1.
        predictions = np.full((2, 2), 0.5 if LOSSES[name].prediction.high == 1 else -0.5)
        for call in (LOSSES[name].function, LOSSES[name].gradient, LOSSES[name].value_and_grad):
            with pytest.raises(ValueError, match=r"a row that sums to 0\.99$"):
                call(predictions, rows)

    def test_predictions_need_not(self):
        rows = np.array([[0.5, 0.1]])
        np.testing.assert_array_equal(CLASS_PROBABILITIES.checked("p", rows), rows)

    def test_a_nan_in_one_row_does_not_hide_another(self):
        rows = np.array([[np.nan, 1.0], [0.5, 0.4]])
        with pytest.raises(ValueError, match="labels must sum to 1"):
            LABEL_ROW.checked("labels", rows, "p", np.zeros((2, 2)), 1)
        rows[1, 1] = 0.5
        assert np.isnan(LABEL_ROW.checked("labels", rows, "p", np.zeros((2, 2)), 1)).sum() == 1


class TestNetworkOutputs:
    OUTPUTS = np.array([[1.0, 2.0, 1000.0], [0.0, 0.0, 0.0]])
    IDS = np.array([2, 0])

    @every_space
    def test_what_is_read_is_valid(self, space):
        if space.read:
            read = space.read(self.OUTPUTS)
            np.testing.assert_array_equal(space.checked("x", read), read)
            assert read.shape == self.OUTPUTS.shape

    @every_space
    def test_what_is_written_is_valid_and_names_the_class(self, space):
        if space.written:
            written = space.written(self.IDS, self.OUTPUTS)
            valid = checked(space, written, self.OUTPUTS)
            named = valid if isinstance(space, ClassId) else valid.argmax(axis=-1)
            np.testing.assert_array_equal(named, self.IDS)

    def test_probabilities_are_read_by_a_softmax(self):
        for outputs in (self.OUTPUTS, torch.from_numpy(self.OUTPUTS)):
            read = CLASS_PROBABILITIES.read(outputs)
            np.testing.assert_allclose(read, softmax(outputs), rtol=1e-15)

    def test_signs_are_written_for_labels_of_minus_one_and_one(self):
        written = SIGN.written(self.IDS, self.OUTPUTS)
        np.testing.assert_array_equal(written, [[-1, -1, 1], [1, -1, -1]])

    @pytest.mark.parametrize("name", LOSSES)
    def test_a_loss_whose_prediction_is_read_has_a_target_that_is_written(self, name):
        row = LOSSES[name]
        if row.prediction.read:
            written = row.target.written(self.IDS, self.OUTPUTS)
            assert np.all(np.isfinite(row.function(row.prediction.read(self.OUTPUTS), written)))


class TestNumbers:
    @every_number
    def test_refused_numbers_are_refused(self, number):
        for bad in number.refused:
            with pytest.raises(ValueError, match=r"^x must be a number in"):
                number.checked("x", bad)

    @every_number
    def test_the_ends_are_in_it_where_it_is_closed(self, number):
        for end, is_open in ((number.low, number.open_low), (number.high, number.open_high)):
            if math.isfinite(end) and not is_open:
                assert number.checked("x", end) == end

    @every_number
    def test_only_an_optional_number_may_be_none(self, number):
        if number.optional:
            assert number.checked("x", None) is None
        else:
            with pytest.raises(TypeError, match="x must be a number in"):
                number.checked("x", None)

    def test_a_number_becomes_a_python_float(self):
        found = spaces.POSITIVE.checked("x", np.float32(0.5))
        assert (type(found), found) == (float, 0.5)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@every_space
def test_the_signs_say_whether_all_is_well_and_a_nan_is_looked_into(space, library, rng):
    array = space.draw(rng, (5,), CLASSES)
    like = np.zeros((5, CLASSES))
    make = torch.from_numpy if library == "torch" else np.asarray
    for bad, is_fine in ((None, True), *((bad, False) for bad in space.refused)):
        spoilt = array.copy()
        if bad is not None:
            spoilt.reshape(-1)[3] = bad
        signs = space.signs(make(spoilt), make(spoilt), make(like))
        assert all(sign.ndim == 0 for sign, _ in signs)
        assert all(low <= float(sign) <= high for sign, (low, high) in signs) == is_fine
    if not isinstance(space, ClassId):
        array.reshape(-1)[0] = np.nan
        space.refuse("x", make(array), make(array), make(like))  # raises nothing


def test_class_ids_are_counted_in_the_prediction():
    for classes in (2, 300):
        ids = np.array([classes - 1], np.uint16)
        like = np.zeros((1, classes))
        assert CLASS_ID.checked("ids", ids, "like", like, 1).dtype == np.int64
        with pytest.raises(ValueError, match=rf"ids must be class ids in \[0, {classes - 1}\]"):
            CLASS_ID.checked("ids", ids + 1, "like", like, 1)


class TestRounding:
    """What rounding alone carries past an end is taken for the end."""

    @pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("space", [PROBABILITY, FRACTION], ids=["probability", "label"])
    def test_a_few_units_above_one_are_one(self, space, dtype, library):
        eps = np.finfo(dtype).eps
        like = library(np.zeros(2))
        array = library(np.array([1 + 3 * eps, 0.5], dtype))
        found = space.checked("x", array, "like", like)
        np.testing.assert_array_equal(np.asarray(found), [1.0, 0.5])
        with pytest.raises(ValueError, match=r"x must lie in \[0, 1\], got 1.0"):
            space.checked("x", library(np.array([1 + 8 * eps, 0.5], dtype)), "like", like)

    def test_a_probability_above_one_by_rounding_costs_nothing_where_it_is_right(self):
        above = np.array([np.nextafter(1.0, 2)])
        assert LOSSES["binary_cross_entropy"].function(above, np.array([1.0])) == 0
        assert LOSSES["binary_cross_entropy"].gradient(above, np.array([1.0])) == -1
        value, _ = LOSSES["binary_cross_entropy"].value_and_grad(above, above)
        assert value == 0

    @pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
    @pytest.mark.parametrize("own", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("other", [np.float16, np.float32, np.float64])
    def test_a_row_is_judged_in_its_own_dtype(self, own, other, library):
        rows = softmax(np.random.default_rng(0).normal(size=(200, 10)).astype(own))
        logits = np.zeros((200, 10), other)
        LABEL_ROW.checked("labels", library(rows), "logits", library(logits), 1)
        far = rows * own(1 + 2 * np.sqrt(np.finfo(own).eps))
        with pytest.raises(ValueError, match=r"labels must sum to 1|labels must lie in"):
            LABEL_ROW.checked("labels", library(far), "logits", library(logits), 1)


class TestNumbersThatADtypeHolds:
    @pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
    @pytest.mark.parametrize(("value", "dtype"), [(1e-50, "float32"), (1e50, "float32")])
    @pytest.mark.parametrize(("name", "option"), [("huber", "delta"), ("smooth_l1", "beta")])
    def test_a_threshold_must_not_round_to_0_or_infinity(self, name, option, value, dtype, library):
        row, inputs = LOSSES[name], [library(np.array([0.0, 3.0], dtype))] * 2
        got = re.escape(f"got {value}, which is out of the range of {dtype}")
        message = f"{option} must be a number in .*, {got}"
        for call in (row.function, row.gradient, row.value, row.grad, row.value_and_grad):
            with pytest.raises(ValueError, match=message):
                call(*inputs, **{option: value})

    def test_half_types_are_computed_in_float32_which_holds_more(self):
        inputs = np.array([3.0], np.float16), np.array([0.0], np.float16)
        assert LOSSES["smooth_l1"].function(*inputs, beta=1e-8) == 3.0
        assert (
            LOSSES["smooth_l1"].function(np.array([300.0], np.float16), inputs[1], beta=1e3) == 45
        )
