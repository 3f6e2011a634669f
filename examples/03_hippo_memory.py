"""
What a memory recalls
=====================

An electrocardiogram goes into a HiPPO memory sample by sample. What stays is a handful of numbers; the picture shows
what can be reconstructed from them, and what a system with a random matrix would recall.
"""

import io
import os
import zipfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.io import wavfile

from statespace.datasets import load_signal
from statespace.discretization import zoh
from statespace.hippo import HiPPOMemory

u = torch.tensor(load_signal("ecg")["y"].to_numpy())
u = (u - u.mean()) / u.std()
t = torch.arange(len(u), dtype=torch.float64) + 0.5  # in samples: the middle of each held one


def error(recalled: torch.Tensor) -> float:
    """Return the part of the signal's variance that is not recalled."""
    return float((recalled - u).square().mean() / u.square().mean())


# %%
# More coefficients, a finer memory
# ---------------------------------
# LegS keeps the whole past, in Legendre polynomials that stretch with time. Each coefficient is the best there is for
# its number: the optimal projection, found online.

sizes = (8, 24, 48, 96)
figure, panels = plt.subplots(len(sizes), 1, figsize=(7, 8), sharex=True, sharey=True, layout="constrained")
for panel, n in zip(panels, sizes, strict=True):
    memory = HiPPOMemory("legs", n)
    memory.update(u)
    recalled = memory.reconstruct(t)
    panel.plot(t, u, color="0.7", label="signal")
    panel.plot(t, recalled, linewidth=0.9, label=f"{n} numbers, {100 * error(recalled):.1f} % lost")
    panel.legend(loc="upper right", fontsize=8)
    panel.set_ylabel("deviations")
panels[-1].set_xlabel("time (samples)")
figure.suptitle("what HiPPO-LegS recalls of 1024 samples")

# %%
# HiPPO against a random matrix
# -----------------------------
# For any system the state is ``x = K u``, with the impulse responses in ``K``. Its best reconstruction by least squares
# is ``pinv(K) x``. Both are given that decoder, so the matrix alone decides. The window of LegT is the signal; the
# random matrix is stable, with its time constants spread over the same time.


def recall_by_least_squares(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """Return what the best linear decoder makes of the last state."""
    n = len(A)
    discrete = zoh(A, B, torch.eye(n, dtype=A.dtype), torch.zeros_like(B), 1.0)
    columns = [discrete.B[:, 0]]
    for _ in range(len(u) - 1):
        columns.append(discrete.A @ columns[-1])
    K = torch.stack(columns[::-1], 1)
    # Directions that rounding of the state in float32 would bury are not counted as recalled.
    return torch.linalg.pinv(K, rtol=1e-7) @ (K @ u)


lost: dict[str, list[float]] = {"HiPPO-LegT": [], "random, best of 5": []}
for n in sizes:
    memory = HiPPOMemory("legt", n, scale=float(len(u)))
    lost["HiPPO-LegT"].append(error(recall_by_least_squares(memory.A, memory.B)))
    random = []
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        G = torch.randn(n, n, dtype=torch.float64, generator=generator) / n**0.5
        A = (G - 1.05 * torch.linalg.eigvals(G).real.max() * torch.eye(n)) * n / len(u)
        B = torch.randn(n, 1, dtype=torch.float64, generator=generator) / len(u)
        random.append(error(recall_by_least_squares(A, B)))
    lost["random, best of 5"].append(min(random))

figure, panel = plt.subplots(layout="constrained")
for name, values in lost.items():
    panel.loglog(sizes, values, "o-", label=name, base=2)
    print(name, [f"{value:.3f}" for value in values])
panel.set_yscale("log", base=10)
panel.set_xlabel("number of states n")
panel.set_ylabel("part of the variance that is lost")
panel.legend()
assert all(ours < theirs for ours, theirs in list(zip(*lost.values(), strict=True))[1:])

# %%
# A window that slides
# --------------------
# LegT, LagT and FouT forget. LegT recalls the last 256 samples, and nothing else, in 48 numbers.

memory = HiPPOMemory("legt", 48, scale=256.0)
memory.update(u)
recent = t[t > memory.time - 256]
figure, panel = plt.subplots(layout="constrained")
panel.plot(t, u, color="0.7", label="signal")
panel.plot(recent, memory.reconstruct(recent), label="recalled from 48 numbers")
panel.set_xlabel("time (samples)")
panel.set_ylabel("deviations")
panel.legend()

# %%
# A spoken digit
# --------------
# Speech is harder: polynomials of degree n follow some n/2 oscillations, so that the memory of a tenth of a second of a
# vowel needs two hundred numbers, and the whole word would need a thousand. It is cut from a spoken seven of the Free
# Spoken Digit Dataset, in the folder that ``STATESPACE_DATA`` names.

archive = Path(os.environ.get("STATESPACE_DATA", "")) / "fsdd" / "fsdd.zip"
if archive.is_file():
    with zipfile.ZipFile(archive) as folder:
        name = next(name for name in sorted(folder.namelist()) if name.endswith("7_jackson_0.wav"))
        rate, samples = wavfile.read(io.BytesIO(folder.read(name)))
    loudest = int(np.argmax(np.convolve(samples.astype(float) ** 2, np.ones(800), "valid")))
    word = torch.tensor(samples[loudest : loudest + 800], dtype=torch.float64)
    word = (word - word.mean()) / word.std()
    seconds = (torch.arange(len(word), dtype=torch.float64) + 0.5) / rate

    orders = (32, 96, 192)
    figure, panels = plt.subplots(len(orders), 1, figsize=(7, 6), sharex=True, sharey=True, layout="constrained")
    for panel, n in zip(panels, orders, strict=True):
        memory = HiPPOMemory("legs", n, dt=1 / rate)
        memory.update(word)
        recalled = memory.reconstruct(seconds)
        gone = float((recalled - word).square().mean())
        panel.plot(seconds, word, color="0.7", linewidth=0.6, label="signal")
        panel.plot(seconds, recalled, linewidth=0.6, label=f"{n} numbers, {100 * gone:.0f} % lost")
        panel.legend(loc="upper right", fontsize=8)
        panel.set_ylabel("deviations")
        print(f"spoken digit, {len(word)} samples, {n} numbers: {gone:.2f} of the variance lost")
    panels[-1].set_xlabel("time (s)")
    figure.suptitle("what HiPPO-LegS recalls of 0.1 s of a spoken seven")
else:
    print("STATESPACE_DATA names no folder with fsdd/fsdd.zip: the spoken digit is left out")

plt.show()
