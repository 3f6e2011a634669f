"""The reference against torch's own convolution, and against itself in pieces."""

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F

from statespace.kernels.causal_conv1d import causal_conv1d


def reference(**arguments):
    return causal_conv1d(**arguments, backend="reference")


@pytest.mark.parametrize("width", [1, 2, 4, 7])
def test_is_torchs_convolution_with_padding_on_the_left(problem, agree, width):
    case = problem(2, 20, 5, width)

    def torchs(x, weight, bias, initial_state, activation, return_final_state):
        padded = F.pad(x.mT, (width - 1, 0))
        final = padded.mT[:, 20:]
        return F.silu(F.conv1d(padded, weight[:, None], bias, groups=5)).mT, final

    agree(case.run(reference), case.run(torchs), 1e-13)


def test_is_scipys_filter_with_its_state(problem):
    case = problem(1, 30, 1, 4, bias=False, activation=None)
    x, weight = case.tensors["x"], case.tensors["weight"]
    expected = scipy.signal.lfilter(weight[0].flip(0).numpy(), [1.0], x[0, :, 0].numpy())
    np.testing.assert_allclose(reference(x=x, weight=weight)[0, :, 0], expected, rtol=0, atol=1e-13)


def test_lengths_cut_sequences_off(problem):
    case = problem(3, 20, 2, 4, initial=True)
    x, weight, bias, state = case.tensors.values()
    lengths = torch.tensor([0, 2, 20])
    y, final = reference(x=x, weight=weight, bias=bias, initial_state=state, lengths=lengths, return_final_state=True)
    for i, length in enumerate(lengths.tolist()):
        alone, last = reference(
            x=x[i : i + 1, :length], weight=weight, bias=bias, initial_state=state[i : i + 1], return_final_state=True
        )
        assert torch.equal(y[i, :length], alone[0])
        assert (y[i, length:] == 0).all()
        assert torch.equal(final[i], last[0])
    assert torch.equal(final[1], torch.cat([state[1, 2:], x[1, :2]]))


def test_without_the_final_state_there_is_one_result(problem):
    case = problem(1, 4, 2, 3)
    assert isinstance(reference(**case.tensors), torch.Tensor)
