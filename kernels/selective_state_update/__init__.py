"""One step of the selective scan, for streams: the state is changed in place."""

from statespace.kernels.selective_state_update.interface import BACKENDS, selective_state_update

__all__ = ["BACKENDS", "selective_state_update"]
