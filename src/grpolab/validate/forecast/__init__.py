"""What counts say about groups not drawn yet: one law of p, and all that follows from it."""
