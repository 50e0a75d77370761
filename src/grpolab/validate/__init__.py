"""Evidence from real files, models and runs. Packages only; imports between them run one way."""
