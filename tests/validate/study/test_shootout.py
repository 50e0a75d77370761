import itertools

import numpy as np
import pytest
from scipy import stats

from grpolab.validate.study.shootout import (
    COMBINATIONS,
    chosen_elsewhere,
    families,
    inversion_calls,
    overall,
    rank_rows,
    regret_rows,
    says_inversion,
    standings,
    transfer,
    truth,
)
from grpolab.validate.study.shootout.transfer import folds
from grpolab.validate.study.shootout.winners import TOLERANCE
from grpolab.validate.study.shootout.within import same_order

DEPTHS = (8, 32, 128, 512, 2048)
USED = {"depth": -1, "pass_at_g": 1, "pass_at_1": 1}


def rows_of(regime="r", *, task="t", ladder=None, seeds=1, **columns):
    """Rows of one family; a column is [D], or [S, D] for values that differ between seeds."""
    grids = {n: np.broadcast_to(np.asarray(v, float), (seeds, 5)) for n, v in columns.items()}
    extra = {} if ladder is None else {"ladder": ladder}
    return [
        dict(task=task, regime=regime, seed=s, depth=d, **extra,
             **{n: g[s, i] for n, g in grids.items()})
        for s in range(seeds) for i, d in enumerate(DEPTHS)
    ]  # fmt: skip


def family(**columns):
    return families(rows_of(**columns))[0]


def inverted_family(name="inverted", **more):
    """pass@1 rises with depth, the outcome falls with it."""
    return rows_of(
        name, pass_at_1=[0.2, 0.25, 0.3, 0.35, 0.4], pass_at_g=[0.9, 0.8, 0.7, 0.6, 0.5],
        y=[0.9, 0.8, 0.7, 0.6, 0.5], **more,
    )  # fmt: skip


def healthy_family(name="healthy", **more):
    """pass@1 and the outcome rise with depth: deeper SFT is better."""
    return rows_of(
        name, pass_at_1=[0.2, 0.25, 0.3, 0.35, 0.4], pass_at_g=[0.5, 0.6, 0.7, 0.8, 0.9],
        y=[0.5, 0.6, 0.7, 0.8, 0.9], **more,
    )  # fmt: skip


def test_rows_are_sorted_into_seeds_by_depths_whatever_their_order():
    rows = rows_of(seeds=2, x=[[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    found = families(shuffled)[0]
    assert found.column("x").tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    assert (found.seeds, found.depths.tolist()) == ((0, 1), list(DEPTHS))
    assert (found.name, found.ladder) == ("t/r", "t/r")


def test_a_column_that_one_checkpoint_lacks_is_left_out():
    rows = rows_of(x=range(5), y=range(5), z=range(5))
    rows[2]["x"] = None
    rows[3]["y"] = float("nan")
    found = families(rows)[0]
    assert not found.has("x")
    assert not found.has("y")
    assert found.has("z", "depth")
    with pytest.raises(ValueError, match="no column 'x'"):
        found.column("x")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda rows: rows[:-1], "lacks seed 1 depth 2048"),
        (lambda rows: [*rows, rows[0]], "twice"),
        (lambda rows: [{**rows[0]}], "at least 2 depths"),
        (lambda rows: [{"task": "t"}], "lacks regime, seed, depth"),
        (lambda rows: [], "at least one"),
    ],
)
def test_incomplete_tables_are_refused(spoil, words):
    with pytest.raises(ValueError, match=words):
        families(spoil(rows_of(seeds=2, x=range(5))))


def test_one_seed_is_the_exact_test_of_rank():
    rng = np.random.default_rng(1)
    orders = [list(order) for order in itertools.permutations(range(5))]
    for _ in range(2):
        x, y = rng.integers(0, 4, 5).astype(float), rng.normal(size=5)
        row = rank_rows([family(x=x, y=y)], "y", rng=0, predictors=["x"], num_resamples=5)[0]
        rho = np.array([stats.spearmanr(x[order], y).statistic for order in orders])
        tau = np.array([stats.kendalltau(x[order], y).statistic for order in orders])
        assert (row.spearman, row.kendall) == pytest.approx((rho[0], tau[0]))
        assert row.p_value == row.adjusted_p
        for value, every in ((row.p_value, np.abs(rho)), (row.kendall_p_value, np.abs(tau))):
            assert value == pytest.approx(np.mean(every >= every[0] - 1e-9))
        assert row.min_p_value == pytest.approx(np.mean(np.abs(rho) >= np.abs(rho).max() - 1e-9))


