"""Tasks: the verifier against brute force, the splits, the demonstrations and the corpus."""

from __future__ import annotations

import re
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpolab.errors import UserError
from grpolab.validate.study.tasks import (
    TASKS,
    EnumeratedTask,
    Problem,
    ProblemTask,
    SplitSizes,
    coins,
    countdown,
    make_task,
    programs,
)
from grpolab.validate.tasks import Prompt

SPLITS = ("base", "sft", "sft_broad", "rl", "eval")
MAKERS = {"coins": coins, "countdown": countdown}


@cache
def made(name: str, seed: int) -> EnumeratedTask:
    return MAKERS[name](seed=seed)


@pytest.fixture(params=sorted(MAKERS), scope="module")
def task(request: pytest.FixtureRequest) -> EnumeratedTask:
    return made(request.param, 3)


ALL_MAKERS = {**MAKERS, "programs": programs}


@cache
def any_made(name: str, seed: int) -> ProblemTask:
    return ALL_MAKERS[name](seed=seed)


@pytest.fixture(params=sorted(ALL_MAKERS), scope="module")
def any_task(request: pytest.FixtureRequest) -> ProblemTask:
    return any_made(request.param, 3)


def find(task: ProblemTask, text: str) -> Prompt:
    return next(p for s in ("base", "eval") for p in task.prompts(s) if p.text == text)


def right_countdown(prompt: str, completion: str) -> bool:
    """The rules, from the text alone: no table of solutions."""
    given_part, target = prompt.split(" -> ")
    match = re.fullmatch(r"([1-9]\d*) ([-+*]) ([1-9]\d*) ([-+*]) ([1-9]\d*)", completion, re.ASCII)
    if match is None:
        return False
    a, op, b, op2, c = match.groups()
    if sorted([a, b, c]) != sorted(given_part.split()):
        return False
    return bool(eval(f"({a} {op} {b}) {op2} {c}") == int(target))


def right_coins(prompt: str, completion: str) -> bool:
    """The rules, from the text alone: no table of solutions."""
    target, *values = re.findall(r"\d+", prompt)
    words = completion.split(" ")
    if words.pop() != "done" or len(words) % 2 or not 2 <= len(words) <= 10:
        return False
    total = 0
    for coin, claim in zip(words[::2], words[1::2], strict=True):
        if coin not in [f"+{value}" for value in values]:
            return False
        total += int(coin)
        if claim != str(total):
            return False
    return total == int(target)


RULES = {"coins": right_coins, "countdown": right_countdown}


def sample(task: EnumeratedTask, count: int) -> list[Prompt]:
    prompts = task.prompts("base")
    rows = np.random.default_rng(0).choice(len(prompts), size=count, replace=False)
    return [prompts[i] for i in rows]


@pytest.mark.parametrize("seed", [0, 1])
def test_countdown_verify_is_brute_force(seed: int) -> None:
    task = countdown(seed=seed)
    for prompt in sample(task, 12):
        numbers = sorted(set(prompt.text.split()[:3]))
        right = set()
        for a, op, b, op2, c in product(numbers, "+-*", numbers, "+-*", numbers):
            completion = f"{a} {op} {b} {op2} {c}"
            want = right_countdown(prompt.text, completion)
            assert task.verify(prompt, completion) is want
            right |= {completion} if want else set()
        assert right == set(task.solutions(prompt))


def test_coins_verify_is_brute_force() -> None:
    task = coins(seed=0)
    for prompt in sample(task, 25):
        values = [int(v) for v in prompt.text.split()[3:]]
        right = set()
        for chain in (c for n in range(6) for c in product(values, repeat=n)):
            totals = np.cumsum(chain, dtype=int).tolist()
            steps = [f"+{v} {t}" for v, t in zip(chain, totals, strict=True)]
            completion = " ".join([*steps, "done"])
            want = right_coins(prompt.text, completion)
            assert task.verify(prompt, completion) is want
            right |= {completion} if want else set()
        assert right == set(task.solutions(prompt))
        assert len(right) >= 1


