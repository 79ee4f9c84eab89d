"""Argument checks: what passes, and messages that say what came and what would do."""

import pytest
import torch

from rdlite.guards import checks

NAN, INF = float("nan"), float("inf")


def message_of(check, *arguments, **options):
    with pytest.raises(ValueError) as error:
        check(*arguments, **options)
    return str(error.value)


def test_require_raises_its_message_only_where_the_condition_fails():
    checks.require(True, "unused")
    assert message_of(checks.require, False, "the message") == "the message"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("techer", "; did you mean 'teacher'?"),
        ("teachers", "; did you mean 'teacher'?"),
        ("onehot", "; did you mean 'one-hot'?"),
        ("xyz", ""),
        ("", ""),
        (None, ""),
        (3, ""),
    ],
)
def test_choice_lists_what_is_allowed_and_suggests_the_nearest(value, hint):
    wanted = f"labels must be one of 'teacher', 'one-hot', got {value!r}{hint}"
    assert message_of(checks.choice, "labels", value, ["teacher", "one-hot"]) == wanted


def test_choice_takes_an_allowed_value_from_any_iterable():
    checks.choice("labels", "teacher", {"teacher": 1})
    checks.choice("labels", "teacher", iter(["one-hot", "teacher"]))


@pytest.mark.parametrize(
    ("value", "options"),
    [(0, {"low": 0}), (1, {"high": 1}), (0.5, {}), (1e-9, {"low": 0, "above": True}), (-1e300, {})],
)
def test_number_takes_finite_numbers_within_the_bounds(value, options):
    checks.number("x", value, **options)


@pytest.mark.parametrize(
    ("value", "options", "wanted"),
    [
        (-0.1, {"low": 0, "high": 1}, "x must be a number in [0, 1], got -0.1"),
        (1.5, {"low": 0, "high": 1}, "x must be a number in [0, 1], got 1.5"),
        (0, {"low": 0, "above": True}, "x must be a number in (0, inf], got 0"),
        (NAN, {}, "x must be a number in [-inf, inf], got nan"),
        (INF, {}, "x must be a number in [-inf, inf], got inf"),
        ("1", {}, "x must be a number in [-inf, inf], got '1'"),
        (True, {}, "x must be a number in [-inf, inf], got True"),
        (None, {}, "x must be a number in [-inf, inf], got None"),
    ],
)
def test_number_names_the_interval_and_what_came(value, options, wanted):
    assert message_of(checks.number, "x", value, **options) == wanted


@pytest.mark.parametrize(("value", "high"), [(2, INF), (5, 5), (10**30, INF)])
def test_whole_takes_whole_numbers_within_the_bounds(value, high):
    checks.integer("n", value, low=2, high=high)


@pytest.mark.parametrize(
    ("value", "high", "wanted"),
    [
        (1, INF, "n must be a whole number of at least 2, got 1"),
        (6, 5, "n must be a whole number of at least 2 and at most 5, got 6"),
        (2.0, INF, "n must be a whole number of at least 2, got 2.0"),
        ("2", INF, "n must be a whole number of at least 2, got '2'"),
        (True, INF, "n must be a whole number of at least 2, got True"),
    ],
)
def test_whole_names_the_bounds_and_what_came(value, high, wanted):
    assert message_of(checks.integer, "n", value, low=2, high=high) == wanted


def test_finite_counts_the_bad_values():
    checks.finite("logits", torch.zeros(2, 2))
    got = message_of(checks.finite, "logits", torch.tensor([[0.0, NAN], [INF, -INF]]))
    assert got == "logits must be finite, got 3 NaN or infinite of 4 values"


def test_vector_names_the_shape_that_is_wanted():
    checks.vector("prior", torch.zeros(3), 3)
    got = message_of(checks.vector, "prior", torch.zeros(3, 1), 3)
    assert got == "prior must have shape (3,), one number a class, got (3, 1)"


