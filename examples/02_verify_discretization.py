"""
Verify a discretization against SciPy
=====================================

A second-order system, a mass on a damped spring, is brought to discrete time by every method. SciPy does the same,
and so does arithmetic with 50 digits where the two disagree.
"""

import matplotlib.pyplot as plt
import torch

from statespace import StateSpace, cont2discrete, verify
from statespace.verification import error_over_dt, summarise

# %%
# The system
# ----------
# Position and speed of a mass of 1 kg on a spring of 10 N/m, with a damper of 3 N s/m; the input is a force in 10 N.

system = StateSpace(A=[[0, 1], [-10, -3]], B=[[0], [10]], C=[[1, 0]])
print("poles", system.poles().tolist())
print("stability margin", system.stability_margin().item(), "1/s")

# %%
# One call, with SciPy's names
# ----------------------------

A, B, C, D, dt = cont2discrete(system, dt=0.1, method="foh")
print(A, B, C, D, sep="\n")

# %%
# Every method against SciPy
# --------------------------
# The tolerance follows from the condition number of the problem. ``of tolerance`` says how much of it was used.

table = verify(system, dt=[1e-4, 1e-3, 1e-2, 1e-1, 1.0], name="mass on a spring")
print(summarise(table).to_string(index=False))
assert table["holds"].all()

# %%
# Where the methods differ
# ------------------------
# They agree with SciPy, but not with one another: each assumes something else of the input between two samples.

t = torch.linspace(0, 4, 400, dtype=torch.float64)
figure, panel = plt.subplots(layout="constrained")
panel.plot(t, system.step_response(t)[:, 0, 0], color="black", label="continuous")
for method in ("zoh", "bilinear", "euler", "backward_diff"):
    response = system.discretize(0.2, method).step_response(20)[:, 0, 0]
    panel.plot(torch.arange(20) * 0.2, response, "o-", markersize=3, linewidth=0.7, label=method)
panel.set_xlabel("time (s)")
panel.set_ylabel("position (m)")
panel.set_title("step response, dt = 0.2 s")
panel.legend()

# %%
# The errors over the step
# ------------------------
# On the command line the same is done by ``statespace verify system.json --dt 0.01 --method foh``, and for a whole
# family of systems by ``statespace verify``.

error_over_dt(table, figure=plt.figure())
plt.show()
