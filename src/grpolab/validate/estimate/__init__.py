"""What counts say about one population of prompts: correlation, the distribution of p, tests."""
