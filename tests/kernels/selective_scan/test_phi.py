"""The factor of a held input, against mpmath at 40 digits."""

import mpmath
import pytest
import torch

from statespace.kernels.selective_scan.phi import phi, slope

SIZES = (0.0, 1e-30, 1e-8, 1e-4, 0.1, 0.4999, 0.5001, 0.9, 3.0, 40.0)


@pytest.mark.parametrize("angle", [3.141592653589793, 2.0, 1.6], ids=["real", "left", "nearly up"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_phi_and_its_slope(dtype, angle):
    z = torch.polar(torch.tensor(SIZES, dtype=dtype), torch.full((len(SIZES),), angle, dtype=dtype))
    z = z.real.contiguous() if angle > 3 else z
    value = phi(z)
    found = slope(z, torch.exp(z), value)
    with mpmath.workdps(40):
        for point, first, second in zip(z.tolist(), value.tolist(), found.tolist(), strict=True):
            w = mpmath.mpmathify(point)
            exact = mpmath.expm1(w) / w if w else mpmath.mpf(1)
            bend = (mpmath.exp(w) - exact) / w if abs(w) > 1e-20 else mpmath.mpf(1) / 2
            # The difference above |z| = 1/2 loses a factor of some five.
            eps = torch.finfo(dtype).eps
            assert abs(first - exact) <= 4 * eps * abs(exact), point
            assert abs(second - bend) <= 16 * eps * abs(bend), point


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128, torch.float32, torch.float64], ids=str)
def test_phi_is_one_where_numbers_end(dtype):
    part = torch.finfo(dtype).smallest_normal * torch.tensor([-(2.0**-20), -0.5, -1.0, -2.0, -1e5], dtype=dtype)
    z = part * (1 + 1j) if dtype.is_complex else part
    torch.testing.assert_close(phi(z), torch.ones_like(z), rtol=0, atol=0)
