"""The systems that the methods are tried on: from harmless to the worst that is met in practice."""

from cmath import exp
from math import asinh, cos, cosh, pi, sin, sinh, sqrt

import torch
from torch import Tensor

from statespace.hippo import transition
from statespace.systems import StateSpace

STEPS = tuple(10.0**k for k in range(-4, 3))
"""Steps over six decades, in s."""


def _outputs(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    B, C, D = (torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((n, 1), (1, n), (1, 1)))
    return B, C, D


def _random_stable(n: int, generator: torch.Generator) -> Tensor:
    A = torch.randn(n, n, dtype=torch.float64, generator=generator) / n**0.5
    slowest = torch.linalg.eigvals(A).real.max()
    stable: Tensor = A - (slowest + 0.15) * torch.eye(n, dtype=torch.float64)
    return stable


def _oscillators(n: int, damping: float) -> Tensor:
    blocks = []
    for k in range(n // 2):
        w = 2.0**k
        blocks.append(torch.tensor([[0, 1], [-(w**2), -2 * damping * w]], dtype=torch.float64))
    joined: Tensor = torch.block_diag(*blocks)
    return joined


def _stiff(n: int, decades: float, generator: torch.Generator) -> Tensor:
    rates = -torch.logspace(-decades / 2, decades / 2, n, dtype=torch.float64)
    Q, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
    A: Tensor = (Q * rates) @ Q.mT
    return A


def _chain(n: int) -> Tensor:
    return torch.diag(torch.ones(n - 1, dtype=torch.float64), 1)


def _non_normal(n: int, height: float, generator: torch.Generator) -> Tensor:
    upper = torch.triu(torch.randn(n, n, dtype=torch.float64, generator=generator), 1) * height
    return upper - torch.diag(torch.linspace(0.5, 2, n, dtype=torch.float64))


def _butterworth(n: int, frequency: float) -> StateSpace:
    """A low-pass in companion form, badly scaled as filters are: by powers of the corner frequency."""
    corner = 2 * pi * frequency
    poles = [corner * exp(1j * pi * (2 * k + n + 1) / (2 * n)) for k in range(n)]
    return StateSpace.from_zpk([], torch.tensor(poles, dtype=torch.complex128), corner**n)


def _inverse_chebyshev(n: int, frequency: float, decibels: float = 40) -> StateSpace:
    """A low-pass with zeros on the imaginary axis, n even, and a stop band that many decibels down."""
    corner, spread = 2 * pi * frequency, asinh(sqrt(10 ** (decibels / 10) - 1)) / n
    angles = [pi * (2 * k + 1) / (2 * n) for k in range(n)]
    zeros = torch.tensor([1j / cos(angle) for angle in angles], dtype=torch.complex128) * corner
    poles = corner / torch.tensor(
        [complex(-sinh(spread) * sin(angle), cosh(spread) * cos(angle)) for angle in angles], dtype=torch.complex128
    )
    return StateSpace.from_zpk(zeros, poles, (poles / zeros).prod().real.item())


def families() -> dict[str, StateSpace]:
    """Return the systems by name: random stable, lightly damped, stiff, singular, non-normal, filters and HiPPO.

    Returns:
        One input and one output each, float64, the same ones every time.
    """
    generator = torch.Generator().manual_seed(0)
    matrices = {f"random stable, n={n}": _random_stable(n, generator) for n in (1, 2, 4, 8, 16, 32, 64)}
    for damping in (1e-2, 1e-6):
        matrices |= {f"damping {damping:g}, n={n}": _oscillators(n, damping) for n in (2, 8)}
    matrices |= {f"stiff by 1e{decades}, n={n}": _stiff(n, decades, generator) for decades, n in ((4, 4), (6, 8))}
    rank_one_less = _random_stable(8, generator)
    ones = torch.ones(8, dtype=torch.float64)
    matrices |= {
        "integrator": torch.zeros(1, 1, dtype=torch.float64),
        "singular, n=4": _chain(4),
        "singular, n=8": rank_one_less - torch.outer(rank_one_less @ ones, ones) / 8,
        "non-normal by 1e4, n=10": _non_normal(10, 1e4, generator),
    }
    systems = {name: StateSpace(A, *_outputs(A.shape[-1], generator)) for name, A in matrices.items()}
    for n, frequency in ((2, 1.0), (4, 1e3), (8, 1e3), (6, 1e6)):
        systems[f"Butterworth {frequency:g} Hz, n={n}"] = _butterworth(n, frequency)
    systems["inverse Chebyshev 1e+04 Hz, n=6"] = _inverse_chebyshev(6, 1e4)
    for measure, sizes in (("legs", (4, 16, 64, 256)), ("legt", (4, 32)), ("lagt", (4, 32)), ("fout", (5, 33))):
        for n in sizes:
            A, B = transition(measure, n)
            _, C, D = _outputs(n, generator)
            systems[f"HiPPO {measure}, n={n}"] = StateSpace(A, B, C, D)
    return systems
