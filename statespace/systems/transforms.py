"""Changes of the basis in which the state is written."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from statespace.errors import InputError, ShapeError
from statespace.systems._arguments import as_tensor
from statespace.systems.dense import StateSpace
from statespace.systems.diagonal import Diagonal
from statespace.systems.system import System, as_dense


class Diagonalised(NamedTuple):
    """A system in the basis of its eigenvectors.

    Attributes:
        system: the diagonal form, with all eigenvalues.
        V: the eigenvectors, ``(..., n, n)``, of length 1: old states are `V` times new ones.
        condition: the condition number of `V`, ``(...)``, by which rounding may have grown: 1 for a normal matrix,
            and nothing is left of float64 near 1e16.
    """

    system: Diagonal
    V: Tensor
    condition: Tensor


def diagonalise(system: System) -> Diagonalised:
    """Return the diagonal form, its basis, and how far it can be trusted.

    HiPPO matrices are hopeless (a condition of 8e10 at n = 16); see `statespace.hippo.nplr` for those.

    Args:
        system: any system.
    Returns:
        The diagonal system, the eigenvectors and their condition number.
    Raises:
        InputError: the eigenvectors are dependent, as those of a double integrator are.
    """
    dense = as_dense("diagonalise", system)
    values, V = torch.linalg.eig(dense.A)
    condition = torch.linalg.cond(V)
    if not bool((condition < 1 / torch.finfo(V.dtype).eps).all()):
        raise InputError(
            f"diagonalise: the eigenvectors have the condition number {condition.max().item():.1e}, so there is no "
            "diagonal form in this precision: keep the dense one, or split off a normal part (see DPLR)."
        )
    B = torch.linalg.solve(V, dense.B.to(V.dtype))
    return Diagonalised(Diagonal(values, B, dense.C.to(V.dtype) @ V, dense.D, dense.dt), V, condition)


def transform(system: System, T: Tensor) -> StateSpace:
    """Return the same system in another basis: the old state is ``T z``.

    ``A -> T⁻¹ A T``, ``B -> T⁻¹ B``, ``C -> C T``.

    Args:
        system: any system.
        T: the new basis as columns, ``(..., n, n)``.
    Returns:
        The system with states `z`.
    Raises:
        ShapeError: `T` is not ``(..., n, n)``.
        InputError: `T` has no inverse.
    """
    dense = as_dense("transform", system)
    T = as_tensor("transform", "T", T)
    if T.shape[-2:] != (dense.n, dense.n):
        raise ShapeError(f"transform: T is {tuple(T.shape)}, but (..., n, n) with n = {dense.n} is expected.")
    dtype = torch.promote_types(T.dtype, dense.A.dtype)
    T = T.to(dtype)
    moved, info = torch.linalg.solve_ex(T, torch.cat([dense.A.to(dtype) @ T, dense.B.to(dtype)], -1))
    if bool((info != 0).any()):
        raise InputError("transform: T has no inverse: its columns must be independent.")
    return replace(dense, A=moved[..., : dense.n], B=moved[..., dense.n :], C=dense.C.to(dtype) @ T, origin=None)
