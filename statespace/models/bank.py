"""Features of a window that no training finds: what random systems remember of it, mixed and rectified.

    z_k' = (-1/τ_k + i ω_k) z_k + x̂            the state at the end of the window, k = 1 … systems
    φ    = relu(P [Re z, Im z] + b)             P, b random and fixed

Time constants and frequencies are spread evenly in their logarithm, so that the newest values are remembered in detail
and old ones in outline. A linear readout of enough of such features is a smooth nonlinear function of the window, and
is found in closed form (see `training.closed_form`).

Source: Jaeger 2001, "The echo state approach" (GMD report 148), for fixed random states with a linear readout; Rahimi
and Recht 2007, "Random features for large-scale kernel machines", for the map of the states.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from statespace.errors import InputError
from statespace.shapes import expect

_SPREAD = 0.5  # of the offsets, in standard deviations of what they are added to


class SystemBank(nn.Module):
    """Map normalised windows to features of random systems, by way of the few numbers that these remember.

    Attributes:
        memory: real and imaginary parts of the systems' responses, ``(2 systems, input_size)``.
        mix: what each feature takes of them, ``(features, 2 systems)``.
        bias: offsets of the features, ``(features,)``.

    Args:
        input_size: length of the window, in steps.
        features: number of features.
        systems: number of systems; few make smooth features.
        seed: of all that is random.
    Raises:
        InputError: an argument is below 1.
    """

    memory: Tensor
    mix: Tensor
    bias: Tensor

    def __init__(self, input_size: int, features: int = 1024, systems: int = 16, seed: int = 0) -> None:
        super().__init__()
        for name, value in {"input_size": input_size, "features": features, "systems": systems}.items():
            if value < 1:
                raise InputError(f"SystemBank: {name} is {value}, but at least 1 is expected.")
        self.input_size, self.features = input_size, features
        generator = torch.Generator().manual_seed(seed)
        # Time constants from two steps to the window's length, periods from eight steps to twice that length.
        spread = torch.rand(2, systems, generator=generator, dtype=torch.float64)
        tau = 2 * max(input_size / 2, 1) ** spread[0]
        omega = math.pi / input_size * max(input_size / 4, 1) ** spread[1]
        age = torch.arange(input_size - 1, -1, -1, dtype=torch.float64)[:, None]
        response = torch.exp(age * torch.complex(-1 / tau, omega))
        memory = torch.cat([response.real, response.imag], dim=1)
        memory = memory / memory.norm(dim=0)
        mix = torch.randn(features, 2 * systems, generator=generator, dtype=torch.float64)
        self.register_buffer("memory", memory.T.float().contiguous())
        self.register_buffer("mix", mix.float())
        self.register_buffer("bias", _SPREAD * torch.randn(features, generator=generator))

    @torch.no_grad()
    def standardise(self, x: Tensor) -> None:
        """Bring what is rectified to unit variance over some windows, ``(b, input_size)``, at most once."""
        scale = linear(linear(x, self.memory), self.mix).std(0)
        self.mix.div_(torch.where(scale > 0, scale, 1.0)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``(b, features)`` of normalised windows ``(b, input_size)``, zeros in their gaps.

        Raises:
            ShapeError: `x` is not ``(b, input_size)``.
        """
        expect("SystemBank", "x", x, "b l", {"l": self.input_size}, "Pad shorter windows in front.")
        return linear(linear(x, self.memory), self.mix, self.bias).relu_()
