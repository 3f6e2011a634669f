"""`Classifier` and `Regressor`: raw signals in, classes or numbers out, in the conventions of scikit-learn.

``layer="responses"`` fits in seconds and needs no training: random systems and a closed form. The name of a layer, or a
list of names, trains a stack of these instead.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from statespace.classification.bank import SPAN, Bank
from statespace.classification.calibration import fit_sharpness, probabilities
from statespace.classification.network import Network, strides
from statespace.classification.signals import Signals, read_signals
from statespace.classification.split import validation_rows
from statespace.classification.stream import ClassifierStream
from statespace.errors import InputError, choose
from statespace.layers import LAYERS
from statespace.model_folder import read as read_model
from statespace.model_folder import write as write_model
from statespace.training import Outcome

RESPONSES = "responses"
SCALERS = ("channel", "instance", "none")
_POOLINGS = ("mean", "last", "attention")


class _Estimator:
    """What classifying and regressing have in common; the parameters are those of `Classifier`."""

    _kind = ""

    sampling_rate_: float | None = None
    """Samples in a second of the signals that it was fitted on, in Hz, if somebody has set it: it is stored with it."""

    def __init__(
        self,
        layer: str | Sequence[str] = RESPONSES,
        *,
        systems: int = 1000,
        causal: bool = False,
        scaler_type: str = "channel",
        d_model: int = 64,
        n_layers: int = 4,
        d_state: int = 64,
        dropout: float = 0.1,
        pooling: str = "mean",
        max_epochs: int = 100,
        batch_size: int = 16,
        learning_rate: float = 4e-3,
        weight_decay: float = 0.01,
        augmentation: float = 1.0,
        val_size: float = 0.2,
        patience: int = 20,
        random_seed: int = 0,
        accelerator: str = "auto",
        verbose: bool = True,
    ) -> None:
        # As scikit-learn wants it: arguments are kept as they came, and looked at in `fit`.
        self.layer, self.systems, self.causal, self.scaler_type = layer, systems, causal, scaler_type
        self.d_model, self.n_layers, self.d_state = d_model, n_layers, d_state
        self.dropout, self.pooling = dropout, pooling
        self.max_epochs, self.batch_size, self.learning_rate = max_epochs, batch_size, learning_rate
        self.weight_decay, self.augmentation = weight_decay, augmentation
        self.val_size, self.patience, self.random_seed = val_size, patience, random_seed
        self.accelerator, self.verbose = accelerator, verbose

    # -------------------------------------------------------------------------------------------- parameters

    @classmethod
    def _names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; there are none within others, whatever `deep` says."""
        del deep
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, for the next `fit`."""
        for name, value in params.items():
            setattr(self, choose(f"{type(self).__name__}.set_params", "parameter", name, self._names()), value)
        return self

    def __repr__(self) -> str:
        defaults = {name: parameter.default for name, parameter in inspect.signature(type(self)).parameters.items()}
        given = (f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults[name])
        return f"{type(self).__name__}({', '.join(given)})"

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
            if not (_is_number(value) and 0 <= value < high):
                bound = f"in [0, {high:g})" if high < np.inf else "from 0 on"
                raise InputError(f"{where}: {name} is {value!r}, but a number {bound} is expected.")
        if not (_is_number(self.learning_rate) and 0 < self.learning_rate < np.inf):
            raise InputError(f"{where}: learning_rate is {self.learning_rate!r}, but a positive number is expected.")
        choose(where, "scaler_type", self.scaler_type, SCALERS)
        choose(where, "pooling", self.pooling, _POOLINGS)
        if not isinstance(self.causal, bool | np.bool_):
            raise InputError(f"{where}: causal is {self.causal!r}, but True or False is expected.")
        if not isinstance(self.layer, str | Sequence) or not self.layer:
            raise InputError(f"{where}: layer is {self.layer!r}, but a name or a list of names is expected.")
        names = [self.layer] if isinstance(self.layer, str) else list(self.layer)
        if names != [RESPONSES]:
            for name in names:
                choose(where, "layer", name, LAYERS if len(names) > 1 else (RESPONSES, *LAYERS))
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
    ) -> None:
        signals = read_signals(where, X)
        self.sampling_rate_ = None
        if len(signals) != len(targets):
            raise InputError(
                f"{where}: X has {len(signals)} signals but y has {len(targets)} entries: one for each is expected."
            )
        named = _groups(where, groups, len(signals))
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
        typical = float(signals.lengths.float().median())
        if self.layer == RESPONSES:
            bank = Bank(self.n_channels_, max(SPAN * typical, 2.0), self.systems, self.causal, self.random_seed)
            signs = 2 * targets - 1 if self._kind != "numbers" else targets
            if named is not None and not len(rows):
                raise InputError(
                    f"{where}: val_size is {self.val_size} and groups has {len(np.unique(named))} different names, so "
                    "no group is left to be judged by: raise val_size, or leave groups out."
                )
            if named is not None:
                # Predictions for cases left out one by one would know the others of their group.
                train = torch.as_tensor(np.setdiff1d(np.arange(len(signals)), rows))
                bank.fit(signals.take(train), signs[train], shares[train])
                judged = bank.scores(signals.take(rows), 1.0), torch.as_tensor(rows)
                bank.fit(signals, signs, shares)
            else:
                judged = tuple(bank.fit(signals, signs, shares))  # type: ignore[assignment]
            self.model_: Bank | Network = bank
        else:
            self.model_ = Network(self._architecture(targets.shape[1], typical), self._training(), self._kind)
            judged = tuple(self.model_.fit(signals, targets, shares, rows))  # type: ignore[assignment]
        scores, judged_rows = judged
        self.sharpness_ = 1.0
        if self._kind != "numbers" and len(judged_rows):
            self.sharpness_ = fit_sharpness(self._kind, scores, targets[judged_rows].float(), shares[judged_rows])
        self.validation_rows_ = counted[judged_rows.numpy()]
        self.validation_scores_ = (self.sharpness_ * scores).numpy()

    def _architecture(self, outputs: int, typical: float) -> dict[str, Any]:
        layer = self.layer if isinstance(self.layer, str) else list(self.layer)
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

    def _scores(self, where: str, X: Any, dt_scale: float) -> Tensor:
        if not hasattr(self, "model_"):
            raise InputError(
                f"{where}: this {type(self).__name__} is not fitted: call fit(X, y), or {type(self).__name__}.load."
            )
        if not (_is_number(dt_scale) and 0 < dt_scale < np.inf):
            raise InputError(
                f"{where}: dt_scale is {dt_scale!r}, but a positive number is expected: the time between two samples "
                "of X, in units of that of training, such as 2 for half the sampling rate."
            )
        signals = self._scaled(read_signals(where, X, self.n_channels_, self._names_of_channels))
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
            raise InputError(f"{name}.save: this {name} is not fitted: call fit(X, y) first.")
        params = dict(self._fitted)
        params["layer"] = params["layer"] if isinstance(params["layer"], str) else list(params["layer"])
        if isinstance(params.get("class_weight"), Mapping):  # files know no other keys than text
            params["class_weight"] = [[_plain(key), float(value)] for key, value in params["class_weight"].items()]
        description = {
            "params": params,
            "channels": self.n_channels_,
            "names": self._names_of_channels,
            "options": self.model_.options,
            "sharpness": self.sharpness_,
            "sampling_rate": self.sampling_rate_,
            **self._extra(),
        }
        tensors = {f"model.{key}": value for key, value in self.model_.tensors().items()}
        tensors |= {"location": self._location, "scale": self._scale}
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
            rate = description.get("sampling_rate")
            found.sampling_rate_ = None if rate is None else float(rate)
            own = {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}
            if found.layer == RESPONSES:
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


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Return a label as JSON can hold it."""
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, str | bool | int | float):
        raise InputError(
            f"save: the class {value!r} is a {type(value).__name__}, which cannot be stored: fit with text or numbers."
        )
    return value


