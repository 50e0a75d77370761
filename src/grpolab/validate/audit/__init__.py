"""What success counts on disk say about a GRPO run that has not been started yet."""
