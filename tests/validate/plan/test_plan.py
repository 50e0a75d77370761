"""Plans and selections: against known laws, and on disk."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grpolab import cli
from grpolab.theory import prob_mixed
from grpolab.theory.groups import GroupCounts, Provenance
from grpolab.validate.forecast import fit_posterior
from grpolab.validate.plan import make_rows, select

PROMPTS = 400


def measured(n: int, seed: int = 0) -> tuple[np.ndarray, GroupCounts]:
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(PROMPTS) < 0.5, 0.01, rng.beta(2, 2, PROMPTS))
    return p, GroupCounts(rng.binomial(n, p), n)


@pytest.fixture(scope="module")
def fitted():
    p, counts = measured(4)
    return p, counts, fit_posterior(counts, rng=0)


class TestRows:
    def test_the_first_row_is_best_of_the_fixed_ones_and_all_keep_the_budget(self, fitted) -> None:
        _, _, found = fitted
        rows = make_rows(found, 6 * PROMPTS, group_size=6, rng=0)
        assert [row.rule for row in rows] == [
            "per prompt", "one size", "uniform", "Knapsack", "VIP", "dynamic sampling",
            "Reinforce-Ada",
        ]  # fmt: skip
        assert all(row.mixed <= rows[0].mixed + 1e-9 for row in rows[:5])
        assert all(row.spent <= 6 * PROMPTS * (1 + 1e-9) for row in rows)
        assert all(row.low <= row.mixed <= row.high for row in rows)
        # at g per prompt dynamic sampling spends all on its first pass
        assert rows[5].mixed == pytest.approx(rows[2].mixed)

    def test_expected_numbers_are_what_runs_show(self, fitted) -> None:
        p, _, found = fitted
        rng = np.random.default_rng(1)
        for row in make_rows(found, 6 * PROMPTS, group_size=6, rng=0)[:3]:
            number = row.rollouts.astype(int)
            k = rng.binomial(number, p, (300, PROMPTS))
            seen = np.sum((k > 0) & (k < number), axis=1)
            assert row.low - 10 <= seen.mean() <= row.high + 10
            assert np.mean((seen >= row.low) & (seen <= row.high)) > 0.5

    def test_balanced_rounds_are_what_runs_show(self, fitted) -> None:
        p, _, found = fitted
        budget, g = 20 * PROMPTS, 6
        row = make_rows(found, budget, group_size=g, rng=0)[-1]
        rng = np.random.default_rng(2)
        seen = []
        for _ in range(30):
            k, n, left = np.zeros(PROMPTS, int), np.zeros(PROMPTS, int), budget
            while left >= 4:
                wants = np.flatnonzero((k < g // 2) | (n - k < g - g // 2))
                drawn = rng.permutation(wants)[: left // 4]
                if not len(drawn):
                    break
                k[drawn] += rng.binomial(4, p[drawn])
                n[drawn] += 4
                left -= 4 * len(drawn)
            seen.append(np.sum((k > 0) & (k < n)))
        assert row.low - 5 <= np.mean(seen) <= row.high + 5

    @pytest.mark.parametrize("budget", [2, 3, 7, 100, PROMPTS, 2 * PROMPTS - 1, 40 * PROMPTS])
    def test_any_budget(self, fitted, budget: int) -> None:
        _, _, found = fitted
        rows = make_rows(found, budget, group_size=8, rng=0, most=16)
        assert all(row.spent <= budget * (1 + 1e-9) for row in rows)
        assert all(row.most <= 16 for row in rows if row.rule == "per prompt")
        assert all(0 <= row.mixed <= PROMPTS for row in rows)

    def test_bad_input(self, fitted) -> None:
        _, _, found = fitted
        with pytest.raises(ValueError, match="budget must be >= 2"):
            make_rows(found, 1, group_size=8, rng=0)
        with pytest.raises(ValueError, match=r"group_size must lie in 2\.\.128"):
            make_rows(found, 100, group_size=1, rng=0)


class TestSelection:
    def test_the_posterior_keeps_its_promise_and_the_rate_does_not(self, fitted) -> None:
        p, _, found = fitted
        kept = select(found, band=(0.1, 0.9), group_size=8, rng=0)
        truth = prob_mixed(p, 8)
        assert kept.after is not None
        assert kept.after.low <= truth[kept.keep].mean() <= kept.after.high
        assert kept.before.low <= truth.mean() <= kept.before.high
        assert kept.promised is not None
        assert kept.promised > truth[kept.by_rate].mean() + 0.02

    def test_all_and_none(self, fitted) -> None:
        _, _, found = fitted
        assert select(found, band=(0.0, 1.0), group_size=8, rng=0).keep.all()
        none = select(found, band=(0.4995, 0.5005), group_size=8, rng=0)
        assert not none.keep.any()
        assert none.after is None

    @pytest.mark.parametrize("band", [(0.9, 0.1), (-0.1, 0.5), (0.5, 1.5), (0.2, 0.2)])
    def test_bad_band(self, fitted, band) -> None:
        with pytest.raises(ValueError, match="band must be two rates"):
            select(fitted[2], band=band, group_size=8, rng=0)


class TestPosterior:
    def test_ragged_samples_and_groups_of_one_prompt(self) -> None:
        counts = GroupCounts([0, 4, 1, 0, 2], [4, 4, 2, 8, 4], prompt_id=[7, 7, 3, 9, 3])
        found = fit_posterior(counts, rng=0)
        assert found.prompt_id.tolist() == [3, 7, 9]
        rates = found.cells.rate[found.cell]
        assert rates.tolist() == [0.5, 0.5, 0.0]

    @pytest.mark.parametrize(
        ("counts", "words"),
        [
            (GroupCounts([1], 4), "at least 2 prompts"),
            (GroupCounts([1, 0], 1), "at least 2 samples"),
            (GroupCounts([1, 2], 4, provenance=Provenance(filtered=True)), "filtered"),
        ],
    )
    def test_counts_that_say_nothing(self, counts: GroupCounts, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            fit_posterior(counts, rng=0)

    @pytest.mark.parametrize("correct", [[0] * 30, [4] * 30])
    def test_no_prompt_ever_or_always_solved(self, correct: list[int]) -> None:
        found = fit_posterior(GroupCounts(correct, 4), rng=0)
        rows = make_rows(found, 240, group_size=8, rng=0)
        assert all(0 <= row.mixed < 30 for row in rows)


def run(capsys, monkeypatch, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["grpolab", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def counts_file(tmp_path):
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 0.5, 40)
    lines = ["problem,num_correct,num_samples"]
    lines += [f"q{i},{rng.binomial(8, p[i])},8" for i in range(40)]
    path = tmp_path / "counts.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


class TestCommand:
    def test_json_has_every_prompt(self, capsys, monkeypatch, counts_file) -> None:
        status, out, _ = run(
            capsys, monkeypatch, "plan", str(counts_file), "--budget", "200", "--json"
        )
        assert status == 0
        found = json.loads(out)
        assert sum(prompt["rollouts"] for prompt in found["prompts"]) == 200
        assert {prompt["name"] for prompt in found["prompts"]} == {f"q{i}" for i in range(40)}

    @pytest.mark.parametrize("kind", ["jsonl", "parquet"])
    def test_a_filtered_copy(self, capsys, monkeypatch, counts_file, tmp_path, kind) -> None:
        rows = [{"id": f"q{i}", "n": i, "text": f'an "é" {i}'} for i in range(40)]
        data, out_file = tmp_path / f"data.{kind}", tmp_path / f"kept.{kind}"
        if kind == "jsonl":
            data.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
        else:
            pq.write_table(pa.Table.from_pylist(rows), data)
        words = ["plan", str(counts_file), "--select", str(out_file), "--data", str(data)]
        status, out, err = run(capsys, monkeypatch, *words, "--json")
        assert status == 0, err
        found = json.loads(out)
        wanted = [row for row, p in zip(rows, found["prompts"], strict=False)]
        keep = {prompt["name"] for prompt in found["prompts"] if prompt["selected"]}
        wanted = [row for row in rows if row["id"] in keep]
        if kind == "jsonl":
            got = [json.loads(line) for line in out_file.read_text().splitlines()]
        else:
            got = pq.read_table(out_file).to_pylist()
        assert got == wanted
        assert found["written"]["num_rows"] == len(wanted) > 0

    def test_what_could_mean_two_things_is_asked(
        self, capsys, monkeypatch, counts_file, tmp_path
    ) -> None:
        data = tmp_path / "data.jsonl"
        base = ["plan", str(counts_file), "--select", str(tmp_path / "kept.jsonl")]
        both = [{"id": f"q{i}", "name": f"q{i}"} for i in range(40)]
        more = [{"id": f"q{i}"} for i in range(42)]
        other = [{"id": f"x{i}"} for i in range(40)]
        some = [{"id": f"q{i}"} for i in range(1, 40, 2)]
        for rows, extra, words in (
            (both, [], "--id must say which has the ids: id, name"),
            (more, [], "--unmeasured keep or --unmeasured drop"),
            (other, [], "no column holds the names of all 40 prompts"),
            (some, ["--id", "id"], "chosen prompts are in no row"),
            (both, ["--id", "nothing"], "no column 'nothing'; it has id, name"),
        ):
            data.write_text("".join(json.dumps(row) + "\n" for row in rows))
            status, out, err = run(capsys, monkeypatch, *base, "--data", str(data), *extra)
            assert (status, out) == (2, "")
            assert words in err
            assert len(err.splitlines()) == 1
        assert not (tmp_path / "kept.jsonl").exists()

    @pytest.mark.parametrize("choice", ["keep", "drop"])
    def test_rows_without_counts(
        self, capsys, monkeypatch, counts_file, tmp_path, choice: str
    ) -> None:
        data, kept = tmp_path / "data.jsonl", tmp_path / "kept.jsonl"
        data.write_text("".join(json.dumps({"id": f"q{i}"}) + "\n" for i in range(45)))
        words = ["plan", str(counts_file), "--select", str(kept), "--data", str(data)]
        status, out, _ = run(capsys, monkeypatch, *words, "--unmeasured", choice, "--json")
        assert status == 0
        selected = sum(prompt["selected"] for prompt in json.loads(out)["prompts"])
        lines = kept.read_text().splitlines()
        assert len(lines) == selected + (5 if choice == "keep" else 0)

    def test_row_numbers_as_names(self, capsys, monkeypatch, tmp_path) -> None:
        counts, data = tmp_path / "counts.csv", tmp_path / "data.jsonl"
        correct = [0, 8, 4, 3, 5, 0, 8, 2]
        counts.write_text(
            "problem,num_correct,num_samples\n"
            + "".join(f"{i},{c},8\n" for i, c in enumerate(correct))
        )
        data.write_text("".join(json.dumps({"prompt": f"p{i}"}) + "\n" for i in range(8)))
        words = ["plan", str(counts), "--select", str(tmp_path / "k.jsonl"), "--data", str(data)]
        status, _, err = run(capsys, monkeypatch, *words)
        assert status == 2
        assert "--id row" in err
        status, _, _ = run(capsys, monkeypatch, *words, "--id", "row")
        assert status == 0
        kept = [
            json.loads(line)["prompt"] for line in (tmp_path / "k.jsonl").read_text().splitlines()
        ]
        assert kept == ["p2", "p3", "p4", "p7"]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ([], "--budget N says how many rollouts to spend"),
            (["-g", "1"], "-g must be >= 2"),
            (["--budget", "1"], "budget must be >= 2"),
            (["-g", "8", "--data", "x.jsonl"], "go with --select"),
            (["--select", "kept.jsonl"], "--data names it"),
            (["--select", "kept.txt", "--id", "x"], "go with --data"),
            (["--select", "kept.txt", "--band", "0.9", "0.1"], "band must be two rates"),
            (["--select", "kept.csv", "--data", "train.csv"], "writes the kind of file"),
        ],
    )
    def test_bad_options(
        self, capsys, monkeypatch, counts_file, tmp_path, words: list[str], said: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        status, out, err = run(capsys, monkeypatch, "plan", str(counts_file), *words)
        assert (status, out) == (2, "")
        assert said in err
        assert len(err.splitlines()) == 1
