"""The adapter of reasoning-gym: against the package where it is there, against a stand-in else."""

import sys
from types import ModuleType

import pytest

from grpolab.errors import UserError
from grpolab.validate.tasks import reasoning_gym as ours
from grpolab.validate.tasks.reasoning_gym import ReasoningGymTask


class Doubling:
    """A generator with the interface of the package: twice a number, half a point for its half."""

    def __init__(self, size, seed, factor=2):
        if factor < 1:
            raise AssertionError("factor must be >= 1")
        self._rows = [(seed + i) % 97 for i in range(size)]
        self._factor = factor

    def __getitem__(self, i):
        n = self._rows[i]
        return {"question": f"{self._factor} * {n} =", "answer": str(self._factor * n), "n": n}

    def score_answer(self, answer, entry):
        print("graders print")
        value = int(answer)  # raises on what is no number
        return 1.0 if str(value) == entry["answer"] else 0.5 if value == entry["n"] else 0.0


@pytest.fixture
def package(monkeypatch):
    module, factory = ModuleType("reasoning_gym"), ModuleType("reasoning_gym.factory")
    factory.DATASETS = {"doubling": Doubling}
    module.create_dataset = lambda name, **options: Doubling(**options)
    module.__spec__ = module.__loader__ = object()
    monkeypatch.setitem(sys.modules, "reasoning_gym", module)
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", factory)
    monkeypatch.setattr(ours, "require", lambda module, *, extra: None)


def test_full_marks_are_right_and_all_else_is_wrong(package, capsys):
    task = ReasoningGymTask("reasoning-gym:doubling?size=5&factor=3", seed=0)
    held_out, train = task.prompts("eval"), task.prompts("train")
    assert len({p.id for p in (*held_out, *train)}) == 10
    assert {p.text for p in held_out} != {p.text for p in train}
    for prompt in (*held_out, *train):
        n = int(prompt.text.split()[2])
        assert task.verify(prompt, f" {3 * n}\n")
        assert task.verify(prompt, f"<answer>0</answer> no: <answer>{3 * n}</answer> done")
        assert not task.verify(prompt, f"{n}" if n else "1")  # half a point
        assert not task.verify(prompt, "a number")
        assert not task.verify(prompt, "")
    assert capsys.readouterr().out == ""
    again = ReasoningGymTask("reasoning-gym:doubling?size=5&factor=3", seed=0)
    assert again.prompts("eval") == held_out
    assert ReasoningGymTask("reasoning-gym:doubling?size=5", seed=1).prompts("eval") != held_out


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("doublin", "did you mean doubling"),
        ("doubling?size=0", "size must be a whole number"),
        ("doubling?size=x", "size must be a whole number"),
        ("doubling?factor=0", "factor must be >= 1"),
        ("doubling?colour=1", "refuses it"),
        ("doubling?seed=1", "--task-seed"),
    ],
)
def test_bad_names_and_settings_are_refused(package, spec, words):
    with pytest.raises(UserError, match=words) as err:
        ReasoningGymTask(f"reasoning-gym:{spec}", seed=0)
    assert "\n" not in str(err.value)


def test_an_unknown_split_is_refused(package):
    task = ReasoningGymTask("reasoning-gym:doubling?size=2", seed=0)
    with pytest.raises(UserError, match="eval and train"):
        task.prompts("rl")


@pytest.mark.parametrize(
    "name", ["chain_sum?max_digits=2", "countdown", "prime_factorization", "spell_backward"]
)
def test_the_package_itself(name):
    pytest.importorskip("reasoning_gym")
    task = ReasoningGymTask(f"reasoning-gym:{name}" + ("&" if "?" in name else "?") + "size=4",
                            seed=0)  # fmt: skip
    data = task._data["eval"]
    for i, prompt in enumerate(task.prompts("eval")):
        assert task.verify(prompt, str(data[i]["answer"]))
        assert not task.verify(prompt, "bogus")
