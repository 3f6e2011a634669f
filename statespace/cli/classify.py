"""``statespace classify``: train on folders or tables of recordings, predict, evaluate, and listen live.

A source is whatever `datasets.read_recordings` takes: ``folder/<label>/*.wav``, a table with the column ``path``, a
``.ts`` or ``.tsv`` archive, a long table, a ``.wav`` or ``.npy`` file.
"""

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING, cast

import numpy as np

from statespace.cli.options import positive, whole
from statespace.errors import InputError

if TYPE_CHECKING:
    from statespace.classification import Classifier
    from statespace.datasets import Recordings

_JOBS = {
    "train": "fit a model to recordings with classes",
    "predict": "say the class of each recording, as a table",
    "eval": "measure a model on recordings with classes: tables, pictures, a page",
    "stream": "print the probabilities of what comes through a pipe, while it comes",
}
_SHOWN = 8  # classes named in a message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the jobs of ``statespace classify`` and their options."""
    parser.epilog = "Each job explains itself with --help, and takes --quiet: print nothing but results and errors."
    jobs = parser.add_subparsers(dest="job", metavar="job", required=True, parser_class=type(parser))
    made = {
        name: jobs.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".", allow_abbrev=False)
        for name, line in _JOBS.items()
    }
    _add_training(made["train"])
    for name in ("predict", "eval", "stream"):
        made[name].add_argument("model", help="folder that 'classify train' wrote")
    for name in ("train", "predict", "eval"):
        made[name].add_argument("source", help="folder/<label>/*.wav, a table of paths, an archive, or one file")
        _add_reading(made[name], trained=name != "train")
    for name in ("predict", "eval"):
        made[name].add_argument(
            "--adapt",
            action="store_true",
            help="all recordings are of one source that was not trained on: get used to it",
        )
    made["predict"].add_argument("--out", help="table to write: .csv, .csv.gz or .parquet (default: print it)")
    made["eval"].add_argument("--out", default="report/", help="folder for the results (report/)")
    made["eval"].add_argument(
        "--unknown", choices=("stop", "skip"), default="stop", help="what to do with classes not trained on (stop)"
    )
    _add_listening(made["stream"])
    for job in made.values():
        job.add_argument("--quiet", action="store_true", help="print nothing but results and errors")


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="model/", help="folder for the model (model/)")
    parser.add_argument(
        "--layer",
        nargs="+",
        default=["responses"],
        help="responses, auto, or a layer or several: s4d, s5, mamba … (responses)",
    )
    parser.add_argument("--causal", action="store_true", help="let the past alone decide, so that the model can stream")
    parser.add_argument("--scaler-type", default="channel", help="channel, instance or none (channel)")
    parser.add_argument("--trim", action="store_true", help="let silence at both ends of a recording not count")
    parser.add_argument("--systems", type=whole, default=1000, help="random systems, of responses (1000)")
    parser.add_argument("--d-model", type=whole, default=64, help="channels of the network (64)")
    parser.add_argument("--n-layers", type=whole, default=4, help="blocks of the network (4)")
    parser.add_argument("--d-state", type=whole, default=64, help="order of each system in the network (64)")
    parser.add_argument("--pooling", default="mean", help="of the network: mean, last or attention (mean)")
    parser.add_argument("--max-epochs", type=whole, default=100, help="passes over the recordings at most (100)")
    parser.add_argument("--batch-size", type=whole, default=16, help="recordings in a batch (16)")
    parser.add_argument("--learning-rate", type=positive, default=4e-3, help="peak of the schedule (0.004)")
    parser.add_argument("--val-size", type=float, default=0.2, help="share that the network is validated on (0.2)")
    parser.add_argument("--patience", type=whole, default=20, help="epochs without improvement before an end (20)")
    parser.add_argument("--balanced", action="store_true", help="give each class the same weight, however rare")
    parser.add_argument("--seed", type=whole, default=0, help="random seed (0)")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="keep the training of a network there; the same command goes on from it"
    )


