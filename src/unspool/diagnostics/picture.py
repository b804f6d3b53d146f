"""What every picture is: text where there is nothing else, a drawing where there is matplotlib."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from unspool.table import preformatted


@dataclass(frozen=True, slots=True)
class Picture(ABC):
    """Something to look at: text where there is nothing else, a drawing where there is matplotlib."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the picture as text."""

    @abstractmethod
    def draw(self, figure: Any) -> None:
        """Draw the picture on an empty figure of matplotlib."""

    def save(self, path: str | Path) -> None:
        """Write the picture to a file; its suffix says what kind: .png, .svg, .pdf.

        ImportError with the command to install matplotlib where that is missing.
        """
        figure = self._figure()
        figure.savefig(path, dpi=150)

    def _repr_html_(self) -> str:
        """Return the drawing as SVG for a notebook, or the text where matplotlib is missing."""
        try:
            figure = self._figure()
        except ImportError:
            return preformatted(str(self))
        text = StringIO()
        figure.savefig(text, format="svg")
        return text.getvalue()[text.getvalue().index("<svg") :]

    def _figure(self) -> Any:
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                "pictures are drawn by matplotlib, which is missing: pip install 'unspool[plot]'"
            ) from error
        figure = Figure(figsize=(9, 6), layout="constrained")
        self.draw(figure)
        return figure