@pytest.mark.parametrize(("values", "came"), [([1.0, 0.0], "0"), ([2.0, -0.5], "-0.5")])
def test_positive_names_the_value_and_its_class(values, came):
    checks.positive("prior", torch.tensor([1e-30, 2.0]))
    got = message_of(checks.positive, "prior", torch.tensor(values))
    assert got.startswith(f"prior must be above 0 for every class, got {came} for ")
    assert got.endswith("1")


@pytest.mark.parametrize("values", [[0.5, 0.5], [1.0, 0.0], [0.5, 0.5005]])
def test_simplex_takes_weights_that_sum_to_1_within_a_thousandth(values):
    checks.simplex("multipliers", torch.tensor(values))


@pytest.mark.parametrize(
    ("values", "low", "total"), [([0.5, 0.25], "0.25", "0.75"), ([1.25, -0.25], "-0.25", "1")]
)
def test_simplex_names_the_smallest_entry_and_the_sum(values, low, total):
    assert message_of(checks.simplex, "multipliers", torch.tensor(values)) == (
        f"multipliers must be non-negative and sum to 1, got a smallest entry of {low} "
        f"and a sum of {total}; divide by the sum"
    )


def test_row_stochastic_takes_rows_that_sum_to_1_within_a_thousandth():
    checks.row_stochastic("targets", torch.tensor([[0.5, 0.5005], [1.0, 0.0]]), 2, rows=2)
    checks.row_stochastic("targets", torch.eye(3)[:2], 3)


@pytest.mark.parametrize(
    ("targets", "rows", "wanted"),
    [
        (torch.eye(3), None, "targets must have shape (n, 2), got (3, 3)"),
        (torch.eye(2), 5, "targets must have shape (5, 2), got (2, 2)"),
        (torch.ones(2), None, "targets must have shape (n, 2), got (2,)"),
        (
            torch.eye(2).long(),
            None,
            "targets must be floating point probabilities, got torch.int64; use targets.float()",
        ),
        (
            torch.eye(2) / 4,
            None,
            "targets must have non-negative rows that sum to 1, got a smallest entry of 0 "
            "and a row sum off by 0.75; use torch.softmax(logits, 1)",
        ),
        (
            torch.tensor([[1.5, -0.5]]),
            None,
            "targets must have non-negative rows that sum to 1, got a smallest entry of -0.5 "
            "and a row sum off by 0; use torch.softmax(logits, 1)",
        ),
        (
            torch.tensor([[1.0, 0.0], [0.5, 0.495]]),  # one bad row is enough
            None,
            "targets must have non-negative rows that sum to 1, got a smallest entry of 0 "
            "and a row sum off by 0.005; use torch.softmax(logits, 1)",
        ),
    ],
)
def test_row_stochastic_says_what_is_wrong_and_what_would_do(targets, rows, wanted):
    assert message_of(checks.row_stochastic, "targets", targets, 2, rows) == wanted


@pytest.mark.parametrize(
    ("logits", "targets", "parts"),
    [
        (torch.zeros(2), torch.eye(2), ["logits", "(B, m)", "m >= 2", "got (2,)"]),
        (torch.zeros(2, 1), torch.ones(2, 1), ["logits", "(B, m)", "m >= 2", "got (2, 1)"]),
        (torch.zeros(2, 2), torch.tensor([0, 1]), ["targets", "(2, 2)", "got (2,)", "one_hot"]),
        (torch.zeros(2, 2), torch.eye(2).long(), ["targets", "got torch.int64", "float()"]),
        (torch.full((1, 2), NAN), torch.eye(2)[:1], ["logits", "got 2 NaN or infinite of 2"]),
    ],
)
def test_logits_and_targets_says_what_is_wrong_and_what_would_do(logits, targets, parts):
    message = message_of(checks.logits_and_targets, logits, targets)
    assert [part for part in parts if part not in message] == []


def test_logits_and_targets_takes_logits_that_need_a_gradient():
    checks.logits_and_targets(torch.zeros(2, 2, requires_grad=True), torch.eye(2))
