"""What `Classifier` and `Regressor` have in common: raw signals in, scores of each as a whole out.

``layer="responses"`` fits in seconds and needs no training: random systems and a closed form. The name of a layer, or a
list of names, trains a stack of these instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from statespace.classification.bank import Bank, Fitted, richest
from statespace.classification.base import SignalModel, expect_finite
from statespace.classification.calibration import fit_sharpness
from statespace.classification.confidence import Confidence, fit_confidence
from statespace.classification.mixing import fit_mixing
from statespace.classification.network import Network, strides
from statespace.classification.on_disk import AnySignals, read_any
from statespace.classification.search import CANDIDATES, is_better, losses
from statespace.classification.targets import groups_of, note_lone_classes
from statespace.errors import InputError, choose
from statespace.training import validation_rows

RESPONSES, AUTO = "responses", "auto"
_POOLINGS = ("mean", "last", "attention")


class Known(NamedTuple):
    """What is fitted to.

    Attributes:
        signals: scaled.
        targets: ``(b, k)``.
        weights: of each signal, ``(b,)``.
        groups: number of the group of each, ``(b,)``, or ``None``.
        rows: cases to validate on.
        checkpoint: file for the training of a network, or ``None``.
    """

    signals: AnySignals
    targets: Tensor
    weights: Tensor
    groups: Tensor | None
    rows: np.ndarray
    checkpoint: Path | None


@dataclass(eq=False, repr=False)
class SignalEstimator(SignalModel):
    """What classifying and regressing have in common; the parameters are those of `Classifier`."""

    layer: str | Sequence[str] = RESPONSES
    _: KW_ONLY
    systems: int = 1000
    trim: bool = False
    pooling: str = "mean"

    _confidence: Confidence | None = field(default=None, init=False)
    _least: ClassVar[dict[str, int]] = SignalModel._least | {"systems": 1}
    _beside: ClassVar[tuple[str, ...]] = (RESPONSES, AUTO)

    def _checked(self, where: str) -> None:
        super()._checked(where)
        if not isinstance(self.trim, bool | np.bool_):
            raise InputError(f"{where}: trim is {self.trim!r}, but True or False is expected.")
        if self.trim and self.causal:
            raise InputError(
                f"{where}: trim=True looks for the end of a signal, but causal=True must not: leave one of them out."
            )

    # ------------------------------------------------------------------------------------------------ fitting

    def _fit(
        self,
        where: str,
        X: Any,
        targets: Tensor,
        kinds: np.ndarray | None,
        weights: np.ndarray,
        groups: Any,
        checkpoint: Path | str | None,
    ) -> None:
        choose(where, "pooling", self.pooling, _POOLINGS)
        signals = read_any(where, X)
        if len(signals) != len(targets):
            raise InputError(
                f"{where}: X has {len(signals)} signals but y has {len(targets)} entries: one for each is expected."
            )
        named = groups_of(where, groups, len(signals))
        counted = np.flatnonzero(weights > 0)  # a case without weight is as if it were not there
        if len(counted) < len(weights):
            signals, targets, weights = signals.only(counted), targets[counted], weights[counted]
            kinds = None if kinds is None else kinds[counted]
            named = None if named is None else named[counted]
        if kinds is not None and named is not None:
            note_lone_classes(where, kinds, named)
        signals = self._fit_scaling(where, signals)
        rows = validation_rows(kinds, len(signals), self.val_size, named, self.random_seed)
        shares = torch.as_tensor(weights / weights.max())
        shares = (shares * (len(shares) / shares.sum())).float()
        numbers = None if named is None else torch.as_tensor(np.unique(named, return_inverse=True)[1])
        kept = None if checkpoint is None else Path(checkpoint)
        cases = Known(signals, targets, shares, numbers, rows, kept)
        if self.layer == AUTO:
            self.layer_, self.model_, judged = self._searched(where, cases)
        else:
            self.layer_ = self.layer if isinstance(self.layer, str) else list(self.layer)
            self.model_, judged = self._made(where, self.layer_, cases)
        self.sharpness_, self._confidence = 1.0, None
        if self._kind != "numbers" and len(judged.rows):
            judged = self._calibrate(judged, cases)
        self.validation_rows_ = counted[judged.rows.numpy()]
        self.validation_scores_ = (self.sharpness_ * judged.scores).numpy()

    def _calibrate(self, judged: Fitted, cases: Known) -> Fitted:
        """Let probabilities be as often right as they say; return what is said now of cases that were left out."""
        targets, weights = cases.targets[judged.rows].float(), cases.weights[judged.rows]
        self.sharpness_ = fit_sharpness(self._kind, judged.scores, targets, weights)
        if self._kind == "classes" and isinstance(self.model_, Bank):
            groups = None if cases.groups is None else cases.groups[judged.rows]
            if (mixing := fit_mixing(judged.scores, targets, weights, groups)) is not None:
                self.model_.mix(mixing)
                judged, self.sharpness_ = judged._replace(scores=mixing.left_out.float()), 1.0
        if self.causal:
            left_out = cases.signals.only(judged.rows.numpy())
            known = self.model_, left_out, judged.scores, targets, weights, self.sharpness_
            self._confidence = fit_confidence(self._kind, *known)
        return judged

    def _made(self, where: str, layer: str | list[str], known: Known) -> tuple[Bank | Network, Fitted]:
        """Fit a model of this kind, and say what it tells of cases that it was not fitted to."""
        typical = float(known.signals.lengths.float().median())
        if layer != RESPONSES:
            count = self.n_layers if isinstance(layer, str) else len(layer)
            stack = self._architecture(layer, known.targets.shape[1], self.pooling, strides(typical, count))
            network = Network(stack, self._training(), self._kind)
            return network, network.fit(known.signals, known.targets, known.weights, known.rows, known.checkpoint)
        if known.groups is not None and int(known.groups.max()) == 0:
            raise InputError(
                f"{where}: groups has one name for all signals, so there is no other to judge by: leave groups out."
            )
        view = richest(typical, self.causal)
        bank = Bank(self.n_channels_, typical, self.systems, self.causal, self.random_seed, view)
        signs = 2 * known.targets - 1 if self._kind != "numbers" else known.targets
        return bank, bank.fit(known.signals, signs, known.weights, known.groups)

    def _searched(self, where: str, known: Known) -> tuple[str, Bank | Network, Fitted]:
        """Fit each candidate, and keep the one that tells the validation part better than those before it."""
        if not len(known.rows):
            raise InputError(
                f"{where}: layer is 'auto', but no cases are left to compare by: raise val_size, which is "
                f"{self.val_size}, or give more cases."
            )
        best: tuple[str, Bank | Network, Fitted] | None = None
        least = torch.empty(0)
        for layer in CANDIDATES:
            path = known.checkpoint
            own = None if path is None else path.with_name(f"{path.stem}-{layer}{path.suffix}")
            model, judged = self._made(where, layer, known._replace(checkpoint=own))
            places = torch.searchsorted(judged.rows, torch.as_tensor(known.rows))
            found = losses(self._kind, judged.scores[places], known.targets[known.rows])
            if best is None or is_better(found, least):
                best, least = (layer, model, judged), found
        assert best is not None
        return best

    # --------------------------------------------------------------------------------------------- predicting

    def _scores(self, where: str, X: Any, dt_scale: float) -> Tensor:
        return self._scores_of(where, self._ready(where, X, dt_scale), dt_scale)

    def _scores_of(self, where: str, signals: AnySignals, dt_scale: float) -> Tensor:
        found: Tensor = self.model_.scores(signals, float(dt_scale))
        expect_finite(where, found)
        return found

    # ------------------------------------------------------------------------------------------------- storing

    def _restored(self, options: dict[str, Any], tensors: dict[str, Tensor]) -> Bank | Network:
        """Return the model that was stored."""
        return Bank.restored(options, tensors) if self.layer_ == RESPONSES else super()._restored(options, tensors)

    def _extra_tensors(self) -> dict[str, Tensor]:
        sure: dict[str, Tensor] = {} if self._confidence is None else self._confidence._asdict()
        named = {f"confidence.{name}": value for name, value in sure.items()}
        return named | {"validation_scores": torch.as_tensor(self.validation_scores_)}

    def _take_extra(self, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:  # noqa: ARG002
        """Take what was stored."""
        self.validation_scores_ = tensors["validation_scores"].numpy()
        has = "confidence.share" in tensors
        self._confidence = Confidence(*(tensors[f"confidence.{name}"] for name in Confidence._fields)) if has else None
