"""Runs on disk: killed, continued, shared among processes, and never mixed."""

import json
import multiprocessing
import shutil
import signal
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from grpolab.errors import UserError
from grpolab.files import LOCK, exclusive
from grpolab.store import read_counts, read_json, read_parquet, write_parquet
from grpolab.validate.models import TinyConfig, build_model, load_model, save_model
from grpolab.validate.rollouts import (
    RolloutPlan,
    Rollouts,
    SamplingLaw,
    Worker,
    read_run,
    stream,
)
from grpolab.validate.rollouts.collect import _token_hash
from grpolab.validate.rollouts.engine import NO_TOKEN, Draws, EngineInfo
from grpolab.validate.rollouts.hf import HFEngine
from grpolab.validate.rollouts.law import score
from grpolab.validate.study.tasks import make_task
from grpolab.validate.tasks import Prompt, Task, VerifierId

pytest.importorskip("torch")
TASK = make_task("coins", seed=0)
PROMPTS = TASK.prompts("eval")[:10]
PLAN = RolloutPlan(
    SamplingLaw(max_new_tokens=6), num_samples=8, group_size=4, seed=3, rows_per_shard=16
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    save_model(*build_model(TASK.vocabulary, TinyConfig(hidden=32, layers=1), seed=0), path)
    return path


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    table = stream(HFEngine(folder), PLAN, task=TASK, prompts=PROMPTS, out=out)
    return out, table


def same(a: Rollouts, b: Rollouts) -> bool:
    columns = zip(a.columns.values(), b.columns.values(), strict=True)
    return all(np.array_equal(x, y, equal_nan=True) for x, y in columns)


def test_everything_is_kept(whole):
    out, table = whole
    assert len(table) == 80
    assert sorted(p.name for p in (out / "samples").iterdir()) == [
        f"0000{i}.parquet" for i in range(5)
    ]
    samples = pq.read_table(out / "samples/00000.parquet").to_pylist()
    first = samples[0]
    assert len(first["token_ids"]) == first["num_tokens"] == len(first["token_logprob"])
    assert sum(first["token_logprob"]) == pytest.approx(first["logprob"], abs=1e-4)
    manifest = read_json(out / "manifest.json")
    assert manifest["engine"]["model_hash"].startswith("files:")
    assert set(manifest["engine"]["versions"]) == {"torch", "transformers"}
    assert manifest["sampling"]["top_k"] == 0
    assert (manifest["seed"], manifest["num_samples"]) == (3, 8)
    lines = (out / "prompts.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [p.id for p in PROMPTS]
    assert same(read_run(out), table)
    counts = read_counts(out / "groups.parquet")
    assert counts.group_size.tolist() == [4] * 20
    assert counts.prompt_names[PROMPTS[0].id] == f"coins/{PROMPTS[0].id}"
    assert table.provenance.source == manifest["engine"]["model"]


@pytest.mark.parametrize("kind", ["samples", "verdicts"])
def test_a_shard_that_has_changed_is_refused_and_drawn_anew(kind, whole, folder, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(whole[0], out)
    path = out / kind / "00002.parquet"
    before = {p.name: p.read_bytes() for p in out.rglob("*.parquet") if p.parent.name != "verdicts"}
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)
    engine = HFEngine(folder)
    with pytest.raises(UserError, match=rf"{kind}/00002.parquet: has changed .*; remove it to"):
        stream(engine, PLAN, task=TASK, prompts=PROMPTS, out=out)
    path.unlink()
    (out / "groups.parquet").write_bytes(b"broken")
    assert same(stream(engine, PLAN, task=TASK, prompts=PROMPTS, out=out), whole[1])
    after = {p.name: p.read_bytes() for p in out.rglob("*.parquet") if p.parent.name != "verdicts"}
    assert after == before


def test_workers_share_a_folder_and_others_are_kept_out(folder, tmp_path):
    engine, out = HFEngine(folder), tmp_path / "r"
    assert stream(engine, PLAN, task=TASK, prompts=PROMPTS, out=out, worker=Worker(0, 2)) is None
    with exclusive(out, shared=True):  # the other worker
        with pytest.raises(UserError, match="another process"):
            stream(engine, PLAN, task=TASK, prompts=PROMPTS, out=out)
        with (
            exclusive(out, lock=f"{LOCK}-1-2"),
            pytest.raises(UserError, match="another process"),
        ):
            stream(engine, PLAN, task=TASK, prompts=PROMPTS, out=out, worker=Worker(1, 2))
        stream(engine, PLAN, task=TASK, prompts=PROMPTS, out=out, worker=Worker(1, 2))


def test_columns_are_those_of_the_tokens(whole, folder):
    """Entropy and log-probability of every row, recomputed from its token ids."""
    out, table = whole
    model, tokenizer = load_model(folder)
    rows = pq.read_table(out / "samples").to_pylist()
    text = {p.id: p.text for p in PROMPTS}
    asked = [tokenizer(text[row["prompt_id"]])["input_ids"] for row in rows]
    logprob, entropy = score(model, asked, [r["token_ids"] for r in rows], law=PLAN.law)
    size = np.array([len(r["token_ids"]) for r in rows])
    assert len(set(size)) > 1
    np.testing.assert_allclose(
        table.entropy[: len(rows)], entropy.sum(dim=1).numpy() / size, atol=1e-5
    )
    np.testing.assert_allclose(table.logprob[: len(rows)], logprob.sum(dim=1).numpy(), atol=1e-4)
    assert [r["text"] for r in rows] == tokenizer.batch_decode(
        [r["token_ids"] for r in rows], skip_special_tokens=True
    )


def test_token_hashes_tell_sequences_apart_and_nothing_else():
    rows = np.array([[0, 1, NO_TOKEN], [1, 0, NO_TOKEN], [0, 1, 0], [0, 1, NO_TOKEN]])
    found = _token_hash(rows)
    assert len(set(found.tolist())) == 3
    assert found[0] == found[3]
    wider = np.pad(rows, ((0, 0), (0, 2)), constant_values=NO_TOKEN)
    assert np.array_equal(_token_hash(wider), found)


def test_a_run_is_continued_to_the_same_numbers(whole, folder, tmp_path):
    _, table = whole
    first = stream(HFEngine(folder), PLAN, task=TASK, prompts=PROMPTS, out=tmp_path / "r")
    for lost in ("samples/00003", "verdicts/00003", "verdicts/00001"):
        (tmp_path / f"r/{lost}.parquet").unlink()
    (tmp_path / "r/samples/.00003.parquet.abc.partial").write_text("torn")
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "r/samples").glob("0*.parquet")}
    again = stream(HFEngine(folder), PLAN, task=TASK, prompts=PROMPTS, out=tmp_path / "r")
    assert same(first, table)
    assert same(again, table)
    assert all(p.stat().st_mtime_ns == t for p, t in kept.items())
    assert not list((tmp_path / "r/samples").glob("*.partial"))


