"""Where 32 bits are too few: differences of log-gamma functions, and quantiles that SciPy finds.

SciPy is loaded when a quantile is first asked for: `import statespace.models` stays light, and training needs none.
"""

from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """Return `x` in 64 bits, or as it is on Apple's GPUs, which have no such numbers."""
    return x if x.device.type == "mps" else x.double()


def arrays(*tensors: Tensor) -> list[np.ndarray]:
    """Return tensors as NumPy arrays in 64 bits, broadcast against each other."""
    return list(np.broadcast_arrays(*(tensor.detach().cpu().double().numpy() for tensor in tensors)))


def special() -> Any:
    """Return ``scipy.special``."""
    return import_module("scipy.special")


def tensor(values: np.ndarray, like: Tensor) -> Tensor:
    """Return an array as a tensor of the type and on the device of `like`."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(like)
