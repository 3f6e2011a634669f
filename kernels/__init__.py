"""Tensor operations: tensors in, tensors out, each with a readable reference beside its fast backends."""

if __name__ != "statespace.kernels":
    raise ImportError(f"{__name__} is a part of statespace: import it as statespace.kernels, after 'pip install -e .'")

from statespace.kernels import gpu, native
from statespace.kernels.dispatch import prefer

__all__ = ["Backends", "backends", "prefer"]


class Backends(dict[str, str]):
    """What there is to compute with: the names of the backends, and what there is to say about each.

    It prints as one line for each backend; a value that begins with ``available`` belongs to one that can be used.
    """

    def __str__(self) -> str:
        return "\n".join(f"{name}: {status}" for name, status in self.items())


def backends() -> Backends:
    """Return which backends there are on this machine, and why one is missing.

    >>> print(backends())  # doctest: +SKIP
    triton: not usable: torch finds no GPU. Install a build of torch for CUDA or ROCm on a machine that has one.
    native: available, with AVX-512
    chunked: available on every device
    reference: available on every device, slow

    Returns:
        a dictionary from the name of the backend to its status, fastest first. It prints line by line.
    """
    missing = native.why_missing()
    return Backends(
        triton=gpu.why_missing() or f"available, on {'the CPU, interpreted' if gpu.interpreted() else 'a GPU'}",
        native=missing or f"available, with {next(iter(native.instruction_sets()))}",
        chunked="available on every device",
        reference="available on every device, slow",
    )
