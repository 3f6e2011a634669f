"""The Triton kernels of the Cauchy product against the reference: sums and every gradient."""

from importlib import import_module

import pytest
import torch

from statespace.kernels.cauchy import cauchy


def make(residues, systems, states, points, *, shared=True):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.complex128)

    w = normal(systems, states)
    return {
        "v": normal(residues, systems, states),
        "z": torch.complex(torch.zeros(points if shared else (systems, points)).double(), normal(points).imag.abs() * 3)
        if shared
        else normal(systems, points).imag * 1j,
        "w": torch.complex(-0.1 - w.real.abs(), w.imag),
    }


def run(conjugate):
    return lambda backend, **arguments: (cauchy(**arguments, conjugate=conjugate, backend=backend),)


@pytest.mark.parametrize("conjugate", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 2, 5, 37), (6, 1, 33, 64)], ids=str)
def test_equals_the_reference(agree, shape, conjugate):
    agree(run(conjugate), make(*shape))  # 1e-12: some hundred roundings of 1e-16


def test_points_of_each_system(agree):
    agree(run(True), make(2, 3, 4, 70, shared=False))


def test_segments_are_added(agree, monkeypatch):
    from statespace.kernels.cauchy import triton

    monkeypatch.setattr(triton, "SEGMENT", 16)
    agree(run(True), make(2, 2, 3, 37))


def test_float32(agree):
    agree(run(True), make(2, 2, 5, 37), torch.float32, 1e-6, 2e-6)  # sums of 5, and over 37 points, rounded by 6e-8


def test_near_and_far_points_do_not_overflow():
    w = torch.zeros(1, 1, dtype=torch.complex64)
    z = w[0] + torch.tensor([1e-25, 1e25j], dtype=torch.complex64)
    y = cauchy(torch.ones(1, 1, dtype=torch.complex64), z, w, backend="triton")
    torch.testing.assert_close(y * (z - w), torch.ones_like(y))


def test_opcheck():
    import_module("statespace.kernels.cauchy.triton")  # registers the operator
    v, z, w = make(1, 1, 2, 3).values()
    for of_points in (False, True):
        given = v.requires_grad_(), z[None].detach().requires_grad_(of_points), w.requires_grad_()
        torch.library.opcheck(torch.ops.statespace.cauchy_triton, (*given, True))


def test_nothing_to_launch_goes_elsewhere():
    with pytest.raises(ValueError, match="nothing to launch"):
        run(True)("triton", **make(2, 0, 3, 5))
