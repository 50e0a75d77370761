"""Which checkpoint gives GRPO more to learn from: same prompts, same sampling law."""
