"""Figures: one module per claim, each with ``draw(ax, data)``; the data are plain numbers."""
