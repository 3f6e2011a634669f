"""What is refused, and the sentence that says so."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from statespace.discretization import METHODS, Discrete, discretize
from statespace.errors import InputError, ShapeError

every_form = pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name in METHODS for form in ("dense", "diagonal")]
)


def form_of(name: str, form: str) -> Callable[..., Discrete]:
    """A form of a method, with a weight where one must be given, and D = 0 where it must be."""
    method = METHODS[name]
    weight = {"alpha": 0.3} if method.alpha == "required" else {}

    def run(A: Tensor, B: Tensor, C: Tensor, D: Tensor, dt: Tensor | float) -> Discrete:
        zero = method.strictly_proper and isinstance(D, Tensor) and D.is_floating_point()
        return getattr(method, form)(A, B, C, torch.zeros_like(D) if zero else D, dt, **weight)

    return run


def good(form: str) -> dict[str, Tensor | float]:
    A = -torch.rand(3) if form == "diagonal" else -torch.eye(3)
    return {"A": A, "B": torch.ones(3, 1), "C": torch.ones(1, 3), "D": torch.zeros(1, 1), "dt": 0.1}


def refused(name: str, form: str, error: type[Exception], **changes: object) -> str:
    with pytest.raises(error) as caught:
        form_of(name, form)(**(good(form) | changes))
    message = str(caught.value)
    assert message.startswith(name.replace("-", "_") + ("_diagonal" if form == "diagonal" else "") + ": ")
    return message


@every_form
@pytest.mark.parametrize(
    "dt", [0, -0.1, float("nan"), float("inf"), np.float64(-1), torch.tensor(-0.1), torch.tensor(float("nan"))]
)
def test_a_step_that_is_not_positive_and_finite(name: str, form: str, dt: Tensor | float) -> None:
    message = refused(name, form, InputError, dt=dt)
    assert "dt is " in message
    assert "positive finite time step" in message


@every_form
@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_one_bad_step_among_many(name: str, form: str, bad: float) -> None:
    message = refused(name, form, InputError, dt=torch.tensor([0.1, bad, 0.2]))
    assert "a tensor with values from" in message
    assert "softplus" in message


@every_form
@pytest.mark.parametrize("dt", ["fast", None, torch.tensor(0.1 + 0j), torch.tensor(True)])
def test_a_step_that_is_no_real_number(name: str, form: str, dt: object) -> None:
    refused(name, form, InputError, dt=dt)


@every_form
@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"B": torch.ones(4, 1)}, r"B is (4, 1), but (..., n, m) with n = 3"),
        ({"B": torch.ones(3)}, "a single input is one column"),
        ({"C": torch.ones(1, 4)}, "C has a column for each state"),
        ({"D": torch.zeros(2, 1)}, "D has a row for each row of C"),
        ({"D": torch.zeros(1)}, "D has a row for each row of C"),
    ],
)
def test_matrices_that_disagree(name: str, form: str, changes: dict[str, Tensor], hint: str) -> None:
    assert hint in refused(name, form, ShapeError, **changes)


@pytest.mark.parametrize("name", METHODS)
def test_a_matrix_that_is_not_square(name: str) -> None:
    assert "A must be square" in refused(name, "dense", ShapeError, A=torch.ones(3, 2))
    assert "diagonal form" in refused(name, "dense", ShapeError, A=torch.ones(3))


@pytest.mark.parametrize("name", METHODS)
def test_a_diagonal_without_axes(name: str) -> None:
    assert "eigenvalues alone" in refused(name, "diagonal", ShapeError, A=torch.tensor(1.0))


@every_form
def test_leading_axes_that_do_not_broadcast(name: str, form: str) -> None:
    message = refused(name, form, ShapeError, B=torch.ones(2, 3, 1), dt=torch.ones(5))
    assert "B has (2,)" in message
    assert "dt has (5,)" in message


@every_form
@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.bool])
def test_types_that_are_not_calculated_in(name: str, form: str, dtype: torch.dtype) -> None:
    message = refused(name, form, InputError, B=torch.ones(3, 1).to(dtype))
    assert f"B is {dtype}" in message
    assert "B.to(torch.float64)" in message


@every_form
def test_arrays_are_not_tensors(name: str, form: str) -> None:
    assert "torch.as_tensor(C" in refused(name, form, InputError, C=np.ones((1, 3)))


@pytest.mark.parametrize("form", ["dense", "diagonal"])
def test_bilinear_refuses_the_eigenvalue_that_it_maps_to_infinity(form: str) -> None:
    A = torch.tensor([-1.0, 20.0, 3.0])
    message = refused("bilinear", form, InputError, A=torch.diag(A) if form == "dense" else A, dt=0.1)
    assert "choose a smaller dt, or zoh" in message


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("form", ["dense", "diagonal"])
def test_nan_in_a_matrix_stays_nan_and_in_its_own_system(name: str, form: str) -> None:
    arguments = good(form)
    A = torch.stack([arguments["A"], torch.full_like(arguments["A"], float("nan"))])
    result = form_of(name, form)(**(arguments | {"A": A}))
    assert torch.isfinite(result.A[0]).all()
    assert torch.isnan(result.A[1]).all()


@pytest.mark.parametrize("alpha", [None, -0.1, 1.5, float("nan"), "half", torch.tensor([0.1, 0.2]), torch.tensor(2.0)])
@pytest.mark.parametrize("form", ["dense", "diagonal"])
def test_a_weight_that_is_missing_or_outside_of_its_range(form: str, alpha: object) -> None:
    with pytest.raises(InputError, match=r"^gbt(_diagonal)?: alpha is ") as caught:
        getattr(METHODS["gbt"], form)(**good(form), alpha=alpha)
    assert "0 to 1" in str(caught.value) or "one real number" in str(caught.value)


@pytest.mark.parametrize("form", ["dense", "diagonal"])
def test_impulse_invariance_of_a_feedthrough(form: str) -> None:
    with pytest.raises(InputError, match="discretise with D = 0"):
        getattr(METHODS["impulse"], form)(**(good(form) | {"D": torch.ones(1, 1)}))


def test_an_unknown_method_lists_those_that_are_known() -> None:
    with pytest.raises(InputError, match=r"zoh, foh, bilinear, .* Did you mean 'bilinear'\?"):
        discretize(**good("dense"), method="bilinaer")