@pytest.mark.parametrize("name", sorted(MAKERS))
@settings(deadline=None, derandomize=True, max_examples=300)
@given(data=st.data())
def test_verify_follows_the_rules_near_a_solution(name: str, data: st.DataObject) -> None:
    task = made(name, 0)
    prompt = data.draw(st.sampled_from(task.prompts("eval")))
    words = data.draw(st.sampled_from(task.solutions(prompt))).split()
    for _ in range(data.draw(st.integers(0, 2))):
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(
            st.sampled_from(task.vocabulary)
        )
    completion = " ".join(words)
    assert task.verify(prompt, completion) is RULES[name](prompt.text, completion)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(text=st.text())
def test_verify_never_raises(text: str) -> None:
    for name in MAKERS:
        task = made(name, 0)
        prompt = task.prompts("eval")[0]
        assert task.verify(prompt, text) is (text in task.solutions(prompt)), name


def test_adversarial_completions_are_wrong(task: EnumeratedTask) -> None:
    prompt = task.prompts("sft")[0]
    good = task.solutions(prompt)[0]
    digit = re.search(r"\d", good)
    assert digit is not None
    wide = chr(ord("\N{FULLWIDTH DIGIT ZERO}") + int(digit.group()))
    bad = {
        "empty": "",
        "blank": " ",
        "space before": " " + good,
        "space after": good + " ",
        "newline": good + "\n",
        "two spaces": good.replace(" ", "  ", 1),
        "tab": good.replace(" ", "\t", 1),
        "no-break space": good.replace(" ", "\N{NO-BREAK SPACE}", 1),
        "extra word": good + " 1",
        "twice": f"{good} {good}",
        "cut": good.rsplit(" ", 1)[0],
        "leading zero": re.sub(r"(\d+)", r"0\1", good, count=1),
        "plus sign": re.sub(r"(\d+)", r"+\1", good, count=1),
        "double negation": re.sub(r"(\d+)", r"--\1", good, count=1),
        "float": re.sub(r"(\d+)", r"\1.0", good, count=1),
        "underscore": re.sub(r"(\d+)", r"1_\1", good, count=1),
        "full-width digit": good.replace(digit.group(), wide, 1),
        "minus sign": good.replace("-", "\N{MINUS SIGN}").replace("+", "\N{MINUS SIGN}"),
        "only the target": re.findall(r"\d+", prompt.text)[-1],
        "the prompt": prompt.text,
        "code": "__import__('os').getcwd()",
        "lone surrogate": "\ud800",
        "null": "\0",
        "huge number": "9" * 100_000,
        "huge": (good + " ") * 20_000,
        "brackets": f"({good})",
    }
    assert task.verify(prompt, good)
    assert [name for name, text in bad.items() if task.verify(prompt, text)] == []


def test_numbers_of_another_prompt_are_wrong() -> None:
    task = countdown(seed=0)
    prompt = find(task, "12 7 3 -> 16")
    assert task.verify(prompt, "12 + 7 - 3")
    assert task.verify(prompt, "7 - 3 + 12")
    for wrong in ("12 + 12 - 8", "12 + 7 - 7", "16 + 0 - 0", "12 + 7 + 3", "15 + 1"):
        assert not task.verify(prompt, wrong)


def test_a_foreign_prompt_is_an_error(task: EnumeratedTask) -> None:
    for foreign in (Prompt(0, "1 + 1", "add"), Prompt(-1, "", ""), Prompt(10**9, "", "")):
        with pytest.raises(ValueError, match="prompt must be one of"):
            task.verify(foreign, "2")


def test_countdown_holds_every_solvable_problem() -> None:
    task = countdown(seed=0)
    prompts = {*task.prompts("base"), *task.prompts("eval")}
    labels = [p.label for p in prompts]
    assert (labels.count("add"), labels.count("mul")) == (2480, 4611)
    assert len({p.text for p in prompts}) == 7091


