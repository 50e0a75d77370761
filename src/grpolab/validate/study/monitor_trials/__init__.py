"""Real tiny runs, good and bad, by which the monitor is judged."""
