"""What everything that is fitted to signals has in common: parameters that are checked, scaling, and model folders.

As scikit-learn wants it, parameters are kept as they came, and looked at in `fit`.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from statespace.classification.network import Network
from statespace.classification.on_disk import AnySignals, OnDisk, read_any
from statespace.classification.signals import Signals
from statespace.classification.silence import without_silence
from statespace.classification.targets import is_number, plain_label
from statespace.classification.unfitted import not_fitted
from statespace.datasets.time_steps import differs
from statespace.errors import InputError, choose
from statespace.layers import LAYERS
from statespace.model_folder import read as read_model
from statespace.model_folder import write as write_model
from statespace.parameters import Parameters
from statespace.training import Outcome

SCALERS = ("channel", "instance", "none")


@dataclass(eq=False, repr=False)
class SignalModel(Parameters):
    """Parameters of a model of signals, and how signals are scaled; the parameters are those of `Classifier`."""

    layer: str | Sequence[str] = "s4d"
    _: KW_ONLY
    causal: bool = False
    scaler_type: str = "channel"
    d_model: int = 64
    n_layers: int = 4
    d_state: int = 64
    dropout: float = 0.1
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
    # What a fit leaves; before, there is none of these.
    layer_: str | list[str] = field(init=False)
    model_: Any = field(init=False)
    sharpness_: float = field(init=False)
    validation_rows_: np.ndarray = field(init=False)

    _kind = ""
    _least: ClassVar[dict[str, int]] = {
        "d_model": 1,
        "n_layers": 1,
        "d_state": 1,
        "max_epochs": 1,
        "batch_size": 1,
        "patience": -1,
        "random_seed": 0,
    }
    _beside: ClassVar[tuple[str, ...]] = ()  # names that `layer` may have beside those of layers

    # -------------------------------------------------------------------------------------------- parameters

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _checked(self, where: str) -> None:
        for name, least in self._least.items():
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
        if not isinstance(self.causal, bool | np.bool_):
            raise InputError(f"{where}: causal is {self.causal!r}, but True or False is expected.")
        if not isinstance(self.layer, str | Sequence) or not self.layer:
            raise InputError(f"{where}: layer is {self.layer!r}, but a name or a list of names is expected.")
        names = [self.layer] if isinstance(self.layer, str) else list(self.layer)
        for name in names:
            choose(where, "layer", name, LAYERS if len(names) > 1 else (*self._beside, *LAYERS))
        if self.causal and self.scaler_type == "instance":
            raise InputError(
                f"{where}: scaler_type='instance' looks at the whole signal, but causal=True must not: take 'channel'."
            )

    def _afresh(self) -> Self:
        """Return one of the same parameters, in Python's own numbers, to fit: what fails leaves this one as it is."""
        params = self.get_params().items()
        return type(self)(**{name: value.item() if isinstance(value, np.generic) else value for name, value in params})

    def _become(self, fitted: Self) -> Self:
        """Take what a fit has left in another, and return this one: its parameters stay as they came."""
        self.__dict__.update(fitted.__dict__ | self.get_params())
        return self

    def _architecture(self, layer: str | list[str], outputs: int, pooling: str, stride: list[int]) -> dict[str, Any]:
        return {
            "channels": self.n_channels_,
            "outputs": outputs,
            "layer": layer,
            "d_model": self.d_model,
            "n_layers": len(stride),
            "d_state": self.d_state,
            "dropout": self.dropout,
            "pooling": pooling,
            "stride": stride,
            "causal": self.causal,
        }

    def _training(self) -> dict[str, Any]:
        names = ("max_epochs", "batch_size", "learning_rate", "weight_decay", "augmentation", "patience", "accelerator")
        return {name: getattr(self, name) for name in names} | {"verbose": self.verbose, "seed": self.random_seed}

    # ------------------------------------------------------------------------------------------------ scaling

    def _fit_scaling(self, where: str, signals: AnySignals) -> AnySignals:
        """Take means and deviations of the channels from training signals, and return these as the model takes them."""
        self.sampling_rate_ = None
        self._fitted = self.get_params()
        self.n_channels_, self._names_of_channels = signals.channels, signals.names
        self._step = signals.step
        total, count = (torch.zeros(self.n_channels_, dtype=torch.float64) for _ in range(2))
        for flat in _flat(signals):
            total, count = total + flat.nansum(0), count + (~flat.isnan()).sum(0)
        self._location = (total / count).float()
        if bool(self._location.isnan().any()):
            lost = int(self._location.isnan().nonzero()[0])
            raise InputError(f"{where}: channel {lost} of X has no number in any signal: leave it out.")
        squares = torch.zeros_like(total)
        for flat in _flat(signals):
            squares += (flat - self._location).square().nansum(0)
        scale = (squares / count).sqrt()
        constant = scale < 1e-30
        self._scale = torch.where(constant, 1.0, scale).float()
        coarse = ~constant & (self._location.abs() * 2.0**-23 > 0.01 * scale)  # what float32 tells apart there
        if bool(coarse.any()):
            channel = int(coarse.nonzero()[0])
            warnings.warn(
                f"{where}: channel {channel} of X lies around {float(self._location[channel]):g} and swings by "
                f"{float(self._scale[channel]):g}, which float32 tells apart in coarse steps: take the offset off "
                "beforehand.",
                stacklevel=4,
            )
        if bool(constant.all()) and self.scaler_type != "none":
            hint = (
                "Take off an offset that is large beside the swings."
                if bool((self._location.abs() > 1e-25).any())
                else "If it is no silence, its units are too small: multiply X."
            )
            raise InputError(
                f"{where}: every sample of X has the same value in float32, to within 1e-30: there is nothing to tell "
                f"apart. {hint}"
            )
        return self._scaled(signals)

    def _scaled(self, signals: AnySignals) -> AnySignals:
        """Return signals as the model takes them."""
        return signals.prepared(self._scaled_part) if isinstance(signals, OnDisk) else self._scaled_part(signals)

    def _scaled_part(self, signals: Signals) -> Signals:
        if self._fitted.get("trim"):
            signals = without_silence(signals, self._scale)
        x, lengths = signals.x, signals.lengths
        real = (torch.arange(x.shape[1]) < lengths[:, None])[..., None]
        scaler = self._fitted["scaler_type"]
        if scaler == "none":
            scaled = x
        elif scaler == "channel":
            scaled = (x - self._location) / self._scale
        else:
            counted = real if signals.observed is None else real & signals.observed[..., None]
            present = x.masked_fill(~counted, torch.nan)
            x = x.masked_fill(~real, torch.nan)
            mean = present.nanmean(1, keepdim=True)
            power = (present - mean).square().nanmean((1, 2), keepdim=True).sqrt()
            scaled = (x - mean) / torch.where(power > 1e-12, power, 1.0)
        # A channel without any number is at its mean.
        return replace(signals, x=torch.where(real & ~scaled.isnan(), scaled, 0.0))

    def _live_scaling(self) -> tuple[Tensor, Tensor]:
        """Return by what a live stream shifts and divides its samples, ``(channels,)`` each."""
        if self._fitted["scaler_type"] == "channel":
            return self._location, self._scale
        return torch.zeros_like(self._location), torch.ones_like(self._scale)

    def _expect_fitted(self, where: str) -> None:
        if not hasattr(self, "model_"):
            raise not_fitted(
                f"{where}: this {type(self).__name__} is not fitted: call fit(X, y), or {type(self).__name__}.load."
            )

    def _ready(self, where: str, X: Any, dt_scale: float) -> AnySignals:
        """Return signals as the model takes them, if it is fitted."""
        self._expect_fitted(where)
        if not (is_number(dt_scale) and 0 < dt_scale < np.inf):
            raise InputError(
                f"{where}: dt_scale is {dt_scale!r}, but a positive number is expected: the time between two samples "
                "of X, in units of that of training, such as 2 for half the sampling rate."
            )
        signals = read_any(where, X, self.n_channels_, self._names_of_channels)
        if signals.step and self._step and differs(signals.step, dt_scale * self._step):
            warnings.warn(
                f"{where}: the times of X are {signals.step:g} apart and those of training were {self._step:g}, but "
                f"dt_scale is {dt_scale:g}: pass dt_scale={signals.step / self._step:g}, or resample X.",
                stacklevel=4,
            )
        return self._scaled(signals)

    # ------------------------------------------------------------------------------------------------ storing

    def save(self, folder: Path | str) -> None:
        """Write the fitted model to a folder as plain data: ``model.json`` and ``weights.safetensors``.

        Args:
            folder: where to; it appears whole or not at all, and replaces a model that is there.
        Raises:
            InputError: not fitted, or the folder cannot be written.
        """
        name = type(self).__name__
        self._expect_fitted(f"{name}.save")
        params = dict(self._fitted)
        params["layer"] = params["layer"] if isinstance(params["layer"], str) else list(params["layer"])
        if isinstance(params.get("class_weight"), Mapping):  # files know no other keys than text
            params["class_weight"] = [[plain_label(key), float(value)] for key, value in params["class_weight"].items()]
        description = {
            "params": params,
            "layer": self.layer_,
            "channels": self.n_channels_,
            "names": self._names_of_channels,
            "step": self._step,
            "options": self.model_.options,
            "sharpness": self.sharpness_,
            "sampling_rate": self.sampling_rate_,
            **self._extra(),
        }
        tensors = {f"model.{key}": value for key, value in self.model_.tensors().items()}
        tensors |= {"location": self._location, "scale": self._scale}
        tensors["validation_rows"] = torch.as_tensor(self.validation_rows_)
        write_model(f"{name}.save", folder, name, description, tensors | self._extra_tensors())

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
            found._step = description.get("step")
            found._checked(where)
            found.n_channels_, found.sharpness_ = description["channels"], description["sharpness"]
            found._location, found._scale = tensors["location"], tensors["scale"]
            found.validation_rows_ = tensors["validation_rows"].numpy()
            rate = description.get("sampling_rate")
            found.sampling_rate_ = None if rate is None else float(rate)
            own = {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}
            found.layer_ = description["layer"]
            found.model_ = found._restored(description["options"], own)
            found._take_extra(description, tensors)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise InputError(
                f"{where}: the model in {str(folder)!r} does not hold what a {cls.__name__} needs "
                f"({type(error).__name__}): fit and save again."
            ) from error
        return found

    def _restored(self, options: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
        """Return the model that was stored."""
        return Network(options, self._training(), self._kind).restore(tensors)

    def _extra(self) -> dict[str, Any]:
        """Return what else is to be stored, as plain data."""
        return {}

    def _extra_tensors(self) -> dict[str, Tensor]:
        """Return what else is to be stored, as tensors."""
        return {}

    def _take_extra(self, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take from what was stored what `_extra` and `_extra_tensors` gave."""

    @property
    def outcome_(self) -> Outcome | None:
        """How training went; ``None`` where nothing was trained."""
        return getattr(getattr(self, "model_", None), "outcome", None)


def expect_finite(where: str, scores: Iterable[Tensor]) -> None:
    """Raise an `InputError` that names the first signal of which a model says no numbers."""
    odd = next((case for case, each in enumerate(scores) if not bool(each.isfinite().all())), None)
    if odd is not None:
        raise InputError(
            f"{where}: what is said of signal {odd} of X is NaN or infinite: its values are too large beside those of "
            "training. Give X in the units of training, or leave the signal out."
        )


def _flat(signals: AnySignals) -> Iterator[Tensor]:
    """Give the samples of all signals, ``(samples, channels)``, float64, some at a time."""
    for part in signals.parts():
        for row, length in enumerate(part.lengths.tolist()):
            yield part.x[row, :length].double()
