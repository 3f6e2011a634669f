"""
Classify sensor signals, at any sampling rate
=============================================

Forty wrists stand, walk, run, or play badminton; each was recorded for ten seconds by six sensors. The classifier fits
in a second: it runs a thousand random damped oscillators over the signals, notes what share of the time each of their
responses is high, and reads the activity from these shares by a linear map in closed form.

Since the oscillators are continuous systems, another sampling rate needs no training: ``dt_scale=3`` says that the time
between two samples is three times as long.
"""

import matplotlib.pyplot as plt
import numpy as np

from statespace import Classifier
from statespace.datasets import load_cases

train, test = load_cases("basic-motions"), load_cases("basic-motions", "test")
model = Classifier(random_seed=0).fit(train.X, train.y)

# %%
# The readout is judged without a part set aside: what it would have said of each training case, had it not seen it,
# follows from one decomposition.

left_out = model.classes_[model.validation_scores_.argmax(1)] == train.y
print(f"right on training cases left out: {left_out.mean():.3f}, on the test part: {model.score(test.X, test.y):.3f}")
assert model.score(test.X, test.y) == 1.0

# %%
# Signals may end at any time, and gaps are masked: here each ends at random, and a fifth of what is left is missing.

rng = np.random.default_rng(0)
ragged = []
for signal in test.X:
    part = signal[:, : rng.integers(50, 101)].copy()
    part[:, rng.random(part.shape[1]) < 0.2] = np.nan
    ragged.append(part)
print(f"cut short and with gaps: {model.score(ragged, test.y):.3f}")

# %%
# Another set, the height of a hand that draws a gun or points a finger: one sample in three, without fitting again.

hands, others = load_cases("gunpoint"), load_cases("gunpoint", "test")
whole = Classifier(random_seed=0).fit(hands.X, hands.y)
third = [signal[:, ::3] for signal in others.X]
told, untold = whole.score(third, others.y, dt_scale=3.0), whole.score(third, others.y)
print(f"all samples: {whole.score(others.X, others.y):.3f}")
print(f"one in three: {told:.3f} with dt_scale=3, {untold:.3f} without")
assert told > 0.9 > untold

# %%
# A causal classifier looks at the past alone, so it can be asked at any time: the probability of each activity while a
# signal of it is coming in.

causal = Classifier(causal=True, random_seed=0).fit(train.X, train.y)
times = np.arange(10, 101, 2)
figure, panels = plt.subplots(2, 4, figsize=(11, 4.5), sharex=True, layout="constrained")
for column, name in enumerate(causal.classes_):
    signal = test.X[int(np.flatnonzero(test.y == name)[0])]
    probabilities = causal.predict_proba([signal[:, :until] for until in times])
    panels[0, column].plot(np.arange(100) / 10, signal.T, linewidth=0.8)
    panels[0, column].set_title(name.lower())
    for which, other in enumerate(causal.classes_):
        panels[1, column].plot(times / 10, probabilities[:, which], label=other.lower())
    panels[1, column].set(xlabel="time (s)", ylim=(0, 1))
    assert probabilities[-1].argmax() == column
panels[0, 0].set_ylabel("six sensors")
panels[1, 0].set_ylabel("probability")
panels[1, 3].legend(fontsize="small")
plt.show()
