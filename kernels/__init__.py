"""Tensor operations: tensors in, tensors out, each with a readable reference beside its fast backends."""

if __name__ != "statespace.kernels":
    raise ImportError(f"{__name__} is a part of statespace: import it as statespace.kernels, after 'pip install -e .'")