def test_a_finished_run_needs_no_weights(whole, folder):
    class NoWeights(HFEngine):
        @property
        def _loaded(self):
            raise AssertionError("weights were loaded")

    out, table = whole
    again = stream(NoWeights(folder), PLAN, task=TASK, prompts=PROMPTS, out=out)
    assert same(again, table)


def test_workers_share_a_run(whole, folder, tmp_path):
    out = tmp_path / "r"
    engine = HFEngine(folder)
    parts = [
        stream(engine, PLAN, task=TASK, prompts=PROMPTS, out=out, worker=Worker(rank, 3))
        for rank in (1, 0, 2)
    ]
    assert parts[:2] == [None, None]
    assert same(parts[2], whole[1])
    with pytest.raises(ValueError, match=r"rank must lie in 0\.\.2, got 3"):
        stream(engine, PLAN, task=TASK, prompts=PROMPTS, out=out, worker=Worker(3, 3))


class Slow(HFEngine):
    def draw(self, *args, **kwargs):
        time.sleep(0.2)
        return super().draw(*args, **kwargs)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_killed_process_loses_only_the_shard_it_was_at(whole, folder, tmp_path):
    out = tmp_path / "r"
    child = multiprocessing.get_context("fork").Process(
        target=stream, args=(Slow(folder), PLAN),
        kwargs={"task": TASK, "prompts": PROMPTS, "out": out},
    )  # fmt: skip
    child.start()
    deadline = time.monotonic() + 60
    while not (out / "samples/00001.parquet").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not (out / "rollouts.parquet").exists()
    with pytest.raises(UserError, match="no finished rollout run"):
        read_run(out)
    assert same(stream(HFEngine(folder), PLAN, task=TASK, prompts=PROMPTS, out=out), whole[1])


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"seed": 4}, "seed"),
        ({"law": SamplingLaw(max_new_tokens=6, temperature=0.5)}, "sampling.temperature"),
        ({"num_samples": 4}, "num_samples"),
    ],
)
def test_another_run_is_not_mixed_in(whole, folder, change, key):
    import dataclasses

    other = dataclasses.replace(PLAN, **change)
    with pytest.raises(UserError, match=f"holds another run: {key} was"):
        stream(HFEngine(folder), other, task=TASK, prompts=PROMPTS, out=whole[0])


