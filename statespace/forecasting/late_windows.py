"""How much wider the bands are of windows that begin late, since little is known of a series that has just begun.

The scale of a few values says little, and a season that was never seen is missing from the forecast. So whole windows
are cut to their last n steps, and forecast. With r(n) the error that 80 % of the values stay within, in units of that
half of the 80 % band which is on their side,

    wider(n) = max over m ≥ n of r(m) / r(l),    l the length of a window

which is 1 for whole windows. Between the n that are tried it is a straight line.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from statespace.models import QUANTILES, ForecastNetwork
from statespace.models.outputs.levels import MIDDLE
from statespace.training import Windows, WindowSource

_SHARE = 0.8
_LOW = QUANTILES.index(round((1 - _SHARE) / 2, 6))
_MOST = 128  # windows; more would tell little and take time
_PER_OCTAVE = 2  # lengths that are tried


def _reach(network: ForecastNetwork, windows: Windows, steps: int) -> float:
    """Return how many half bands most values are off, where each window begins with its last `steps` steps."""
    past = windows.past
    length = past.x.shape[1]
    seen = F.pad(past.x.new_ones(steps), (length - steps, 0))

    def late(part: Tensor | None) -> Tensor | None:
        if part is None:
            return None
        mask = F.pad(seen, (0, part.shape[1] - length), value=1.0)  # what is known of the future stays known
        return part * (mask if part.ndim == 2 else mask[:, None])

    parts = {name: late(getattr(past, name)) for name in ("hist", "hist_observed", "futr", "futr_known")}
    quantiles = network(past._replace(x=past.x * seen, observed=past.observed * seen, **parts)).quantiles
    low, middle, high = quantiles[..., _LOW], quantiles[..., MIDDLE], quantiles[..., -1 - _LOW]
    half = torch.where(windows.y < middle, middle - low, high - middle)
    off = (windows.y - middle).abs() / half.clamp(min=torch.finfo(half.dtype).tiny)
    return float(off[windows.y_observed > 0].double().quantile(_SHARE))


@torch.no_grad()
def widen(network: ForecastNetwork, source: WindowSource, origins: tuple[Tensor, Tensor]) -> None:
    """Set how much wider the bands of a network are for windows that begin late; see above.

    Args:
        network: trained, in evaluation mode; its `wider` is replaced.
        source: what windows are cut from.
        origins: series and position of windows, of which whole ones are taken.
    """
    network.wider.fill_(1.0)
    if network.output.positive:  # whose spread is that of its location
        return
    series, position = origins
    whole = torch.nonzero(position - source.input_size >= source.starts[series])[:, 0]
    if not len(whole):
        return
    some = whole[torch.linspace(0, len(whole) - 1, min(_MOST, len(whole))).round().long()]
    windows = source.cut(series[some], position[some])
    length = source.input_size
    sizes = np.unique(np.ceil(length / 2 ** np.arange(0, np.log2(length) + 1, 1 / _PER_OCTAVE)).astype(int))
    reach = np.array([_reach(network, windows, int(steps)) for steps in sizes])
    if reach[-1] > 0:
        wider = np.maximum.accumulate(reach[::-1])[::-1] / reach[-1]
        network.wider.copy_(torch.as_tensor(np.interp(np.arange(1, length + 1), sizes, wider)))