def _add_reading(parser: argparse.ArgumentParser, trained: bool) -> None:
    ways = ("resample", "scale", "refuse") if trained else ("resample", "refuse")
    scale = "; scale runs the model with other steps" if trained else ""
    parser.add_argument(
        "--rates", choices=ways, default="resample", help=f"what to do with other sampling rates{scale} (resample)"
    )
    meaning = "of what does not state one" if trained else "to bring all to; by default as most of them have"
    parser.add_argument("--rate", type=positive, metavar="HZ", help=f"sampling rate {meaning}")
    parser.add_argument(
        "--channels",
        choices=("refuse", "mono"),
        default="refuse",
        help="mixed channel counts: refuse or mix down (refuse)",
    )
    parser.add_argument(
        "--unreadable", choices=("stop", "skip"), default="stop", help="what to do with broken files (stop)"
    )
    parser.add_argument(
        "--split", help="rows of the table to take, where it has splits (train for training, test for eval)"
    )


def _add_listening(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=positive, metavar="HZ", help="of raw samples; by default that of the model")
    parser.add_argument(
        "--format",
        choices=("auto", "pcm", "wav"),
        default="auto",
        help="pcm: raw 16 bits, little endian; or wav (auto)",
    )
    parser.add_argument("--every", type=positive, default=1.0, metavar="S", help="seconds between two lines (1)")
    parser.add_argument("--reset-every", type=positive, metavar="S", help="seconds after which to begin anew (never)")


def run(options: argparse.Namespace) -> int:
    """Do the job; see the options."""
    if options.job == "stream":
        from statespace.cli.live import listen

        return listen(options)
    jobs = {"train": _train, "predict": _predict, "eval": _evaluate}
    return jobs[options.job](options)


# ---------------------------------------------------------------------------------------------------------- training


def _train(options: argparse.Namespace) -> int:
    from statespace.datasets import read_recordings
    from statespace.files import expect_writable_folder

    expect_writable_folder("classify train", options.out)
    if options.trim and options.causal:
        raise InputError(
            "classify train: --trim looks for the end of a recording, but --causal must not: leave one of them out."
        )
    found = read_recordings(
        options.source, options.rate, options.rates, options.channels, options.unreadable, options.rate, in_memory=False
    )
    found = _part(found, options, "train")
    labels = _labels(
        found,
        options,
        "put the recordings into a folder for each class, or write a table with the columns path and label",
    )
    counts = Counter(labels)
    if len(counts) < 2:
        raise InputError(
            f"classify train: {options.source!r} has one class, {labels[0]!r}: at least two are needed to tell apart."
        )

    # Loading these takes seconds: what is wrong with the files is said before.
    from statespace.classification import Classifier

    model = Classifier(
        options.layer[0] if len(options.layer) == 1 else options.layer,
        systems=options.systems,
        causal=options.causal,
        scaler_type=options.scaler_type,
        trim=options.trim,
        d_model=options.d_model,
        n_layers=options.n_layers,
        d_state=options.d_state,
        pooling=options.pooling,
        max_epochs=options.max_epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        val_size=options.val_size,
        patience=options.patience,
        random_seed=options.seed,
        verbose=not options.quiet,
        class_weight="balanced" if options.balanced else None,
    )
    model.fit(found.signals, labels, found.groups, checkpoint=options.checkpoint)
    model.sampling_rate_ = found.rate
    model.save(options.out)
    if not options.quiet:
        rate = "sampling rate not known" if found.rate is None else f"{found.rate:g} Hz"
        print(f"{len(found)} recordings, {len(counts)} classes, channels: {model.n_channels_}, {rate}")
        if len(model.validation_rows_):
            print("\n".join(_left_out(model, labels, options.balanced)))
        print(f"written to {options.out}: model.json, weights.safetensors")
    return 0


