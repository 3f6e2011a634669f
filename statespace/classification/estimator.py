"""What `Classifier` and `Regressor` have in common: raw signals in, scores out, in the conventions of scikit-learn.

``layer="responses"`` fits in seconds and needs no training: random systems and a closed form. The name of a layer, or a
list of names, trains a stack of these instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from statespace.classification.bank import Bank, Fitted, richest
from statespace.classification.calibration import fit_sharpness
from statespace.classification.network import Network, strides
from statespace.classification.search import CANDIDATES, is_better, losses
from statespace.classification.signals import Signals, read_signals
from statespace.classification.split import validation_rows
from statespace.classification.targets import groups_of, is_number, plain_label
from statespace.classification.unfitted import not_fitted
from statespace.errors import InputError, choose
from statespace.layers import LAYERS
from statespace.model_folder import read as read_model
from statespace.model_folder import write as write_model
from statespace.parameters import Parameters
from statespace.training import Outcome

RESPONSES, AUTO = "responses", "auto"
SCALERS = ("channel", "instance", "none")
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

    signals: Signals
    targets: Tensor
    weights: Tensor
    groups: Tensor | None
    rows: np.ndarray
    checkpoint: Path | None


@dataclass(eq=False, repr=False)
class SignalEstimator(Parameters):
    """What classifying and regressing have in common; the parameters are those of `Classifier`.

    As scikit-learn wants it, parameters are kept as they came, and looked at in `fit`.
    """

    layer: str | Sequence[str] = RESPONSES
    _: KW_ONLY
    systems: int = 1000
    causal: bool = False
    scaler_type: str = "channel"
    d_model: int = 64
    n_layers: int = 4
    d_state: int = 64
    dropout: float = 0.1
    pooling: str = "mean"
    max_epochs: int = 100
    batch_size: int = 16
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    augmentation: float = 1.0
    val_size: float = 0.2
    patience: int = 20
    random_seed: int = 0
    accelerator: str = "auto"
    verbose: bool = True

    sampling_rate_: float | None = field(default=None, init=False)  # in Hz, if somebody has set it: it is stored

    _kind = ""

    # -------------------------------------------------------------------------------------------- parameters

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _checked(self, where: str) -> None:
        for name, least in {
            "systems": 1,
            "d_model": 1,
            "n_layers": 1,
            "d_state": 1,
            "max_epochs": 1,
            "batch_size": 1,
            "patience": -1,
            "random_seed": 0,
        }.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value < 2**63:
                raise InputError(f"{where}: {name} is {value!r}, but a whole number of at least {least} is expected.")
        for name, high in {"dropout": 1.0, "val_size": 1.0, "augmentation": np.inf, "weight_decay": np.inf}.items():
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value < high):
                bound = f"in [0, {high:g})" if high < np.inf else "from 0 on"
                raise InputError(f"{where}: {name} is {value!r}, but a number {bound} is expected.")
        if not (is_number(self.learning_rate) and 0 < self.learning_rate < np.inf):
            raise InputError(f"{where}: learning_rate is {self.learning_rate!r}, but a positive number is expected.")
        choose(where, "scaler_type", self.scaler_type, SCALERS)
        choose(where, "pooling", self.pooling, _POOLINGS)
        if not isinstance(self.causal, bool | np.bool_):
            raise InputError(f"{where}: causal is {self.causal!r}, but True or False is expected.")
        if not isinstance(self.layer, str | Sequence) or not self.layer:
            raise InputError(f"{where}: layer is {self.layer!r}, but a name or a list of names is expected.")
        names = [self.layer] if isinstance(self.layer, str) else list(self.layer)
        for name in names:
            choose(where, "layer", name, LAYERS if len(names) > 1 else (RESPONSES, AUTO, *LAYERS))
        if self.causal and self.scaler_type == "instance":
            raise InputError(
                f"{where}: scaler_type='instance' looks at the whole signal, but causal=True must not: take 'channel'."
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
        signals = read_signals(where, X)
        self.sampling_rate_ = None
        if len(signals) != len(targets):
            raise InputError(
                f"{where}: X has {len(signals)} signals but y has {len(targets)} entries: one for each is expected."
            )
        named = groups_of(where, groups, len(signals))
        counted = np.flatnonzero(weights > 0)  # a case without weight is as if it were not there
        if len(counted) < len(weights):
            signals, targets, weights = signals.take(counted), targets[counted], weights[counted]
            kinds = None if kinds is None else kinds[counted]
            named = None if named is None else named[counted]
        self._fitted = self.get_params()
        self.n_channels_, self._names_of_channels = signals.x.shape[2], signals.names
        flat = torch.cat([signals.x[row, :length] for row, length in enumerate(signals.lengths.tolist())]).double()
        self._location = flat.nanmean(0).float()
        if bool(self._location.isnan().any()):
            lost = int(self._location.isnan().nonzero()[0])
            raise InputError(f"{where}: channel {lost} of X has no number in any signal: leave it out.")
        scale = (flat - self._location).square().nanmean(0).sqrt()
        constant = scale < 1e-30
        self._scale = torch.where(constant, 1.0, scale).float()
        if bool(constant.all()) and self.scaler_type != "none":
            raise InputError(
                f"{where}: every sample of X has the same value in float32: there is nothing to tell apart. Take off "
                "an offset that is large beside the swings."
            )
        signals = self._scaled(signals)
        rows = validation_rows(kinds, len(signals), float(self.val_size), named, int(self.random_seed))
        shares = torch.as_tensor(weights / weights.max())
        shares = (shares * (len(shares) / shares.sum())).float()
        numbers = None if named is None else torch.as_tensor(np.unique(named, return_inverse=True)[1])
        kept = None if checkpoint is None else Path(checkpoint)
        known = Known(signals, targets, shares, numbers, rows, kept)
        self.layer_: str | list[str]
        if self.layer == AUTO:
            self.layer_, self.model_, judged = self._searched(where, known)
        else:
            self.layer_ = self.layer if isinstance(self.layer, str) else list(self.layer)
            self.model_, judged = self._made(where, self.layer_, known)
        self.sharpness_ = 1.0
        if self._kind != "numbers" and len(judged.rows):
            self.sharpness_ = fit_sharpness(
                self._kind, judged.scores, targets[judged.rows].float(), shares[judged.rows]
            )
        self.validation_rows_ = counted[judged.rows.numpy()]
        self.validation_scores_ = (self.sharpness_ * judged.scores).numpy()

    def _made(self, where: str, layer: str | list[str], known: Known) -> tuple[Bank | Network, Fitted]:
        """Fit a model of this kind, and say what it tells of cases that it was not fitted to."""
        typical = float(known.signals.lengths.float().median())
        if layer != RESPONSES:
            network = Network(self._architecture(layer, known.targets.shape[1], typical), self._training(), self._kind)
            return network, network.fit(known.signals, known.targets, known.weights, known.rows, known.checkpoint)
        if known.groups is not None and int(known.groups.max()) == 0:
            raise InputError(
                f"{where}: groups has 1 different names, so there is no other group to judge one by: leave groups out."
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

    def _architecture(self, layer: str | list[str], outputs: int, typical: float) -> dict[str, Any]:
        count = self.n_layers if isinstance(layer, str) else len(layer)
        return {
            "channels": self.n_channels_,
            "outputs": outputs,
            "layer": layer,
            "d_model": self.d_model,
            "n_layers": count,
            "d_state": self.d_state,
            "dropout": self.dropout,
            "pooling": self.pooling,
            "stride": strides(typical, count),
            "causal": self.causal,
        }

    def _training(self) -> dict[str, Any]:
        names = ("max_epochs", "batch_size", "learning_rate", "weight_decay", "augmentation", "patience", "accelerator")
        return {name: getattr(self, name) for name in names} | {"verbose": self.verbose, "seed": self.random_seed}

    def _scaled(self, signals: Signals) -> Signals:
        x, lengths = signals.x, signals.lengths
        real = (torch.arange(x.shape[1]) < lengths[:, None])[..., None]
        scaler = self._fitted["scaler_type"]
        if scaler == "none":
            scaled = x
        elif scaler == "channel":
            scaled = (x - self._location) / self._scale
        else:
            present = x.masked_fill(~real, torch.nan)
            centred = present - present.nanmean(1, keepdim=True)
            power = centred.square().nanmean((1, 2), keepdim=True).sqrt()
            scaled = centred / torch.where(power > 1e-12, power, 1.0)
        # A channel without any number is at its mean.
        return replace(signals, x=torch.where(real & ~scaled.isnan(), scaled, 0.0))

    # --------------------------------------------------------------------------------------------- predicting

    def _ready(self, where: str, X: Any, dt_scale: float) -> Signals:
        """Return signals as the model takes them, if it is fitted."""
        if not hasattr(self, "model_"):
            raise not_fitted(
                f"{where}: this {type(self).__name__} is not fitted: call fit(X, y), or {type(self).__name__}.load."
            )
        if not (is_number(dt_scale) and 0 < dt_scale < np.inf):
            raise InputError(
                f"{where}: dt_scale is {dt_scale!r}, but a positive number is expected: the time between two samples "
                "of X, in units of that of training, such as 2 for half the sampling rate."
            )
        return self._scaled(read_signals(where, X, self.n_channels_, self._names_of_channels))

    def _scores(self, where: str, X: Any, dt_scale: float) -> Tensor:
        signals = self._ready(where, X, dt_scale)
        return self.model_.scores(signals, float(dt_scale))

    # ------------------------------------------------------------------------------------------------- storing

    def _extra(self) -> dict[str, Any]:
        return {}

    def save(self, folder: Path | str) -> None:
        """Write the fitted model to a folder as plain data: ``model.json`` and ``weights.safetensors``.

        Args:
            folder: where to; it appears whole or not at all, and replaces a model that is there.
        Raises:
            InputError: not fitted, or the folder cannot be written.
        """
        name = type(self).__name__
        if not hasattr(self, "model_"):
            raise not_fitted(f"{name}.save: this {name} is not fitted: call fit(X, y) first.")
        params = dict(self._fitted)
        params["layer"] = params["layer"] if isinstance(params["layer"], str) else list(params["layer"])
        if isinstance(params.get("class_weight"), Mapping):  # files know no other keys than text
            params["class_weight"] = [[plain_label(key), float(value)] for key, value in params["class_weight"].items()]
        description = {
            "params": params,
            "layer": self.layer_,
            "channels": self.n_channels_,
            "names": self._names_of_channels,
            "options": self.model_.options,
            "sharpness": self.sharpness_,
            "sampling_rate": self.sampling_rate_,
            **self._extra(),
        }
        tensors = {f"model.{key}": value for key, value in self.model_.tensors().items()}
        tensors |= {"location": self._location, "scale": self._scale}
        tensors["validation_rows"] = torch.as_tensor(self.validation_rows_)
        tensors["validation_scores"] = torch.as_tensor(self.validation_scores_)
        write_model(f"{name}.save", folder, name, description, tensors)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a model folder that `save` wrote; no code is run from it.

        Args:
            folder: the folder.
        Returns:
            The fitted estimator.
        Raises:
            InputError: the folder is not there, not whole, was changed, or was made by another version.
        """
        where = f"{cls.__name__}.load"
        description, tensors = read_model(where, folder, cls.__name__)
        try:
            params = dict(description["params"])
            if isinstance(params.get("class_weight"), list):
                params["class_weight"] = dict(params["class_weight"])
            found = cls(**params)
            names = description["names"]
            found._fitted, found._names_of_channels = params, None if names is None else tuple(names)
            found._checked(where)
            found.n_channels_, found.sharpness_ = description["channels"], description["sharpness"]
            found._location, found._scale = tensors["location"], tensors["scale"]
            found.validation_rows_ = tensors["validation_rows"].numpy()
            found.validation_scores_ = tensors["validation_scores"].numpy()
            rate = description.get("sampling_rate")
            found.sampling_rate_ = None if rate is None else float(rate)
            own = {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}
            found.layer_ = description["layer"]
            if found.layer_ == RESPONSES:
                found.model_ = Bank.restored(description["options"], own)
            else:
                found.model_ = Network(description["options"], found._training(), found._kind).restore(own)
            found._take_extra(description)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise InputError(
                f"{where}: the model in {str(folder)!r} does not hold what a {cls.__name__} needs "
                f"({type(error).__name__}): fit and save again."
            ) from error
        return found

    def _take_extra(self, description: Mapping[str, Any]) -> None:
        """Take from a stored description what `_extra` gave."""

    @property
    def outcome_(self) -> Outcome | None:
        """How training went; ``None`` where nothing was trained."""
        return getattr(getattr(self, "model_", None), "outcome", None)