def test_seeds_share_the_depths_and_add_no_permutations():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    table = families(rows_of(seeds=3, x=x, y=y))
    row = rank_rows(table, "y", rng=0, predictors=["x"], num_resamples=5)[0]
    orders = [list(order) for order in itertools.permutations(range(5))]

    def mean(order):
        return np.mean([stats.spearmanr(a, b[order]).statistic for a, b in zip(x, y, strict=True)])

    every = np.array([mean(order) for order in orders])
    assert row.spearman == pytest.approx(every[0])
    assert row.p_value == pytest.approx(np.mean(np.abs(every) >= abs(every[0]) - 1e-9))
    perfect = families(rows_of(seeds=3, x=np.arange(5), y=np.arange(5)))
    assert rank_rows(perfect, "y", rng=0, predictors=["x"])[0].p_value == pytest.approx(2 / 120)


def test_families_of_one_ladder_are_no_independent_evidence():
    up = np.arange(5.0)

    def p_value(ladders):
        rows = [r for i, ladder in enumerate(ladders)
                for r in rows_of(f"r{i}", ladder=ladder, x=up, y=up)]  # fmt: skip
        return rank_rows(families(rows), "y", rng=0, predictors=["x"], num_resamples=5)[0].p_value

    assert p_value(["a", "a"]) == pytest.approx(2 / 120)
    assert p_value(["a", "b"]) == pytest.approx(2 / 120**2)


def test_adjusted_p_values_hold_the_family_wise_error():
    rng = np.random.default_rng(3)
    names = [f"x{i}" for i in range(8)]
    single = wise = 0
    for _ in range(150):
        table = [family(y=rng.normal(size=5), **{n: rng.normal(size=5) for n in names})]
        rows = rank_rows(table, "y", rng=0, predictors=names, num_resamples=1)
        single += min(r.p_value for r in rows) <= 0.05
        wise += min(r.adjusted_p for r in rows) <= 0.05
        assert all(r.adjusted_p >= r.p_value - 1e-12 for r in rows)
    assert single / 150 > 0.1  # what not correcting costs
    assert stats.binom.sf(wise - 1, 150, 0.05) > 0.01


def test_a_constant_predictor_counts_as_no_order():
    row = rank_rows([family(x=[1] * 5, y=range(5))], "y", rng=0, predictors=["x"])[0]
    assert (row.spearman, row.kendall, row.p_value) == (0.0, 0.0, 1.0)


def test_interval_over_five_depths_says_little_unless_the_order_is_perfect():
    table = [family(x=[0, 1, 2, 3, 4], z=[1, 0, 2, 4, 3], y=range(5))]
    x, z = rank_rows(table, "y", rng=0, predictors=["x", "z"])
    assert x.low > 0.5
    assert z.low < 0.2 < z.spearman < z.high


def test_regret_by_hand():
    table = families(
        rows_of(seeds=2, x=[[5, 1, 1, 1, 1], [0, 7, 7, 0, 0]],
                y=[[0.1, 0.2, 0.3, 0.4, 0.6], [0.5, 0.1, 0.3, 0.2, 0.4]])
    )  # fmt: skip
    rows = {r.predictor: r for r in regret_rows(table[0], "y", directions={"x": 1})}
    assert rows["x"].regret == pytest.approx((0.5 + 0.3) / 2)  # equals share: mean of .1 and .3
    assert rows["x"].worst == pytest.approx(0.5)
    assert rows["x"].picks == (8, 32)
    chance = (0.6 - 0.32 + 0.5 - 0.3) / 2
    assert rows["at random"].regret == pytest.approx(chance)
    assert rows["x"].relative == pytest.approx(0.4 / chance)
    assert rows["deepest"].regret == pytest.approx(0.05)


def test_same_order_as_depth_is_found_for_any_monotone_column():
    table = families(rows_of(seeds=2, x=[[5, 4, 3, 2, 1], [5, 4, 3, 1, 2]], y=range(5)))
    assert same_order(table, "x") == 0.5
    assert same_order(table, "y") == 1.0


