"""Groups drawn: the law of every model, and independence of threads, chunks and tables."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grpolab import theory
from grpolab.simulate import Within, draw_groups, tally_groups
from grpolab.simulate import draw as draw_module
from grpolab.theory.dependence import Atoms, FiniteMixture, stack_atoms


class EasyOrHard(FiniteMixture):
    """A family of one's own: its atoms are all that simulation needs."""

    def atoms(self) -> Atoms:
        gap = np.sqrt(self.rho * self.mean * (1 - self.mean))
        low, high = self.mean - gap, self.mean + gap
        return stack_atoms((0 * gap + 0.5, low, 1 - low), (0 * gap + 0.5, high, 1 - high))


MODELS: list[Any] = [
    theory.BetaBinomial(mean=0.151, rho=0.2),
    theory.BetaBinomial(mean=0.6, rho=0.01),
    theory.BetaBinomial(mean=0.3, rho=0.9),
    theory.CopyAll(mean=0.151, rho=0.2),
    theory.CommonSource(mean=0.151, rho=0.2),
    theory.OneFactorProbit(mean=0.151, rho=0.2),
    theory.FailureShock(mean=0.151, rho=0.2),
    theory.SharedPrefix(mean=0.3, branch_rho=0.4, branches=2),
    theory.SharedPrefix(mean=0.3, branch_rho=1.0, branches=4),
    theory.SharedPrefix(mean=0.3, branch_rho=0.0, branches=4),
    theory.WithoutReplacement(pool=12, num_correct=5),
    theory.Antithetic(mean=0.2),
    theory.Antithetic(mean=0.7),
    EasyOrHard(mean=0.4, rho=0.3),
]


def fits(tally: np.ndarray, law: np.ndarray) -> float:
    """p-value of Pearson's test; cells that cannot occur must be empty."""
    expected = law * tally.sum()
    seen = law > 1e-15
    assert tally[~seen].sum() == 0
    rare = expected < 5
    both = [np.append(x[~rare], x[rare].sum()) for x in (tally, expected)]
    keep = both[1] > 0
    if keep.sum() < 2:
        return 1.0
    total = both[1][keep].sum()
    return float(stats.chisquare(both[0][keep], both[1][keep] * tally.sum() / total).pvalue)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_law(model: Any, scale: float) -> None:
    tally = tally_groups(model, group_size=8, num_groups=int(400_000 * scale), seed=5)
    assert fits(tally, np.ravel(model.pmf(8))) > 1e-4


def test_a_wrong_law_is_noticed(scale: float) -> None:
    tally = tally_groups(MODELS[0], group_size=8, num_groups=int(400_000 * scale), seed=5)
    assert fits(tally, np.ravel(theory.CopyAll(mean=0.151, rho=0.2).pmf(8))) < 1e-9


@pytest.mark.parametrize("p", [0.0, 1e-12, 1e-3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("size", [1, 2, 3, 1024])
def test_binomial_edges(p: float, size: int, scale: float) -> None:
    tally = tally_groups(p, group_size=size, num_groups=int(20_000 * scale), seed=6)
    assert fits(tally, theory.count_pmf(p, size)) > 1e-4


def test_more_correct_at_a_higher_chance_with_the_same_seed() -> None:
    runs = [
        draw_groups(p, group_size=8, num_groups=300, seed=1).num_correct
        for p in np.linspace(0, 0.5, 11)
    ]
    assert all(np.all(low <= high) for low, high in pairwise(runs))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**64 - 1),
    threads=st.integers(1, 3),
    chunk=st.integers(1, 50),
    repeats=st.integers(1, 3),
)
def test_chunks_and_threads_do_not_matter(
    seed: int, threads: int, chunk: int, repeats: int
) -> None:
    model = theory.BetaBinomial(mean=0.3, rho=0.3)
    sizes = np.arange(60) % 9 + 1

    def play(**kw: Any) -> Any:
        return draw_groups(
            model, group_size=sizes, num_groups=60, seed=seed, groups_per_prompt=repeats, **kw
        )

    whole = play(threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw_module, "_CHUNK", chunk)
        assert play(threads=threads) == whole


def test_the_tally_is_that_of_the_table() -> None:
    kw: dict[str, Any] = {"group_size": 4, "num_groups": 500, "seed": 3, "groups_per_prompt": 2}
    table = draw_groups(MODELS[0], **kw)
    tally = tally_groups(MODELS[0], **kw)
    assert np.bincount(table.num_correct, minlength=5).tolist() == tally.tolist()


