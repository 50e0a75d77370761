"""A figure that a notebook shows although no window and no pyplot knows it."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

_DPI = 110  # sharp enough for a notebook, and small in its file


class ShownFigure(Figure):
    """A matplotlib figure with a picture of itself for IPython, whatever backend is chosen."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
        return picture.getvalue()
