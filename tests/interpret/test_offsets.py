"""Rows that are further apart than 32 bits can count are found: offsets are 64 bits wide."""

import mmap

import pytest
import torch

from statespace.kernels.causal_conv1d import causal_conv1d
from statespace.kernels.linear_scan import linear_scan
from statespace.kernels.lti_scan import lti_scan
from statespace.kernels.selective_scan import selective_scan
from statespace.kernels.ssd import ssd

APART = 2**31  # numbers between two rows, one more than an int32 holds


@pytest.fixture
def far(monkeypatch):
    """Put two rows far apart, in memory that is promised but never there: nothing between them is touched."""
    from triton.runtime.interpreter import GridExecutor

    # The interpreter copies whole storages back from the host, from where these have never moved.
    monkeypatch.setattr(GridExecutor, "_restore_args_dev", lambda *_: None)

    def spread(x):
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
        try:
            room = mmap.mmap(-1, (APART + x[0, 0].numel()) * x.element_size(), flags=flags)
        except OSError as error:
            pytest.skip(f"the system promises no more memory than there is: {error}")
        inner = x[0, 0].numel()
        flat = torch.frombuffer(room, dtype=x.dtype).as_strided((1, 2, inner), (2 * APART, APART, 1))
        return flat.copy_(x.flatten(2)).view(x.shape)

    return spread


def rows(*shape, dtype=torch.float16):
    return torch.randn(1, 2, *shape, generator=torch.Generator().manual_seed(0)).to(dtype)


A, D, held = -torch.rand(3, 2), torch.ones(3), torch.rand(3)
numbers = torch.complex(-torch.rand(3, 2), torch.rand(3, 2))
OPERATIONS = {
    "selective_scan, u": lambda x: selective_scan(x, rows(3), A, rows(2), rows(2), D, rows(3), backend="triton"),
    "selective_scan, dt": lambda x: selective_scan(rows(3), x, A, rows(2), rows(2), D, rows(3), backend="triton"),
    "selective_scan, z": lambda x: selective_scan(rows(3), rows(3), A, rows(2), rows(2), D, x, backend="triton"),
    "causal_conv1d": lambda x: causal_conv1d(x, torch.ones(3, 2), activation="silu", backend="triton"),
    "lti_scan": lambda x: lti_scan(x, numbers, numbers, numbers, backend="triton")[0],
    "linear_scan": lambda x: linear_scan(x, rows(3, dtype=x.dtype), backend="triton"),
    "ssd, x": lambda x: ssd(x[..., None], rows(3).float(), -held, rows(1, 2), rows(1, 2), backend="triton"),
    "ssd, B": lambda x: ssd(rows(3, 1), rows(3).float(), -held, x[:, :, None], rows(1, 3), backend="triton"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_rows_far_apart(far, name):
    x = rows(3, dtype=torch.float32 if name in ("lti_scan", "linear_scan") else torch.float16)
    near = x.clone().requires_grad_()
    y = OPERATIONS[name](near)
    (expected,) = torch.autograd.grad(y.sum(), near)
    distant = far(x).requires_grad_()
    found = OPERATIONS[name](distant)
    assert torch.equal(found, y)
    (grad,) = torch.autograd.grad(found.sum(), distant)
    assert torch.equal(grad, expected)
