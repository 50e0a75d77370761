"""Files under tests that are programs, not tests: pytest's doctest collection must pass them by."""

collect_ignore_glob = ["benchmarks/*", "*/generate/*", "*/readers/fuzz_*.py", "vllm/*"]
