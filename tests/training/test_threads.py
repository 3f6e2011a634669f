"""Work in parts: the same results on any number of threads, and torch's own number as it was."""

from collections.abc import Iterator

import pytest
import torch

from statespace.training import on_threads, threads_of


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_parts_come_back_in_order_and_without_gradients(count: int) -> None:
    torch.set_num_threads(count)
    weight = torch.randn(40, 40, requires_grad=True)
    alone: list[int] = []

    def work(part: int) -> torch.Tensor:
        alone.append(torch.get_num_threads())
        return weight[part] @ weight

    found = on_threads(work, range(7))
    assert not any(part.requires_grad for part in found)
    torch.testing.assert_close(torch.stack(found), (weight @ weight)[:7].detach())
    assert alone == [1] * 7
    assert torch.get_num_threads() == count


@pytest.mark.usefixtures("threads")
def test_a_part_that_fails_leaves_the_number_of_threads_as_it_was() -> None:
    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        on_threads(lambda part: 1 / part, [1, 0, 2])
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("threads")
def test_the_number_of_threads_is_put_back() -> None:
    torch.set_num_threads(3)
    with pytest.raises(KeyError), threads_of(1) as before:  # what comes before the error is the point
        assert (before, torch.get_num_threads()) == (3, 1)
        raise KeyError
    assert torch.get_num_threads() == 3
