"""The room validate."""
