"""``grpolab train`` and ``grpolab sft`` from the outside."""

import json
import shutil

import pytest
import typer
from typer.testing import CliRunner

from grpolab.cli.sft import sft
from grpolab.cli.train import train
from grpolab.errors import UserError
from grpolab.progress import without_progress
from grpolab.store import read_counts
from grpolab.validate.models import TinyConfig, build_model, save_model
from grpolab.validate.models.load import missing

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("default")  # TRL's own
train_app, sft_app = typer.Typer(), typer.Typer()
train_app.command()(train)
sft_app.command()(sft)
WORDS = ("q", "r", "s", "a", "b", "c")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A model, records to be judged by their answers, and the same as demonstrations."""
    folder = tmp_path_factory.mktemp("train")
    config = TinyConfig(hidden=32, layers=1, max_positions=32)
    save_model(*build_model(WORDS, config, seed=0), folder / "m")
    rows = [(f"{x} {y}", z) for x, z in zip("qrs", "abc", strict=True) for y in "qrs"]
    for name, key in (("tasks", "answer"), ("demos", "completion")):
        lines = [json.dumps({"prompt": prompt, key: answer}) for prompt, answer in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def options(root, out, **changes):
    chosen = {
        "task": root / "tasks.jsonl", "verifier": "exact", "max-new-tokens": 2, "steps": 3,
        "prompts-per-step": 4, "group-size": 4, "lr": 1e-3, "save-every": 2, "out": out,
        **changes,
    }  # fmt: skip
    return [word for key, value in chosen.items() for word in (f"--{key}", str(value))]


def run(app, *args):
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.mark.parametrize("trainer", ["own", pytest.param("trl", marks=pytest.mark.slow)])
def test_train_writes_a_run_that_other_commands_read(trainer, root, tmp_path):
    out = tmp_path / "r"
    args = options(
        root, out, trainer=trainer, loss="dr_grpo", beta=0.05, limit=6, **{"eval-every": 2}
    )
    result = run(train_app, root / "m", *args, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["trainer"], found["steps"]) == (trainer, 3)
    assert [row["step"] for row in found["evals"]] == [0, 2, 3]
    assert found["interventions"]["kl"].endswith(f"reference: {root / 'm'}")
    assert read_counts(out / "groups.parquet").group_size.tolist() == [4] * 12
    from grpolab.validate.monitor.from_grpolab import find

    assert find(out) is not None
    again = run(train_app, root / "m", *args)  # finished: says so and trains no more
    assert "3 steps: mean reward" in again.stdout
    longer = run(train_app, root / "m", *args, "--steps", 4, "--json")
    assert json.loads(longer.stdout)["steps"] == 4


def test_manifest_says_what_runs(root, tmp_path):
    args = options(root, tmp_path / "r", steps=1, **{
        "loss": "dapo", "clip-high": 0.28, "entropy-coef": 0.01, "weight-decay": 0.1,
        "decay-to": "start", "dynamic-sampling": "matched", "temperature": 0.9, "lora-rank": 2,
    })  # fmt: skip
    result = run(train_app, root / "m", *args)
    assert result.exit_code == 0, result.output
    made = json.loads((tmp_path / "r" / "run.json").read_text())
    assert made["kind"] == "grpolab-train"
    assert made["config"]["aggregation"] == "token"
    assert set(made["interventions"]) == {
        "advantage", "aggregation", "clip", "clip_higher", "dynamic_sampling", "entropy_bonus",
        "lora", "optimiser", "temperature", "weight_decay",
    }  # fmt: skip
    assert set(made["versions"]) == {"grpolab", "torch", "transformers", "peft"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "chess"}, "unknown task 'chess'"),
        ({"task": "coins", "verifier": "exact"}, "a judge of its own: no --verifier"),
        ({"task": "coins", "split": "train", "verifier": ""}, "has no split 'train'"),
        ({"max-new-tokens": 0}, "give --max-new-tokens"),
        ({"max-new-tokens": 40}, "do not fit the context of 32"),
        ({"prompts-per-step": 30}, "9 prompts are fewer"),
        ({"eval-every": 2}, "all prompts of tasks.jsonl are trained on"),
        ({"temperature": 0}, "temperature must be > 0"),
        ({"betas": "0.9"}, "--betas must be two numbers"),
        ({"betas": "0.9,1"}, r"--betas must lie in"),
        ({"trainer": "trl", "decay-to": "start", "weight-decay": 1}, "decay_to='start'"),
        ({"device": "cuda:9"}, "torch sees no GPU"),
        ({"beta": 0.1, "reference": "./nowhere"}, "nowhere: no such checkpoint folder"),
        ({"beta": 0.1, "reference": "./nowhere", "trainer": "trl"}, "nowhere: no such"),
    ],
)
def test_bad_input_is_one_line_and_spoils_nothing(root, tmp_path, changes, message):
    out = tmp_path / "r"
    result = run(train_app, root / "m", *options(root, out, **changes))
    assert isinstance(result.exception, UserError), result.output
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    good = run(train_app, root / "m", *options(root, out, steps=1))
    assert good.exit_code == 0, good.output


@pytest.mark.parametrize(
    ("option", "value"),
    [("loss", "ppo"), ("advantage", "best"), ("trainer", "verl"), ("dynamic-sampling", "maybe"),
     ("decay-to", "base")],
)  # fmt: skip
def test_a_wrong_choice_is_named(root, tmp_path, option, value):
    result = run(train_app, root / "m", *options(root, tmp_path / "r", **{option: value}))
    assert result.exit_code == 2
    assert f"--{option}" in result.output
    assert value in result.output


def test_device_auto_takes_what_there_is(root, tmp_path):
    args = options(root, tmp_path / "r", steps=1, device="auto")
    assert run(train_app, root / "m", *args).exit_code == 0
    demos = ("--data", root / "demos.jsonl", "--depths", "1", "--device", "auto")
    result = run(sft_app, root / "m", *demos, "--out", tmp_path / "s", "--json")
    assert result.exit_code == 0, result.output


def test_a_missing_model_and_another_run_are_refused(root, tmp_path):
    args = options(root, tmp_path / "r", steps=1)
    result = run(train_app, tmp_path / "nowhere", *args)
    assert "no such checkpoint folder" in str(result.exception)
    assert run(train_app, root / "m", *args).exit_code == 0
    other = run(train_app, root / "m", *options(root, tmp_path / "r", steps=1, lr=0.5))
    assert "config.lr was 0.001, now 0.5" in str(other.exception)


def test_a_group_of_one_is_refused(root, tmp_path):
    result = run(train_app, root / "m", *options(root, tmp_path / "r", **{"group-size": 1}))
    assert result.exit_code == 2
    assert "--group-size" in result.output


def test_a_run_knows_its_model_by_content(root, tmp_path, monkeypatch):
    copy = tmp_path / "models" / "m"
    shutil.copytree(root / "m", copy)
    args = options(root, tmp_path / "r", steps=1, beta=0.1)
    assert run(train_app, copy, *args).exit_code == 0
    monkeypatch.chdir(copy.parent)  # the same files under another name
    assert run(train_app, "m", *args).exit_code == 0
    save_model(*build_model(WORDS, TinyConfig(hidden=32, layers=1, max_positions=32), seed=1), copy)
    changed = run(train_app, copy, *args)
    assert "holds another run: model_hash was" in str(changed.exception)


def test_a_near_name_is_offered(root, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(root.parent)
    said = str(missing(f"{root.name}/tusks.jsonl", OSError("offline")))
    assert f"no such folder; {root.name}/tasks.jsonl is here, and not found" in said
    assert "cannot load this checkpoint (broken)" in str(
        missing(str(root / "m"), OSError("broken"))
    )


def test_a_lost_signal_is_told_at_the_end(root, tmp_path):
    """Rewards of a verifier that is never satisfied: the run ends well, and says what it was."""
    (tmp_path / "rewards.py").write_text("def never(completion, row):\n    return False\n")
    verifier = f"{tmp_path / 'rewards.py'}:never"
    many = {"steps": 90, "prompts-per-step": 8, "save-every": 90}
    args = options(root, tmp_path / "r", lr=0, verifier=verifier, **many)
    with without_progress(True):
        result = run(train_app, root / "m", *args)
    assert result.exit_code == 0, result.output
    assert "! step " in result.stdout
    assert "no signal" in result.stdout
    found = json.loads(run(train_app, root / "m", *args, "--json").stdout)
    assert found["mean_reward_last"] == 0
    assert any("no signal" in alarm for alarm in found["alarms"])


@pytest.mark.parametrize("trainer", ["own", pytest.param("trl", marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_is_named(trainer, root, tmp_path):
    args = options(root, tmp_path / "r", trainer=trainer, steps=2)
    assert run(train_app, root / "m", *args).exit_code == 0
    (folder,) = (tmp_path / "r" / "checkpoints").glob("*-2")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    result = run(train_app, root / "m", *args, "--steps", 3)
    assert isinstance(result.exception, UserError), result.output
    assert f"remove {folder} to go on from the start" in str(result.exception)
    assert "\n" not in str(result.exception)
    shutil.rmtree(folder)
    assert run(train_app, root / "m", *args, "--steps", 3).exit_code == 0


def test_a_broken_run_ends_with_status_1(root, tmp_path):
    from grpolab.validate.models import load_model

    model, tokenizer = load_model(root / "m")
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    save_model(model, tokenizer, tmp_path / "spoilt")
    args = options(root, tmp_path / "r", beta=0.1, reference=tmp_path / "spoilt")
    result = run(train_app, root / "m", *args)
    assert result.exit_code == 1
    assert "stopped: step 0: loss is nan; no checkpoint yet" in result.stderr


def test_sft_climbs_and_grpo_goes_on_from_a_depth(root, tmp_path):
    out = tmp_path / "ladder"
    args = ("--data", root / "demos.jsonl", "--depths", "4,20", "--unit", "steps",
            "--batch-size", 4, "--lr", 1e-2, "--held-out-frac", 0.2, "--out", out)  # fmt: skip
    result = run(sft_app, root / "m", *args, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [row["depth"] for row in found["depths"]] == [0, 4, 20]
    assert found["depths"][2]["train_loss"] < found["depths"][1]["train_loss"]
    assert "depth-20" in run(sft_app, root / "m", *args).stdout
    lower = run(sft_app, root / "m", *args, "--label-smoothing", 0.1)
    assert "config.label_smoothing was 0.0, now 0.1" in str(lower.exception)
    rates = {}
    for start in (root / "m", out / "depth-20"):
        more = options(root, tmp_path / start.name, steps=1, lr=0)
        rates[start.name] = json.loads(run(train_app, start, *more, "--json").stdout)
    assert rates["depth-20"]["mean_reward_first"] > rates["m"]["mean_reward_first"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--depths", "1,x"), "--depths must be whole numbers"),
        (("--depths", "2,2"), "depths must be distinct"),
        (("--held-out-frac", 1.0), "held-out share must lie in"),
        (("--label-smoothing", 1.0), "label_smoothing must lie in"),
        (("--held-out", "nothing.jsonl"), "nothing.jsonl"),
    ],
)
def test_bad_sft_input_is_one_line(root, tmp_path, args, message):
    data = ("--data", root / "demos.jsonl", "--out", tmp_path / "r")
    result = run(sft_app, root / "m", *data, *args)
    assert isinstance(result.exception, UserError), result.output
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
