"""The curve of a run: a row for each validation, in a file that is always whole, kept in the checkpoint too."""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from statespace.files import replace_atomically


class Curve(Callback):
    """Write ``step`` and every logged metric to a table at each validation.

    A run that is resumed brings the rows from before with it, so the file tells the whole training.

    Args:
        path: the table, .csv; ``None`` keeps the rows in memory alone.
    Attributes:
        rows: what was logged, a dictionary a validation.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a row."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"step": trainer.global_step, **metrics})
        if self.path is None:
            return
        with replace_atomically("Curve", self.path) as path, path.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(dict.fromkeys(name for row in self.rows for name in row)))
            table.writeheader()
            table.writerows(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows, for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows from a checkpoint."""
        self.rows = list(state_dict["rows"])
