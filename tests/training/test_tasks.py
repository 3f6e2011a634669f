"""Training on tasks: what is judged, the stream after a resumption, the schedule, and what does not belong together."""

from math import cos, pi
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from statespace.datasets.tasks import Adding, Batch, Copying, Delay, InductionHeads, ListOps, Task
from statespace.errors import InputError
from statespace.models import Backbone, SequenceModel
from statespace.training import Curve, Outcome, TaskDataModule, TaskModule, as_tensors, fit
from statespace.training.fitting import without_banners

pytestmark = pytest.mark.usefixtures("one_thread")


def module(task: Task, pooling: str = "none", **options: float) -> TaskModule:
    model = SequenceModel(Backbone(8, 1, d_state=4), task.inputs, task.outputs, task.tokens, pooling)
    return TaskModule(model, **options)


def trainer(tmp_path: Path, steps: int, *callbacks: Curve, **options: object) -> Trainer:
    settings = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "val_check_interval": 5,
        "check_val_every_n_epoch": None,
        "default_root_dir": tmp_path,
        "enable_checkpointing": False,
    }
    return Trainer(max_steps=steps, callbacks=list(callbacks), **{**settings, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "pooling"),
    [(Copying(12, 3, 6), "none"), (Delay(20, 3), "none"), (Adding(10), "last"), (ListOps(20, 8), "mean")],
    ids=lambda thing: type(thing).__name__ if isinstance(thing, Task) else thing,
)
def test_loss_and_accuracy_are_those_of_the_judged_answers(task: Task, pooling: str) -> None:
    net = module(task, pooling)
    batch = task.batch(6)
    y, target = net.answers(as_tensors(batch))
    out = net.model(
        torch.from_numpy(batch.x), lengths=None if batch.lengths is None else torch.from_numpy(batch.lengths)
    )[0]
    scores, wanted = out.detach().numpy(), batch.y
    if batch.mask is not None:
        rows = [(i, t) for i in range(6) for t in range(batch.x.shape[1]) if batch.mask[i, t]]
        scores, wanted = np.stack([scores[i, t] for i, t in rows]), np.stack([wanted[i, t] for i, t in rows])
    logged: dict[str, float] = {}
    net.log = lambda name, value, **_: logged.update({name: float(value.detach())})  # type: ignore[method-assign]
    loss = float(net.training_step(as_tensors(batch), 0).detach())
    assert loss == logged["loss"]
    if task.classes:
        chances = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        expected = -np.log(chances[np.arange(len(wanted)), wanted]).mean()
        assert logged["accuracy"] == pytest.approx((scores.argmax(-1) == wanted).mean())
    else:
        expected = ((scores - wanted) ** 2).mean()
        assert "accuracy" not in logged
    assert loss == pytest.approx(expected, rel=1e-5)  # float32
    assert len(y) == len(target) == len(wanted)


class Drawn(Copying):
    """Notes which batches were asked for."""

    def __init__(self) -> None:
        super().__init__(8, 2, 4)
        self.asked: list[tuple[str, int, int]] = []

    def batch(self, size: int, index: int = 0, seed: int = 0, split: str = "train") -> Batch:
        self.asked.append((split, index, seed))
        return super().batch(size, index, seed, split)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_run_draws_the_batches_that_would_have_come(tmp_path: Path, accumulate: int) -> None:
    task = Drawn()
    with without_banners():
        first = trainer(tmp_path, 10, accumulate_grad_batches=accumulate)
        first.fit(module(task), TaskDataModule(task, 3, val_batches=2, seed=5))
        first.save_checkpoint(tmp_path / "ten.ckpt")
        assert [index for split, index, seed in task.asked if split == "val"][:2] == [0, 1]
        assert {seed for _, _, seed in task.asked} == {5}
        task.asked.clear()
        data = TaskDataModule(task, 3, val_batches=2, seed=5)
        trainer(tmp_path, 15, accumulate_grad_batches=accumulate).fit(
            module(task), data, ckpt_path=tmp_path / "ten.ckpt"
        )
    seen = [index for split, index, _ in task.asked if split == "train"]
    assert seen[: 5 * accumulate] == list(range(10 * accumulate, 15 * accumulate))


