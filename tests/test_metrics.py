import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import calibration
from sklearn import metrics as reference

from lossbook.metrics import (
    accuracy,
    average_precision,
    confusion_matrix,
    expected_calibration_error,
    iou,
    mean_average_precision,
    precision_recall_curve,
    precision_recall_f1,
    recall_at_k,
    reliability_curve,
    top_k_accuracy,
)

# Both sides are short sums and quotients of the same float64 numbers, at most 40 of them: they may
# differ by the order of summation, a few units of 1e-16.
CLOSE = {"rel": 1e-13, "abs": 1e-15}


@st.composite
def id_pairs(draw, classes=4):
    length = draw(st.integers(1, 40))
    ids = st.lists(st.integers(0, classes - 1), min_size=length, max_size=length)
    return np.array(draw(ids)), np.array(draw(ids))


@st.composite
def scored_labels(draw):
    """Scores out of a few values, so that ties occur, and labels with at least one positive."""
    length = draw(st.integers(1, 40))
    scores = draw(st.lists(st.integers(0, 8), min_size=length, max_size=length))
    labels = draw(st.lists(st.booleans(), min_size=length, max_size=length))
    assume(any(labels))
    return np.array(scores) / 8, np.array(labels)


@st.composite
def probability_rows(draw, classes=4):
    length = draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    return (
        generator.dirichlet(np.full(classes, 0.3), length),
        generator.integers(0, classes, length),
    )


# Against scikit-learn -----------------------------------------------------------------------------


@given(id_pairs())
def test_accuracy_and_confusion_match_scikit_learn(pair):
    predicted, ids = pair
    assert accuracy(predicted, ids) == reference.accuracy_score(ids, predicted)
    np.testing.assert_array_equal(
        confusion_matrix(predicted, ids, classes=4),
        reference.confusion_matrix(ids, predicted, labels=range(4)),
    )


@given(id_pairs(), st.sampled_from([0.0, 1.0]))
def test_precision_recall_f1_per_class_and_macro_match_scikit_learn(pair, undefined):
    predicted, ids = pair
    classes = range(max(predicted.max(), ids.max()) + 1)
    expected = reference.precision_recall_fscore_support(
        ids, predicted, labels=classes, average=None, zero_division=undefined
    )
    per_class = precision_recall_f1(predicted, ids, average="none", undefined=undefined)
    for ours, theirs in zip(per_class, expected, strict=False):
        assert ours == pytest.approx(theirs, **CLOSE)
    expected = reference.precision_recall_fscore_support(
        ids, predicted, average="macro", zero_division=undefined
    )
    macro = precision_recall_f1(predicted, ids, average="macro", undefined=undefined)
    assert tuple(macro) == pytest.approx(expected[:3], **CLOSE)


@given(id_pairs(classes=2))
def test_binary_precision_recall_f1_matches_scikit_learn(pair):
    predicted, ids = pair
    expected = reference.precision_recall_fscore_support(
        ids, predicted, average="binary", zero_division=np.nan
    )
    assert tuple(precision_recall_f1(predicted, ids)) == pytest.approx(
        expected[:3], nan_ok=True, **CLOSE
    )


@given(scored_labels())
def test_average_precision_and_curve_match_scikit_learn(pair):
    scores, labels = pair
    expected = reference.average_precision_score(labels, scores)
    assert average_precision(scores, labels) == pytest.approx(expected, **CLOSE)
    precision, recall, threshold = reference.precision_recall_curve(labels, scores)
    curve = precision_recall_curve(scores, labels)
    # scikit-learn goes from the lowest threshold up and adds the point (recall 0, precision 1).
    np.testing.assert_array_equal(curve.threshold, threshold[::-1])
    assert curve.precision == pytest.approx(precision[-2::-1], **CLOSE)
    assert curve.recall == pytest.approx(recall[-2::-1], **CLOSE)