def test_a_rule_that_always_picks_shallow_is_exposed_where_there_is_no_inversion():
    table = families([*inverted_family(seeds=2), *healthy_family(seeds=3)])
    assert [truth(f, "y").inverted for f in table] == [True, False]
    calls = {c.predictor: c for c in inversion_calls(table, "y", directions=USED)}
    assert (calls["depth"].sensitivity, calls["depth"].specificity) == (1.0, 0.0)
    assert (calls["pass_at_1"].sensitivity, calls["pass_at_1"].specificity) == (0.0, 1.0)
    assert (calls["pass_at_g"].sensitivity, calls["pass_at_g"].specificity) == (1.0, 1.0)
    assert (calls["depth"].hits, calls["depth"].false_alarms) == (2.0, 3.0)


def test_no_inversion_without_a_lead_worth_the_name_nor_where_deeper_is_better_still():
    small = family(pass_at_1=[1, 2, 3, 4, 5], y=[0.5, 0.5, 0.51, 0.5, 0.5])
    assert not truth(small, "y").inverted
    assert truth(small, "y", margin=0.005).inverted
    deeper = family(pass_at_1=[1, 2, 9, 4, 5], y=[0.6, 0.5, 0.5, 0.5, 0.9])
    found = truth(deeper, "y")
    assert (found.inverted, found.picked, found.best) == (False, 128, 2048)
    assert found.lead == pytest.approx(0.1)
    shallow = family(pass_at_1=[9, 2, 3, 4, 5], y=range(5))
    assert np.isnan(truth(shallow, "y").lead)
    assert says_inversion(shallow, "depth", direction=-1).tolist() == [0.0]


def test_ties_in_a_predictor_count_in_parts():
    table = families(rows_of(pass_at_1=[1, 2, 3, 4, 5], x=[1, 0, 0, 0, 1], y=[9, 1, 1, 1, 1]))
    call = inversion_calls(table, "y", directions={"x": 1})[0]
    assert (call.hits, call.misses) == (0.5, 0.5)


def linear_table():
    """Outcome = 0.3 a + 0.5 b in every family; neither alone says it."""
    rng = np.random.default_rng(4)
    rows = []
    for i in range(4):
        a, b = rng.random((2, 3, 5))
        rows += rows_of(f"r{i}", seeds=3, a=a, b=b, y=0.1 * i + 0.3 * a + 0.5 * b, pass_at_1=a)
    return families(rows)


def test_a_combination_is_learned_on_some_families_and_holds_on_others():
    sets = {"a": ("a",), "b": ("b",), "both": ("a", "b"), "missing": ("nobody",)}
    rows = transfer(linear_table(), "y", leave_out="family", predictors=sets, penalty=0.0)
    found = {r.predictor: r for r in overall(rows)}
    assert set(found) == {"a", "b", "both"}
    assert found["both"].r2 == pytest.approx(1.0)
    assert found["both"].regret == pytest.approx(0.0, abs=1e-12)
    assert found["both"].spearman == pytest.approx(1.0)
    assert found["a"].r2 < found["b"].r2 < 0.95
    assert found["both"].calls.sensitivity == found["both"].calls.specificity == 1.0


def test_outcomes_of_what_is_held_out_are_not_used():
    rows = linear_table()
    last = rows[-1]
    spoiled = [*rows[:-1], last._replace(columns={**last.columns, "y": -last.column("y")})]
    for model in ("linear", "monotone"):
        kept = {"leave_out": "family", "predictors": {"b": ("b",)}, "model": model}
        one = transfer(rows, "y", directions={"b": 1}, **kept)[-1]
        two = transfer(spoiled, "y", directions={"b": 1}, **kept)[-1]
        assert one.held_out == two.held_out == last.name
        assert one.coefficients == two.coefficients
        assert one.r2 > 0 > two.r2


def test_a_sign_that_flips_between_families_is_worse_than_saying_nothing():
    table = families([*inverted_family(), *healthy_family()])
    row = overall(
        transfer(table, "y", leave_out="regime", predictors={"depth": ("depth",)}, penalty=0.0)
    )[0]
    assert row.r2 < -1
    assert row.spearman == pytest.approx(-1.0)
    assert row.regret == pytest.approx(0.4)


def test_seeds_learn_from_their_own_family_only():
    table = families([*inverted_family(seeds=2), *healthy_family(seeds=2)])
    rows = transfer(table, "y", leave_out="seed", predictors={"depth": ("depth",)}, penalty=0.0)
    assert [r.coefficients[0] > 0 for r in rows] == [False, False, True, True]
    assert all(r.regret == 0 for r in rows)
    for _, others, judged in folds(table, "seed"):
        assert {u[0].name for u in others} == {judged[0][0].name}
        assert not {u[1] for u in others} & {u[1] for u in judged}


