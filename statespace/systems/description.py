"""What a system says of itself when it is printed."""

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from statespace.systems.system import System


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def in_short(system: "System") -> str:
    """Return form, sizes, type and time in one line."""
    batch = "" if system.B.ndim == 2 else f"{' x '.join(map(str, system.B.shape[:-2]))} systems of "
    sizes = [_count(system.n, "state"), _count(system.inputs, "input"), _count(system.outputs, "output")]
    time = "continuous"
    if system.dt is not None:
        several = isinstance(system.dt, Tensor) and system.dt.numel() != 1
        time = f"discrete, {'several steps' if several else f'dt = {float(system.dt):g} s'}"
        time += f" by {system.origin.method}" if system.origin else ""
    dtype = str(system.B.dtype).removeprefix("torch.")
    return f"{type(system).__name__}({batch}{', '.join(sizes)}, {dtype}, {time})"


def in_full(system: "System") -> str:
    """Return the line of `in_short`, and the matrices below it."""
    lines = [in_short(system)]
    for name, matrix in system.matrices():
        rows = str(matrix.detach().cpu().resolve_conj().resolve_neg().numpy()).splitlines()
        lines.append(f"{name} = " + f"\n{' ' * (len(name) + 3)}".join(rows))
    return "\n".join(lines)