def test_other_prompts_models_and_folders_are_refused(whole, folder, tmp_path):
    engine = HFEngine(folder)
    with pytest.raises(UserError, match="holds another run: num_prompts"):
        stream(engine, PLAN, task=TASK, prompts=PROMPTS[:5], out=whole[0])
    with pytest.raises(UserError, match="holds another run: prompts_hash"):
        stream(engine, PLAN, task=TASK, prompts=PROMPTS[::-1], out=whole[0])
    save_model(
        *build_model(TASK.vocabulary, TinyConfig(hidden=32, layers=1), seed=1), tmp_path / "m"
    )
    with pytest.raises(UserError, match=r"holds another run: engine\.model_hash"):
        stream(HFEngine(tmp_path / "m"), PLAN, task=TASK, prompts=PROMPTS, out=whole[0])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("")
    with pytest.raises(UserError, match="not empty and not a rollout run"):
        stream(engine, PLAN, task=TASK, prompts=PROMPTS, out=tmp_path / "mine")
    with pytest.raises(UserError, match="no prompts"):
        stream(engine, PLAN, task=TASK, prompts=[], out=tmp_path / "new")


class Fixed:
    """An engine without a model: completions by a table, no entropies."""

    context, device = 40, "cpu"
    info = EngineInfo("fixed", "m", "h", {}, {}, {})

    class tokenizer:
        chat_template = None

        def __new__(cls, texts, **_):
            return {"input_ids": [[1] * max(len(text), 1) for text in texts]}

        @staticmethod
        def batch_decode(rows, *, skip_special_tokens):
            return ["".join("?ab"[t] for t in row if t) for row in rows]

    def draw(self, prompts, *, num_samples, law, seed, first=0, watch=None):
        pattern = np.array([[1, 2, 0], [2, 0, NO_TOKEN], [0, NO_TOKEN, NO_TOKEN], [1, 1, 1]])
        tokens = np.tile(pattern, (len(prompts) * num_samples // 4, 1))
        logprob = np.where(tokens == NO_TOKEN, 0.0, -0.5)
        return Draws(tokens, logprob, None, np.tile([False] * 3 + [True], len(tokens) // 4))


class Grumpy(Task):
    """Raises on 'b', has no verdict for the empty completion."""

    name = "grumpy"

    def prompts(self, split):
        return ()

    def verify(self, prompt, completion):
        if completion == "b":
            raise OSError("grader is down")
        return None if completion == "" else completion == "ab"


def test_failing_verifiers_and_empty_completions_are_counted(tmp_path):
    prompts = [Prompt(i, "x", "") for i in range(3)]
    out = tmp_path / "r"
    with pytest.raises(UserError, match=r"at least \d+ of 24 .*OSError: grader is down"):
        stream(Fixed(), PLAN, task=Grumpy(), prompts=prompts, out=out)
    assert not (out / "rollouts.parquet").exists()
    table = stream(Fixed(), PLAN, task=Grumpy(), prompts=prompts, out=out, allow_errors=True)
    assert table.reward[:4].tolist()[0] == 1
    assert np.isnan(table.reward[1:3]).all()
    assert table.reward[3] == 0
    assert np.isnan(table.entropy).all()
    assert table.num_tokens[:4].tolist() == [3, 2, 1, 3]
    assert table.truncated[:4].tolist() == [False, False, False, True]
    result = read_json(out / "result.json")
    assert result["num_missing"] == 12
    assert result["num_verifier_errors"] == 6
    assert result["first_verifier_error"].startswith("OSError: grader is down (test_stream.py:")
    assert result["num_empty"] == 6
    assert read_counts(out / "groups.parquet").group_size.tolist() == [2] * 6

    class Mended(Grumpy):
        def verify(self, prompt, completion):
            return completion == "ab"

    said = []
    again = stream(Fixed(), PLAN, task=Mended(), prompts=prompts, out=out, note=said.append)
    assert ["judged by" in words for words in said] == [True]
    assert not np.isnan(again.reward).any()
    assert np.array_equal(again.logprob, table.logprob)


class Counting(Fixed):
    """Counts how often it is asked to draw."""

    def __init__(self):
        self.draws = 0

    def draw(self, *args, **options):
        self.draws += 1
        return super().draw(*args, **options)


class Strict(Task):
    """Right is what ``right`` says; its verifier is known by it."""

    name = "strict"

    def __init__(self, right="ab"):
        self.right = right

    @property
    def verifier(self):
        return VerifierId("strict", self.right)

    def prompts(self, split):
        return ()

    def verify(self, prompt, completion):
        return completion == self.right


def test_another_verifier_judges_anew_and_nothing_is_drawn_anew(tmp_path):
    prompts = [Prompt(i, "x", "") for i in range(5)]
    out, said = tmp_path / "r", []

    def run(task, **options):
        engine = Counting()
        table = stream(
            engine, PLAN, task=task, prompts=prompts, out=out, note=said.append, **options
        )
        return engine.draws, table

    assert run(Strict())[0] == 3
    before = {p: p.read_bytes() for p in (out / "samples").iterdir()}
    assert read_json(out / "manifest.json")["verifier"] == {"name": "strict", "hash": "ab"}
    draws, table = run(Strict())
    assert (draws, said) == (0, [])
    draws, other = run(Strict("b"))
    assert draws == 0
    assert len(said) == 1
    assert "has changed since" in said.pop()
    assert other.reward.sum() == table.reward.sum() == 10
    assert not np.array_equal(other.reward, table.reward)
    assert read_json(out / "manifest.json")["verifier"]["hash"] == "b"
    assert {p: p.read_bytes() for p in (out / "samples").iterdir()} == before
    assert read_counts(out / "groups.parquet").num_correct.sum() == 10

    asked = []

    class Asked(Strict):
        def verify(self, prompt, completion):
            asked.append(completion)
            return super().verify(prompt, completion)

    run(Asked("b"))
    assert asked == []
    run(Asked("b"), rejudge=True)
    assert len(asked) == 20
    assert "judging the completions anew" in said.pop()
    # a worker that has not judged anew yet keeps the whole from being put together
    assert run(Strict("ab"), worker=Worker(0, 2))[1] is None
    assert not (out / "rollouts.parquet").exists()
    assert np.array_equal(run(Strict("ab"), worker=Worker(1, 2))[1].reward, table.reward)


def test_verdicts_that_do_not_say_by_whom_are_given_anew(tmp_path):
    out, said = tmp_path / "r", []
    prompts = [Prompt(0, "x", "")]
    stream(Fixed(), PLAN, task=Strict(), prompts=prompts, out=out)
    path = out / "verdicts/00000.parquet"
    columns, meta = read_parquet(path, ["reward"])
    del meta["verifier"]
    write_parquet(path, {"reward": 1 - columns["reward"]}, meta)
    found = stream(Fixed(), PLAN, task=Strict(), prompts=prompts, out=out, note=said.append)
    assert found.reward.sum() == 2
    assert "has changed since" in said[0]


def test_progress_is_told_per_batch_with_the_pace(folder, tmp_path):
    told = []
    stream(
        HFEngine(folder, batch_rows=8), PLAN, task=TASK, prompts=PROMPTS, out=tmp_path / "r",
        progress=lambda share, speed: told.append((share, speed)),
    )  # fmt: skip
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(set(shares)) >= len(PROMPTS) * PLAN.num_samples // 8
    assert all(speed.endswith("tokens/s") for _, speed in told[:-1])


def test_every_shard_is_drawn_at_its_own_place(tmp_path):
    """Shards that all said they were first would share their noise."""
    places = []

    class Recording(Fixed):
        def draw(self, prompts, *, first, **options):
            places.append((first, len(prompts)))
            return super().draw(prompts, first=first, **options)

    prompts = [Prompt(i, "x", "") for i in range(5)]
    stream(Recording(), PLAN, task=Grumpy(), prompts=prompts, out=tmp_path / "r", allow_errors=True)
    assert places == [(0, 2), (2, 2), (4, 1)]


def test_a_verifier_that_never_answers_leaves_a_run(tmp_path):
    class Silent(Grumpy):
        name = "silent"

        def verify(self, prompt, completion):
            return None

    out = tmp_path / "r"
    table = stream(Fixed(), PLAN, task=Silent(), prompts=[Prompt(0, "x", "")], out=out)
    assert np.isnan(table.reward).all()
    assert read_json(out / "result.json")["mean_reward"] is None


def test_long_prompts_stop_the_run_before_it_starts(tmp_path):
    prompts = [Prompt(0, "x", ""), Prompt(1, "x" * 35, "")]
    with pytest.raises(UserError, match="1 of 2 prompts do not fit the context of 40"):
        stream(Fixed(), PLAN, task=Grumpy(), prompts=prompts, out=tmp_path / "r")
    assert not (tmp_path / "r/samples").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_samples": 0}, "num_samples must be >= 1"),
        ({"num_samples": 6}, "num_samples must be a multiple of group_size=4, got 6"),
        ({"seed": -1}, "seed must be >= 0"),
        ({"rows_per_shard": 0}, "rows_per_shard must be >= 1"),
    ],
)
def test_bad_plans_are_refused(change, message):
    import dataclasses

    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PLAN, **change)
