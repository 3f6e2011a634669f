"""Layers beside each other on the tasks that tell them apart.

- *copying*: selective copying of 16 tokens among 256 positions;
- *induction*: induction heads, trained at length 256 and judged at others, in chunks with the state carried;
- *mnist1d*: MNIST-1D, from the published training set, judged once on the published test set;
- *delay*: a delayed noise, by S4D with state matrices from HiPPO and with random ones.

Every model is two residual blocks of 64 channels (mnist1d: three), trained with AdamW, warm-up, a cosine, and
gradients clipped at 1; the weights with the lowest validation loss are judged. A run keeps its checkpoints in
``build/tasks``: the same command goes on with one that was ended.

    python benchmarks/tasks.py copying --models S6          # about 50 minutes on one idle core
    python benchmarks/tasks.py induction                        # at lengths of 32, 64, 128 first, then 256
    STATESPACE_DATA=… python benchmarks/tasks.py mnist1d
    python benchmarks/tasks.py delay
    python benchmarks/tasks.py delay --quick                # seconds, at a small size: shows that it runs
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from measuring import machine, markdown

from statespace.datasets.tasks import TASKS, InductionHeads, Task
from statespace.errors import InputError
from statespace.layers import S4D, S6
from statespace.models import Backbone, SequenceModel
from statespace.training import Curve, TaskBatch, TaskDataModule, TaskModule, as_tensors, fit

Make = Callable[[int, int, float], Backbone]  # channels, blocks, dropout
CHUNK = 4096  # positions at a time when sequences are long


def stack(layer: str, d_state: int, mixing: str) -> Make:
    """Return what makes a stack of one kind of layer."""
    return lambda channels, blocks, dropout: Backbone(channels, blocks, layer, d_state, mixing, dropout)


def random_s4d(channels: int) -> S4D:
    """Make an S4D whose eigenvalues are those of a random matrix, shifted until it is stable."""
    layer = S4D(channels, 64)
    G = torch.randn(64, 64, dtype=torch.float64) / 8
    A = torch.linalg.eigvals(G - (torch.linalg.eigvals(G).real.max() + 0.05) * torch.eye(64))
    A = A[A.imag.abs().argsort(descending=True)][::2]  # one of each pair; real ones come last
    assert layer.A_imag is not None
    with torch.no_grad():
        layer.A_log.copy_(torch.log(-A.real).expand(channels, -1))
        layer.A_imag.copy_(A.imag.abs().expand(channels, -1))
    return layer


def s4d_with(make: Callable[[int], S4D]) -> Make:
    """Return what makes a stack of S4D layers that start as `make` says."""

    def stacked(channels: int, blocks: int, dropout: float) -> Backbone:
        backbone = Backbone(channels, blocks, "s4d", 64, "glu", dropout)
        for block in backbone.blocks:
            block.layer = make(channels)
        return backbone

    return stacked


LAYERS: dict[str, Make] = {
    "S6": stack("mamba", 16, "none"),
    "S4D": stack("s4d", 64, "glu"),
    "LSTM": stack("lstm", 64, "none"),
    "Transformer": stack("transformer", 16, "none"),
}
MATRICES: dict[str, Make] = {
    **{f"S4D-{init}": s4d_with(lambda d, init=init: S4D(d, init=init)) for init in ("legs", "lin", "inv", "real")},
    "random A": s4d_with(random_s4d),
}


@dataclass(frozen=True)
class Experiment:
    """What is trained on what, and how long."""

    task: str
    options: dict[str, Any]
    models: dict[str, Make]
    steps: int
    batch_size: int
    learning_rate: float
    blocks: int = 2
    dropout: float = 0.0
    pooling: str = "none"
    quick: dict[str, Any] = field(default_factory=dict)
    curriculum: tuple[tuple[int, int], ...] = ()  # shorter lengths first, each with its number of batches
    step_penalty: float = 0.0  # on selective layers, after the curriculum


EXPERIMENTS = {
    "copying": Experiment(
        "selective-copying",
        {"length": 256},
        LAYERS,
        12_000,
        32,
        2e-3,
        quick={"length": 12, "memorize": 2},
        curriculum=((64, 5000), (128, 2000)),
    ),
    "induction": Experiment(
        "induction-heads",
        {"length": 256},
        LAYERS,
        1500,
        32,
        2e-3,
        quick={"length": 12},
        curriculum=((32, 300), (64, 100), (128, 100)),
        step_penalty=3e-3,
    ),
    "mnist1d": Experiment("published-mnist1d", {}, LAYERS, 3000, 64, 4e-3, 3, 0.1, "mean"),
    "delay": Experiment(
        "delay", {"length": 512, "delay": 128}, MATRICES, 600, 8, 4e-3, quick={"length": 40, "delay": 8}
    ),
}


def make_task(experiment: Experiment, quick: bool) -> Task:
    """Make the task; the published MNIST-1D is looked for beside the other data."""
    options = dict(experiment.options, **(experiment.quick if quick else {}))
    if experiment.task == "published-mnist1d":
        if quick:
            return TASKS["mnist1d"]()
        options["folder"] = str(Path(os.environ.get("STATESPACE_DATA", "../shared/data")) / "mnist1d")
    return TASKS[experiment.task](**options)


def make_model(experiment: Experiment, name: str, task: Task, channels: int) -> SequenceModel:
    """Make a model of one kind of layer."""
    backbone = experiment.models[name](channels, experiment.blocks, experiment.dropout)
    return SequenceModel(backbone, task.inputs, task.outputs, task.tokens, experiment.pooling)


class Time(Callback):
    """Count the seconds of training, over all parts of a run that was resumed."""

    def __init__(self) -> None:
        self.before, self.start = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long it took so far."""
        return self.before + time.perf_counter() - self.start

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds, for the checkpoint."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them from a checkpoint."""
        self.before = state_dict["seconds"]


