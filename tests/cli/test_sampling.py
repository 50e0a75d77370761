"""Verifiers, chats, stops, evaluation files and adapters, by the commands that take them."""

import json

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.model import model
from grpolab.cli.rollout import rollout
from grpolab.cli.sft import sft
from grpolab.cli.train import train
from grpolab.cli.triage import triage
from grpolab.errors import UserError
from grpolab.store import read_json
from grpolab.validate.models import TinyConfig, build_model, load_model, save_model

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("default")  # TRL's own
WORDS = ("q", "r", "s", "a", "b", "c", "user", "system", "assistant", "end")
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)
apps = {}
for command in (rollout, train, sft, triage, model):
    app = typer.Typer()
    app.command()(command)
    apps[command.__name__] = app


def run(command, *args):
    return CliRunner().invoke(apps[command], [str(a) for a in args])


def good(command, *args):
    result = run(command, *args)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def refused(command, *args):
    result = run(command, *args)
    assert isinstance(result.exception, UserError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A chat model, records, demonstrations and verifiers."""
    folder = tmp_path_factory.mktemp("sampling")
    built, tokenizer = build_model(WORDS, TinyConfig(hidden=32, layers=1, max_positions=48), seed=0)
    tokenizer.chat_template = TEMPLATE
    save_model(built, tokenizer, folder / "m")
    rows = [(f"{x} {y}", z) for x, z in zip("qrs", "abc", strict=True) for y in "qrs"]
    for name, key, some in (
        ("tasks", "answer", rows), ("demos", "completion", rows), ("more", "answer", rows[:4]),
    ):  # fmt: skip
        lines = [json.dumps({"prompt": prompt, key: answer}) for prompt, answer in some]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "v.py").write_text(
        "def right(completion, row):\n    return row['answer'] in completion\n"
        "def grade(completion, row):\n    return 0.9 if row['answer'] in completion else 0.2\n"
        "def broken(completion, row):\n    return row['gold'] in completion\n"
    )
    return folder


def sampled(root, out, *more, verifier="right"):
    return ("--task", root / "tasks.jsonl", "--verifier", f"{root / 'v.py'}:{verifier}",
            "--max-new-tokens", 3, "--num-samples", 4, "-g", 2, "--out", out, *more)  # fmt: skip


def trained(root, out, *more, verifier="right"):
    return ("--task", root / "tasks.jsonl", "--verifier", f"{root / 'v.py'}:{verifier}",
            "--max-new-tokens", 3, "--steps", 2, "--prompts-per-step", 4, "-g", 4,
            "--out", out, *more)  # fmt: skip


def test_rollout_and_its_verifiers(root, tmp_path):
    out = tmp_path / "r"
    good("rollout", root / "m", *sampled(root, out))
    before = (out / "samples/00000.parquet").read_bytes()
    assert "and a binary reward is 0 or 1" in refused(
        "rollout", root / "m", *sampled(root, out, verifier="grade")
    )
    good("rollout", root / "m", *sampled(root, out, "--threshold", 0.5, verifier="grade"))
    said = refused("rollout", root / "m", *sampled(root, out, verifier="broken"))
    assert "KeyError: 'gold' (v.py:6)" in said
    found = good("rollout", root / "m", *sampled(root, out, "--allow-errors", verifier="broken"))
    assert "36 because the verifier raised" in found.stdout
    assert "KeyError: 'gold' (v.py:6)" in found.stdout
    found = good("rollout", root / "m", *sampled(root, out, "--rejudge"), "--json")
    assert json.loads(found.stdout)["num_missing"] == 0
    assert "judged by broken so far, now by right" in found.stderr
    assert (out / "samples/00000.parquet").read_bytes() == before


def test_shuffle_comes_before_limit(root, tmp_path):
    chosen = []
    for place, more in enumerate(((), ("--shuffle",), ("--shuffle", "--task-seed", 5))):
        out = tmp_path / str(place)
        good("rollout", root / "m", *sampled(root, out, "--limit", 4, *more))
        lines = (out / "prompts.jsonl").read_text().splitlines()
        chosen.append([json.loads(line)["id"] for line in lines])
    assert chosen[0] == [0, 1, 2, 3]
    assert len(chosen[1]) == len(chosen[2]) == 4
    assert chosen[1] != chosen[0] != chosen[2] != chosen[1]


def test_stops_and_system_messages_reach_the_samples(root, tmp_path):
    out = tmp_path / "r"
    more = ("--stop", "a", "--stop", r"\n", "--chat", "--system", "end", "--temperature", 2)
    good("rollout", root / "m", *sampled(root, out, *more))
    manifest = read_json(out / "manifest.json")
    assert manifest["sampling"]["stop"] == ["a", "\n"]
    line = json.loads((out / "prompts.jsonl").read_text().splitlines()[0])
    assert line["messages"] == [["system", "end"], ["user", "q q"]]
    from grpolab.store import read_parquet

    columns, _ = read_parquet(out / "samples/00000.parquet", ["text"])
    assert not any("a" in text.split() for text in columns["text"])
    assert "--system needs conversations" in refused(
        "rollout", root / "m", *sampled(root, tmp_path / "s", "--system", "x")
    )
    assert "--stop must not be empty" in refused(
        "rollout", root / "m", *sampled(root, tmp_path / "s", "--stop", "")
    )


def test_train_does_not_mix_verifiers(root, tmp_path):
    out = tmp_path / "r"
    good("train", root / "m", *trained(root, out))
    steps = (out / "steps.jsonl").read_bytes()
    longer = trained(root, out, "--threshold", 0.5, "--steps", 3, verifier="grade")
    said = refused("train", root / "m", *longer)
    assert (
        "two verifiers cannot be mixed in one run: the verifier was right and is now grade" in said
    )
    code = (root / "v.py").read_text()
    (root / "v.py").write_text(code + "# edited\n")
    try:
        said = refused("train", root / "m", *trained(root, out, "--steps", 3))
        assert "right, or what it judges by, has changed" in said
    finally:
        (root / "v.py").write_text(code)
    assert (out / "steps.jsonl").read_bytes() == steps
    good("train", root / "m", *trained(root, out, "--steps", 3))


def test_train_stops_where_the_verifier_keeps_failing(root, tmp_path):
    args = trained(root, tmp_path / "r", "--steps", 9, "--temperature", 5, verifier="broken")
    assert "KeyError: 'gold' (v.py:6)" in refused("train", root / "m", *args)


@pytest.mark.parametrize("trainer", ["own", pytest.param("trl", marks=pytest.mark.slow)])
def test_train_evaluates_on_a_file(trainer, root, tmp_path):
    first = root / "tasks.jsonl"
    rest = tmp_path / "rest.jsonl"
    rest.write_text("".join(line + "\n" for line in first.read_text().splitlines()[6:]))
    args = ("--trainer", trainer, "--limit", 6, "--eval-every", 1, "--eval-file", rest, "--json")
    found = json.loads(good("train", root / "m", *trained(root, tmp_path / "r", *args)).stdout)
    assert [row["num_prompts"] for row in found["evals"]] == [3, 3, 3]
    said = refused("train", root / "m", *trained(root, tmp_path / "s", "--eval-every", 1,
                                                 "--eval-file", root / "more.jsonl"))  # fmt: skip
    assert "4 of its 4 prompts are trained on" in said
    said = refused("train", root / "m", *trained(root, tmp_path / "s", "--eval-file", rest))
    assert "--eval-file needs --eval-every" in said


def test_the_own_loop_asks_through_the_template_and_stops(root, tmp_path):
    out = tmp_path / "r"
    args = trained(root, out, "--chat", "--system", "end", "--stop", "a", "--temperature", 2)
    good("train", root / "m", *args)
    made = read_json(out / "run.json")["task"]
    assert (made["chat"], made["conversations"], made["stop"]) == (True, True, ["a"])
    from grpolab.validate.rollouts import Rollouts

    table = Rollouts.read(out / "rollouts/step-000000.parquet")
    assert not any("a" in text.split() for text in table.text)
    said = refused("train", root / "m", *trained(root, tmp_path / "s", "--stop", "a",
                                                 "--trainer", "trl"))  # fmt: skip
    assert "--stop: TRL ends" in said


def test_a_model_of_chats_that_is_asked_in_text_is_warned_about(root, tmp_path):
    data = ("--data", root / "demos.jsonl", "--depths", "2", "--unit", "steps", "--batch-size", 4)
    good("sft", root / "m", *data, "--out", tmp_path / "plain")
    good("sft", root / "m", *data, "--out", tmp_path / "chat", "--chat", "--system", "end")
    assert "another run" in refused("sft", root / "m", *data, "--out", tmp_path / "plain", "--chat")
    place = 0
    for name, asked, warned in (
        ("plain", (), False), ("plain", ("--chat",), True), ("chat", ("--chat",), False),
        ("chat", (), True),
    ):  # fmt: skip
        for command in ("rollout", "triage", "train"):
            out = tmp_path / str(place)
            place += 1
            args = trained(root, out, *asked) if command == "train" else sampled(root, out, *asked)
            if command != "rollout":  # what is said before the work
                args = (*args, "--dry-run")
            found = run(command, tmp_path / name / "depth-2", *args,
                        *(("--split", "test") if command == "triage" else ()))  # fmt: skip
            assert ("was trained on prompts" in found.stderr) is warned, (command, found.output)


def test_adapters_that_sft_leaves_are_triaged_trained_on_and_merged(root, tmp_path):
    pytest.importorskip("peft")
    data = ("--data", root / "demos.jsonl", "--depths", "2,9", "--unit", "steps",
            "--batch-size", 4, "--lora-rank", 2, "--lr", 0.1, "--out", tmp_path / "l")  # fmt: skip
    good("sft", root / "m", *data)
    deep, shallow = tmp_path / "l/depth-9", tmp_path / "l/depth-2"
    assert not (deep / "config.json").exists()
    found = run("triage", shallow, deep, *sampled(root, tmp_path / "t"), "--json")
    assert set(json.loads(found.stdout)["ranking"]) == {"depth-2", "depth-9"}
    good("train", deep, *trained(root, tmp_path / "g"))
    found = good("model", "merge", deep, tmp_path / "merged", "--json")
    assert json.loads(found.stdout)["base"] == str(root / "m")
    ids = torch.tensor([[1, 4, 5]])
    whole, merged = load_model(deep)[0](ids).logits, load_model(tmp_path / "merged")[0](ids).logits
    torch.testing.assert_close(whole, merged)
    assert not torch.allclose(whole, load_model(root / "m")[0](ids).logits, atol=1e-2)
    good("rollout", root / "m", *sampled(root, tmp_path / "r", "--adapter", deep))
    assert "is there already" in refused("model", "merge", deep, tmp_path / "merged")
    assert "not a LoRA adapter" in refused("model", "merge", root / "m", tmp_path / "n")
    assert f"grpolab model merge {deep} OUT" in refused("model", "merge", deep)
    assert "--base is for adapters" in refused("model", "x.gguf", tmp_path / "n", "--base", "m")
