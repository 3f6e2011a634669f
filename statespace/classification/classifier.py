"""`Classifier`: raw signals in, classes out.

``layer="responses"`` fits in seconds and needs no training: random systems and a closed form. The name of a layer, or a
list of names, trains a stack of these instead.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.classification.bank import Bank
from statespace.classification.calibration import probabilities
from statespace.classification.class_weights import class_weights
from statespace.classification.confidence import heard_of
from statespace.classification.estimator import SignalEstimator
from statespace.classification.network import Network
from statespace.classification.on_disk import AnySignals
from statespace.classification.stream import ClassifierStream
from statespace.classification.tables import as_long, by_case
from statespace.classification.targets import classes_in, described, expect_classes, labels_of, weights_of
from statespace.errors import InputError


@dataclass(eq=False, repr=False)
class Classifier(SignalEstimator):
    """Tell to which class a signal belongs, or which labels it has.

    Args:
        layer: ``"responses"``, random systems and a closed form (see `models.ResponseFeatures`); or a key of
            `statespace.layers.LAYERS`, or a list of keys, for a network that is trained; or ``"auto"``, which fits a
            few of these and keeps what tells the validation part best, beyond chance; see `classification.search`.
        systems: number of random systems; half as many more see levels, where these tell.
        trim: whether silence at both ends of a signal does not count; see `classification.silence`.
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
        layer_: what `layer` came to.
        classes_: the classes, in order; for several labels, their numbers.
        n_channels_: channels of the signals.
        validation_rows_: training cases that were left out when they were judged.
        validation_scores_: what was said of them, before the softmax, ``(b, k)``.
    """

    _: KW_ONLY
    class_weight: str | Mapping[Any, float] | None = None

    _kind = "classes"
    _estimator_type = "classifier"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags  # only scikit-learn asks for these

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=True, three_d_array=True, allow_nan=True),
        )

    def fit(
        self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None, checkpoint: Path | str | None = None
    ) -> "Classifier":
        """Fit.

        Args:
            X: signals; see `classification.signals` for the forms.
            y: a class for each, ``(b,)``; or zeros and ones for each of several labels, ``(b, k)``. Where `X` is a
                table, a pandas Series or frame whose index holds exactly its cases is taken by their names, and so are
                `groups` and `sample_weight`; all else is in the order in which the cases first appear.
            groups: whom each signal comes from, so that validation is on others than training.
            sample_weight: of each signal.
            checkpoint: a file ``….ckpt`` that the training of a network is kept in. If it is there, the same call goes
                on from it, to the same weights; at the end it is taken away.
        Returns:
            The classifier itself.
        Raises:
            InputError: something cannot be used.
        """
        fresh = self._afresh()
        X = as_long("Classifier.fit", X)
        y, groups, sample_weight = (by_case(X, values) for values in (y, groups, sample_weight))
        fresh._fit_classes(X, y, groups, sample_weight, checkpoint)
        return self._become(fresh)

    def _fit_classes(self, X: Any, y: Any, groups: Any, sample_weight: Any, checkpoint: Path | str | None) -> None:
        where = "Classifier.fit"
        self._checked(where)
        named = labels_of(where, y)
        if named.ndim == 2 and named.shape[1] > 1:
            self._kind = "labels"
            if not np.isin(named, (0, 1)).all():
                raise InputError(
                    f"{where}: y is {named.shape}, and the first signal has {named[0].tolist()}, but one class for "
                    "each is expected, or 0 or 1 for each of several labels: write a class of two parts as one text."
                )
            self.classes_ = np.arange(named.shape[1])
            targets = named.astype(np.float64)
        else:
            self._kind = "classes"
            named = named.reshape(-1)
            self.classes_, numbers = np.unique(named, return_inverse=True)
            expect_classes(where, self.classes_)
            if len(self.classes_) < 2:
                raise InputError(
                    f"{where}: y holds {len(self.classes_)} class ({', '.join(map(str, self.classes_))}), but at least "
                    "two are needed to tell apart."
                )
            targets = np.eye(len(self.classes_))[numbers]
        weights = weights_of(where, sample_weight, len(targets))
        if self._kind == "labels" and self.class_weight is not None:
            raise InputError(f"{where}: class_weight is given, but signals have several labels: pass sample_weight.")
        if self._kind == "classes":
            weights = weights * (targets @ class_weights(where, self.class_weight, self.classes_, targets.sum(0)))
        kinds = named if self._kind == "classes" else None
        self._fit(where, X, torch.as_tensor(targets), kinds, weights, groups, checkpoint)

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
        where = "Classifier.predict_proba"
        said = self._said(where, self._ready(where, X, dt_scale), dt_scale)
        return probabilities(self._kind, said).double().numpy()

    def predict(self, X: Any, dt_scale: float = 1.0) -> np.ndarray:
        """Return the most probable class of each signal, ``(b,)``, or its labels, ``(b, k)``; see `predict_proba`."""
        where = "Classifier.predict"
        said = self._said(where, self._ready(where, X, dt_scale), dt_scale)
        if self._kind == "labels":
            return (said > 0).long().numpy()
        found: np.ndarray = self.classes_[said.argmax(-1).numpy()]
        return found

    def _said(self, where: str, signals: AnySignals, dt_scale: float) -> Tensor:
        """Return what is said of signals before the softmax, ``(b, k)``, as sure as can be of so many samples."""
        said = self.sharpness_ * self._scores_of(where, signals, dt_scale)
        if self._confidence is None:
            return said
        heard = torch.cat([heard_of(part) for part in signals.parts()])
        return self._confidence(said, heard * float(dt_scale))

    def attribute(self, X: Any, y: Any = None, dt_scale: float = 1.0) -> list[np.ndarray]:
        """Return where in the signals a class comes from: how much each sample speaks for it, or against it.

        For ``layer="responses"`` it is a split of the score, without rest: a response counts where it is high, which is
        by up to the time that its system remembers from what it answers. For networks it is by integrated gradients.

        Args:
            X: signals.
            y: the class to be spoken for, of each signal, ``(b,)``; for several labels their numbers; ``None`` for the
                one that is most probable.
            dt_scale: time between two samples, in units of that of training.
        Returns:
            For each signal as many numbers as it has samples up to its last measured one, ``(n,)``; over time they sum
            to what the class scores, before the softmax, beyond the score of an average signal (of a signal that is
            zero after scaling, for a network).
        Raises:
            InputError: not fitted, `y` names no class of training, or the signals cannot be used.
        """
        where = "Classifier.attribute"
        signals = self._ready(where, X, dt_scale)
        if y is None:
            targets = self._said(where, signals, dt_scale).argmax(1)
        else:
            named = np.asarray(by_case(as_long(where, X), y))
            if named.shape != (len(signals),):
                raise InputError(
                    f"{where}: y is {named.shape}, but one class for each of {len(signals)} signals is expected."
                )
            unknown = [name for name in named.tolist() if name not in self.classes_.tolist()]
            if unknown:
                known = ", ".join(map(repr, self.classes_.tolist()))
                raise InputError(f"{where}: y names {unknown[0]!r}, but the classes are {known}.")
            targets = torch.tensor([self.classes_.tolist().index(name) for name in named.tolist()])
        found: list[np.ndarray] = []
        for part in signals.parts():
            wanted = targets[len(found) : len(found) + len(part)]
            brought = self.sharpness_ * self.model_.over_time(part, wanted, float(dt_scale))
            found += [row[:length].numpy() for row, length in zip(brought, part.lengths.tolist(), strict=True)]
        return found

    def adapted(self, X: Any, dt_scale: float = 1.0) -> "Classifier":
        """Return a classifier for one source, such as a speaker, a patient or a machine that training did not hear.

            score = W (f - mean f over X) / scale + offset,       in place of the mean over the training signals

        What is the same in all signals of a source, its voice, its room or its microphone, moves the mean of each
        feature; differences between classes stay. No labels are needed, but X should hold the classes in about the
        shares of training: what all of X has in common is taken for the source.

        Args:
            X: signals of that source, at least as many as there are classes.
            dt_scale: time between two samples, in units of that of training; the readout for this rate is adapted.
        Returns:
            The classifier for that source; this one stays as it is.
        Raises:
            InputError: not fitted, `layer` is not ``"responses"``, or the signals cannot be used or are too few.
        Source:
            After Li, Wang, Shi, Liu, Hou 2016 (arXiv:1603.04779), section 3, who do so with the means and deviations of
            batch normalisation. Where we deviate: the deviations stay those of training.
        """
        where = "Classifier.adapted"
        self._expect_fitted(where)
        if not isinstance(self.model_, Bank):
            raise InputError(
                f"{where}: layer is {self.layer_!r}, but means of features are known of 'responses' alone: fit with "
                "layer='responses', or fit again with signals of this source."
            )
        signals = self._ready(where, X, dt_scale)
        if len(signals) < len(self.classes_):
            raise InputError(
                f"{where}: X has a length of {len(signals)}, but at least {len(self.classes_)} signals are expected, "
                "as many as there are classes: what they have in common is taken for the source."
            )
        other = copy(self)
        other.model_ = self.model_.adapted(signals, float(dt_scale))
        return other

    def fit_predict(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit, and return what is predicted for the same signals."""
        return self.fit(X, y, groups, sample_weight).predict(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None, dt_scale: float = 1.0) -> float:
        """Return the share of signals that are told right, with all of their labels."""
        where = "Classifier.score"
        X = as_long(where, X)
        y, sample_weight = by_case(X, y), by_case(X, sample_weight)
        found, wanted = self.predict(X, dt_scale), np.asarray(y)
        wanted = wanted.reshape(-1) if found.ndim == 1 else wanted
        if wanted.shape != found.shape:
            raise InputError(f"{where}: y is {np.shape(y)}, but {found.shape} is expected, one for each signal of X.")
        right = found == wanted
        right = right.all(-1) if right.ndim == 2 else right
        weights = weights_of(where, sample_weight, len(right))
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
        self._expect_fitted("Classifier.stream")
        scaling = self._live_scaling()
        sure = self.sharpness_, self._confidence
        return ClassifierStream(self.model_, *scaling, self._kind, *sure, self.classes_, dt_scale)

    def _extra(self) -> dict[str, Any]:
        return {"loss": self._kind} | described(self.classes_)

    def _take_extra(self, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        super()._take_extra(description, tensors)
        self._kind = description["loss"]
        self.classes_ = classes_in(description)
        if isinstance(self.model_, Network):
            self.model_.kind = self._kind
