"""
A live stream
=============

A model that was trained on whole signals runs on samples as they come: at constant time and memory, many streams at
once, and it can move to another process in the middle of a signal.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from statespace.models import Backbone

torch.manual_seed(0)
model = Backbone(d_model=64, n_layers=4, layer="mamba", d_state=16, mixing="none").eval()
x = torch.randn(3, 2000, 64)
with torch.no_grad():
    offline, _ = model(x)

# %%
# Sample by sample
# ----------------
# A stream is a snapshot of the model with a state for each of a batch of signals. What it puts out for one sample, or
# for a chunk of any length, is what the model says of the whole signal.

live = model.stream(batch=3)
print(f"single steps run by: {live.backend} {live.why}")
pieces = [live.push(x[:, 0])[:, None], live.push(x[:, 1:50]), live.push(x[:, 50:1000])]
print(f"differs from the whole signal by {float((torch.cat(pieces, 1) - offline[:, :1000]).abs().max()):.0e}")

# %%
# Constant cost
# -------------
# A step takes no longer after many samples than after few, and its state grows by nothing.


def microseconds(stream, samples):
    """Push one sample after the other, and return how long each took."""
    taken = []
    for sample in samples.unbind(1):
        begin = time.perf_counter()
        stream.push(sample)
        taken.append(1e6 * (time.perf_counter() - begin))
    return torch.tensor(taken)


single = model.stream()
taken = microseconds(single, x[:1])
figure, panel = plt.subplots(layout="constrained")
panel.plot(taken.unfold(0, 100, 50).median(-1).values, drawstyle="steps-mid")
panel.set_ylim(0)
panel.set_xlabel("samples so far / 50")
panel.set_ylabel("median time of a step (us)")
size = sum(part.numel() * part.element_size() for part in single.state_dict()["states"])
print(f"a step takes {float(taken.median()):.0f} us on this machine, the state of a stream {size / 1e3:.0f} kB")

# %%
# To another process
# ------------------
# ``state_dict`` holds tensors and plain values. Here a fresh process makes the model, loads its weights and the live
# streams, and takes the samples that follow.


program = """
import torch
from statespace.models import Backbone

model = Backbone(d_model=64, n_layers=4, layer="mamba", d_state=16, mixing="none")
model.load_state_dict(torch.load("model.pt", weights_only=True))
moved = model.stream(batch=3)
moved.load_state_dict(torch.load("stream.pt", weights_only=True))
torch.save(moved.push(torch.load("samples.pt", weights_only=True)), "outputs.pt")
"""

with tempfile.TemporaryDirectory() as folder:
    torch.save(model.state_dict(), Path(folder, "model.pt"))
    torch.save(live.state_dict(), Path(folder, "stream.pt"))
    torch.save(x[:, 1000:1020].clone(), Path(folder, "samples.pt"))
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
    outputs = torch.load(Path(folder, "outputs.pt"), weights_only=True)
print(f"after the move it differs by {float((outputs - offline[:, 1000:1020]).abs().max()):.0e}")

# %%
# Some of many start again
# ------------------------
# Stream 1 begins a new signal; the others go on.

live.reset([1])
y = live.push(x[:, 1000:1020])
with torch.no_grad():
    fresh, _ = model(x[1:2, 1000:1020])
print(f"stream 0 goes on: {torch.allclose(y[0], offline[0, 1000:1020], atol=1e-5)}")
print(f"stream 1 is new:  {torch.allclose(y[1], fresh[0], atol=1e-5)}")

# %%
# For another runtime
# -------------------
# The step as a graph of common operators, with the state passed in and out; with the extra ``onnx``, `to_onnx` writes
# it to a file that needs no Python to run.

from statespace.models import export_step

graph = export_step(model)
states = [torch.zeros(1, *shape) for shape in model.program().states]
first, *states = graph.module()(x[:1, 0], *states)
print(f"the exported step differs by {float((first - offline[:1, 0]).abs().max()):.0e}")
