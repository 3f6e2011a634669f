"""What the other series say of a series: ridge regression on what the linear path leaves, drawn to nothing.

    V_i = argmin Σ ‖e - V_i [z, 1]‖² + λ_i ‖V_i‖²      over the windows of series i, z the newest values of all series

e is what the linear path leaves of a window. The penalty λ_i is chosen on stretches of time that neither the path nor
these weights have seen: what a path leaves where it has learnt is less than what it leaves later.
"""

from collections.abc import Sequence

import torch

from statespace.models.across_path import AcrossPath
from statespace.models.instance_norm import Reversible
from statespace.models.linear_path import LinearPath
from statespace.training.closed_form import PENALTIES, Fit, Moments, Origins, drawn, squared_error
from statespace.training.own_readout import STEPS_JUDGED, SeriesWindows
from statespace.training.windows import WindowSource


@torch.no_grad()
def fit_across(
    across: AcrossPath,
    path: LinearPath,
    source: WindowSource,
    blocks: Sequence[Origins],
    between: Origins,
    fit: Fit,
    own: Sequence[float],
    scaler: str | Reversible = "standard",
    penalties: Sequence[float] | None = None,
) -> list[float]:
    """Fit what other series say of each, in place.

    Args:
        across: what is fitted.
        path: the linear path as it is fitted.
        source: the series, with the values of all of them beside each row.
        blocks: windows of each stretch of time, as `fit_readout` was given them.
        between: windows with targets in two of them: fitted in the end, but never judged.
        fit: what `fit_readout` gave.
        own: penalties of what each series has of its own in the linear path.
        scaler: how windows are normalised.
        penalties: of each series, as chosen before; None to choose them.
    Returns:
        The penalty of each series, infinite where the others say nothing, or nothing says whether they do.
    """
    series, position = (torch.cat(parts) for parts in zip(*blocks, between, strict=True))
    sizes = [len(part[0]) for part in (*blocks, between)]
    block = torch.repeat_interleave(torch.tensor([*range(len(blocks)), -1]), torch.tensor(sizes))
    every = max(1, across.bias.shape[1] // STEPS_JUDGED)
    chosen = []
    for place in range(across.series):
        rows = series == place
        windows = SeriesWindows(path, source.bare(), place, position[rows], scaler)
        known = across.known(source.cut(series[rows], position[rows]).past)
        phi = torch.cat([known, known.new_ones(len(known), 1)], 1)
        if penalties is None:
            errors = torch.zeros(len(PENALTIES), dtype=torch.float64)
            for left, tested, others in windows.without(fit, block[rows], own[place]):
                rest, test = (Moments.of(phi[part], left[part, ::every]) for part in (others, tested))
                errors += torch.tensor([squared_error(test, drawn(rest, penalty)) for penalty in PENALTIES])
            # With one stretch alone, nothing is learnt from others, and no penalty is better than another.
            penalty = PENALTIES[int(errors.argmin())] if bool((errors < errors[-1]).any()) else float("inf")
        else:
            penalty = penalties[place]
        left = windows.left(path.own[place] if len(path.own) else None)
        weights = drawn(Moments.of(phi[windows.whole], left[windows.whole]), penalty)
        across.weight[place], across.bias[place] = weights[:-1].T, weights[-1]
        chosen.append(penalty)
    return chosen
