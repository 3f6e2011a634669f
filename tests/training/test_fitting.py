"""Training from the outside: the best weights stay, Ctrl-C ends it well, nothing is said, nothing global is touched."""

import os
import random
import signal
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from statespace.models import QUANTILES, ForecastNetwork
from statespace.training import ForecastModule, Outcome, WindowDataModule, Windows, WindowSource, fit

pytestmark = pytest.mark.usefixtures("one_thread")


class Interrupted(ForecastModule):
    """Presses Ctrl-C at given steps, really: the signal is raised; or spoils its weights at one."""

    at: tuple[int, ...] = ()
    astray: int | None = None

    def training_step(self, batch: Windows, batch_idx: int) -> torch.Tensor:
        for _ in range(self.at.count(self.global_step)):
            signal.raise_signal(signal.SIGINT)
        if self.global_step == self.astray:
            torch.nn.init.normal_(self.model.head.weight, std=10.0)
        return super().training_step(batch, batch_idx)


def job(
    seed: int = 0, steps: int = 40, learning_rate: float = 1e-2, at: tuple[int, ...] = ()
) -> tuple[Interrupted, WindowDataModule]:
    torch.manual_seed(seed)
    series = torch.sin(torch.arange(90.0) / 3) + 0.3 * torch.randn(90)
    lengths = torch.tensor([90])
    module = Interrupted(
        ForecastNetwork(3, 12, d_model=8, n_layers=1, d_state=8, dropout=0.0),
        learning_rate=learning_rate,
        weight_decay=0.0,
        max_steps=steps,
    )
    module.at = at
    return module, WindowDataModule(WindowSource(series, lengths, 12, 3), lengths, 20, 8, 0)


def run(module: ForecastModule, data: WindowDataModule, steps: int = 40, **options: object) -> Outcome:
    chosen = {"has_validation": True, "check_every": 4, "accelerator": "cpu", "verbose": False, **options}
    return fit(module, data, max_steps=steps, **chosen)  # type: ignore[arg-type]  # a dictionary of options


def validation_loss(module: ForecastModule, data: WindowDataModule) -> float:
    with torch.no_grad():
        return float(module.eval().loss(data.source.cut(*data.val)))


@pytest.mark.parametrize("astray", [False, True])
def test_the_weights_with_the_lowest_validation_loss_stay(astray: bool) -> None:
    module, data = job(learning_rate=1e-4 if astray else 1e-2)
    module.astray = 22 if astray else None
    outcome = run(module, data)
    assert outcome.steps == 40
    assert outcome.best_step % 4 == 0
    assert not outcome.interrupted
    # a mean over the same windows, in another order of summation
    assert validation_loss(module, data) == pytest.approx(outcome.best_loss, rel=1e-5)
    if astray:
        assert outcome.best_step <= 20


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11])
def test_any_number_of_steps_has_a_schedule(steps: int) -> None:
    """A tenth of ten steps is one, and OneCycleLR divides by one less."""
    module, data = job(steps=steps)
    assert run(module, data, steps, has_validation=False).steps == steps


def test_early_stopping_ends_what_no_longer_improves() -> None:
    module, data = job(learning_rate=3.0, steps=400)
    outcome = run(module, data, 400, patience=2)
    assert outcome.steps == outcome.best_step + 2 * 4
    module, data = job(learning_rate=3.0, steps=60)
    assert run(module, data, 60, patience=-1).steps == 60


def test_without_validation_the_last_weights_stay() -> None:
    module, data = job()
    outcome = run(module, data, has_validation=False)
    assert outcome == Outcome(40, 40, float("inf"), False)


def test_the_first_interrupt_ends_training_with_the_best_weights() -> None:
    module, data = job(steps=10_000, at=(13,))
    before = signal.getsignal(signal.SIGINT)
    outcome = run(module, data, 10_000)
    assert outcome.interrupted
    assert outcome.steps == 14  # the step at hand is finished
    assert outcome.best_step in (4, 8, 12, 14)  # it is validated once more at the end
    assert validation_loss(module, data) == pytest.approx(outcome.best_loss, rel=1e-5)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_before_the_first_validation_keeps_what_there_is() -> None:
    module, data = job(steps=10_000, at=(1,))
    outcome = run(module, data, 10_000)
    assert outcome.interrupted
    assert outcome.steps == outcome.best_step == 2
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_the_second_interrupt_interrupts_at_once() -> None:
    module, data = job(steps=10_000, at=(9, 9))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(module, data, 10_000)
    assert signal.getsignal(signal.SIGINT) is before
    assert torch.is_grad_enabled()


def test_an_error_in_training_is_passed_on_and_the_signal_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    module, data = job()
    monkeypatch.setattr(module, "training_step", lambda *_: 1 / 0)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError):
        run(module, data)
    assert signal.getsignal(signal.SIGINT) is before


def test_training_in_another_thread_leaves_the_signal_alone() -> None:
    module, data = job(steps=8)
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(run(module, data, 8)))
    thread.start()
    thread.join()
    assert found[0].steps == 8


def test_nothing_is_printed_written_or_warned(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module, data = job()
        run(module, data)
    assert capfd.readouterr() == ("", "")
    assert not [str(warning.message) for warning in caught]
    assert os.listdir(tmp_path) == []


def test_the_bar_counts_the_steps_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    module, data = job()
    run(module, data, verbose=True, title="my title")
    out, err = capfd.readouterr()
    assert out == ""
    assert "my title: 100%" in err
    assert "40/40" in err


@pytest.mark.parametrize("enabled", [True, False])
def test_gradients_are_on_or_off_as_before(enabled: bool) -> None:
    with torch.set_grad_enabled(enabled):
        module, data = job(steps=4)
        run(module, data, 4)
        assert torch.is_grad_enabled() == enabled
    assert not module.training


def test_other_random_numbers_are_left_alone() -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002  the global state is what is looked at
    states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    module, data = job(steps=8)
    run(module, data, 8)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # type: ignore[index]  # noqa: NPY002


def test_the_loss_is_that_of_the_output_over_what_counts() -> None:
    module, data = job()
    batch = data.source.cut(*data.train)
    weight = (torch.arange(len(batch.y))[:, None] % 3).float().expand(-1, 3)
    with torch.no_grad():
        loss = float(module.eval().loss(batch._replace(weight=weight)))
        raw = module.model.raw(batch.past)
        found = module.model.read(raw)
    total = 0.0
    for i in range(len(batch.y)):
        for step in range(3):
            errors = ((batch.y[i, step] - found.quantiles[i, step]) / raw.scale[i, 0]).tolist()
            pinball = float(np.mean([q * e if e > 0 else (q - 1) * e for q, e in zip(QUANTILES, errors, strict=True)]))
            mean = float((batch.y[i, step] - found.mean[i, step]) / raw.scale[i, 0])
            total += float(weight[i, step]) * (pinball + module.model.output.mean_weight * mean**2)
    assert loss == pytest.approx(total / float(weight.sum()), rel=1e-4)
