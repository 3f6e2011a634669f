"""The selective scan on a GPU, by Triton: real and complex A, every method, packed sequences, 16 to 64 bits.

The kernels are in forward.py and backward.py. Here they are launched, and the partial sums of their programs added up,
in an order that depends on the sizes alone: results are the same, bit by bit, from run to run.
"""

import torch
from torch import Tensor

from statespace.kernels import gpu
from statespace.kernels.selective_scan.registration import register, rows
from statespace.kernels.selective_scan.triton.backward import adjoint_ends, scan_backward
from statespace.kernels.selective_scan.triton.call import SEGMENT, Call
from statespace.kernels.selective_scan.triton.forward import carry, ends, scan


def _carry(call: Call, end: Tensor, total: Tensor, initial: Tensor | None, reverse: bool) -> Tensor:
    """Make of the ends of pieces what each of them starts from, in place, and return what the last one arrives at."""
    final = call.table(call.sequences)
    tiles = -(-call.channels // call.plan.BD)
    carry[(call.sequences * call.plan.blocks * tiles,)](
        call.A, gpu.numbers(end), total, gpu.numbers(initial), gpu.numbers(final), call.plan.pieces, call.channels,
        **call.tile, REVERSE=reverse, **gpu.options(),
    )  # fmt: skip
    return final


def _states(A: Tensor, B: Tensor, C: Tensor, method: str) -> tuple[int, int]:
    """How many states a program of the forward has, and of the backward: as many as fit into its registers.

    A complex state takes two, the slope of zoh's weight takes some, and so do B or C, and their sums over time, where
    they do not change. tests/compile sees that nothing is spilled.
    """
    held, bent = B.ndim == 2 or C.ndim == 2, method == "zoh"
    if A.is_complex():
        return 4 if held and bent else 8, 4 if held or bent else 8
    return 16, 4 if bent else 8 if held else 16


def _saved(u: Tensor, A: Tensor, cu_seqlens: Tensor | None, keep: bool) -> tuple[int, int, int]:
    """Shape of the saved states; wherever sequences begin, SEGMENT rows and the beginning of each take one."""
    segments = u.shape[0] * u.shape[1] // SEGMENT + rows(u, cu_seqlens)
    return (segments if keep else 0, A.shape[1], A.shape[0])


def forward(
    u: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    dt_softplus: bool,
    method: str,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Scan; returns y, the final state, and the saved states if they are to be kept."""
    call = Call(u, dt, A, B, C, dt_bias, z, cu_seqlens, dt_softplus, method, _states(A, B, C, method)[0])
    y, saved = call.part(u), call.new(*_saved(u, A, cu_seqlens, keep), dtype=A.dtype)
    before = None if initial_state is None else initial_state.mT.contiguous()
    with gpu.on(u):
        if call.plan.pieces == 1:
            final = last = call.table(call.sequences)
        else:
            last, end, total = None, call.table(call.places), call.new(call.places, call.channels)
            ends[call.grid](
                call.u, call.dt, call.A, call.B, call.bias, call.bounds, gpu.numbers(end), total, call.u.stride(0),
                call.dt.stride(0), **call.sizes, **call.tile, **call.options, VARYING_B=call.varying["VARYING_B"],
                **gpu.options(),
            )  # fmt: skip
            final = _carry(call, end, total, before, reverse=False)
            before = end
        scan[call.grid](
            call.u, call.dt, call.A, call.B, call.C, D, call.z, call.bias, call.bounds, gpu.numbers(before), y,
            gpu.numbers(last), gpu.numbers(saved) if keep else None, call.u.stride(0), call.dt.stride(0),
            0 if call.z is None else call.z.stride(0), call.rows, **call.sizes, **call.tile, **call.options,
            **call.varying, SEGMENT=SEGMENT, **gpu.options(registers=168),
        )  # fmt: skip
    return call.whole(y, u), final.mT.contiguous(), saved


def backward(
    grad_y: Tensor | None,
    grad_final: Tensor | None,
    saved: Tensor,
    u: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    dt_bias: Tensor | None,
    initial_state: Tensor | None,
    cu_seqlens: Tensor | None,
    dt_softplus: bool,
    method: str,
    keep: bool,
) -> tuple[Tensor, ...]:
    """Gradients of all arguments, from the saved states."""
    call = Call(u, dt, A, B, C, dt_bias, z, cu_seqlens, dt_softplus, method, _states(A, B, C, method)[1])
    plan = call.plan
    dy = gpu.lay(torch.zeros((), dtype=u.dtype, device=u.device).expand(u.shape) if grad_y is None else grad_y)
    after = None if grad_final is None else grad_final.resolve_conj().resolve_neg().mT.contiguous()
    of_initial = call.table(call.sequences)
    scratch = call.new(*call.grid, SEGMENT, plan.BN, plan.BD, dtype=A.dtype)
    du, ddt, dz = call.part(u), call.part(dt), None if z is None else call.part(z)
    dA = call.table(call.places)
    per_group = plan.tiles // call.groups
    dB, dC = (call.new(per_group, *x.shape, dtype=A.dtype) if x.ndim == 4 else call.table(call.places) for x in (B, C))
    dD, dbias = call.new(call.places, call.channels), call.new(plan.blocks, call.places, call.channels)
    last: Tensor | None = of_initial
    z_row = 0 if call.z is None else call.z.stride(0)
    with gpu.on(u):
        if plan.pieces > 1:
            end, total = call.table(call.places), call.new(call.places, call.channels)
            adjoint_ends[call.grid](
                call.dt, call.A, call.C, call.z, call.bias, call.bounds, dy, gpu.numbers(end), total,
                call.dt.stride(0), z_row, dy.stride(0), **call.sizes, **call.tile, SOFTPLUS=dt_softplus,
                VARYING_C=call.varying["VARYING_C"], **gpu.options(),
            )  # fmt: skip
            of_initial = _carry(call, end, total, after, reverse=True)
            after, last = end, None
        scan_backward[call.grid](
            call.u, call.dt, call.A, call.B, call.C, D, call.z, call.bias, call.bounds, gpu.numbers(saved),
            gpu.numbers(after), dy, du, ddt, *map(gpu.numbers, (dA, dB, dC)), dD, dz, dbias, gpu.numbers(last),
            gpu.numbers(scratch), call.u.stride(0), call.dt.stride(0), z_row, dy.stride(0),
            call.rows, **call.sizes, **call.tile, **call.options, **call.varying, SEGMENT=SEGMENT, **gpu.options(),
        )  # fmt: skip
    return (
        call.whole(du, u),
        call.whole(ddt, dt),
        dA.sum(0).T.contiguous(),
        *((part.sum(0) if x.ndim == 4 else part.sum(0).T.contiguous()).to(x.dtype) for part, x in ((dB, B), (dC, C))),
        u.new_empty(0) if D is None else dD.sum(0),
        u.new_empty(0) if z is None or dz is None else call.whole(dz, z),
        u.new_empty(0) if dt_bias is None else dbias.sum((0, 1)),
        u.new_empty(0) if initial_state is None else of_initial.mT.contiguous(),
    )


def _kept(u: Tensor, dt: Tensor, A: Tensor, *others: Tensor | bool | str | None) -> Tensor:
    cu_seqlens, keep = others[6], others[9]
    assert isinstance(keep, bool)
    assert not isinstance(cu_seqlens, bool | str)
    return A.new_empty(_saved(u, A, cu_seqlens, keep))


selective_scan = register("selective_scan_triton", forward, backward, _kept)