def _groups(where: str, groups: Any, count: int) -> np.ndarray | None:
    if groups is None:
        return None
    named = np.asarray(groups)
    if named.shape != (count,):
        raise InputError(f"{where}: groups is {named.shape}, but one name for each of {count} signals is expected.")
    missing = [name is None or name != name for name in named.tolist()]
    if any(missing):
        raise InputError(f"{where}: groups has no name for signal {missing.index(True)}: give it one of its own.")
    return named.astype(str) if named.dtype == object else named


def _numbers(where: str, name: str, y: Any) -> np.ndarray:
    try:
        given = np.asarray(y)
        values = given.astype(np.float64) if given.dtype.kind in "fiubO" else None
    except (TypeError, ValueError):
        values = None
    if values is None:
        raise InputError(f"{where}: {name} holds something that is not a real number: numbers are expected.")
    if not (np.abs(values) < 1e100).all():
        raise InputError(f"{where}: {name} holds NaN, infinity, or numbers too large to compute with.")
    return values


def _weights(where: str, sample_weight: Any, count: int) -> np.ndarray:
    if sample_weight is None:
        return np.ones(count)
    weights = _numbers(where, "sample_weight", sample_weight)
    if weights.shape != (count,) or (weights < 0).any() or not weights.any():
        raise InputError(
            f"{where}: sample_weight is {weights.shape}, but one number from 0 on for each signal is expected."
        )
    return weights


