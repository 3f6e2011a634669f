"""The diagonal LTI scan on a GPU, by Triton: sequential in time, one channel in each thread, the states in registers.

As by the compiled core, nothing is saved between forward and backward, see README.md. Complex numbers are pairs of
tables ``(2, n, d)``. What the rounding of a takes away in float32 is given back in each step: a is the sum of two.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from statespace.kernels import gpu
from statespace.kernels.lti_scan.registration import register

STATES = (16, 8)  # of one program, in the forward and in the backward: more would not fit into the registers


@triton.jit
def turn(a_re, a_im, b_re, b_im, x_re, x_im, EXACT: tl.constexpr):
    """``a x``, and with the rest b of a, ``(a + b) x``."""
    re = a_re * x_re - a_im * x_im
    im = a_re * x_im + a_im * x_re
    if not EXACT:
        re += b_re * x_re - b_im * x_im
        im += b_re * x_im + b_im * x_re
    return re, im


@triton.jit
def place_of(length, lengths, channels, N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr):
    """Batch element, block of states, rows, channels of a program; its states in a table ``(n, d)``; what is there."""
    pid = tl.program_id(0)
    tiles = tl.cdiv(channels, BD)
    blocks: tl.constexpr = (N + BN - 1) // BN
    d = pid % tiles * BD + tl.arange(0, BD)
    block = (pid // tiles % blocks).to(tl.int64)
    n = block * BN + tl.arange(0, BN)
    batch = (pid // tiles // blocks).to(tl.int64)
    steps = length if lengths is None else tl.load(lengths + batch)
    return batch, block, steps, d, n[:, None] * channels + d[None, :], (n < N)[:, None] & (d < channels)[None, :]


@triton.jit
def scan(
    u, a, rest, b, c, D, initial, lengths, y, final, u_row, rows, length, channels,
    N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Outputs ``(block, row, d)``, to be summed over blocks of states, and final states ``(batch, 2, n, d)``."""
    batch, block, steps, d, table, known = place_of(length, lengths, channels, N, BN, BD)
    there = d < channels
    half = N * channels
    state = batch * 2 * half + table
    a_re, a_im = tl.load(a + table, known, other=0), tl.load(a + half + table, known, other=0)
    e_re, e_im = tl.load(rest + table, known, other=0), tl.load(rest + half + table, known, other=0)
    b_re, b_im = tl.load(b + table, known, other=0), tl.load(b + half + table, known, other=0)
    c_re, c_im = tl.load(c + table, known, other=0), tl.load(c + half + table, known, other=0)
    through = 0.0 if D is None else tl.load(D + d, there & (d * 0 + block == 0), other=0)
    if initial is None:
        h_re, h_im = tl.zeros((BN, BD), a_re.dtype), tl.zeros((BN, BD), a_re.dtype)
    else:
        h_re, h_im = tl.load(initial + state, known, other=0), tl.load(initial + half + state, known, other=0)
    for t in range(steps):
        row = batch * length + t
        x = tl.load(u + row * u_row + d, there, other=0)
        h_re, h_im = turn(a_re, a_im, e_re, e_im, h_re, h_im, EXACT)
        h_re += b_re * x[None, :]
        h_im += b_im * x[None, :]
        out = tl.sum(c_re * h_re - c_im * h_im, 0) + through * x
        tl.store(y + (block * rows + row) * channels + d, out, there)
    tl.store(final + state, h_re, known)
    tl.store(final + half + state, h_im, known)


