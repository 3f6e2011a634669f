"""``statespace fit --config run.yaml``: a whole training described in a file, through LightningCLI.

The file names the parts by class and arguments: `model`, `data` and `trainer`. Any of them may be given on the command
line too, as ``--trainer.max_steps 100``.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from statespace.errors import InputError

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule
    from lightning.pytorch.cli import LightningCLI
    from torch import Tensor

_DEFAULTS = {
    "default_root_dir": "fit/",
    "max_steps": 1000,
    "val_check_interval": 100,
    "check_val_every_n_epoch": None,  # a task has no epochs
    "gradient_clip_val": 1.0,
    "num_sanity_val_steps": 0,
    "devices": 1,
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``statespace fit``."""
    parser.add_argument("--config", action="append", metavar="FILE", help="what to train: .yaml; later files add to it")
    parser.add_argument("--print_config", action="store_true", help="print the whole configuration and train nothing")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="CKPT",
        help="go on from a checkpoint; without a name, from the last one of this run",
    )
    parser.add_argument("--verbose", action="store_true", help="show what Lightning has to say")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.epilog = (
        "Everything in the file can be given here as well: --trainer.max_steps 100, --data.init_args.batch_size 8, "
        "--trainer.default_root_dir out/ …"
    )


def run(options: argparse.Namespace) -> int:
    """Train; see the options."""
    for file in options.config or []:
        if not Path(file).is_file():
            raise InputError(f"fit: there is no file {file!r}: name a .yaml with model, data and trainer.")
    if not options.config and not options.others:
        raise InputError("fit: nothing says what to train: pass --config FILE; see examples/selective_copying.yaml.")

    from statespace.training.callbacks import ProgressBar
    from statespace.training.fitting import without_banners

    with nullcontext() if options.verbose else without_banners():
        cli = _read(options)
        trainer: Any = cli.trainer  # which has its callbacks from elsewhere, unseen by type checkers
        data = cli.datamodule
        folder = Path(trainer.default_root_dir)
        with _in_one_sentence(), closing(ProgressBar(trainer.max_steps, "fit")) as bar:
            if not options.quiet:
                trainer.callbacks.insert(0, bar)
            try:
                trainer.fit(cli.model, data, ckpt_path=_checkpoint(options.resume, folder, cli.model))
                (tested,) = trainer.test(cli.model, data, verbose=False)
            except SystemExit as ending:
                if not isinstance(ending.__context__, KeyboardInterrupt):
                    raise
                print(f"interrupted: --resume goes on from the last checkpoint in {folder}/", file=sys.stderr)
                return 130
    if not options.quiet and trainer.is_global_zero:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in tested.items())
        print(f"step {trainer.global_step}: {figures}")
        print(f"written to {folder}/: config.yaml, curve.csv, checkpoints/last.ckpt")
    return 0


def _checkpoint(resume: str | None, folder: Path, model: "LightningModule") -> str | None:
    """Return the file to go on from, which holds a training of this very model."""
    if resume is None:
        return None
    path = Path(resume) if resume else folder / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise InputError(f"fit: there is no checkpoint {str(path)!r} to resume from: leave --resume out to begin anew.")
    from statespace.training.checkpoint import read_training

    weights: dict[str, Tensor] = read_training(path, "state_dict")
    own = model.state_dict()
    for name in dict.fromkeys((*own, *weights)):
        here, there = (_size(tensors.get(name)) for tensors in (own, weights))
        if here != there:
            raise InputError(
                f"fit: {str(path)!r} is a checkpoint of another model, where {name} is {there} and not {here}: give "
                "the model the arguments that it was trained with, or leave --resume out to begin anew."
            )
    return str(path)


def _size(tensor: "Tensor | None") -> str:
    return "missing" if tensor is None else str(tuple(tensor.shape))


def _read(options: argparse.Namespace) -> "LightningCLI":
    """Build model, data and trainer from files and options."""
    from jsonargparse import ArgumentError
    from lightning.pytorch import LightningDataModule, LightningModule, Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.cli import LightningCLI
    from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher

    # Short class names in files are looked up among what is loaded.
    import statespace.datasets.tasks
    import statespace.training.module
    import statespace.training.signals
    import statespace.training.tasks
    import statespace.training.window_batches  # noqa: F401
    from statespace.files import expect_writable_folder
    from statespace.training import Curve

    class CLI(LightningCLI):
        def instantiate_trainer(self, **settings: Any) -> Trainer:
            trainer: Any = super().instantiate_trainer(**settings)
            folder = Path(trainer.default_root_dir)
            expect_writable_folder("fit", folder)
            if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
                raise InputError(
                    f"fit: trainer.strategy is {self._get(self.config, 'trainer.strategy')!r}, whose processes would "
                    "have to be handed what is trained: take 'ddp', whose processes read the configuration themselves."
                )
            kept = ModelCheckpoint(
                folder / "checkpoints", save_last=True, save_on_train_epoch_end=False, enable_version_counter=False
            )
            others = [callback for callback in trainer.callbacks if not isinstance(callback, ModelCheckpoint)]
            # Checkpoints come last: they hold what the others know.
            trainer.callbacks = [*others, Curve(folder / "curve.csv"), kept]
            return cast(Trainer, trainer)

    arguments = [part for file in options.config or [] for part in ("--config", file)]
    arguments += ["--print_config"] if options.print_config else []
    with _in_one_sentence(ArgumentError, ImportError, ValueError):
        return CLI(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            run=False,
            seed_everything_default=0,
            trainer_defaults=_DEFAULTS,
            save_config_kwargs={"overwrite": True},
            parser_kwargs={"exit_on_error": False, "prog": "statespace fit", "allow_abbrev": False},
            args=[*arguments, *options.others],
        )


# What jsonargparse says of the ways that it tried, beside the one sentence that matters.
_BESIDE = re.compile(
    r"Does not validate|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|Expected a path|Problem with given"
)


def _sentence(text: str) -> str:
    """Return which setting is wrong, and why, from a report of many lines."""
    lines = [line.strip(" -\t.") for line in text.splitlines()]
    keys = [found[1] for line in lines if (found := re.match(r'Parser key "(.+)":', line))]
    told = [line for line in lines if line and not line.startswith("Parser key") and not _BESIDE.match(line)]
    return ": ".join(filter(None, [".".join(keys), "; ".join(told)]))


@contextmanager
def _in_one_sentence(*kinds: type[Exception]) -> Iterator[None]:
    """Turn what Lightning says of settings, and errors of the `kinds`, into one sentence; ours come as they are."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    caught: tuple[type[Exception], ...] = (MisconfigurationException, *kinds)
    try:
        yield
    except InputError:
        raise
    except caught as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, InputError):
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        raise InputError(f"fit: {_sentence(str(error))}; see 'statespace fit --help'.") from error