def test_countdown_classes() -> None:
    task = countdown(seed=0)
    for prompt in task.prompts("base"):
        without = [s for s in task.solutions(prompt) if "*" not in s]
        assert prompt.label == ("add" if without else "mul")


def test_coins_classes() -> None:
    task = coins(seed=0)
    for prompt in task.prompts("base"):
        smallest = f"+{prompt.text.split()[-1]}"
        without = [s for s in task.solutions(prompt) if smallest not in s.split()]
        assert prompt.label == ("large" if without else "small")


def test_countdown_canonical() -> None:
    task = countdown(seed=0)
    wanted = {
        "12 7 3 -> 16": "12 + 7 - 3",
        "14 2 2 -> 18": "14 + 2 + 2",
        "10 5 1 -> 15": "10 + 5 * 1",
    }
    shown = [find(task, text) for text in wanted]
    answers = task.demonstrations(shown, style="canonical", rng=np.random.default_rng(0))
    assert answers == list(wanted.values())
    for prompt in task.prompts("sft"):
        best = min(
            task.solutions(prompt),
            key=lambda s: (s.count("*"), s.count("-"), [-int(n) for n in re.findall(r"\d+", s)]),
        )
        assert task.solutions(prompt)[0] == best


def test_coins_canonical() -> None:
    task = coins(seed=0)
    for prompt in task.prompts("rl"):
        smallest = f"+{prompt.text.split()[-1]}"

        def rank(s: str, smallest: str = smallest) -> tuple[int, int, list[int]]:
            chain = s.split()[:-1:2]
            return chain.count(smallest), len(chain), [-int(coin) for coin in chain]

        assert task.solutions(prompt)[0] == min(task.solutions(prompt), key=rank)


def test_splits(any_task: ProblemTask) -> None:
    ids = {split: {p.id for p in any_task.prompts(split)} for split in SPLITS}
    sizes = {split: len(any_task.prompts(split)) for split in SPLITS}
    assert sizes == {split: len(ids[split]) for split in SPLITS}
    assert (sizes["eval"], sizes["rl"]) == (1000, 2800)
    assert sizes["sft"] == sizes["sft_broad"] == 512
    assert not ids["eval"] & (ids["base"] | ids["sft"] | ids["sft_broad"] | ids["rl"])
    assert not ids["rl"] & (ids["sft"] | ids["sft_broad"])
    assert ids["sft"] | ids["sft_broad"] | ids["rl"] <= ids["base"]
    every = {p for split in SPLITS for p in any_task.prompts(split)}
    assert len({p.id for p in every}) == len({p.text for p in every}) == len(every)