def test_the_rate_rises_and_falls_along_a_cosine(tmp_path: Path) -> None:
    task, rates = Copying(8, 2, 4), []
    net = module(task, learning_rate=1e-2, warmup=4)
    net.on_train_batch_start = lambda *_: rates.append([g["lr"] for g in net.optimizers().param_groups])  # type: ignore
    with without_banners():
        trainer(tmp_path, 10).fit(net, TaskDataModule(task, 2, val_batches=1))
    shape = [min(1, (t + 1) / 4) * (0.01 + 0.99 * 0.5 * (1 + cos(pi * t / 10))) for t in range(10)]
    np.testing.assert_allclose(rates, np.outer(shape, [1e-3, 1e-2, 1e-2]), rtol=1e-12)


def test_it_learns_and_the_curve_tells(tmp_path: Path) -> None:
    task, curve = Copying(2, 1, 4), Curve(tmp_path / "curve.csv")
    torch.manual_seed(0)
    with without_banners():
        run = trainer(tmp_path, 150, curve, val_check_interval=50)
        net, data = module(task, learning_rate=1e-2, warmup=5), TaskDataModule(task, 32, val_batches=4)
        run.fit(net, data)
        (tested,) = run.test(net, data, verbose=False)
    assert tested["test_accuracy"] > 0.95  # one of two tokens, two steps back: chance is a half
    rows = (tmp_path / "curve.csv").read_text().splitlines()
    assert rows[0] == "step,accuracy,loss,val_accuracy,val_loss"
    assert [int(row.split(",")[0]) for row in rows[1:]] == [50, 100, 150]
    assert [row["val_accuracy"] for row in curve.rows] == [float(row.split(",")[3]) for row in rows[1:]]
    assert Curve().state_dict() == {"rows": []}


def test_fit_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    task = Copying(4, 1, 4)

    def run(*, resume_from: Path | None = None) -> tuple[Outcome, dict[str, torch.Tensor], list[dict[str, float]]]:
        torch.manual_seed(0)
        net, curve = module(task, learning_rate=3e-2), Curve()
        kept = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, save_on_train_epoch_end=False)
        outcome = fit(
            net,
            TaskDataModule(task, 4, val_batches=1),
            max_steps=40,
            has_validation=True,
            check_every=5,
            patience=-1,
            accelerator="cpu",
            verbose=False,
            callbacks=[curve, kept],
            resume_from=resume_from,
        )
        return outcome, net.state_dict(), curve.rows

    outcome, weights, rows = run()
    assert [row["step"] for row in rows] == list(range(5, 45, 5))
    again, weights_again, rows_again = run(resume_from=tmp_path / "step=30.ckpt")
    assert again == outcome
    assert rows_again == rows
    for name, value in weights.items():
        assert torch.equal(value, weights_again[name]), name


def test_what_does_not_belong_together(tmp_path: Path) -> None:
    def refuses(words: str, net: TaskModule, task: Task, steps: int = 1) -> None:
        with without_banners(), pytest.raises(InputError, match=words):
            trainer(tmp_path, steps).fit(net, TaskDataModule(task, 2))

    copying, adding = Copying(8, 2, 4), Adding(10)
    refuses(
        "has tokens True, inputs 4, outputs 4, but InductionHeads has .* inputs 16", module(copying), InductionHeads()
    )
    refuses('has pooling \'none\', but Adding needs "last" or "mean": it has one target a seq', module(adding), adding)
    refuses("pooling 'mean', but Copying needs \"none\": it has one a position", module(copying, "mean"), copying)
    refuses("trainer.max_steps is -1, but tasks have no last batch: say how many", module(copying), copying, -1)
    with pytest.raises(InputError, match="TaskModule: learning_rate is 0, but a positive number"):
        module(copying, learning_rate=0)
    with pytest.raises(InputError, match="weight_decay is -1 and warmup 100, but neither may be negative"):
        module(copying, weight_decay=-1)
    with pytest.raises(InputError, match="TaskDataModule: batch_size is 0, but at least 1"):
        TaskDataModule(copying, 0)
    with pytest.raises(InputError, match="TaskDataModule: seed is -1"):
        TaskDataModule(copying, seed=-1)