def test_a_longer_table_starts_with_the_shorter_one() -> None:
    short = draw_groups(0.4, group_size=6, num_groups=10, seed=9)
    long = draw_groups(0.4, group_size=6, num_groups=25, seed=9)
    assert long.num_correct[:10].tolist() == short.num_correct.tolist()


def test_prompts_keep_their_chance() -> None:
    counts = draw_groups([0.0, 1.0, 0.0], group_size=4, groups_per_prompt=2, seed=0)
    assert counts.num_correct.tolist() == [0, 0, 4, 4, 0, 0]
    assert counts.prompt_id.tolist() == [0, 0, 1, 1, 2, 2]


def test_groups_of_a_prompt_agree_more_than_those_of_two(scale: float) -> None:
    model = theory.BetaBinomial(mean=0.3, rho=0.5)
    counts = draw_groups(
        model, group_size=8, num_groups=int(40_000 * scale) * 2, seed=2, groups_per_prompt=2
    )
    first, second = counts.num_correct.reshape(-1, 2).T
    # corr(K1, K2) = g rho / (1 + (g-1) rho) for groups that share p
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(8 * 0.5 / 4.5, abs=0.1)
    assert abs(np.corrcoef(first[1:], second[:-1])[0, 1]) < 4 / np.sqrt(len(first))


@pytest.mark.parametrize(
    ("within", "rho"),
    [(Within("copy", 0.3), 0.3), (Within("common-source", 0.6), 0.36), (None, 0.0)],
)
def test_dependence_given_the_prompt(within: Within | None, rho: float, scale: float) -> None:
    tally = tally_groups(0.4, group_size=4, num_groups=int(200_000 * scale), seed=3, within=within)
    k = np.arange(5)
    spread = k * (4 - k) / 16
    mean = tally @ spread / tally.sum()
    error = np.sqrt(tally @ (spread - mean) ** 2) / tally.sum()
    assert abs(mean - theory.expected_variance(0.4, 4, rho=rho)) < 4 * error


class TestBadInput:
    @pytest.mark.parametrize(
        ("kw", "words"),
        [
            ({"group_size": 0}, "group_size must be"),
            ({"group_size": 1025}, "group_size must be"),
            ({"group_size": 2.5}, "group_size must be"),
            ({"group_size": "8"}, "group_size must be"),
            ({"group_size": None}, "group_size must be"),
            ({"group_size": float("nan")}, "group_size must be"),
            ({"group_size": [4, 8]}, "group_size must be a number or"),
            ({"threads": "two"}, "threads must be"),
            ({"threads": float("nan")}, "threads must be"),
            ({"num_groups": None}, "num_groups must be"),
            ({"num_groups": -1}, "num_groups must be"),
            ({"groups_per_prompt": 0}, "groups_per_prompt must be"),
            ({"seed": -1}, "seed must be"),
            ({"threads": 0}, "threads must be"),
            ({"within": Within("copy", 1.5)}, "within must be"),
        ],
    )
    def test_arguments(self, kw: dict[str, Any], words: str) -> None:
        good: dict[str, Any] = {"group_size": 4, "num_groups": 10, "seed": 0}
        with pytest.raises(ValueError, match=words):
            draw_groups(0.5, **(good | kw))

    @pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), [[0.5]]])
    def test_chances(self, p: Any) -> None:
        with pytest.raises(ValueError, match="p must be"):
            draw_groups(p, group_size=4, num_groups=2, seed=0)

    def test_models(self) -> None:
        with pytest.raises(ValueError, match="got object"):
            draw_groups(object(), group_size=4, num_groups=2, seed=0)
        with pytest.raises(ValueError, match="already correlates"):
            draw_groups(MODELS[3], group_size=4, num_groups=2, seed=0, within=Within("copy", 0.1))
        with pytest.raises(ValueError, match="multiple of the 2 branches"):
            draw_groups(MODELS[7], group_size=3, num_groups=2, seed=0)
        with pytest.raises(ValueError, match="at most the pool"):
            draw_groups(MODELS[10], group_size=13, num_groups=2, seed=0)

    def test_atoms_that_are_no_law(self) -> None:
        with pytest.raises(ValueError, match="no law of p"):
            draw_groups(EasyOrHard(mean=0.1, rho=0.2), group_size=4, num_groups=2, seed=0)

    def test_number_of_groups_follows_from_the_prompts(self) -> None:
        with pytest.raises(ValueError, match="num_groups must be 4"):
            draw_groups([0.1, 0.2], group_size=4, num_groups=5, groups_per_prompt=2, seed=0)
