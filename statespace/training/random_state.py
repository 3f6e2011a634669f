"""A module whose checkpoints hold the state of torch's random numbers, from which dropout and disturbances draw."""

import torch
from lightning.pytorch import LightningModule
from torch import Tensor


class RandomStateModule(LightningModule):
    """Go on, after a resume, with the random numbers that would have come next."""

    def __init__(self) -> None:
        super().__init__()
        self._random: Tensor | None = None

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Keep the state of each process."""
        states = self.all_gather(torch.get_rng_state())
        assert isinstance(states, Tensor)
        checkpoint["random_state"] = states.reshape(self.trainer.world_size, -1)

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Take it out again."""
        states = checkpoint["random_state"]
        assert isinstance(states, Tensor)
        self._random = states[self.trainer.global_rank].clone()  # torch reads past the end of a part of a tensor

    def on_train_start(self) -> None:
        """Put it in place, where training goes on."""
        self._restore()

    def on_fit_end(self) -> None:
        """Put it in place, where nothing was left to train."""
        self._restore()

    def _restore(self) -> None:
        if self._random is not None:
            torch.set_rng_state(self._random.cpu())
            self._random = None
