"""
One system, four views
======================

The figures of the guide page of this name: the same system as differential equation, as recurrence, as convolution and
as scan.
"""

import matplotlib.pyplot as plt
import torch

from statespace import StateSpace
from statespace.systems import VIEWS, plots

system = StateSpace.from_zpk(z=[], p=[-0.3 + 2j, -0.3 - 2j], k=4.09)

# %%
# Continuous: analysis
# --------------------

plots.bode(system, figure=plt.figure(layout="constrained"))
plots.pole_zero(system, figure=plt.figure(layout="constrained"))
plots.step(system, figure=plt.figure(layout="constrained"))

# %%
# Recurrent, convolution, scan: one signal
# ----------------------------------------

discrete = system.discretize(0.1)
torch.manual_seed(0)
u = (torch.rand(300, dtype=torch.float64) < 0.02).double() * 10
figure, panels = plt.subplots(2, 1, sharex=True, layout="constrained")
time = torch.arange(300) * 0.1
panels[0].step(time, u, where="post", color="0.5")
panels[0].set_ylabel("input (units)")
for view, style in zip(VIEWS, ("-", "--", ":"), strict=True):
    panels[1].plot(time, discrete.simulate(u, view=view).y, style, label=view)
panels[1].set_ylabel("output (units)")
panels[1].set_xlabel("time (s)")
panels[1].legend()

reference = discrete.simulate(u, view="recurrent")
for view in VIEWS:
    found = discrete.simulate(u, view=view)
    print(f"{view:12} differs from the recurrence by {(found.y - reference.y).abs().max():.1e}")

# %%
# Sampled irregularly
# -------------------
# One step for each sample: the response to a smooth input, from stamps that lie where they will.

stamps = torch.sort(torch.rand(60, dtype=torch.float64) * 20).values
fine = torch.linspace(0, 20, 2001, dtype=torch.float64)
exact = system.simulate(torch.sin(fine), t=fine, method="foh").y
figure, panel = plt.subplots(layout="constrained")
panel.plot(fine, exact, color="0.6", label="2001 stamps, evenly")
start = torch.zeros(2, dtype=torch.float64)
held = torch.cat([torch.zeros(1, dtype=torch.float64), stamps])
panel.plot(
    held, system.simulate(torch.sin(held), t=held, method="foh", x0=start).y, ".", label="61 stamps, as they come"
)
panel.set_xlabel("time (s)")
panel.set_ylabel("output (units)")
panel.legend()
plt.show()