def _left_out(model: "Classifier", labels: list[str], balanced: bool) -> list[str]:
    """Say how many recordings were told right while left out, and which class less than half as often, if any."""
    from statespace.classification.evaluation import Evaluation

    classes = [str(name) for name in model.classes_]
    truth = np.array([classes.index(labels[row]) for row in model.validation_rows_])
    evaluation = Evaluation(classes, [], truth, model.validation_scores_)
    right = evaluation.said == truth
    lines = [f"{right.mean():.1%} right of {len(truth)} that were left out when they were judged"]
    number = int(np.nanargmin(evaluation.by_class()["recall"]))
    own = right[truth == number]
    if own.mean() < right.mean() / 2:
        is_rare = labels.count(classes[number]) * len(classes) < len(labels)
        hint = ": --balanced gives each class the same weight, however rare" if is_rare and not balanced else ""
        lines.append(f"of class {classes[number]!r} {own.mean():.1%} right, {own.sum()} of {len(own)}{hint}")
    return lines


# -------------------------------------------------------------------------------------------------------- predicting


def load(folder: str) -> "Classifier":
    """Read a model that tells classes apart."""
    from statespace.classification import Classifier

    model = Classifier.load(folder)
    if model._kind != "classes":
        raise InputError(f"classify: the model in {folder!r} gives several labels to a recording: use it from Python.")
    return model


def _part(found: "Recordings", options: argparse.Namespace, usual: str | None) -> "Recordings":
    """Take the rows of the split that was asked for, or of the usual one; all, where the source has no splits."""
    if found.splits is None:
        if options.split is not None:
            raise InputError(f"classify {options.job}: {options.source!r} has no column 'split': leave --split out.")
        return found
    wanted = options.split or usual
    if wanted is None:
        return found
    rows = found.in_split(wanted)
    if not rows:
        known = ", ".join(sorted(set(found.splits))[:_SHOWN])
        raise InputError(
            f"classify {options.job}: {options.source!r} has no split {wanted!r}, but {known}: name one of these by "
            "--split, or leave the column out to take all."
        )
    return found.take(rows)


def _labels(found: "Recordings", options: argparse.Namespace, remedy: str) -> list[str]:
    """Return the classes of recordings that have to have some."""
    if found.targets is not None:
        raise InputError(
            f"classify {options.job}: {options.source!r} holds numbers to be found, not classes: take Regressor, which "
            "is used from Python."
        )
    if found.labels is None:
        raise InputError(f"classify {options.job}: {options.source!r} names no classes: {remedy}.")
    return found.labels


def _read_for(model: "Classifier", options: argparse.Namespace) -> "Recordings":
    """Read recordings as the model wants them."""
    from statespace.datasets import read_recordings

    rates = {"scale": "keep"}.get(options.rates, options.rates)
    if options.rates == "scale" and model.sampling_rate_ is None:
        raise InputError(
            f"classify {options.job}: the model in {options.model!r} knows no sampling rate, so nothing can be scaled: "
            "train it on .wav files or with --rate."
        )
    found = read_recordings(
        options.source, model.sampling_rate_, rates, options.channels, options.unreadable, options.rate, in_memory=False
    )
    if found.channels != model.n_channels_:
        turned = ": they look transposed, since time is the last axis of .npy files" if found.turned else ""
        mono = ", or pass --channels mono" if model.n_channels_ == 1 else ""
        raise InputError(
            f"classify {options.job}: the recordings have {found.channels} channels, but the model in "
            f"{options.model!r} was trained on {model.n_channels_}{turned or f': give as many{mono}'}."
        )
    return found


