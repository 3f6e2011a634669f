"""`Labeler`: raw signals in, a class for each of their samples out; sequence labelling, or segmentation.

    p_t = softmax(τ (W h_t + b)),      h = the stack over the signal, at the rate of its samples

Beats in an electrocardiogram, states of a machine, speech and silence: whatever changes in the course of a signal.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statespace.classification.base import SignalModel, expect_finite
from statespace.classification.calibration import fit_sharpness, probabilities
from statespace.classification.class_weights import class_weights
from statespace.classification.label_stream import LabelerStream
from statespace.classification.network import Network, strides_to_samples
from statespace.classification.on_disk import read_any
from statespace.classification.step_labels import number_labels, read_labels
from statespace.classification.tables import as_long, by_case
from statespace.classification.targets import classes_in, described, groups_of
from statespace.errors import InputError
from statespace.training import validation_rows

_JUDGED = 100_000  # samples that the probabilities are calibrated on, at most


@dataclass(eq=False, repr=False)
class Labeler(SignalModel):
    """Tell to which class each sample of a signal belongs.

    Args:
        layer: a key of `statespace.layers.LAYERS`, or a list of keys, one for each block.
        causal: whether the past alone decides, so that a live stream gives the same answers.
        scaler_type: ``"channel"``: each channel by mean and deviation over the training signals; ``"instance"``: each
            signal by its own, so that loudness does not matter; ``"none"``.
        d_model: channels of the network.
        n_layers: blocks of the network; with a list of layers, as many as these. In long signals all but the last run
            at slower rates.
        d_state: order of each system in the network.
        dropout: probability of dropping, in [0, 1).
        max_epochs: passes over the training signals, at most.
        batch_size: signals in a batch.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: of the matrices.
        augmentation: strength of the disturbances in training, 0 for none; labels move with their samples.
        val_size: share of the signals that the network is validated on, in [0, 1); with 0 the last weights are kept.
        patience: epochs without improvement after which training stops; -1 for never.
        random_seed: of everything drawn; the same seed gives the same model.
        accelerator: Lightning's name of the device to train on.
        verbose: whether to show a bar.
        class_weight: ``None``, ``"balanced"``, or a weight for each class.
    Attributes:
        classes_: the classes, in order.
        n_channels_: channels of the signals.
        validation_rows_: training signals that were left out when they were judged.
        validation_accuracy_: share of their labelled samples that were told right; NaN where none were left out.
    """

    _: KW_ONLY
    class_weight: str | Mapping[Any, float] | None = None

    _kind = "steps"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags  # only scikit-learn asks for these

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True, single_output=False, multi_output=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=True, three_d_array=True, allow_nan=True),
        )

    # ------------------------------------------------------------------------------------------------ fitting

    def fit(self, X: Any, y: Any, groups: Any = None, checkpoint: Path | str | None = None) -> "Labeler":
        """Fit.

        Args:
            X: signals; see `classification.signals` for the forms.
            y: a class for each sample, ``(n_cases, n_timepoints)``, or a list of unequal lengths; NaN or ``None`` where
                it is not known: such samples are run over, and nothing is learnt from them, nor from those after the
                last measured sample.
            groups: whom each signal comes from, so that validation is on others than training.
            checkpoint: a file ``….ckpt`` that the training is kept in. If it is there, the same call goes on from it,
                to the same weights; at the end it is taken away.
        Returns:
            The labeler itself.
        Raises:
            InputError: something cannot be used.
        """
        fresh = self._afresh()
        X = as_long("Labeler.fit", X)
        y, groups = by_case(X, y), by_case(X, groups)
        fresh._fit_steps(X, y, groups, checkpoint)
        return self._become(fresh)

    def _fit_steps(self, X: Any, y: Any, groups: Any, checkpoint: Path | str | None) -> None:
        where = "Labeler.fit"
        self._checked(where)
        signals = read_any(where, X)
        self.classes_, numbers = number_labels(where, read_labels(where, y, signals.sizes.tolist()))
        named = groups_of(where, groups, len(signals))
        known = numbers >= 0
        labelled = torch.nonzero(known.any(1))[:, 0]
        signals, numbers, known = signals.only(labelled), numbers[labelled], known[labelled]
        named = None if named is None else named[labelled.numpy()]
        signals = self._fit_scaling(where, signals)
        counts = torch.bincount(numbers[known], minlength=len(self.classes_)).numpy()
        each = torch.from_numpy(class_weights(where, self.class_weight, self.classes_, counts))
        numbers = numbers.clamp(min=0)
        weights = known * each[numbers]
        rows = torch.from_numpy(validation_rows(None, len(signals), self.val_size, named, self.random_seed))
        self.layer_ = self.layer if isinstance(self.layer, str) else list(self.layer)
        count = self.n_layers if isinstance(self.layer_, str) else len(self.layer_)
        stride = strides_to_samples(float(signals.lengths.float().median()), count)
        stack = self._architecture(self.layer_, len(self.classes_), "none", stride)
        self.model_ = Network(stack, self._training(), self._kind)
        self.model_.train(signals, numbers, weights, rows, None if checkpoint is None else Path(checkpoint))
        self.sharpness_, self.validation_accuracy_ = 1.0, float("nan")
        self.validation_rows_ = labelled[rows].numpy()
        if len(rows):
            each_score = self.model_.at_samples(signals.only(rows), 1.0)
            scores, sizes = torch.cat(each_score), torch.tensor([len(part) for part in each_score])
            inside = torch.arange(numbers.shape[1]) < sizes[:, None]
            wanted, weight = numbers[rows][inside], weights[rows][inside]
            told, weight = weight > 0, weight[weight > 0].float()
            scores, wanted = scores[told], wanted[told]
            self.validation_accuracy_ = float((scores.argmax(1) == wanted).float().mean())
            some = torch.linspace(0, len(scores) - 1, min(len(scores), _JUDGED)).long()
            targets = torch.eye(len(self.classes_))[wanted[some]]
            self.sharpness_ = fit_sharpness("classes", scores[some], targets, weight[some])

    # --------------------------------------------------------------------------------------------- predicting

    def _probabilities(self, where: str, X: Any, dt_scale: float) -> list[np.ndarray]:
        signals = self._ready(where, X, dt_scale)
        found = self.model_.at_samples(signals, float(dt_scale))
        expect_finite(where, found)
        return [probabilities("classes", scores, self.sharpness_).double().numpy() for scores in found]

    def predict_proba(self, X: Any, dt_scale: float = 1.0) -> np.ndarray | list[np.ndarray]:
        """Return the probability of each class at each sample.

        Args:
            X: signals.
            dt_scale: time between two samples, in units of that of training: 2 for half the sampling rate.
        Returns:
            ``(b, l, k)`` in the order of `classes_`; for signals of unequal lengths a list of ``(n, k)``. Where the
            last samples are NaN in all channels, a causal model runs on as it does live, and another holds what it said
            last.
        Raises:
            InputError: not fitted, or the signals cannot be used.
        """
        return _together(self._probabilities("Labeler.predict_proba", X, dt_scale))

    def predict(self, X: Any, dt_scale: float = 1.0) -> np.ndarray | list[np.ndarray]:
        """Return the most probable class of each sample, ``(b, l)``, or a list of ``(n,)``; see `predict_proba`."""
        found = self._probabilities("Labeler.predict", X, dt_scale)
        return _together([self.classes_[each.argmax(1)] for each in found])

    def fit_predict(self, X: Any, y: Any, groups: Any = None) -> np.ndarray | list[np.ndarray]:
        """Fit, and return what is predicted for the same signals."""
        return self.fit(X, y, groups).predict(X)

    def score(self, X: Any, y: Any, dt_scale: float = 1.0) -> float:
        """Return the share of labelled samples that are told right.

        Args:
            X: signals.
            y: as in `fit`.
            dt_scale: as in `predict_proba`.
        Raises:
            InputError: not fitted, the signals cannot be used, or `y` does not fit them or labels nothing.
        """
        where = "Labeler.score"
        self._expect_fitted(where)
        X = as_long(where, X)
        y = by_case(X, y)
        sizes = read_any(where, X, self.n_channels_, self._names_of_channels).sizes.tolist()
        right = [
            (values == said)[known]
            for (values, known), said in zip(read_labels(where, y, sizes), self.predict(X, dt_scale), strict=True)
        ]
        told = np.concatenate(right)
        if not len(told):
            raise InputError(f"{where}: y labels no sample of X: there is nothing to judge by.")
        return float(told.mean())

    def stream(self, dt_scale: float = 1.0) -> LabelerStream:
        """Return a live stream, before its first sample; see `LabelerStream`.

        Args:
            dt_scale: time between two samples, in units of that of training: 2 for half the sampling rate.
        Returns:
            The stream, of the model as it is now.
        Raises:
            InputError: not fitted, or not causal, or the layers cannot be run live.
        """
        self._expect_fitted("Labeler.stream")
        return LabelerStream(self.model_, *self._live_scaling(), self.sharpness_, self.classes_, dt_scale)

    # ------------------------------------------------------------------------------------------------ storing

    def _extra(self) -> dict[str, Any]:
        return described(self.classes_)

    def _extra_tensors(self) -> dict[str, Tensor]:
        return {"validation_accuracy": torch.tensor(self.validation_accuracy_, dtype=torch.float64)}

    def _take_extra(self, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.classes_ = classes_in(description)
        self.validation_accuracy_ = float(tensors["validation_accuracy"])


def _together(rows: list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """Return rows as one array, if all are of one length."""
    return np.stack(rows) if len({len(row) for row in rows}) == 1 else rows