@given(probability_rows(), st.integers(1, 4))
def test_top_k_matches_scikit_learn(pair, k):
    probabilities, ids = pair
    # scikit-learn warns that k = 4 of 4 classes is always 1; here it is simply so.
    expected = 1.0
    if k < 4:
        expected = reference.top_k_accuracy_score(ids, probabilities, k=k, labels=range(4))
    assert top_k_accuracy(probabilities, ids, k) == pytest.approx(expected, **CLOSE)


@given(probability_rows(), st.integers(1, 20))
def test_reliability_curve_matches_scikit_learn(pair, bins):
    probabilities, ids = pair
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == ids
    assume(0 < correct.sum() < len(correct))  # scikit-learn insists on both labels
    accuracies, confidences = calibration.calibration_curve(correct, confidence, n_bins=bins)
    for curve in (
        reliability_curve(probabilities, ids, bins=bins),
        reliability_curve(confidence, correct, bins=bins),
    ):
        used = curve.count > 0
        assert curve.count.sum() == len(ids)
        assert curve.accuracy[used] == pytest.approx(accuracies, **CLOSE)
        assert curve.confidence[used] == pytest.approx(confidences, **CLOSE)
        assert np.isnan(curve.accuracy[~used]).all()
        assert np.isnan(curve.confidence[~used]).all()


@given(probability_rows(), st.integers(1, 20))
def test_calibration_error_is_the_sum_written_out(pair, bins):
    probabilities, ids = pair
    total = 0.0
    for m in range(1, bins + 1):
        rows = [
            (row.max(), int(row.argmax() == own))
            for row, own in zip(probabilities, ids, strict=True)
            if (m - 1) / bins < row.max() <= m / bins
        ]
        total += abs(sum(hit - claim for claim, hit in rows)) / len(ids)
    assert expected_calibration_error(probabilities, ids, bins=bins) == pytest.approx(
        total, rel=1e-12, abs=1e-14
    )  # The total cancels within a bin, so the rounding is that of 40 terms of size 1.


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_iou_matches_scikit_learn(length, seed):
    a, b = np.random.default_rng(seed).integers(0, 2, (2, length))
    expected = reference.jaccard_score(b, a, zero_division=1.0)
    assert iou(a, b) == iou(b, a) == pytest.approx(expected, **CLOSE)


# By hand ------------------------------------------------------------------------------------------


