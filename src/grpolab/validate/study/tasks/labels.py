"""Labels: name the topics of four words. A classification with several labels; nothing to work out.

What a word belongs to has to be known, as in any classification of text: no step follows from
another, so that the task tells recall apart from reasoning.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations

from grpolab.streams import generator
from grpolab.validate.study.tasks.problems import EnumeratedTask, Problem, SplitSizes

TOPICS = {
    "animal": "badger camel donkey ferret goat hamster lynx otter",
    "body": "ankle chin elbow knee rib shoulder thumb wrist",
    "food": "bread butter cheese honey noodle pepper rice soup",
    "metal": "bronze cobalt copper iron nickel silver tin zinc",
    "music": "banjo cello drum flute harp oboe piano violin",
    "plant": "birch clover fern ivy maple moss oak willow",
    "tool": "anvil chisel drill hammer pliers saw shovel wrench",
    "weather": "breeze drizzle fog frost hail mist snow thunder",
}
"""Words of every topic."""
WORDS = {word: topic for topic, words in TOPICS.items() for word in words.split()}
SHOWN = 4
PER_CLASS = 3400
CLASSES = ("few", "many")


def labels(*, seed: int, noise: float = 0.4, sizes: SplitSizes | None = None) -> EnumeratedTask:
    """Prompts "label harp tin oboe frost", completions "metal music weather" in any order.

    Four different words of 64, eight for each of eight topics; the answer is the set of their
    topics. Class ``few`` has one or two topics, ``many`` three or four. The canonical solution is
    in the order of the alphabet.

    >>> task = labels(seed=0)
    >>> [len(task.prompts(split)) for split in ("base", "sft", "sft_broad", "rl", "eval")]
    [5800, 512, 512, 2800, 1000]
    """
    return EnumeratedTask(
        "labels",
        _problems(),
        classes=CLASSES,
        vocabulary=["label", *TOPICS, *WORDS],
        noise=noise,
        seed=seed,
        sizes=sizes,
    )


@cache
def _problems() -> tuple[Problem, ...]:
    """`PER_CLASS` problems of each class, the same in every process."""
    rng = generator(0, "labels")
    words, topics = list(WORDS), list(TOPICS)
    found: dict[str, dict[str, Problem]] = {label: {} for label in CLASSES}
    while any(len(problems) < PER_CLASS for problems in found.values()):
        few = len(found["few"]) < PER_CLASS
        chosen = rng.choice(topics, 2, replace=False) if few else topics
        pool = [word for word in words if WORDS[word] in chosen]
        problem = _problem(rng.choice(pool, SHOWN, replace=False).tolist())
        if len(found[problem.label]) < PER_CLASS:
            found[problem.label][problem.text] = problem
    return tuple(problem for problems in found.values() for problem in problems.values())


def _problem(shown: list[str]) -> Problem:
    names = sorted({WORDS[word] for word in shown})
    return Problem(
        template=" ".join(["label", *shown[:-1], "{}"]),
        target=shown[-1],
        label=CLASSES[len(names) > 2],
        solutions=tuple(map(" ".join, permutations(names))),
    )
