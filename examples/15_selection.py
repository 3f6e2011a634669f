"""
What selection does
===================

Three words stand anywhere among noise, and are to be said again in their order. A time-invariant layer takes noise in
as it takes words; a selective one need not. Two small models learn the task in seconds, and then the picture shows how
one of them does it: its step Δ opens at the words and all but closes at the noise.
"""

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import LogNorm
from torch import Tensor, nn

from statespace.datasets.tasks import SelectiveCopying
from statespace.models import Backbone, SequenceModel
from statespace.training import as_tensors, parameter_groups

torch.set_num_threads(1)

# %%
# The task
# --------
# Token 0 is noise, the last one the mark: at each mark, one of the words is to be said.

LENGTH, WORDS, VOCABULARY = 24, 3, 6
task = SelectiveCopying(LENGTH, WORDS, VOCABULARY)
MARK = VOCABULARY - 1
example = as_tensors(task.batch(1, 0, split="test"))
print("input ", *example.x[0].tolist())
print("answer", *example.y[example.mask].tolist())

# %%
# Two models
# ----------
# They differ in the layer alone. Sequences are short at first and grow to their full length, which is quicker to learn
# from. Both models see the same.

STEPS, RATE = 380, 1e-2


def train(layer: str) -> tuple[SequenceModel, list[float]]:
    """Train a model of one kind of layer, and return it with its losses."""
    torch.manual_seed(1)
    model = SequenceModel(Backbone(32, 2, layer, d_state=16), task.inputs, task.outputs)
    optimizer = torch.optim.AdamW([dict(group) for group in parameter_groups(model, RATE, 0.01)])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in optimizer.param_groups], total_steps=STEPS, pct_start=0.1
    )
    losses = []
    for step in range(STEPS):
        length = min(LENGTH, WORDS + 1 + 35 * step // STEPS)
        batch = as_tensors(SelectiveCopying(length, WORDS, VOCABULARY).batch(24, step))
        loss = nn.functional.cross_entropy(model(batch.x)[0][batch.mask], batch.y[batch.mask])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return model.eval(), losses


unseen = as_tensors(task.batch(512, split="test"))
models, accuracies = {}, {}
figure, panel = plt.subplots(layout="constrained")
for layer in ("s4d", "s6"):
    models[layer], losses = train(layer)
    with torch.no_grad():
        answers = models[layer](unseen.x)[0][unseen.mask].argmax(-1)
    accuracies[layer] = float((answers == unseen.y[unseen.mask]).float().mean())
    print(f"{layer}: {100 * accuracies[layer]:.1f} % of the words in unseen sequences")
    smooth = torch.tensor(losses).unfold(0, 10, 10).mean(1)
    panel.semilogy(10 * torch.arange(len(smooth)) + 5, smooth, label=layer)
panel.set_xlabel("training step")
panel.set_ylabel("cross-entropy, means of 10 steps")
panel.legend()
assert accuracies["s6"] > max(0.9, accuracies["s4d"] + 0.05)

# %%
# The step
# --------
# ``h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t``: where Δ is near zero, the state stays as it is and nothing enters it;
# where Δ is large, the past is forgotten and the sample taken in. In S6, ``Δ_t = softplus(W u_t + b)`` follows the
# sample; in S4D it is one number for each channel, whatever comes.

steps: list[Tensor] = []


def listen(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Keep the step Δ ``(b, l, d)`` that a selective layer takes for what goes into it."""
    low = layer.select(inputs[0])[..., : layer.dt_rank]
    steps.append(nn.functional.softplus(low @ layer.dt_weight.T + layer.dt_bias))


hooks = [block.layer.register_forward_pre_hook(listen) for block in models["s6"].backbone.blocks]
with torch.no_grad():
    models["s6"](unseen.x)
for hook in hooks:
    hook.remove()

is_noise = unseen.x == 0
is_word = ~is_noise & (unseen.x != MARK)
ratios = [dt[is_word].mean(0) / dt[is_noise].mean(0) for dt in steps]  # (channels,) each
for number, ratio in enumerate(ratios, 1):
    print(
        f"layer {number}: Δ at a word over Δ at noise is {ratio.median():.1f} in the median channel, "
        f"{ratio.max():.0f} at most"
    )
ratio, dt = ratios[1], steps[1]
assert ratio.max() > 10

# %%
# Each row of the picture is a channel of the second layer, each column a position of one sequence. Many channels open
# where words stand, by orders of magnitude, and hold what they have in between. Others, at the bottom, do the opposite:
# they move with the noise, and stand still at a word. For S4D, all points would lie on the line.

order = ratio.argsort(descending=True)
tokens = unseen.x[0].tolist()
figure, (picture, sorted_ratios) = plt.subplots(
    1, 2, figsize=(10, 4.5), width_ratios=(3, 1), sharey=True, layout="constrained"
)
shown = picture.imshow(dt[0][:, order].T, aspect="auto", cmap="magma", norm=LogNorm(vmin=1e-4, vmax=1))
figure.colorbar(shown, ax=picture, label="step Δ", extend="both", location="left")
names = {0: "·", MARK: "m"}
picture.set_xticks(range(len(tokens)), [names.get(token, str(token)) for token in tokens])
picture.set_xlabel("sequence: words are numbers, · is noise, m the mark")
picture.set_ylabel("channel, sorted")
picture.set_yticks([])
sorted_ratios.semilogx(ratio[order], range(len(order)), "o", markersize=4, label="s6")
sorted_ratios.axvline(1, color="0.5", linestyle="--", label="s4d")
sorted_ratios.set_xlabel("Δ at words / Δ at noise")
sorted_ratios.legend(loc="lower right")
plt.show()

# %%
# Noise that is not taken in does little harm, so there may be more of it than in training, where no word stood farther
# than 24 positions from the marks.

with torch.no_grad():
    for length in (24, 48, 96):
        batch = as_tensors(SelectiveCopying(length, WORDS, VOCABULARY).batch(256, split="test"))
        right = models["s6"](batch.x)[0][batch.mask].argmax(-1) == batch.y[batch.mask]
        print(f"words among {length:3} positions: {100 * float(right.float().mean()):.1f} %")
