"""How long a run will take is measured before it begins, and changes nothing in it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from grpolab.validate.training.duration import _grown, grpo_seconds, sft_seconds
from grpolab.validate.training.sft import SFTConfig
from grpolab.validate.training.sft_data import example

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def model():
    from grpolab.validate.models import TinyConfig, build_model

    return build_model(("q", "r", "a"), TinyConfig(hidden=32, layers=1, max_positions=16), seed=0)


def test_a_ladder_is_timed_without_moving_its_weights(model):
    policy, tokenizer = model
    row = {"prompt": "q r", "completion": "a"}
    examples = [example(row, tokenizer)] * 8
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    torch.manual_seed(5)
    drawn = torch.random.get_rng_state()

    def seconds(**changes):
        return sft_seconds(
            policy, tokenizer, examples, config=SFTConfig(batch_size=4, **changes), device="cpu",
            dtype="float32",
        )  # fmt: skip

    short, long = seconds(depths=(50,)), seconds(depths=(500_000,))
    assert 0 < short < long
    assert seconds(depths=(9,)) is None  # 18 steps: over before it is measured
    assert seconds(depths=(19,), unit="steps") is None
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(torch.equal(value, before[name]) for name, value in policy.state_dict().items())
    assert all(weight.grad is None for weight in policy.parameters())


def test_time_grows_with_the_work_and_a_part_stands_for_long_work(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        "grpolab.validate.training.duration.time", SimpleNamespace(monotonic=lambda: clock.now)
    )
    asked = []

    def work(rows):
        asked.append(rows)
        clock.now += 3.0 * rows

    assert _grown(work, 64, device="cpu") == pytest.approx(192)
    assert max(asked) == 3  # 10 seconds hold three rows
    asked.clear()
    assert _grown(work, 2, device="cpu") == pytest.approx(6)

    def long(rows):
        asked.append(rows)
        clock.now += 60 * rows

    asked.clear()
    assert _grown(long, 8, device="cpu") == pytest.approx(480)
    assert asked == [1]  # not again where once is long

    def too_much(rows):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    def broken(rows):
        raise RuntimeError("shapes do not match")

    assert _grown(too_much, 2, device="cpu") is None
    with pytest.raises(RuntimeError, match="shapes"):
        _grown(broken, 2, device="cpu")


@pytest.mark.parametrize(
    ("trainer", "steps"), [("trl", 100), ("own", 19)], ids=["another loop", "a short run"]
)
def test_no_time_is_said_where_none_is_known(trainer, steps):
    job = SimpleNamespace(trainer=trainer, config=SimpleNamespace(steps=steps))
    assert grpo_seconds(job) is None


def test_a_plan_says_the_time_and_calls_no_verifier(model, tmp_path, monkeypatch, capsys):
    from grpolab import cli
    from grpolab.validate.models import save_model

    save_model(*model, tmp_path / "m")
    (tmp_path / "tasks.jsonl").write_text(
        "\n".join(json.dumps({"prompt": word, "answer": "a"}) for word in "qr")
    )
    (tmp_path / "mine.py").write_text("def verify(*_):\n    raise SystemExit('called')\n")
    monkeypatch.chdir(tmp_path)
    words = (
        "train m --task tasks.jsonl --verifier mine.py:verify --max-new-tokens 2 --steps 1000000"
        " -g 2 --prompts-per-step 2 --lr 1e-3 --out r --dry-run"
    )
    monkeypatch.setattr("sys.argv", ["grpolab", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert ", about " in out
    assert out.endswith(", into r\n")
    assert not (tmp_path / "r").exists()
    for more, reason in (
        ("--prompts-per-step 3", "prompts are fewer"),
        ("--max-new-tokens 99", "16"),
    ):
        monkeypatch.setattr("sys.argv", ["grpolab", *words.split(), *more.split()])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr().err
        assert (ended.value.code, said.count("\n")) == (2, 1)
        assert reason in said
