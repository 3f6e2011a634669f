"""
From selection to duality, and on to Mamba-3
============================================

The figures of the guide page of this name: the scan of Mamba-2 as one matrix, which is a masked attention; what a rule
of second order gains; and what a state that turns can count.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from statespace.kernels.ssd import ssd

torch.manual_seed(0)
LENGTH, STATES = 48, 4

# %%
# State space duality
# -------------------
# One head with one channel: what goes in at time s comes out at times t >= s, so the scan is a lower triangular matrix.
# Its columns are the responses of the recurrence, step by step, to one impulse each.

dt = torch.nn.functional.softplus(torch.randn(LENGTH, dtype=torch.float64) - 1)
A = torch.tensor([-1.0], dtype=torch.float64)
B, C = torch.randn(2, LENGTH, STATES, dtype=torch.float64)

impulses = torch.eye(LENGTH, dtype=torch.float64)[:, :, None, None]  # one sequence for each time


def shared(tensor: torch.Tensor) -> torch.Tensor:
    """The same for every impulse."""
    return tensor.expand(LENGTH, *tensor.shape)


responses = ssd(impulses, shared(dt[:, None]), A, shared(B[:, None]), shared(C[:, None]), backend="reference")
recurrence = responses[:, :, 0, 0].T

# The same matrix, without any recurrence: inner products as in attention, under a mask of decays.
total = (dt * A).cumsum(0)
decays = torch.exp(total[:, None] - total).tril()
products = C @ B.T
attention = products * decays * dt

difference = (attention - recurrence).abs().max() / recurrence.abs().max()
print(f"scan and masked attention differ by {difference:.1e} of the largest entry")
ranks = [int(torch.linalg.matrix_rank(recurrence[k:, :k], rtol=1e-10)) for k in range(1, LENGTH)]
print(f"every block below the diagonal has a rank of at most {max(ranks)}: all the past passes through {STATES} states")

figure, panels = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained", sharey=True)
limit = attention.abs().max()
for panel, matrix, title, bound in [
    (panels[0], products.tril(), "inner products  C Bᵀ", products.abs().max()),
    (panels[1], decays, "mask of decays  L", 1.0),
    (panels[2], recurrence, "the scan  =  (C Bᵀ) ∘ L ∘ Δ", limit),
]:
    panel.imshow(matrix, cmap="RdBu_r", vmin=-bound, vmax=bound)
    panel.set_title(title)
    panel.set_xlabel("input at time s")
panels[0].set_ylabel("output at time t")

# %%
# The rule of Mamba-3
# -------------------
# A decaying, turning system under a smooth input, at unequal stamps. With the whole weight on the new sample (λ = 1, as
# in Mamba and Mamba-2) the error falls with the step; with half of it on the sample before, with its square.

pole, frequency = -0.7 - 2.0j, 3.0


def exact(t: float) -> float:
    """The response to sin(3 t) from rest."""
    w, grown = 1j * frequency, np.exp(pole * t)
    rising, falling = (np.exp(w * t) - grown) / (w - pole), (np.exp(-w * t) - grown) / (-w - pole)
    return float(((rising - falling) / 2j).real)


def simulated(steps: np.ndarray, share: float) -> float:
    """Step by ``h = exp(pole dt) (h + (1 - share) dt u_before) + share dt u``."""
    state, t, before = 0j, 0.0, 0.0
    for step in steps:
        t += step
        now = np.sin(frequency * t)
        state = np.exp(pole * step) * (state + (1 - share) * step * before) + share * step * now
        before = now
    return float(state.real)


counts = [25, 50, 100, 200, 400, 800]
spread = np.random.default_rng(0).uniform(0.2, 1.2, 25)
figure, panel = plt.subplots(layout="constrained")
for share, marker in ((1.0, "o"), (0.5, "s")):
    errors = []
    for count in counts:
        steps = np.repeat(spread, count // 25)
        errors.append(abs(simulated(2.0 * steps / steps.sum(), share) - exact(2.0)))
    panel.loglog(counts, errors, marker=marker, label=f"λ = {share:g}")
    print(f"λ = {share:g}: halving the step divides the error by {errors[-2] / errors[-1]:.2f}")
panel.set_xticks(counts, [str(count) for count in counts], minor=False)
panel.minorticks_off()
panel.set_xlabel("samples in 2 s")
panel.set_ylabel("error of the state (units)")
panel.legend()

# %%
# A state that turns
# ------------------
# Whether the number of ones so far is odd: a state that only decays cannot hold the answer; one that turns by half a
# circle at each of them does nothing else.

bits = torch.randint(0, 2, (40,))
angle = torch.pi * bits.cumsum(0)
figure, panels = plt.subplots(2, 1, sharex=True, layout="constrained")
panels[0].stem(bits, markerfmt=" ", basefmt=" ")
panels[0].set_ylabel("input (bits)")
panels[1].step(range(40), torch.cos(angle), where="post")
panels[1].set_ylabel("cos of the angle")
panels[1].set_xlabel("time (samples)")
assert torch.equal(torch.cos(angle) < 0, bits.cumsum(0) % 2 == 1)
plt.show()