def test_a_curriculum_comes_first_and_a_resumed_run_knows_where_it_stands() -> None:
    short, middle, whole = InductionHeads(8), InductionHeads(16), InductionHeads(32)
    data = TaskDataModule(whole, 2, curriculum=[(short, 3), (middle, 2)])
    assert [data.task_at(i) for i in range(7)] == [short] * 3 + [middle] * 2 + [whole] * 2
    seen = [batch.x.shape[1] for batch, _ in zip(data.train_dataloader(), range(7), strict=False)]
    assert seen == [8, 8, 8, 16, 16, 32, 32]
    assert {batch.x.shape[1] for batch in data.val_dataloader()} == {32}


def test_a_curriculum_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"curriculum holds a InductionHeads .* one model must be able"):
        TaskDataModule(InductionHeads(32), curriculum=[(InductionHeads(8, 5), 3)])
    for batches in (0, 2.5, "3"):
        with pytest.raises(InputError, match=f"curriculum asks for {batches!r} batches"):
            TaskDataModule(InductionHeads(32), curriculum=[(InductionHeads(8), batches)])  # type: ignore[list-item]
    for entry in (InductionHeads(8), ("x", 3), (InductionHeads(8), 1, 2)):
        with pytest.raises(InputError, match="but pairs of a task and a number"):
            TaskDataModule(InductionHeads(32), curriculum=[entry])  # type: ignore[list-item]
    assert TaskDataModule(InductionHeads(32), curriculum=None).curriculum == ()


def test_the_penalty_on_steps_is_the_mean_of_their_logarithm_and_begins_when_it_should() -> None:
    task = InductionHeads(12)
    model = SequenceModel(Backbone(8, 2, "mamba", 4, "none"), task.inputs, task.outputs)
    batch = as_tensors(task.batch(4))
    plain = TaskModule(model)
    priced, later = TaskModule(model, step_penalty=0.5), TaskModule(model, step_penalty=0.5, penalty_after=1)
    for net in (plain, priced, later):
        net.log = lambda *_, **__: None  # type: ignore[assignment, method-assign]
    wanted, h = 0.0, model.into(batch.x)
    for block in model.backbone.blocks:
        # The definition in plain steps, from the weights.
        mamba = block.layer
        inner = torch.nn.functional.linear(block.norm(h), mamba.into.weight)[..., : mamba.ssm.d_model].mT
        padded = torch.nn.functional.pad(inner, (mamba.conv_weight.shape[-1] - 1, 0))
        u = torch.nn.functional.conv1d(padded, mamba.conv_weight[:, None], mamba.conv_bias, groups=inner.shape[1])
        low = torch.nn.functional.silu(u).mT @ mamba.ssm.select.weight[: mamba.ssm.dt_rank].T
        step = torch.nn.functional.softplus(low @ mamba.ssm.dt_weight.T + mamba.ssm.dt_bias)
        wanted += float(torch.log(step + 1e-6).mean().detach())
        h, _ = block(h)
    loss = plain.training_step(batch, 0).item()
    assert priced.training_step(batch, 0).item() == pytest.approx(loss + 0.5 * wanted, rel=1e-5)
    assert later.training_step(batch, 0).item() == pytest.approx(loss, rel=1e-6)
    assert not any(layer._forward_pre_hooks for layer in model.modules())


def test_a_penalty_on_steps_needs_steps() -> None:
    task = InductionHeads(12)
    model = SequenceModel(Backbone(8, 1, "lstm", mixing="none"), task.inputs, task.outputs)
    with pytest.raises(InputError, match=r"no selective layer .* step_penalty=0"):
        TaskModule(model, step_penalty=1e-3)
    with pytest.raises(InputError, match="step_penalty is -1"):
        TaskModule(model, step_penalty=-1)
