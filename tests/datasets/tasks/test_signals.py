"""Tasks over real samples: delays by shifting, chaos against SciPy, MNIST-1D against the published file."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

from statespace.datasets.tasks import (
    MNIST1D,
    Adding,
    Delay,
    Lorenz,
    MackeyGlass,
    PermutedMNIST,
    PublishedMNIST1D,
    Reconstruction,
    SequentialMNIST,
    read_idx,
)
from statespace.datasets.tasks.lorenz import lorenz
from statespace.datasets.tasks.mackey_glass import mackey_glass
from statespace.datasets.tasks.noise import band_limited_noise
from statespace.datasets.tasks.stored import StoredTask
from statespace.errors import InputError


def test_noise_has_unit_variance_and_no_high_frequencies() -> None:
    u = band_limited_noise(np.random.default_rng(0), 400, 512, 0.125)
    assert u.std() == pytest.approx(1, abs=0.02)  # 400 x 64 independent numbers: a deviation of 0.004
    # A window in time leaks a little: 1e-6 of the energy beyond twice the limit; of white noise it would be 3/4.
    energy = np.abs(np.fft.rfft(u * np.hanning(512))) ** 2
    assert energy[:, 64:].sum() < 1e-6 * energy.sum()


def test_delay_is_a_shift() -> None:
    x, y, mask, _ = Delay(100, 30).batch(5)
    assert mask is not None
    assert np.array_equal(y[:, 30:], x[:, :70])
    assert np.array_equal(mask, np.tile(np.arange(100) >= 30, (5, 1)))


def test_reconstruction_asks_for_the_past() -> None:
    x, y, mask, _ = Reconstruction(101, 11).batch(5)
    assert mask is None
    assert np.array_equal(y, x[:, ::10, 0])


def test_adding_adds() -> None:
    x, y, _, _ = Adding(50).batch(4000)
    for sample, target in zip(x, y, strict=True):
        first, second = sample[:, 1].nonzero()[0]
        assert first < 25 <= second
        assert target[0] == pytest.approx(sample[first, 0] + sample[second, 0], rel=1e-6)
    # 1/6, within five standard deviations of a mean of 4000 squares
    assert ((y - 1) ** 2).mean() == pytest.approx(1 / 6, abs=5 * float(((y - 1) ** 2).std()) / 4000**0.5)


def solved_by_scipy(start: float, delay: int, windows: int) -> np.ndarray:
    """Mackey-Glass on a grid of 1/20, one delay after the other: within each, what lies a delay back is known."""
    values = [np.full(20 * delay + 1, start)]
    for _ in range(windows):
        late = CubicSpline(np.arange(20 * delay + 1) / 20, values[-1])
        solution = solve_ivp(
            lambda t, x, late=late: 0.2 * late(t) / (1 + late(t) ** 10) - 0.1 * x,
            (0, delay),
            values[-1][-1:],
            rtol=1e-9,
            atol=1e-10,
            t_eval=np.arange(20 * delay + 1) / 20,
        )
        values.append(solution.y[0])
    return np.concatenate([window[1:] for window in values[1:]])


def test_mackey_glass_solves_its_equation() -> None:
    ours = mackey_glass(np.array([0.9, 1.2]), 17, 51)
    for start, series in zip((0.9, 1.2), ours, strict=True):
        # The square of a grid of 1/20, over 12, times a second derivative of order one.
        assert np.abs(series - solved_by_scipy(start, 17, 3)).max() < 2e-4


def test_mackey_glass_is_chaos_to_be_predicted() -> None:
    x, y, mask, _ = MackeyGlass(400, ahead=15).batch(20)
    assert mask is not None
    assert mask.all()
    assert np.array_equal(x[:, 15:], y[:, :-15])
    assert x.std() == pytest.approx(1, abs=0.1)
    assert abs(x.mean()) < 0.1
    assert np.abs(x[:, 0] - x[0, 0]).max() > 0.5  # each sequence is somewhere else


@pytest.mark.parametrize("delay", [17, 30, 100, 300])
def test_mackey_glass_has_forgotten_its_constant_start(delay: int) -> None:
    """What is drawn moves as much as it does a thousand samples later, in all of its stretches of 50 samples."""
    x = MackeyGlass(1500, delay).batch(10).x[..., 0]
    moved = np.lib.stride_tricks.sliding_window_view(x, 50, axis=1).std(-1)
    assert np.quantile(moved[:, :400], 0.01) > 0.5 * np.quantile(moved[:, 1000:], 0.01)


def test_lorenz_solves_its_equations() -> None:
    start = np.array([1.0, 2.0, 20.0])

    def slope(_: float, s: np.ndarray) -> list[float]:
        x, y, z = s
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    solution = solve_ivp(slope, (0, 2), start, rtol=1e-11, atol=1e-11, t_eval=np.arange(101) * 0.02)
    ours = lorenz(start[:, None], 0.02, 100)[:, :, 0]
    assert np.abs(ours - solution.y.T).max() < 2e-3  # order 4 at h = 0.01, errors grow by e^0.9t


def test_lorenz_is_on_its_attractor() -> None:
    x, y, mask, _ = Lorenz(500, ahead=7).batch(20)
    assert mask is not None
    assert np.array_equal(x[:, 7:], y[:, :-7])
    assert np.abs(x.std((0, 1)) - 1).max() < 0.15
    assert np.abs(x).max() < 3.5


@pytest.fixture(scope="module")
def published(real_data: Path) -> PublishedMNIST1D:
    return PublishedMNIST1D(str(real_data / "mnist1d"))


def test_published_signals_are_those_of_the_file(published: PublishedMNIST1D, real_data: Path) -> None:
    with np.load(real_data / "mnist1d" / "mnist1d.npz") as file:
        assert np.array_equal(published.batch(1000, split="test").x[..., 0], file["x_test"].astype(np.float32))
        assert np.array_equal(published.batch(400, split="val").y, file["y"][3600:])
    labels = np.concatenate([published.batch(100, index, seed=5).y for index in range(36)])
    assert np.array_equal(np.bincount(labels), np.bincount(published.parts["train"][1]))  # an epoch has every case once


def test_a_stored_split_ends() -> None:
    x, y = np.zeros((7, 4, 1), np.float32), np.arange(7)
    task = StoredTask({"train": (x, y), "val": (x, y), "test": (x[:1], y[:1])}, 7)
    for split, cases in (("val", 7), ("test", 1)):
        for size in (1, 3, 7, 8):
            count = task.batches(size, split)
            assert count is not None
            found = [task.batch(size, index, split=split).y for index in range(count)]
            assert np.array_equal(np.concatenate(found), y[:cases])
            for index in (count, 10**6):
                words = f"StoredTask.batch: index is {index}, but '{split}' has {count} batches of {size}: take one"
                with pytest.raises(InputError, match=words):
                    task.batch(size, index, split=split)
    assert len(task.batch(3, 10**6).y) == 3  # there is no end to training


def test_drawn_mnist1d_has_the_statistics_of_the_published(published: PublishedMNIST1D) -> None:
    theirs = np.concatenate([published.parts[split][0] for split in ("train", "val", "test")])[..., 0]
    labels = np.concatenate([published.parts[split][1] for split in ("train", "val", "test")])
    ours = MNIST1D().batch(50_000)
    assert ours.x.std() == pytest.approx(1, abs=0.01)
    for digit in range(10):
        one, other = ours.x[ours.y == digit, :, 0], theirs[labels == digit]
        # Means and spreads at each sample, from some 500 published signals: five standard errors, over 400 comparisons.
        spread = other.std(0)
        assert (np.abs(one.mean(0) - other.mean(0)) < 5 * spread / len(other) ** 0.5).all()
        assert (np.abs(one.std(0) / spread - 1) < 0.3).all()
        ours_c, theirs_c = np.corrcoef(one.T), np.corrcoef(other.T)
        assert np.abs(ours_c - theirs_c).max() < 5 / len(other) ** 0.5


def test_who_learns_from_drawn_signals_knows_the_published(published: PublishedMNIST1D) -> None:
    # One nearest neighbour over all shifts of the drawn signals would be slow; over 4000 of them it gains what the
    # published training set gains, within the standard deviation of an accuracy over 1000 signals, times four.
    def accuracy(x: np.ndarray, y: np.ndarray) -> float:
        test_x, test_y = published.parts["test"]
        distance = (x[..., 0] ** 2).sum(1) - 2 * test_x[..., 0] @ x[..., 0].T
        return float((y[distance.argmin(1)] == test_y).mean())

    drawn = MNIST1D().batch(3600)
    assert accuracy(drawn.x, drawn.y) == pytest.approx(accuracy(*published.parts["train"]), abs=4 * 0.016)


def test_mnist_is_read_as_it_is_stored(real_data: Path) -> None:
    folder = real_data / "mnist"
    images = read_idx(folder / "t10k-images-idx3-ubyte")
    assert images.shape == (10_000, 28, 28)
    task, permuted = SequentialMNIST(str(folder)), PermutedMNIST(str(folder))
    batch = task.batch(10, split="test")
    assert batch.y.tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]  # as everyone knows them
    np.testing.assert_array_equal(batch.x[..., 0], images[:10].reshape(10, -1) / np.float32(255))
    shuffled = permuted.batch(10, split="test").x
    assert not np.array_equal(shuffled, batch.x)
    assert np.array_equal(np.sort(shuffled, axis=1), np.sort(batch.x, axis=1))
    assert np.array_equal(shuffled[:, np.argsort(permuted.order)], batch.x)
    train = task.parts["train"][1]
    assert len(train) == 55_000


def test_what_reading_idx_refuses(tmp_path: Path) -> None:
    whole = bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3])
    (tmp_path / "good").write_bytes(whole)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(whole))
    assert read_idx(tmp_path / "good").tolist() == read_idx(tmp_path / "packed").tolist() == [1, 2, 3]
    for name, content in {
        "short": whole[:-1],
        "other": b"PK\3\4" + whole,
        "float": whole[:2] + b"\r" + whole[3:],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}' is no whole idx file of unsigned bytes: fetch it again"):
            read_idx(tmp_path / name)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(whole)[:-9])
    with pytest.raises(InputError, match=r"cut.gz' cannot be read \(.*\): fetch it again"):
        read_idx(tmp_path / "cut")
