"""
A language model over bytes
===========================

A small Mamba learns English from the documentation that ships with Python, byte by byte, in some seconds on a laptop.
Then it writes, and what it keeps of all it has read stays as small as after the first byte.
"""

import itertools
import math
import time
from collections import Counter
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
import torch
from torch.nn.functional import cross_entropy

from statespace.models import ByteVocabulary, MambaLM
from statespace.training import parameter_groups

torch.manual_seed(0)
vocabulary = ByteVocabulary()
text = " ".join(" ".join(topics.values()).split())
tokens = vocabulary.encode(text)
training, held_out = tokens[:-20_000], tokens[-20_000:]

# %%
# What there is to learn
# ----------------------
# A byte costs 8 bits if nothing is known. Whoever knows how often each byte comes needs fewer:

counts = Counter(training.tolist())
frequencies = [count / len(training) for count in counts.values()]
by_frequency = -sum(share * math.log2(share) for share in frequencies)
print(f"{len(training)} bytes to learn from; {by_frequency:.2f} bits a byte by their frequencies alone")

# %%
# Training
# --------
# Two Mamba blocks, read in parallel over whole pieces of text; every byte is a prediction of the next.

model = MambaLM(vocabulary.size, d_model=64, n_layers=2, vocabulary=vocabulary)
STEPS, BATCH, LENGTH = 100, 16, 128
optimizer = torch.optim.AdamW(parameter_groups(model, learning_rate=5e-3, weight_decay=0.01), betas=(0.9, 0.95))
schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, max_lr=[group["lr"] for group in optimizer.param_groups], total_steps=STEPS, pct_start=0.1
)


def bits(batch: torch.Tensor) -> torch.Tensor:
    """Return how many bits the model needs for a byte, in the mean over texts ``(b, l)``."""
    logits, _ = model(batch[:, :-1])
    return cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()) / math.log(2)


curve = []
begun = time.perf_counter()
for _ in range(STEPS):
    begins = torch.randint(len(training) - LENGTH, (BATCH, 1))
    loss = bits(training[begins + torch.arange(LENGTH + 1)])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    curve.append(loss.item())
model.eval()
with torch.no_grad():
    reached = bits(held_out[None]).item()
print(f"{model.n_parameters} parameters, {STEPS} steps in {time.perf_counter() - begun:.0f} s")
print(f"{reached:.2f} bits a byte on text that it has not read")

figure, panel = plt.subplots(layout="constrained")
panel.plot(curve, label="training")
panel.axhline(by_frequency, color="0.6", linestyle="--", label="frequencies alone")
panel.axhline(reached, color="C1", linestyle=":", label="held out")
panel.set_xlabel("step")
panel.set_ylabel("bits a byte")
panel.legend()

# %%
# Writing
# -------
# The prompt is read at once, then one byte follows the other. Chance comes from a seed.

print(model.complete("The statement ", 120, temperature=0.7, top_p=0.9, generator=1))

# %%
# Memory that does not grow
# -------------------------
# The state after a hundred bytes and after sixty thousand has the same size, and a byte takes the same time. Texts
# longer than any in training are read in pieces, each going on from the state of the one before.


def size(state: list) -> int:
    """Return the bytes that a state takes."""
    return sum(part.numel() * part.element_size() for block in state for part in block)


lengths = [2**power for power in range(8, 17, 2)]
milliseconds = []
with torch.no_grad():
    for length in lengths:
        state = None
        for piece in training[:length].split(4096):
            _, state = model(piece[None], state)
        begun = time.perf_counter()
        for byte in held_out[:50]:
            _, state = model.step(byte[None], state)
        milliseconds.append((time.perf_counter() - begun) / 50 * 1e3)
        print(f"after {length:6} bytes: a state of {size(state)} bytes, {milliseconds[-1]:.2f} ms a byte")

figure, panel = plt.subplots(layout="constrained")
panel.semilogx(lengths, milliseconds, "o-", base=2)
panel.set_ylim(bottom=0)
panel.set_xlabel("bytes read before")
panel.set_ylabel("ms for one more")
plt.show()

# %%
# `sample` never ends: it can write for as long as somebody reads.

endless = model.sample([vocabulary.encode("Python ")], temperature=0.7, generator=2)
print(vocabulary.decode([byte.item() for byte in itertools.islice(endless, 100)]))
