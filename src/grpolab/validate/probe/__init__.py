"""Which checkpoint to start RL from, by short runs of GRPO: the same seeds and prompts, paired."""
