"""Training: SFT ladders and GRPO, by the own loop or by TRL, in one kind of run folder."""