def _at_each_rate(
    model: "Classifier", found: "Recordings", adapt: bool
) -> tuple[dict[float, "Classifier"], np.ndarray]:
    """Return who judges recordings of each time between two samples, and the probabilities of all recordings."""
    scales = _scales(model, found)
    judges: dict[float, Classifier] = {}
    probabilities = np.zeros((len(found), len(model.classes_)))
    for scale in np.unique(scales).tolist():
        rows = np.flatnonzero(scales == scale)
        signals = found.take(rows.tolist()).signals
        if adapt and len(rows) < len(model.classes_):
            rate = "" if model.sampling_rate_ is None else f" at {model.sampling_rate_ / scale:g} Hz"
            raise InputError(
                f"classify: --adapt needs at least {len(model.classes_)} recordings of one rate, as many as there are "
                f"classes, but there {'is 1' if len(rows) == 1 else f'are {len(rows)}'}{rate}: give more, pass --rates "
                "resample, or leave --adapt out."
            )
        judges[scale] = model.adapted(signals, scale) if adapt else model
        probabilities[rows] = judges[scale].predict_proba(signals, scale)
    return judges, probabilities


def _scales(model: "Classifier", found: "Recordings") -> np.ndarray:
    """Return the time between two samples of each recording, in units of that of the model."""
    own = model.sampling_rate_
    return np.array([1.0 if own is None or rate is None else own / rate for rate in found.rates])


def _predict(options: argparse.Namespace) -> int:
    from statespace.classification.evaluation import predictions
    from statespace.datasets import write_frame

    model = load(options.model)
    found = _part(_read_for(model, options), options, None)
    _, probabilities = _at_each_rate(model, found, options.adapt)
    table = predictions([str(name) for name in model.classes_], found.names, probabilities)
    if options.out is None:
        table.to_csv(sys.stdout, index=False, float_format="%.6f", lineterminator="\n")
        sys.stdout.flush()
        return 0
    write_frame(table, options.out)
    if not options.quiet:
        print(f"{len(table)} recordings; written to {options.out}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from statespace.classification.evaluation import Evaluation
    from statespace.classification.report import write
    from statespace.files import expect_writable_folder
    from statespace.plotting import plotting_is_possible

    expect_writable_folder("classify eval", options.out)
    model = load(options.model)
    found = _part(_read_for(model, options), options, "test")
    classes = [str(name) for name in model.classes_]
    found = _known(found, _labels(found, options, "use 'classify predict'"), classes, options)
    labels = cast(list[str], found.labels)
    truth = np.array([classes.index(label) for label in labels])
    judges, probabilities = _at_each_rate(model, found, options.adapt)
    evaluation = Evaluation(classes, found.names, truth, probabilities)
    scales = _scales(model, found).tolist()

    def attribute(row: int) -> np.ndarray:
        return judges[scales[row]].attribute([found.signals[row]], dt_scale=scales[row])[0]

    title = f"{options.model} on {options.source}"
    written = write(evaluation, found.signals, found.rates, options.out, title, attribute)
    if not options.quiet:
        if not plotting_is_possible():
            print('note: no pictures, since matplotlib is missing: pip install "statespace[plot]"', file=sys.stderr)
        print(evaluation.by_class().to_string(index=False, float_format="{:.3f}".format, na_rep="–"))
        print("\n".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in evaluation.summary().items()))
        print(f"written to {options.out}: {', '.join(written)}")
    return 0


def _known(found: "Recordings", labels: list[str], classes: list[str], options: argparse.Namespace) -> "Recordings":
    """Leave out recordings of classes that the model has not met, or refuse them, as was asked for."""
    rows = [row for row, label in enumerate(labels) if label in classes]
    others = Counter(label for label in labels if label not in classes)
    if not others:
        return found
    listed = ", ".join(f"{name!r}: {count}" for name, count in others.most_common(_SHOWN))
    listed += " …" if len(others) > _SHOWN else ""
    message = (
        f"{others.total()} of {len(found)} recordings are of {len(others)} classes that were not trained on ({listed})"
    )
    if options.unknown == "stop" or not rows:
        hint = "correct their labels" + (", or pass --unknown skip" if rows else ", or take the model that knows them")
        raise InputError(f"classify eval: {message}; known are {', '.join(classes[:_SHOWN])}: {hint}.")
    if not options.quiet:
        print(f"note: {message}; they were left out", file=sys.stderr)
    return found.take(rows)