def _labels(where: str, y: Any) -> np.ndarray:
    """Return the classes as an array without anything missing."""
    try:
        named = np.asarray(y)
    except ValueError as error:
        raise InputError(f"{where}: y is ragged, but one class for each signal is expected.") from error
    if named.ndim == 0:
        raise InputError(f"{where}: y is {y!r}, but one class for each signal is expected.")
    if named.dtype.kind not in "OfMm":
        return named
    flat = named.reshape(-1).tolist()
    missing = [name is None or type(name).__name__ == "NAType" or name != name for name in flat]
    if any(missing):
        raise InputError(f"{where}: y has no class for signal {missing.index(True)}: leave it out.")
    if named.dtype == object and len({isinstance(name, str) for name in flat}) > 1:
        raise InputError(f"{where}: y holds text and numbers side by side: write all classes as text.")
    return np.array(flat) if named.dtype == object and named.ndim == 1 else named


class Classifier(_Estimator):
    """Tell to which class a signal belongs, or which labels it has.

    Args:
        layer: ``"responses"``, random systems and a closed form (see `models.ResponseFeatures`); or a key of
            `statespace.layers.LAYERS`, or a list of keys, for a network that is trained.
        systems: number of random systems.
        causal: whether the past alone decides, so that a live stream gives the same answers.
        scaler_type: ``"channel"``: each channel by mean and deviation over the training signals; ``"instance"``: each
            signal by its own, so that loudness does not matter; ``"none"``.
        d_model: channels of the network.
        n_layers: blocks of the network; with a list of layers, as many as these.
        d_state: order of each system in the network.
        dropout: probability of dropping, in [0, 1).
        pooling: of the network: ``"mean"``, ``"last"`` or ``"attention"``.
        max_epochs: passes over the training signals, at most.
        batch_size: signals in a batch.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of the matrices.
        augmentation: strength of the disturbances in training, 0 for none.
        val_size: share of the cases that the network is validated on, in [0, 1); with 0 the last weights are kept.
        patience: epochs without improvement after which training stops; -1 for never.
        random_seed: of everything drawn; the same seed gives the same model.
        accelerator: Lightning's name of the device to train on.
        verbose: whether to show a bar.
        class_weight: ``None``, ``"balanced"``, or a weight for each class.
    Attributes:
        classes_: the classes, in order; for several labels, their numbers.
        n_channels_: channels of the signals.
        validation_rows_: training cases that were left out when they were judged.
        validation_scores_: what was said of them, before the softmax, ``(b, k)``.
    """

    _kind = "classes"
    _estimator_type = "classifier"

    def __init__(
        self,
        layer: str | Sequence[str] = RESPONSES,
        *,
        systems: int = 1000,
        causal: bool = False,
        scaler_type: str = "channel",
        d_model: int = 64,
        n_layers: int = 4,
        d_state: int = 64,
        dropout: float = 0.1,
        pooling: str = "mean",
        max_epochs: int = 100,
        batch_size: int = 16,
        learning_rate: float = 4e-3,
        weight_decay: float = 0.01,
        augmentation: float = 1.0,
        val_size: float = 0.2,
        patience: int = 20,
        random_seed: int = 0,
        accelerator: str = "auto",
        verbose: bool = True,
        class_weight: str | Mapping[Any, float] | None = None,
    ) -> None:
        given = dict(locals())
        super().__init__(**{name: given[name] for name in inspect.signature(_Estimator).parameters})
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags  # only scikit-learn asks for these

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=True, three_d_array=True, allow_nan=True),
        )

    def fit(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> "Classifier":
        """Fit.

        Args:
            X: signals; see `classification.signals` for the forms.
            y: a class for each, ``(b,)``; or zeros and ones for each of several labels, ``(b, k)``.
            groups: whom each signal comes from, so that validation is on others than training.
            sample_weight: of each signal.
        Returns:
            The classifier itself.
        Raises:
            InputError: something cannot be used.
        """
        fresh = type(self)(**self.get_params())  # what fails leaves an earlier fit as it is
        fresh._fit_classes(X, y, groups, sample_weight)
        self.__dict__.update(fresh.__dict__)
        return self

    def _fit_classes(self, X: Any, y: Any, groups: Any, sample_weight: Any) -> None:
        where = "Classifier.fit"
        self._checked(where)
        named = _labels(where, y)
        if named.ndim == 2 and named.shape[1] > 1:
            self._kind = "labels"
            if not np.isin(named, (0, 1)).all():
                raise InputError(
                    f"{where}: y is {named.shape}, but holds other values than 0 and 1: one column a label."
                )
            self.classes_ = np.arange(named.shape[1])
            targets, kinds = named.astype(np.float64), None
        else:
            self._kind = "classes"
            named = named.reshape(-1)
            self.classes_, kinds = np.unique(named, return_inverse=True)
            if len(self.classes_) < 2:
                raise InputError(
                    f"{where}: y holds {len(self.classes_)} class ({', '.join(map(str, self.classes_))}), but at least "
                    "two are needed to tell apart."
                )
            targets = np.eye(len(self.classes_))[kinds]
        weights = _weights(where, sample_weight, len(targets)) * self._class_weights(where, targets)
        self._fit(where, X, torch.as_tensor(targets), kinds, weights, groups)

    def _class_weights(self, where: str, targets: np.ndarray) -> np.ndarray:
        if self.class_weight is None:
            return np.ones(len(targets))
        if self._kind == "labels":
            raise InputError(f"{where}: class_weight is given, but signals have several labels: pass sample_weight.")
        if isinstance(self.class_weight, str):
            choose(where, "class_weight", self.class_weight, ("balanced",))
            each = len(targets) / (len(self.classes_) * targets.sum(0))
        elif not isinstance(self.class_weight, Mapping):
            raise InputError(
                f"{where}: class_weight is {self.class_weight!r}, but None, 'balanced' or a weight for each class is "
                "expected."
            )
        else:
            wrong = [v for v in self.class_weight.values() if not (_is_number(v) and 0 <= v < 1e100)]
            if wrong:
                raise InputError(f"{where}: class_weight holds {wrong[0]!r}, but numbers from 0 on are expected.")
            unknown = set(self.class_weight) - set(self.classes_.tolist())
            if unknown:
                raise InputError(
                    f"{where}: class_weight names {', '.join(map(repr, unknown))}, but the classes of y are "
                    f"{', '.join(map(repr, self.classes_.tolist()))}."
                )
            each = np.array([self.class_weight.get(name, 1.0) for name in self.classes_.tolist()])
        weights: np.ndarray = targets @ each
        return weights

    def predict_proba(self, X: Any, dt_scale: float = 1.0) -> np.ndarray:
        """Return the probability of each class, ``(b, k)``.

        Args:
            X: signals.
            dt_scale: time between two samples, in units of that of training: 2 for half the sampling rate.
        Returns:
            Probabilities in the order of `classes_`; rows sum to one, unless there are several labels.
        Raises:
            InputError: not fitted, or the signals cannot be used.
        """
        scores = self._scores("Classifier.predict_proba", X, dt_scale)
        return probabilities(self._kind, scores, self.sharpness_).double().numpy()

    def predict(self, X: Any, dt_scale: float = 1.0) -> np.ndarray:
        """Return the most probable class of each signal, ``(b,)``, or its labels, ``(b, k)``; see `predict_proba`."""
        scores = self._scores("Classifier.predict", X, dt_scale)
        if self._kind == "labels":
            return (scores > 0).long().numpy()
        found: np.ndarray = self.classes_[scores.argmax(-1).numpy()]
        return found

    def fit_predict(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit, and return what is predicted for the same signals."""
        return self.fit(X, y, groups, sample_weight).predict(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None, dt_scale: float = 1.0) -> float:
        """Return the share of signals that are told right, with all of their labels."""
        where = "Classifier.score"
        found, wanted = self.predict(X, dt_scale), np.asarray(y)
        wanted = wanted.reshape(-1) if found.ndim == 1 else wanted
        if wanted.shape != found.shape:
            raise InputError(f"{where}: y is {np.shape(y)}, but {found.shape} is expected, one for each signal of X.")
        right = found == wanted
        right = right.all(-1) if right.ndim == 2 else right
        weights = _weights(where, sample_weight, len(right))
        return float((weights * right).sum() / weights.sum())

    def stream(self, dt_scale: float = 1.0) -> ClassifierStream:
        """Return a live stream, before its first sample; see `ClassifierStream`.

        Args:
            dt_scale: time between two samples, in units of that of training: 2 for half the sampling rate.
        Returns:
            The stream, of the model as it is now.
        Raises:
            InputError: not fitted, or not causal, or the layers cannot be run live.
        """
        if not hasattr(self, "model_"):
            raise InputError(
                "Classifier.stream: this Classifier is not fitted: call fit(X, y), or take Classifier.load(folder)."
            )
        scaled = self._fitted["scaler_type"] == "channel"
        location = self._location if scaled else torch.zeros_like(self._location)
        scale = self._scale if scaled else torch.ones_like(self._scale)
        return ClassifierStream(self.model_, location, scale, self._kind, self.sharpness_, self.classes_, dt_scale)

    def _extra(self) -> dict[str, Any]:
        return {"loss": self._kind, "classes": [_plain(name) for name in self.classes_]}

    def _take_extra(self, description: Mapping[str, Any]) -> None:
        self._kind, self.classes_ = description["loss"], np.array(description["classes"])
        if isinstance(self.model_, Network):
            self.model_.kind = self._kind


class Regressor(_Estimator):
    """Tell which number belongs to a signal, or which numbers; the parameters are those of `Classifier`."""

    _kind = "numbers"
    _estimator_type = "regressor"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags  # only scikit-learn asks for these

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True),
            regressor_tags=RegressorTags(),
            input_tags=InputTags(two_d_array=True, three_d_array=True, allow_nan=True),
        )

    def fit(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> "Regressor":
        """Fit; as `Classifier.fit`, with numbers, ``(b,)`` or ``(b, k)``."""
        fresh = type(self)(**self.get_params())  # what fails leaves an earlier fit as it is
        fresh._fit_numbers(X, y, groups, sample_weight)
        self.__dict__.update(fresh.__dict__)
        return self

    def _fit_numbers(self, X: Any, y: Any, groups: Any, sample_weight: Any) -> None:
        where = "Regressor.fit"
        self._checked(where)
        values = _numbers(where, "y", y)
        if values.ndim not in (1, 2):
            raise InputError(f"{where}: y is {values.shape}, but (n_cases,) or (n_cases, k) is expected.")
        self._flat = values.ndim == 1
        values = values[:, None] if self._flat else values
        self._mean, deviation = values.mean(0), values.std(0)
        self._deviation = np.where(deviation > 0, deviation, 1.0)
        targets = torch.as_tensor((values - self._mean) / self._deviation)
        self._fit(where, X, targets, None, _weights(where, sample_weight, len(values)), groups)

    def predict(self, X: Any, dt_scale: float = 1.0) -> np.ndarray:
        """Return the number of each signal, ``(b,)``, or ``(b, k)``."""
        scores = self._scores("Regressor.predict", X, dt_scale).double().numpy()
        found: np.ndarray = scores * self._deviation + self._mean
        return found[:, 0] if self._flat else found

    def fit_predict(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit, and return what is predicted for the same signals."""
        return self.fit(X, y, groups, sample_weight).predict(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None, dt_scale: float = 1.0) -> float:
        """Return R², the share of the variance of `y` that is explained; one minus the mean squared error over it."""
        where = "Regressor.score"
        values, found = _numbers(where, "y", y), self.predict(X, dt_scale)
        if values.size != found.size or len(values) != len(found):
            raise InputError(f"{where}: y is {values.shape}, but {found.shape} is expected, one for each signal of X.")
        values = values.reshape(found.shape)
        weights = _weights(where, sample_weight, len(values))
        if values.ndim == 2:
            weights = weights[:, None]
        error = (weights * (values - found) ** 2).sum(0)
        spread = (weights * (values - (weights * values).sum(0) / weights.sum()) ** 2).sum(0)
        return float(np.mean(1 - error / np.where(spread > 0, spread, 1.0)))

    def _extra(self) -> dict[str, Any]:
        return {"mean": self._mean.tolist(), "deviation": self._deviation.tolist(), "flat": self._flat}

    def _take_extra(self, description: Mapping[str, Any]) -> None:
        self._mean, self._deviation = np.array(description["mean"]), np.array(description["deviation"])
        self._flat = description["flat"]
