"""The steps Δ that selective layers take, watched from outside, and a price on them.

    penalty = Σ over selective layers of  mean over sequences, positions and channels of  log(Δ + ε),   ε = 1e-6

A selective layer holds its state where Δ is small: what it has stored fades by ``exp(A Δ)`` with each sample. Training
at a short length teaches it to hold for that length and no longer, since the loss has nothing more to say. The mean of
the logarithm goes on pulling, by the same amount at every order of magnitude, until Δ is a millionth and the state
outlives a million samples; where the task needs a step, its own loss outweighs the pull.

Source: ours. It follows from the role of Δ in Gu and Dao 2023 (Mamba, arXiv:2312.00752), section 3.5.2, where a small Δ
persists the state.
"""

from types import TracebackType

import torch
from torch import Tensor, nn

from statespace.errors import InputError
from statespace.layers import S6

EPSILON = 1e-6


class StepSizes:
    """Watch the steps of all `S6` in a model while the block runs.

    Args:
        model: any module.
    Raises:
        InputError: there is no `S6` in `model`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [module for module in model.modules() if isinstance(module, S6)]
        if not self._layers:
            raise InputError(
                "StepSizes: the model has no selective layer of the kind S6 or Mamba, so no steps that follow the "
                "input: pass step_penalty=0, or take layer='mamba'."
            )
        self.seen: list[Tensor] = []
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def _note(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, S6)
        self.seen.append(layer.step_sizes(inputs[0]))

    def __enter__(self) -> "StepSizes":
        """Begin to watch."""
        self._hooks = [layer.register_forward_pre_hook(self._note) for layer in self._layers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget what was seen."""
        for hook in self._hooks:
            hook.remove()
        self.seen.clear()

    def mean_log(self) -> Tensor:
        """Return the penalty of the module's equation over all that was seen, a scalar."""
        return torch.stack([torch.log(step + EPSILON).mean() for step in self.seen]).sum()