def test_mixed_splits_alternate_and_narrow_sft_does_not(any_task: ProblemTask) -> None:
    for split in ("eval", "rl", "sft_broad"):
        labels = [p.label for p in any_task.prompts(split)]
        assert labels == list(any_task.classes) * (len(labels) // 2)
    assert {p.label for p in any_task.prompts("sft")} == {any_task.classes[0]}


def test_every_demonstration_verifies(task: EnumeratedTask) -> None:
    for style in ("canonical", "random"):
        for split in SPLITS:
            prompts = task.prompts(split)
            answers = task.demonstrations(prompts, style=style, rng=np.random.default_rng(1))
            assert all(map(task.verify, prompts, answers))
            assert all(map(RULES[task.name], [p.text for p in prompts], answers))


def test_random_demonstrations_are_uniform_over_solutions(any_task: ProblemTask) -> None:
    prompt = next(p for p in any_task.prompts("base") if len(any_task.solutions(p)) == 6)
    rng = np.random.default_rng(0)
    answers = any_task.demonstrations([prompt] * 6000, style="random", rng=rng)
    counts = np.array([answers.count(s) for s in any_task.solutions(prompt)])
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 20.5  # chi2, 5 df, p = .001


def test_canonical_does_not_touch_the_generator(any_task: ProblemTask) -> None:
    rng = np.random.default_rng(0)
    any_task.demonstrations(any_task.prompts("sft"), style="canonical", rng=rng)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_words_stay_inside_vocabulary_and_limits(any_task: ProblemTask) -> None:
    assert len(set(any_task.vocabulary)) == len(any_task.vocabulary)
    assert not any(re.search(r"\s", word) for word in any_task.vocabulary)
    prompts = [*any_task.prompts("base"), *any_task.prompts("eval")]
    answers = [s.split(" ") for p in prompts for s in any_task.solutions(p)]
    used = {w for p in prompts for w in p.text.split(" ")} | {w for a in answers for w in a}
    used |= {
        w for text, _ in any_task.corpus(3000, rng=np.random.default_rng(0)) for w in text.split()
    }
    assert used <= set(any_task.vocabulary)
    assert any_task.max_new_tokens == 1 + max(map(len, answers))


@pytest.mark.parametrize("noise", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", sorted(MAKERS))
def test_corpus_noise_share(name: str, noise: float) -> None:
    task = MAKERS[name](seed=0, noise=noise)
    size = 4000
    pairs = task.corpus(size, rng=np.random.default_rng(5))
    wrong = sum(not RULES[name](text, answer) for text, answer in pairs) / size
    stderr = np.sqrt(noise * (1 - noise) / size + 0.03 * noise / size)
    # a random target is the right one about once in 60 (coins) or 100 draws
    assert noise * (1 - 1 / 40) - 4 * stderr <= wrong <= noise * (1 - 1 / 200) + 4 * stderr


def test_corpus_never_shows_an_evaluation_problem(any_task: ProblemTask) -> None:
    held_out = {p.text for p in any_task.prompts("eval")}
    pairs = any_task.corpus(20_000, rng=np.random.default_rng(2))
    assert not held_out & {text for text, _ in pairs}


def test_one_seed_one_task(any_task: ProblemTask) -> None:
    again, other = ALL_MAKERS[any_task.name](seed=3), ALL_MAKERS[any_task.name](seed=4)
    for split in SPLITS:
        assert any_task.prompts(split) == again.prompts(split)
        assert any_task.prompts(split) != other.prompts(split)
    first, second = (t.corpus(500, rng=np.random.default_rng(9)) for t in (any_task, again))
    assert first == second
    assert first != any_task.corpus(500, rng=np.random.default_rng(10))
    everything = [{*t.prompts("base"), *t.prompts("eval")} for t in (any_task, other)]
    assert everything[0] == everything[1]  # an id names the same problem under every seed


def test_make_task_and_bad_names() -> None:
    for name in TASKS.keys() - {"spelling"}:  # that one needs an extra
        assert make_task(name, seed=0).name == name
    with pytest.raises(UserError, match="coins, countdown"):
        make_task("chess", seed=0)
    with pytest.raises(UserError, match=r"no split 'test'.*base, eval, rl"):
        make_task("coins", seed=0).prompts("test")


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="noise must lie in"):
        countdown(seed=0, noise=1.5)
    with pytest.raises(ValueError, match="sizes must fit 2480 and 4611"):
        countdown(seed=0, sizes=SplitSizes(eval=1000, sft=1024, rl=2800))


def test_a_task_of_ones_own() -> None:
    problems = [Problem(f"{i} {{}}", i, "ab"[i % 2], (f"yes {i}",)) for i in range(20)]
    task = EnumeratedTask(
        "own",
        problems,
        classes=("a", "b"),
        vocabulary=["yes", *map(str, range(20))],
        noise=0.0,
        seed=0,
        sizes=SplitSizes(eval=4, sft=2, rl=4),
    )
    assert [len(task.prompts(split)) for split in SPLITS] == [16, 2, 2, 4, 4]
    assert task.max_new_tokens == 3
