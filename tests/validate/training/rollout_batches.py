"""Groups of rollouts as batches, and an update on them, as the tests of the loop need them."""

from grpolab.validate.training.grpo import draw_groups, update


class Drawn:
    """Groups as a batch with advantages."""

    def __init__(self, engine, groups, config):
        self.groups, self.batch = groups, groups.batch(engine)
        self.num_correct = groups.num_correct
        self.advantage = groups.advantages(config.rule)

    @classmethod
    def of(cls, engine, task, prompts, config, seed):
        """Sample and judge one group per prompt."""
        groups = draw_groups(engine, task=task, prompts=prompts, config=config, seed=seed)
        return cls(engine, groups, config)


def moved(model, optimiser, drawn, config, task, *, advantage=None, **rest):
    """`update` on rollouts, possibly with other advantages."""
    value = drawn.advantage if advantage is None else advantage
    return update(
        model, optimiser, batch=drawn.batch, advantage=value, config=config,
        max_new_tokens=task.max_new_tokens, **rest,
    )  # fmt: skip
