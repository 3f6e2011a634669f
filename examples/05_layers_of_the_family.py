"""
The layers of the family
========================

LSSL, S4, S4D, S5 and the LRU, through all of their views; the figures of the guide page on the family.
"""

import matplotlib.pyplot as plt
import torch

from statespace.hippo import nplr
from statespace.layers import LAYERS, LRU, LSSL, S4, S4D, S5

torch.manual_seed(0)
FAMILY = ("lssl", "s4", "s4d", "s5", "lru")

# %%
# Every view of every layer
# -------------------------
# One random signal through each layer: as a whole in each of its views, cut into chunks, and sample by sample.

x = torch.randn(1, 100, 4, dtype=torch.float64)
for name in FAMILY:
    for view in LAYERS[name].capabilities.views or ("scan",):
        torch.manual_seed(1)
        options = {"view": view} if LAYERS[name].capabilities.views else {}
        layer = LAYERS[name](4, **options).double()
        with torch.no_grad():
            whole, _ = layer(x)
            state, outputs = layer.initial_state(1), []
            for sample in x.unbind(1):
                y, state = layer.step(sample, state)
                outputs.append(y)
            first, state = layer(x[:, :37])
            second, _ = layer(x[:, 37:], state)
        steps, chunks = torch.stack(outputs, 1), torch.cat([first, second], 1)
        size = steps.abs().max()
        print(
            f"{name:5} {view:12} differs from single steps by {(whole - steps).abs().max() / size:.0e}, "
            f"in two chunks by {(chunks - steps).abs().max() / size:.0e}"
        )

# %%
# From LSSL to S4 to S4D: one memory, three matrices
# --------------------------------------------------
# The first three outputs of a HiPPO-LegS memory, as responses to an impulse. S4 is the LSSL in another basis, so that
# the lines fall on one another. S4D leaves out the part of low rank, and takes half of B: it comes closer as the order
# grows.

ORDERS, STEP, LENGTH = (16, 128), 0.01, 400
impulse = torch.zeros(1, LENGTH, 3, dtype=torch.float64)
impulse[:, 0] = 1 / STEP
time = torch.arange(LENGTH) * STEP
figure, panels = plt.subplots(1, 2, sharey=True, figsize=(9, 3.6), layout="constrained")
for order, panel in zip(ORDERS, panels, strict=True):
    basis = nplr("legs", order)
    at_once = {"d_state": order, "dt_min": STEP, "dt_max": STEP}
    lssl, s4, s4d = LSSL(3, **at_once).double(), S4(3, **at_once).double(), S4D(3, **at_once).double()
    half = slice(order // 2, None)
    with torch.no_grad():
        lssl.C.copy_(torch.eye(3, order))
        s4.C.copy_(torch.view_as_real(basis.V[:3, half]))
        s4d.C.copy_(torch.view_as_real(basis.V[:3, half] * basis.B[half, 0] / 2))
        for layer, style, colour, width in ((s4d, "-", "tab:orange", 0.8), (lssl, "-", "0.7", 4), (s4, ":", "k", 1.5)):
            layer.D.zero_()
            lines = panel.plot(time, layer(impulse)[0][0], style, color=colour, linewidth=width)
            lines[0].set_label(type(layer).__name__)
    panel.set_title(f"order {order}")
    panel.set_xlabel("time (units of 1/A)")
panels[0].set_ylabel("output")
panels[0].legend()

# %%
# Where the poles start
# ---------------------
# Left, the eigenvalues of continuous systems; right, those of a recurrence, inside the unit circle.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for name, layer in (
    ("S4D-LegS", S4D(1, 64)),
    ("S4D-Lin", S4D(1, 64, init="lin")),
    ("S5, 4 blocks", S5(1, 64, blocks=4)),
):
    imaginary = layer.A_imag.detach().flatten()
    offset = {"S4D-LegS": 0.0, "S4D-Lin": 1.0, "S5, 4 blocks": 2.0}[name]
    left.plot(torch.full_like(imaginary, offset), imaginary, "_", markersize=22, label=name)
left.set_xticks([0, 1, 2], ["S4D-LegS", "S4D-Lin", "S5, 4 blocks"])
left.set_yscale("symlog", linthresh=10)
left.set_ylim(bottom=-2)
left.set_ylabel("Im A (1/s); Re A = -1/2")
ring = LRU(1, 256, r_min=0.7, r_max=0.98)
poles = torch.exp(ring.discretized()[0]).detach()
right.plot(poles.real, poles.imag, ".", color="tab:green")
right.add_patch(plt.Circle((0, 0), 1, fill=False, color="0.5"))
right.set_aspect("equal")
right.set_xlabel("Re λ")
right.set_ylabel("Im λ")
right.set_title("LRU, ring from 0.7 to 0.98")

# %%
# Stamps that lie where they will
# -------------------------------
# A layer is told the time since the sample before. A signal that changes seldom need then be sampled only where it
# changes: 20 samples give what 200 gave.

torch.manual_seed(0)
held = torch.randint(1, 20, (20,))
values = torch.randn(20, dtype=torch.float64).cumsum(0)
dense = values.repeat_interleave(held)[None, :, None]
ends = held.cumsum(0) - 1
figure, panel = plt.subplots(figsize=(9, 3.4), layout="constrained")
for name, colour in (("s5", "tab:orange"), ("lru", "tab:green"), ("s4d", "tab:blue")):
    torch.manual_seed(2)
    layer = LAYERS[name](1, 16).double()
    with torch.no_grad():
        every, _ = layer(dense)
        seldom, _ = layer(values[None, :, None], dt=held.double()[None])
    panel.plot(every[0, :, 0], color=colour, alpha=0.5, label=f"{name}, every sample")
    panel.plot(ends, seldom[0, :, 0], "o", color=colour, markersize=4)
    print(f"{name}: the two differ by {(every[:, ends] - seldom).abs().max():.0e}")
panel.set_xlabel("time (samples)")
panel.set_ylabel("output")
panel.legend()
plt.show()