def train(
    experiment: Experiment, name: str, folder: Path, options: argparse.Namespace
) -> tuple[TaskModule, Task, Curve, float]:
    """Train one model, going on where an earlier call was ended; return it with its curve and the seconds it took."""
    torch.manual_seed(options.seed)
    task = make_task(experiment, options.quick)
    model = make_model(experiment, name, task, options.channels)
    selective = any(isinstance(layer, S6) for layer in model.modules())
    steps = options.steps or experiment.steps
    scale = steps / experiment.steps
    curriculum = [] if options.quick else [(length, round(n * scale)) for length, n in experiment.curriculum]
    module = TaskModule(
        model,
        experiment.learning_rate,
        step_penalty=experiment.step_penalty if selective else 0.0,
        penalty_after=sum(batches for _, batches in curriculum),
    )
    data = TaskDataModule(
        task,
        options.batch_size or experiment.batch_size,
        val_batches=1 if options.quick else 8,
        seed=options.seed,
        curriculum=[
            (TASKS[experiment.task](**experiment.options | {"length": length}), batches)
            for length, batches in curriculum
        ],
    )
    curve, clock = Curve(), Time()
    kept = ModelCheckpoint(folder, save_last=True, save_on_train_epoch_end=False, enable_version_counter=False)
    last = folder / "last.ckpt"
    fit(
        module,
        data,
        max_steps=steps,
        has_validation=True,
        check_every=max(1, steps // 20),
        patience=-1,
        accelerator="cpu",
        title=name,
        callbacks=[curve, clock, kept],
        resume_from=last if last.is_file() else None,
    )
    return module, task, curve, clock.seconds


@torch.no_grad()
def judge(module: TaskModule, batches: Sequence[TaskBatch]) -> float:
    """Return the accuracy, or the mean squared error, over batches."""
    right, count = 0.0, 0
    for batch in batches:
        y, target = module.answers(batch)
        good = (y - target).square() if target.is_floating_point() else y.argmax(-1) == target
        right, count = right + float(good.sum()), count + good.numel()
    return right / count


@torch.no_grad()
def accuracy_at(model: SequenceModel, length: int, sequences: int) -> float:
    """Return the accuracy on induction heads of any length: chunk after chunk, with nothing kept but the state."""
    batch = InductionHeads(length, model.inputs).batch(sequences, split="test")
    state = None
    for chunk in torch.from_numpy(batch.x).split(CHUNK, dim=1):
        y, state = model(chunk, state)
    return float((y[:, -1].argmax(-1) == torch.from_numpy(batch.y[:, -1])).float().mean())


def lengths(name: str, options: argparse.Namespace) -> list[tuple[int, int]]:
    """Return at which lengths a model is judged, with how many sequences."""
    if options.quick:
        return [(6, 8), (24, 8)]
    longest = 12 if name == "Transformer" else 16 if name == "LSTM" else 20  # attention costs the square, LSTM is slow
    return [(2**power, max(16, min(256, 2**22 // 2**power))) for power in range(6, longest + 1)]


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train and judge one model; return its row and its curve."""
    experiment = EXPERIMENTS[options.experiment]
    folder = options.scratch / f"{options.experiment}-{name}-{options.seed}".replace(" ", "-")
    module, task, curve, seconds = train(experiment, name, folder, options)
    module.eval()
    count = 1 if options.quick else task.batches(64, "test") or 16
    batches = [as_tensors(task.batch(64, i, split="test")) for i in range(count)]
    kind = "accuracy, %" if task.classes else "mean squared error"
    row: dict[str, Any] = {
        "model": name,
        "parameters": sum(p.numel() for p in module.model.parameters()),
        kind: judge(module, batches) * (100 if task.classes else 1),
        "judged": sum(int(b.mask.sum()) if b.mask is not None else len(b.y) for b in batches),
        "steps": options.steps or experiment.steps,
        "seconds": seconds,
    }
    far = {}
    if options.experiment == "induction":
        for length, sequences in lengths(name, options):
            far[length] = [accuracy_at(module.model, length, sequences), sequences]
            print(f"{name} at {length}: {far[length][0]:.4f} of {sequences}", file=sys.stderr)
    return {"row": row, "curve": curve.rows, "lengths": far}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--models", nargs="+", metavar="NAME", help="those of the experiment by default")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--steps", type=int, help="of training, for each model; shorter lengths in proportion")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scratch", type=Path, default=Path("build/tasks"), help="folder for checkpoints")
    parser.add_argument("--quick", action="store_true", help="a small size and few steps")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add rows and curves to what is there")
    options = parser.parse_args()
    if options.quick:
        options.channels, options.steps, options.batch_size = 8, options.steps or 4, 4
    torch.set_num_threads(options.threads)
    models = EXPERIMENTS[options.experiment].models
    unknown = set(options.models or []) - set(models)
    if unknown:
        parser.error(f"--models: {', '.join(sorted(unknown))} not known: choose among {', '.join(models)}")
    results: dict[str, Any] = {}
    if options.json and options.json.is_file():
        results = json.loads(options.json.read_text())
    for name in options.models or models:
        try:
            results[name] = run(name, options)
        except InputError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(f"torch {torch.__version__}; {machine(options.threads)}\n\n{markdown([r['row'] for r in results.values()])}")
    for name, result in results.items():
        if result["lengths"]:
            rows = [{"length": n, "accuracy, %": 100 * a, "sequences": k} for n, (a, k) in result["lengths"].items()]
            print(f"\n{name}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
