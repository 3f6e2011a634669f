"""
The parallel scan, and why it is fused
======================================

The figures of the guide page of this name: a recurrence computed in parallel, what it costs to write every intermediate
result to memory, and what is gained by computing some of them twice.
"""

import time

import matplotlib.pyplot as plt
import torch
from torch.nn.functional import silu, softplus

from statespace.kernels import backends
from statespace.kernels.selective_scan import selective_scan

torch.manual_seed(0)
torch.set_num_threads(1)

# %%
# A scan by doubling
# ------------------
# Two steps of ``h = a h + b`` are one step of the same form, so that after k rounds each step reaches back 2^k of them:
# log2 L rounds instead of L steps, and log2 L times the work.


def doubled(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """All states of ``h[t] = a[t] h[t-1] + b[t]``, along the first axis."""
    reach = 1
    while reach < len(a):
        b = torch.cat([b[:reach], b[reach:] + a[reach:] * b[:-reach]])
        a = torch.cat([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return b


def divided(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The same in closed form, ``P[t] sum_s b[s] / P[s]`` with P the running product of a: it overflows."""
    P = a.cumprod(0)
    return P * (b / P).cumsum(0)


def sequential(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """One step after the other."""
    states = [b[0]]
    for t in range(1, len(a)):
        states.append(a[t] * states[-1] + b[t])
    return torch.stack(states)


lengths = [2**k for k in range(1, 11)]
a, b = torch.rand(lengths[-1], 64) * 0.5 + 0.4, torch.randn(lengths[-1], 64)
truth = sequential(a.double(), b.double())
figure, panel = plt.subplots(layout="constrained")
for scan, style in ((divided, "s-"), (doubled, "o-"), (sequential, ".-")):
    errors = [float((scan(a[:n], b[:n]) - truth[:n]).abs().max() / truth.abs().max()) for n in lengths]
    panel.loglog(lengths, errors, style, base=2, label=scan.__name__)
    print(f"{scan.__name__:10} error at {lengths[-1]} steps: {errors[-1]:.1e}")
panel.set_yscale("log", base=10)
panel.set_xlabel("length (steps)")
panel.set_ylabel("largest error of the states (relative)")
panel.legend()

# %%
# The selective scan, operation by operation
# ------------------------------------------
# Every line reads its operands from memory and writes its result back: whole arrays of (batch, length, channels,
# states), where arguments and results have no axis of states.

B_, L, D_, N = 2, 1024, 128, 16
u, dt, z = torch.randn(3, B_, L, D_)
A, skip = -torch.arange(1.0, N + 1).expand(D_, N).contiguous(), torch.ones(D_)
B, C = torch.randn(2, B_, L, N)
arguments = {"u": u, "dt": dt - 4, "A": A, "B": B, "C": C, "D": skip, "z": z}


def unfused(u, dt, A, B, C, D, z):
    """As it is written in torch, with the scan by doubling; time goes first within."""
    delta = softplus(dt)
    a = torch.exp(delta[..., None] * A)  # (b, l, d, n)
    drive = (delta * u)[..., None] * B[:, :, None]
    h = doubled(a.transpose(0, 1), drive.transpose(0, 1)).transpose(0, 1)
    y = (h * C[:, :, None]).sum(-1)
    return (y + D * u) * silu(z)


def fused(backend):
    """One operation of this library."""
    return lambda **given: selective_scan(**given, dt_softplus=True, backend=backend)


ways = {"unfused": unfused, "chunked": fused("chunked")}
if backends()["native"].startswith("available"):
    ways["native"] = fused("native")

# Bytes that have to cross the boundary of the processor, if no array fits into a cache.
states, rows, vectors = (4 * B_ * L * size for size in (D_ * N, D_, N))
rounds = (L - 1).bit_length()
moved = {
    # exponent and exponential, drive; each round reads and writes a and b; the product with C, and its sum
    "unfused": 2 * 2 * states + states + rounds * 6 * states + 3 * states + 12 * rows,
    # states of a block are in the cache; the step, the drive, outputs and gate are passes over rows
    "chunked": 16 * rows + 4 * vectors,
    # u, dt and z are read, y is written
    "native": 4 * rows + 2 * vectors,
}


def seconds(run) -> float:
    """The median of three."""
    taken = []
    for _ in range(3):
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return sorted(taken)[1]


# %%
# What training keeps
# -------------------
# Autograd saves what each operation needs for its backward. The fused operation saves its arguments, and a state every
# few steps: the states between are computed once more on the way back.


def saved(way) -> int:
    """Bytes that are kept for the backward; what shares memory counts once."""
    kept: dict[int, int] = {}

    def note(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        alive.append(x)  # or its address would be given away again
        return x

    alive: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        way(**{name: x.clone().requires_grad_() for name, x in arguments.items()})
    return sum(kept.values())


def train(way):
    """A step forward and back."""
    leaves = {name: x.clone().requires_grad_() for name, x in arguments.items()}
    way(**leaves).sum().backward()


print("\n           moved (MB)  forward (ms)  training (ms)  kept for the backward (MB)")
table = {}
reference = ways["unfused"](**arguments)
for name, way in ways.items():
    torch.testing.assert_close(way(**arguments), reference, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        forward = seconds(lambda way=way: way(**arguments))
    table[name] = moved[name] / 1e6, forward * 1e3, seconds(lambda way=way: train(way)) * 1e3, saved(way) / 1e6
    print(f"{name:10} {table[name][0]:10.1f} {table[name][1]:13.1f} {table[name][2]:14.1f} {table[name][3]:27.1f}")
given = sum(x.nbytes for x in arguments.values())
print(f"The arguments alone are {given / 1e6:.1f} MB.")

# %%
# Each bar is relative to the unfused operations.

figure, panel = plt.subplots(layout="constrained")
labels = ("bytes moved", "forward", "training", "kept for the backward")
for i, name in enumerate(table):
    heights = [100 * value / whole for value, whole in zip(table[name], table["unfused"], strict=True)]
    bars = panel.bar([x + 0.27 * i for x in range(4)], heights, 0.25, label=name)
    panel.bar_label(bars, fmt="%.3g", fontsize=8)
panel.set_xticks([x + 0.27 for x in range(4)], labels)
panel.set_yscale("log")
panel.set_ylabel("relative to unfused operations (%)")
panel.legend()
plt.show()