def test_confusion_matrix_has_true_classes_in_rows():
    np.testing.assert_array_equal(confusion_matrix([1, 1, 1], [0, 0, 1]), [[0, 2], [0, 1]])
    np.testing.assert_array_equal(
        confusion_matrix([1], [0], classes=3), [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    )


def test_binary_counts_by_hand():
    # 2 true positives, 1 false positive, 3 false negatives, 1 true negative.
    predicted, labels = [1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 1, 1, 1, 0]
    precision, recall, f1 = precision_recall_f1(predicted, labels)
    assert (precision, recall, f1) == pytest.approx((2 / 3, 2 / 5, 4 / 8), **CLOSE)


def test_undefined_ratios():
    nothing_predicted = precision_recall_f1([0, 0], [0, 1])
    assert math.isnan(nothing_predicted.precision)
    assert nothing_predicted[1:] == (0.0, 0.0)
    nothing_true = precision_recall_f1([0, 1], [0, 0])
    assert math.isnan(nothing_true.recall)
    assert (nothing_true.precision, nothing_true.f1) == (0.0, 0.0)
    assert all(math.isnan(value) for value in precision_recall_f1([0, 0], [0, 0]))
    assert precision_recall_f1([0, 0], [0, 1], undefined=0.0).precision == 0.0
    assert math.isnan(average_precision([0.2, 0.1], [0, 0]))
    assert iou([0, 0], [0, 0]) == 1.0


def test_macro_leaves_out_absent_classes_and_keeps_undefined_ones():
    # Class 1 does not occur; class 2 occurs and is never predicted.
    macro = precision_recall_f1([0, 0], [0, 2], average="macro")
    assert math.isnan(macro.precision)
    assert macro.recall == 0.5
    assert macro.f1 == pytest.approx((2 / 3 + 0) / 2, **CLOSE)


def test_top_k_ranks_ties_by_class_id_as_argmax_does():
    scores = np.zeros((3, 3))
    assert top_k_accuracy(scores, [0, 1, 2], 1) == pytest.approx(1 / 3, **CLOSE)
    assert top_k_accuracy(scores, [0, 1, 2], 2) == pytest.approx(2 / 3, **CLOSE)
    generator = np.random.default_rng(0)
    scores, ids = generator.integers(0, 3, (200, 5)), generator.integers(0, 5, 200)
    assert top_k_accuracy(scores, ids, 1) == accuracy(scores.argmax(axis=1), ids)


def test_a_constant_score_has_the_prevalence_as_average_precision():
    assert average_precision(np.full(8, 0.5), [1, 0, 0, 0, 0, 1, 0, 0]) == 0.25


def test_a_confidence_on_an_edge_belongs_to_the_lower_bin():
    curve = reliability_curve([0.0, 0.5, 0.5001, 1.0], [0, 1, 0, 1], bins=2)
    assert curve.count.tolist() == [2, 2]
    assert curve.accuracy.tolist() == [0.5, 0.5]
    assert curve.confidence == pytest.approx([0.25, 0.75005], **CLOSE)


def test_calibration_error_by_hand():
    # Bin 2 of 2: claims 0.9 and 0.7, one right: |0.5 - 0.8|. Bin 1: claim 0.4, right: |1 - 0.4|.
    rows = [[0.9, 0.05, 0.05], [0.7, 0.2, 0.1], [0.3, 0.4, 0.3]]
    error = expected_calibration_error(rows, [0, 1, 1], bins=2)
    assert error == pytest.approx(2 / 3 * 0.3 + 1 / 3 * 0.6, **CLOSE)


# Bins of equal counts -----------------------------------------------------------------------------


def bins_of_equal_counts(confidence, correct, bins):
    """Rows sorted and dealt one by one; of equal ones all go where the first went."""
    rows = sorted(zip(confidence.tolist(), correct.tolist(), strict=True))
    parts, earlier = [[] for _ in range(bins)], {}
    for position, (claim, hit) in enumerate(rows):
        parts[earlier.setdefault(claim, math.floor(bins * position / len(rows)))].append(
            (claim, hit)
        )
    return parts


@st.composite
def claims_and_outcomes(draw, steps):
    """Claims out of `steps` values, which in a few rows are often equal."""
    length = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(0, steps + 1, length) / steps, rng.integers(0, 2, length)


@given(claims_and_outcomes(steps=8) | claims_and_outcomes(steps=2**30), st.integers(1, 20))
def test_bins_of_equal_counts_are_those_of_a_sorted_list(pair, bins):
    parts = bins_of_equal_counts(*pair, bins)
    curve = reliability_curve(*pair, bins=bins, strategy="quantile")
    assert curve.count.tolist() == [len(part) for part in parts]
    error = 0.0
    for part, confidence, accuracy_ in zip(parts, curve.confidence, curve.accuracy, strict=True):
        claims, hits = zip(*part, strict=True) if part else ([math.nan], [math.nan])
        assert confidence == pytest.approx(sum(claims) / len(claims), nan_ok=True, **CLOSE)
        assert accuracy_ == pytest.approx(sum(hits) / len(hits), nan_ok=True, **CLOSE)
        error += abs(sum(hit - claim for claim, hit in part)) / len(pair[0])
    found = expected_calibration_error(*pair, bins=bins, strategy="quantile")
    assert found == pytest.approx(error, rel=1e-12, abs=1e-14)


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_counts_are_as_equal_as_can_be_and_equal_claims_share_a_bin(length, bins, seed):
    rng = np.random.default_rng(seed)
    claims = rng.permutation(np.arange(1, length + 1) / (length + 1))
    hits = rng.integers(0, 2, length)
    count = reliability_curve(claims, hits, bins=bins, strategy="quantile").count
    assert count.sum() == length
    assert len(count) == bins
    assert count.max() - count.min() <= 1
    # A claim that is made twice stands in one bin: the means of the bins stay apart.
    twice = np.tile(claims, 2), np.tile(hits, 2)
    curve = reliability_curve(*twice, bins=bins, strategy="quantile")
    assert set(curve.count % 2) == {0}
    assert np.all(np.diff(curve.confidence[curve.count > 0]) > 0)
    # Nothing hangs on the order of the rows, but the order of a sum.
    order = rng.permutation(2 * length)
    mixed = reliability_curve(*(part[order] for part in twice), bins=bins, strategy="quantile")
    assert mixed.count.tolist() == curve.count.tolist()
    for one, other in zip(mixed, curve, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=0)


@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_bins_of_equal_counts_match_scikit_learn(bins, each, seed):
    """Its edges are interpolated, so the counts agree where they can be equal."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(4, 0.3), bins * each)
    ids = rng.integers(0, 4, len(rows))
    claims, hits = rows.max(axis=1), rows.argmax(axis=1) == ids
    assume(0 < hits.sum() < len(hits))
    assume(np.all(np.diff(np.sort(claims)) > 1e-9))
    accuracies, confidences = calibration.calibration_curve(
        hits, claims, n_bins=bins, strategy="quantile"
    )
    for arguments in ((rows, ids), (claims, hits)):
        curve = reliability_curve(*arguments, bins=bins, strategy="quantile")
        assert curve.count.tolist() == [each] * bins
        assert curve.accuracy == pytest.approx(accuracies, **CLOSE)
        assert curve.confidence == pytest.approx(confidences, **CLOSE)


def test_one_claim_fills_one_bin_and_more_bins_than_rows_stay_empty():
    curve = reliability_curve([0.5] * 5 + [0.6] * 2, [1] * 7, bins=3, strategy="quantile")
    assert curve.count.tolist() == [5, 0, 2]
    assert np.isnan(curve.accuracy).tolist() == [False, True, False]
    curve = reliability_curve([0.9, 0.2], [1, 0], bins=1000, strategy="quantile")
    assert np.flatnonzero(curve.count).tolist() == [0, 500]
    assert expected_calibration_error([0.9, 0.2], [1, 0], bins=1000, strategy="quantile") == (
        pytest.approx(0.15, **CLOSE)
    )


def test_nan_among_claims_gives_nan_in_bins_of_equal_counts():
    for probabilities in ([[math.nan, 0.5], [0.5, 0.5]], [math.nan, 0.5]):
        curve = reliability_curve(probabilities, [0, 1], bins=4, strategy="quantile")
        assert [part.shape for part in curve] == [(4,)] * 3
        assert all(np.isnan(part).all() for part in curve)
        error = expected_calibration_error(probabilities, [0, 1], strategy="quantile")
        assert math.isnan(error)


@pytest.mark.parametrize(
    "bad", ["Quantile", "", "quantiles", None, True, 1, b"quantile", ["quantile"], {}, np.ones(2)]
)
def test_what_is_no_strategy_is_refused_by_name(bad):
    for metric in (reliability_curve, expected_calibration_error):
        with pytest.raises(ValueError, match="strategy must be 'uniform' or 'quantile', got"):
            metric([0.5, 0.6], [0, 1], strategy=bad)


def test_bins_of_equal_width_are_what_is_meant_if_nothing_is_said():
    claims, hits = [0.6, 0.7, 0.8, 0.9], [0, 1, 1, 1]
    for strategy, count in (({}, [0, 4]), ({"strategy": "uniform"}, [0, 4])):
        assert reliability_curve(claims, hits, bins=2, **strategy).count.tolist() == count
        error = expected_calibration_error(claims, hits, bins=2, **strategy)
        assert error == pytest.approx(0.0, abs=1e-15)
    error = expected_calibration_error(claims, hits, bins=2, strategy="quantile")
    assert error == pytest.approx((abs(0.5 - 0.65) + abs(1 - 0.85)) / 2, **CLOSE)


# Inputs -------------------------------------------------------------------------------------------


def test_nan_in_gives_nan_out():
    nan = math.nan
    assert math.isnan(top_k_accuracy([[nan, 0.0], [0.0, 1.0]], [0, 1], 1))
    assert math.isnan(average_precision([nan, 0.5, 0.7], [1, 0, 1]))
    assert all(np.isnan(part).all() for part in precision_recall_curve([nan, 0.5], [1, 0]))
    for probabilities in ([[nan, 0.5], [0.5, 0.5]], [nan, 0.5]):
        assert math.isnan(expected_calibration_error(probabilities, [0, 1]))
        assert all(np.isnan(part).all() for part in reliability_curve(probabilities, [0, 1]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_torch_tensors_and_every_integer_dtype(dtype):
    ids = torch.tensor([0, 2, 1, 1], dtype=dtype)
    predicted = torch.tensor([0, 1, 1, 2], dtype=torch.int64)
    logits = torch.nn.functional.one_hot(predicted, 3).to(torch.float32) * 2
    assert accuracy(predicted, ids) == 0.5
    assert confusion_matrix(predicted, ids).trace() == 2
    assert top_k_accuracy(logits, ids, 1) == 0.5
    probabilities = torch.softmax(logits, dim=1)
    claim = probabilities.max().item()
    # The rows' softmax may differ by units of 6e-8, float32's rounding.
    assert expected_calibration_error(probabilities, ids) == pytest.approx(claim - 0.5, rel=1e-6)
    mask = torch.tensor([True, False, True])
    assert iou(mask, mask) == 1.0
    assert average_precision(torch.tensor([0.9, 0.1, 0.8]), mask) == 1.0


@pytest.mark.parametrize("integer", [int, np.uint8, np.int64])
def test_counts_may_be_of_any_integer_type(integer):
    # 19 * 20 + 19 overflows uint8.
    counts = confusion_matrix(np.uint8([19]), np.uint8([19]), classes=integer(20))
    assert counts.shape == (20, 20)
    assert counts.dtype == np.int64
    assert counts[19, 19] == counts.sum() == 1
    assert top_k_accuracy([[0.1, 0.6, 0.3]], [2], integer(2)) == 1.0
    assert reliability_curve([0.9], [1], bins=integer(200)).count.shape == (200,)
    assert expected_calibration_error([0.75], [1], bins=integer(3)) == 0.25


def test_tensors_that_numpy_does_not_take_are_converted_or_refused_by_name():
    ids = torch.tensor([0, 2, 1])
    rows = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.4, 0.1]], dtype=torch.bfloat16)
    # bfloat16 rounds the rows' sums by up to 1/256; NumPy has no such type.
    assert top_k_accuracy(rows, ids, 2) == 1.0
    assert reliability_curve(rows, ids, bins=1).confidence == rows.amax(1).double().mean().item()
    with pytest.raises(TypeError, match="scores must be a tensor on the CPU without a gradient"):
        top_k_accuracy(rows.float().requires_grad_(), ids, 1)
    with pytest.raises(TypeError, match=r"^ids must be a tensor .* got one on meta"):
        confusion_matrix(np.zeros(3, int), ids.to("meta"))


def test_seventy_thousand_half_precision_scores_are_counted_and_averaged_in_full():
    # A sum in float16 stops at 2048, where adding 1/2 changes nothing, and is infinite at 65,520.
    scores = np.full(70_000, 0.75, np.float16)
    labels = np.arange(70_000) % 4 > 0
    curve = reliability_curve(scores, labels, bins=4)
    assert curve.count.tolist() == [0, 0, 70_000, 0]
    assert curve.confidence[2] == curve.accuracy[2] == 0.75
    assert expected_calibration_error(scores, labels, bins=4) == 0.0
    assert average_precision(scores, labels) == 0.75
    assert precision_recall_curve(scores, labels).recall.tolist() == [1.0]


def test_what_stands_for_the_undefined_is_a_number():
    for bad in ("nothing", None, True, np.ones(2)):
        with pytest.raises(TypeError, match="undefined must be a number, got"):
            precision_recall_f1([0], [0], undefined=bad)


@pytest.mark.parametrize("rows", [[[0.5], [0.5, 0.5]], [[1], [0, 1]]])
def test_rows_of_unequal_lengths_are_refused_by_name(rows):
    with pytest.raises(ValueError, match="scores must be an array or a list of numbers"):
        top_k_accuracy(rows, [0, 0], 1)


def test_infinite_scores_rank_first_and_last():
    scores, labels = [math.inf, 2.0, -math.inf, -math.inf], [1, 0, 1, 0]
    assert average_precision(scores, labels) == 1 / 2 * 1 + 1 / 2 * 2 / 4
    assert precision_recall_curve(scores, labels).threshold.tolist() == [math.inf, 2.0, -math.inf]
    assert top_k_accuracy([[-math.inf, 0.0, math.inf]], [1], 2) == 1.0


def test_nothing_is_positive_and_the_curve_says_what_it_can():
    curve = precision_recall_curve([0.2, 0.1], [0, 0])
    assert curve.precision.tolist() == [0.0, 0.0]
    assert np.isnan(curve.recall).all()
    assert curve.threshold.tolist() == [0.2, 0.1]


@pytest.mark.parametrize("undefined", [0.5, -1.0])
def test_any_number_may_stand_for_what_is_undefined(undefined):
    result = precision_recall_f1([0, 0], [0, 0], undefined=undefined)
    assert result == (undefined, undefined, undefined)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: accuracy([], []), ValueError, "predicted_ids must not be empty"),
        (lambda: accuracy([0, 1], [0]), ValueError, r"ids has shape \(1,\) but predicted_ids"),
        (lambda: accuracy([[0], [1]], [0, 1]), ValueError, "must be the same"),
        (lambda: accuracy([0.9, 0.1], [1, 0]), TypeError, "scores become class ids by argmax"),
        (lambda: top_k_accuracy([[0.1, 0.9]], [2], 1), ValueError, r"class ids in \[0, 1\], got 2"),
        (lambda: top_k_accuracy([[0.1, 0.9]], [1], 3), ValueError, r"k must be .* \[1, 2\], got 3"),
        (lambda: top_k_accuracy([[0.1, 0.9]], [1], 0), ValueError, "k must be .* got 0"),
        (lambda: top_k_accuracy([0.1, 0.9], [1], 1), ValueError, r"shape \(N, C\), got \(2,\)"),
        (lambda: confusion_matrix([-1], [0]), ValueError, r"\[0, 0\], got -1"),
        (lambda: confusion_matrix([3], [0], classes=3), ValueError, r"\[0, 2\], got 3"),
        (lambda: top_k_accuracy([[0.1, 0.9]], [1], 1.0), TypeError, "k must be .* got 1.0"),
        (lambda: confusion_matrix([0], [0], classes=2.0), TypeError, "classes must be an integer"),
        (lambda: confusion_matrix([0], [0], classes=True), TypeError, "classes must be an integer"),
        (lambda: confusion_matrix([0], [0], classes=0), ValueError, "classes must be .* got 0"),
        (lambda: precision_recall_f1([2], [0]), ValueError, "predicted_ids must be 0 or 1, got 2"),
        (lambda: precision_recall_f1([0], [2]), ValueError, "^ids must be 0 or 1, got 2"),
        (lambda: precision_recall_f1([0], [0], average="micro"), ValueError, "average must be"),
        (lambda: average_precision([0.5], [2]), ValueError, "labels must be 0 or 1, got 2"),
        (lambda: average_precision([0.5], [math.nan]), ValueError, "must be 0 or 1, got nan"),
        (lambda: average_precision([0.5, 0.2], [1]), ValueError, "labels has shape"),
        (lambda: average_precision([], []), ValueError, "scores must not be empty"),
        (lambda: average_precision(["a"], [1]), TypeError, "scores must hold real numbers"),
        (lambda: reliability_curve([[2.0, -1.0]], [0]), ValueError, r"lie in \[0, 1\], got 2.0"),
        (lambda: reliability_curve([[0.9, 0.3]], [0]), ValueError, "sum to 1 along the last axis"),
        (lambda: reliability_curve([1.5], [0]), ValueError, r"lie in \[0, 1\], got 1.5"),
        (lambda: reliability_curve([0.5], [0], bins=0), ValueError, "bins must be .* got 0"),
        (lambda: reliability_curve([0.5], [0], bins=2.5), TypeError, "bins must be .* got 2.5"),
        (lambda: iou([0, 2], [0, 1]), ValueError, "prediction must be 0 or 1, got 2"),
        (lambda: iou([0.4], [1]), ValueError, "prediction must be 0 or 1, got 0.4"),
        (lambda: iou([0, 1], [[0, 1]]), ValueError, "must be the same"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Retrieval ----------------------------------------------------------------------------------------


@st.composite
def rankings(draw):
    """Scores with ties, and at least one relevant item for each query."""
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    relevant = rng.uniform(size=shape) < 0.4
    relevant[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = True
    return rng.integers(0, 5, shape) / 4, relevant


@given(rankings(), st.integers(1, 8))
def test_recall_at_k_is_what_a_sorted_list_says(ranking, k):
    scores, relevant = ranking
    k = min(k, scores.shape[1])
    # Python sorts pairs: of equal scores the irrelevant one, False, is the first.
    found = [
        any(flag for _, flag in sorted(zip(-row, flags, strict=True))[:k])
        for row, flags in zip(scores, relevant, strict=True)
    ]
    assert recall_at_k(scores, relevant, k=k) == pytest.approx(np.mean(found), **CLOSE)


@given(rankings())
def test_mean_average_precision_matches_scikit_learn(ranking):
    expected = [
        reference.average_precision_score(flags, row) for row, flags in zip(*ranking, strict=True)
    ]
    assert mean_average_precision(*ranking) == pytest.approx(np.mean(expected), **CLOSE)


def test_equal_scores_gain_nothing_and_do_not_raise_precision():
    scores, relevant = np.zeros((2, 4)), np.array([[1, 0, 0, 0], [1, 1, 0, 0]])
    assert [recall_at_k(scores, relevant, k=k) for k in (1, 2, 3, 4)] == [0, 0, 0.5, 1]
    assert mean_average_precision(scores, relevant) == pytest.approx((1 / 4 + 1 / 2) / 2, **CLOSE)


def test_retrieval_without_an_answer_is_undefined():
    nothing = np.zeros((1, 3), dtype=bool)
    for metric in (recall_at_k, mean_average_precision):
        assert math.isnan(metric(np.ones((1, 3)), nothing))
        assert math.isnan(metric([[math.nan, 0.0, 1.0]], [[1, 0, 1]]))
        assert metric([[-math.inf, 0.0, math.inf]], [[0, 0, 1]]) == 1.0


@pytest.mark.parametrize("metric", [recall_at_k, mean_average_precision])
def test_retrieval_says_what_it_takes(metric):
    with pytest.raises(ValueError, match=r"shape \(N, C\), got \(2,\)"):
        metric([0.1, 0.9], [1, 0])
    with pytest.raises(ValueError, match="relevant"):
        metric([[0.1, 0.9]], [[1, 0, 0]])
    with pytest.raises(ValueError, match="relevant must be 0 or 1"):
        metric([[0.1, 0.9]], [[2, 0]])


@pytest.mark.parametrize("k", [0, 3])
def test_recall_at_k_needs_a_k_between_1_and_the_number_of_items(k):
    with pytest.raises(ValueError, match=rf"k must be .* \[1, 2\], got {k}"):
        recall_at_k([[0.1, 0.9]], [[1, 0]], k=k)