def test_monotone_model_pools_what_violates_the_direction():
    rows = [*inverted_family("a"), *inverted_family("b")]
    kept = {"leave_out": "family", "predictors": {"depth": ("depth",)}, "model": "monotone"}
    right = transfer(families(rows), "y", directions={"depth": -1}, **kept)
    wrong = transfer(families(rows), "y", directions={"depth": 1}, **kept)
    assert right[0].r2 == pytest.approx(1.0)
    assert right[0].coefficients[0] == pytest.approx(0.4)
    assert wrong[0].r2 == pytest.approx(0.0, abs=1e-12)
    assert wrong[0].coefficients[0] == pytest.approx(0.0, abs=1e-12)


def test_ridge_solves_its_normal_equations():
    table = linear_table()
    row = transfer(
        table, "y", leave_out="family", predictors={"both": ("a", "b")}, penalty=0.3
    )[0]  # fmt: skip
    others = [f for f in table if f.name != row.held_out]

    def centred(name):
        return np.concatenate(
            [(f.column(name) - f.column(name).mean(axis=1, keepdims=True)).ravel() for f in others]
        )

    x = np.stack([centred("a"), centred("b")], axis=1)
    x = x / np.sqrt(np.mean(x**2, axis=0))
    gap = x.T @ (centred("y") - x @ row.coefficients) / len(x) - 0.3 * np.array(row.coefficients)
    assert np.abs(gap).max() < 1e-12


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"leave_out": "month"}, "leave_out must be one of"),
        ({"leave_out": "task"}, "needs two of them"),
        ({"model": "cubic"}, "model must be"),
        ({"model": "monotone"}, "takes one column"),
        ({"penalty": -1.0}, "penalty must be >= 0"),
    ],
)
def test_bad_transfer_arguments(change, words):
    kept = {"leave_out": "family", "predictors": {"both": ("a", "b")}, **change}
    with pytest.raises(ValueError, match=words):
        transfer(linear_table(), "y", **kept)


def test_trusting_the_winner_of_other_families():
    table = families([*inverted_family("a"), *inverted_family("b"), *healthy_family("c")])
    found = {c.held_out: c for c in chosen_elsewhere(table, "y", leave_out="family",
                                                     directions=USED)}  # fmt: skip
    assert found["t/c"].predictor == "depth, pass_at_g"
    assert found["t/c"].regret == pytest.approx(0.2)
    assert found["t/a"].predictor == "pass_at_g"
    assert found["t/a"].regret == 0.0


def test_standings_put_the_right_one_first_and_say_where_the_others_fail():
    rows = [*inverted_family(seeds=2), *healthy_family(seeds=2)]
    table = standings(families(rows), "y", rng=0, directions=USED)
    best = table[0]
    assert best.predictor == "pass_at_g"
    assert best.rho == pytest.approx(1.0)
    assert (best.regret, best.sensitivity, best.specificity) == (0.0, 1.0, 1.0)
    assert best.beats == {"depth": (1, 1, 0), "pass_at_g": (0, 2, 0)}
    depth = next(s for s in table if s.predictor == "depth")
    assert (depth.fails_in, depth.worst) == ("t/healthy", pytest.approx(0.4))
    assert depth.rho == pytest.approx(0.0)
    assert depth.worst_rho == pytest.approx(-1.0)
    assert depth.same_as_depth == 1.0
    assert {s.predictor for s in table} == {*USED, "deepest", "at random"}
    assert all(s.beats[s.predictor][1] == 2 for s in table if s.predictor in s.beats)
    assert TOLERANCE > 0


def test_rho_is_positive_where_the_direction_is_right():
    rows = [*inverted_family("a"), *inverted_family("b")]
    found = {s.predictor: s for s in standings(families(rows), "y", rng=0, directions=USED)}
    assert found["depth"].rho == found["depth"].worst_rho == pytest.approx(1.0)
    assert found["pass_at_1"].rho == pytest.approx(-1.0)
    assert found["depth"].adjusted_p == pytest.approx(2 / 120**2)


def test_standings_need_their_baselines():
    with pytest.raises(ValueError, match="baselines must be columns"):
        standings(families(rows_of(y=range(5))), "y", rng=0)


def test_combinations_use_known_predictors_in_few_columns():
    from grpolab.validate.study.shootout import DIRECTIONS

    assert all(set(columns) <= set(DIRECTIONS) for columns in COMBINATIONS.values())
    assert {len(c) for c in COMBINATIONS.values()} == {2, 3}