@triton.jit
def adjoint(
    u, a, rest, w, dy, after, lengths, du, sums, u_row, dy_row, rows, length, channels,
    N: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """One pass back: ``m[t] = dy[t] + ā m[t+1]`` and ``n[t] = m[t+1] + ā n[t+1]``, from `after` or from zero.

    Without `dy`, its term is missing. Writes ``du = Re sum_n w̄ m``, ``(block, row, d)``, and ``sum u m``, ``sum u n``,
    and m and n at time 0, ``(4, batch, 2, n, d)``.
    """
    batch, block, steps, d, table, known = place_of(length, lengths, channels, N, BN, BD)
    there = d < channels
    half = N * channels
    a_re, a_im = tl.load(a + table, known, other=0), -tl.load(a + half + table, known, other=0)
    e_re, e_im = tl.load(rest + table, known, other=0), -tl.load(rest + half + table, known, other=0)
    w_re, w_im = tl.load(w + table, known, other=0), tl.load(w + half + table, known, other=0)
    n_re, n_im = tl.zeros((BN, BD), a_re.dtype), tl.zeros((BN, BD), a_re.dtype)
    um_re, um_im = tl.zeros((BN, BD), a_re.dtype), tl.zeros((BN, BD), a_re.dtype)
    un_re, un_im = tl.zeros((BN, BD), a_re.dtype), tl.zeros((BN, BD), a_re.dtype)
    state = batch * 2 * half + table
    # Before each step, m stands for ``ā m[t+1]`` and n for n[t].
    if after is None:
        m_re, m_im = tl.zeros((BN, BD), a_re.dtype), tl.zeros((BN, BD), a_re.dtype)
    else:
        m_re, m_im = tl.load(after + state, known, other=0), tl.load(after + half + state, known, other=0)
    for i in range(steps):
        row = batch * length + steps - 1 - i
        x = tl.load(u + row * u_row + d, there, other=0)
        if dy is not None:
            m_re += tl.load(dy + row * dy_row + d, there, other=0)[None, :]
        tl.store(du + (block * rows + row) * channels + d, tl.sum(w_re * m_re + w_im * m_im, 0), there)
        um_re += m_re * x[None, :]
        um_im += m_im * x[None, :]
        un_re += n_re * x[None, :]
        un_im += n_im * x[None, :]
        n_re, n_im = turn(a_re, a_im, e_re, e_im, n_re, n_im, EXACT)
        n_re += m_re
        n_im += m_im
        m_re, m_im = turn(a_re, a_im, e_re, e_im, m_re, m_im, EXACT)
    place = tl.num_programs(0).to(tl.int64) // (tl.cdiv(channels, BD) * ((N + BN - 1) // BN)) * 2 * half
    tl.store(sums + state, um_re, known)
    tl.store(sums + half + state, um_im, known)
    tl.store(sums + place + state, un_re, known)
    tl.store(sums + place + half + state, un_im, known)
    tl.store(sums + 2 * place + state, m_re, known)
    tl.store(sums + 2 * place + half + state, m_im, known)
    tl.store(sums + 3 * place + state, n_re, known)
    tl.store(sums + 3 * place + half + state, n_im, known)


def _pair(z: Tensor) -> Tensor:
    """Complex ``(..., d, n)`` as two real tables, ``(..., 2, n, d)``."""
    return torch.stack((z.real, z.imag), -3).mT.contiguous()


def _complex(x: Tensor) -> Tensor:
    """The inverse of `_pair`."""
    return torch.complex(*(part.mT.contiguous() for part in x.unbind(-3)))


def _powers(log_a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Powers of one step in the precision of b, what its rounding took away, and whether that was nothing."""
    exact = torch.exp(log_a.to(torch.complex128))
    rounded = exact.to(b.dtype)
    return _pair(rounded), _pair((exact - rounded).to(b.dtype)), b.dtype == torch.complex128


def _grid(u: Tensor, states: int, most: int) -> tuple[tuple[int], dict[str, int], int]:
    """The grid, the sizes of a program, and into how many blocks the states are cut."""
    BN, BD = min(most, triton.next_power_of_2(states)), gpu.lanes()
    blocks = -(-states // BN)
    return (u.shape[0] * blocks * -(-u.shape[2] // BD),), {"N": states, "BN": BN, "BD": BD}, blocks


def forward(
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Scan; returns y and the final state."""
    batch, length, channels = u.shape
    a, rest, EXACT = _powers(log_a, b)
    grid, tile, blocks = _grid(u, b.shape[1], STATES[0])
    y = torch.empty(blocks, batch * length, channels, dtype=u.dtype, device=u.device)
    final = torch.empty(batch, 2, b.shape[1], channels, dtype=u.dtype, device=u.device)
    ends = None if lengths is None else lengths.clamp(0, length)
    if ends is not None:
        y.zero_()
    rows = gpu.lay(u)
    with gpu.on(u):
        scan[grid](
            rows, a, rest, _pair(b), _pair(c), D, None if initial_state is None else _pair(initial_state), ends, y,
            final, rows.stride(0), rows.shape[0], length, channels, **tile, EXACT=EXACT, **gpu.options(),
        )  # fmt: skip
    return (y[0] if blocks == 1 else y.sum(0)).view(u.shape), _complex(final)


def _pass(
    u: Tensor, a: Tensor, rest: Tensor, w: Tensor, dy: Tensor | None, after: Tensor | None, ends: Tensor | None,
    EXACT: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One pass back: the gradient of u, and the four sums as complex ``(4, b, d, n)``."""
    batch, length, channels = u.shape
    grid, tile, blocks = _grid(u, w.shape[1], STATES[1])
    du = torch.empty(blocks, batch * length, channels, dtype=u.dtype, device=u.device)
    if ends is not None:
        du.zero_()
    sums = torch.empty(4, batch, 2, w.shape[1], channels, dtype=u.dtype, device=u.device)
    rows, dy = gpu.lay(u), None if dy is None else gpu.lay(dy)
    with gpu.on(u):
        adjoint[grid](
            rows, a, rest, _pair(w), dy, None if after is None else _pair(after), ends, du, sums, rows.stride(0),
            0 if dy is None else dy.stride(0), rows.shape[0], length, channels, **tile, EXACT=EXACT, **gpu.options(),
        )  # fmt: skip
    return (du[0] if blocks == 1 else du.sum(0)).view(u.shape), _complex(sums)


def backward(
    grad_y: Tensor | None,
    grad_final: Tensor | None,
    u: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    lengths: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of all arguments, by the formulas and names of README.md."""
    batch, length, _ = u.shape
    a, rest, EXACT = _powers(log_a, b)
    ends = None if lengths is None else lengths.clamp(0, length)
    h = b.new_zeros(batch, *b.shape) if initial_state is None else initial_state
    bbar, cbar, hbar = b.conj_physical(), c.conj_physical(), h.conj_physical()
    du, dD = torch.zeros_like(u, memory_format=torch.contiguous_format), None
    of_mu = of_phi = b.new_zeros(4, batch, *b.shape)
    if grad_y is not None:
        du, of_mu = _pass(u, a, rest, b * c, grad_y, None, ends, EXACT)
        if D is not None:
            if ends is not None:
                inside = (torch.arange(length, device=u.device) < ends[:, None])[..., None]
                grad_y, u = torch.where(inside, grad_y, 0), torch.where(inside, u, 0)
            du, dD = du + D * grad_y, (grad_y * u).sum((0, 1), dtype=torch.float64)
    if grad_final is not None:
        more, of_phi = _pass(u, a, rest, b, None, grad_final.resolve_conj(), ends, EXACT)
        du = du + more
    u_mu, u_nu, mu, nu = of_mu.unbind()
    u_phi, u_psi, phi, psi = of_phi.unbind()
    da = (bbar * (cbar * u_nu + u_psi) + hbar * (cbar * nu + psi)).sum(0)
    abar = torch.exp(log_a.to(torch.complex128)).conj_physical()
    return (
        du,
        (abar * da).to(log_a.dtype),
        (cbar * u_mu + u_phi).sum(0),
        (bbar * u_mu + hbar * mu).sum(0),
        u.new_empty(0) if D is None else D.new_zeros(D.shape) if dD is None else dD.to(D.dtype),
        b.new_empty(0) if initial_state is None else cbar * mu + phi,
    )


lti_scan = register("lti_scan_triton", forward, backward)
