"""Impulse invariance: the samples of the impulse response, times the step, become the discrete one.

``Abar = exp(A dt)``, ``Bbar = exp(A dt) B dt``, ``Cbar = C``, ``Dbar = C B dt``, so that the discrete response to a
unit pulse is ``dt C exp(A k dt) B``. A feed-through would be an impulse of infinite height, so `D` must be 0.
"""

from torch import Tensor

from statespace.discretization._arguments import values_can_be_read
from statespace.discretization.discrete import Discrete
from statespace.discretization.exponential_trapezoidal import weigh, weigh_diagonal
from statespace.errors import InputError


def _refuse_feedthrough(where: str, D: Tensor) -> None:
    if not isinstance(D, Tensor) or not values_can_be_read(D):
        return
    try:
        proper = bool((D.detach().abs() <= 1e-8).all())  # SciPy's threshold
    except RuntimeError:  # vmap and fake tensors refuse to let a value steer Python
        return
    if not proper:
        raise InputError(
            f"{where}: D is not 0, and a feed-through has no sampled impulse response: "
            "discretise with D = 0 and add D to the result, or choose zoh."
        )


def impulse_diagonal(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a diagonal system so that its impulse response is sampled.

    ``Abar = exp(A dt)``, ``Bbar = exp(A dt) B dt``, ``Dbar = C B dt``, elementwise.

    Args:
        A: eigenvalues, ``(..., n)``, in 1/s.
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        D: feed-through, ``(..., p, m)``, which must be 0.
        dt: step in s, ``(...)``.
    Returns:
        The discrete system, its ``A`` as ``(..., n)``.
    Raises:
        ShapeError, InputError: as every method; `D` is not 0.
    Source:
        Oppenheim and Schafer, Discrete-Time Signal Processing, 3rd edition 2010, section 7.2.1, with half the jump at 0
        not taken off, as in SciPy.
    """
    _refuse_feedthrough("impulse_diagonal", D)
    return weigh_diagonal("impulse_diagonal", A, B, C, D, dt, 1.0)


def impulse(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
    """Discretise a system so that its impulse response is sampled.

    ``Abar = exp(A dt)``, ``Bbar = exp(A dt) B dt``, ``Cbar = C``, ``Dbar = C B dt``.

    Args:
        A: state matrix, ``(..., n, n)``, in 1/s.
        B: input matrix, ``(..., n, m)``.
        C: output matrix, ``(..., p, n)``.
        D: feed-through, ``(..., p, m)``, which must be 0.
        dt: step in s, ``(...)``.
    Returns:
        The discrete system.
    Raises:
        ShapeError, InputError: as every method; `D` is not 0.
    Source:
        Oppenheim and Schafer, Discrete-Time Signal Processing, 3rd edition 2010, section 7.2.1, with half the jump at 0
        not taken off, as in SciPy.
    """
    _refuse_feedthrough("impulse", D)
    return weigh("impulse", A, B, C, D, dt, 1.0)
