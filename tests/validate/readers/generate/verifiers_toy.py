"""Write data/prime_rl/... with the episode classes and the writer of verifiers.

    pip install verifiers==0.4.0
    python tests/validate/readers/generate/verifiers_toy.py

prime-rl stores its rollouts as verifiers episodes. A whole run needs GPUs; these records are built
and written by the library itself, only the scores are made up.
"""

import shutil
from pathlib import Path

DATA = Path(__file__).parents[1] / "data" / "prime_rl"
# per group: (score of every rollout; None = the episode failed)
GROUPS = {"g-1": (1.0, 0.0, 1.0, 0.0), "g-2": (0.0, 0.0, 0.0, None), "g-3": (1.0, 1.0, 1.0, 1.0)}


def episode(group, number, score):
    from verifiers.v1.agent import AgentConfig
    from verifiers.v1.episode import (
        EnvInfo,
        Episode,
        GroupInfo,
        PolicySpan,
        TrainRunInfo,
        TrainWorkInfo,
    )
    from verifiers.v1.task import TaskData
    from verifiers.v1.trace import AgentInfo, Reward, Trace, TraceTask

    task = TraceTask(type="Toy", data=TaskData(idx=int(group[-1])), key=f"toy/{group[-1]}")
    rewards = {} if score is None else {"correct": Reward(score=score), "short": None}
    solver = Trace(
        id=f"{group}-{number}", task=task, agent=AgentInfo(config=AgentConfig(), name="solver"),
        rewards=rewards, is_completed=score is not None, ok=score is not None,
    )  # fmt: skip
    judge = Trace(
        id=f"{group}-{number}-judge", task=task, ok=True, rewards={"correct": Reward(score=1.0)},
        agent=AgentInfo(config=AgentConfig(), name="judge", trainable=False),
    )  # fmt: skip
    work = TrainWorkInfo(step=12, policy=PolicySpan(start=11, end=12))
    return Episode(
        id=f"{group}-{number}", env=EnvInfo(id="toy", name="toy"), task=task,
        group=GroupInfo(id=group), run=TrainRunInfo(id="run", work=work),
        ok=score is not None, traces=[solver, judge],
    )  # fmt: skip


def main():
    from verifiers.v1.utils.trace_store import write_episode

    shutil.rmtree(DATA, ignore_errors=True)
    for kind in ("all", "effective"):
        folder = DATA / "rollouts" / "step_12" / "train" / kind
        folder.mkdir(parents=True)
        for group, scores in GROUPS.items():
            if kind == "effective" and len(set(scores)) == 1:
                continue
            for number, score in enumerate(scores):
                write_episode(folder, episode(group, number, score))


if __name__ == "__main__":
    main()
