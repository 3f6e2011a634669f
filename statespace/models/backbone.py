"""A stack of residual blocks: the common trunk of forecasters and classifiers."""

from torch import Tensor, nn

from statespace.errors import InputError, choose
from statespace.kernels.stack_step import Program
from statespace.layers import LAYERS, ResidualBlock, State
from statespace.models.program import program_of
from statespace.models.stream import StreamedModel


class Backbone(StreamedModel):
    """Pre-norm residual blocks with a normalisation at the end.

    ``x_{i+1} = x_i + Dropout(Mix(Layer(Norm(x_i))))``, ``y = Norm(x_last)``.

    Args:
        d_model: number of channels.
        n_layers: number of blocks.
        layer: name of the layer, a key of `statespace.layers.LAYERS`.
        d_state: order of each system in the layer.
        mixing: ``"glu"``, ``"gated"`` or ``"none"``.
        dropout: probability of dropping, in [0, 1).
    Attributes:
        d_model: number of channels.
    Raises:
        InputError: an argument is out of range or its name is not known.
    """

    def __init__(
        self,
        d_model: int,
        n_layers: int = 2,
        layer: str = "s4d",
        d_state: int = 64,
        mixing: str = "glu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if n_layers < 1:
            raise InputError(f"Backbone: n_layers is {n_layers}, but at least one block is needed.")
        self.d_model = d_model
        make = LAYERS[choose("Backbone", "layer", layer, LAYERS)]
        self.blocks = nn.ModuleList(ResidualBlock(make(d_model, d_state), mixing, dropout) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model)

    def _blocks(self) -> list[ResidualBlock]:
        return [block for block in self.blocks if isinstance(block, ResidualBlock)]

    def _check_states(self, where: str, state: list[State]) -> None:
        if len(state) != len(self.blocks):
            raise InputError(
                f"{where}: state holds {len(state)} tensors, but one for each of {len(self.blocks)} blocks is "
                "expected: pass what initial_state or an earlier call gave."
            )

    def forward(
        self,
        x: Tensor,
        state: list[State] | None = None,
        lengths: Tensor | None = None,
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
        observed: Tensor | None = None,
    ) -> tuple[Tensor, list[State]]:
        """Run over whole sequences; as `ResidualBlock.forward`, with one state a block."""
        if state is not None:
            self._check_states("Backbone.forward", state)
        states: list[State] = []
        for i, block in enumerate(self._blocks()):
            before = None if state is None else state[i]
            x, after = block(x, before, lengths, dt, dt_scale, observed)
            states.append(after)
        return self.norm(x), states

    def step(
        self, x: Tensor, state: list[State], dt: Tensor | None = None, dt_scale: float = 1.0
    ) -> tuple[Tensor, list[State]]:
        """Take one sample ``(b, d)`` with one state a block; see `SequenceLayer.step`."""
        self._check_states("Backbone.step", state)
        states: list[State] = []
        for block, before in zip(self._blocks(), state, strict=True):
            x, after = block.step(x, before, dt, dt_scale)
            states.append(after)
        return self.norm(x), states

    def initial_state(self, batch: int) -> list[State]:
        """Return the state of each block before any sample."""
        return [block.layer.initial_state(batch) for block in self._blocks()]

    def program(self, dt_scale: float = 1.0) -> Program | str:
        """Return one step of the blocks and the norm as a program; see `StreamedModel.program`."""
        return program_of(self.blocks, self.norm, dt_scale)
