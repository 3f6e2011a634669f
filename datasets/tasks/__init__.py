"""Tasks that tell sequence models apart: drawn from a seed, batch by batch, and never stored.

`TASKS` names them. Each is made with its own arguments, ``TASKS["selective-copying"](length=256)``, says what goes in
and out (`tokens`, `inputs`, `classes`, `outputs`), and gives the same batch for the same seed and index.
"""

from statespace.datasets.tasks.adding import Adding
from statespace.datasets.tasks.associative_recall import AssociativeRecall
from statespace.datasets.tasks.base import SPLITS, Batch, Task
from statespace.datasets.tasks.copying import Copying
from statespace.datasets.tasks.delay import Delay
from statespace.datasets.tasks.induction_heads import InductionHeads
from statespace.datasets.tasks.listops import ListOps
from statespace.datasets.tasks.lorenz import Lorenz
from statespace.datasets.tasks.mackey_glass import MackeyGlass
from statespace.datasets.tasks.mnist import PermutedMNIST, SequentialMNIST, read_idx
from statespace.datasets.tasks.mnist1d import MNIST1D
from statespace.datasets.tasks.published_mnist1d import PublishedMNIST1D
from statespace.datasets.tasks.reconstruction import Reconstruction
from statespace.datasets.tasks.selective_copying import SelectiveCopying
from statespace.datasets.tasks.stored import StoredTask

__all__ = [
    "MNIST1D",
    "SPLITS",
    "TASKS",
    "Adding",
    "AssociativeRecall",
    "Batch",
    "Copying",
    "Delay",
    "InductionHeads",
    "ListOps",
    "Lorenz",
    "MackeyGlass",
    "PermutedMNIST",
    "PublishedMNIST1D",
    "Reconstruction",
    "SelectiveCopying",
    "SequentialMNIST",
    "StoredTask",
    "Task",
    "read_idx",
]

TASKS: dict[str, type[Task]] = {
    "selective-copying": SelectiveCopying,
    "copying": Copying,
    "induction-heads": InductionHeads,
    "associative-recall": AssociativeRecall,
    "delay": Delay,
    "reconstruction": Reconstruction,
    "adding": Adding,
    "mnist1d": MNIST1D,
    "published-mnist1d": PublishedMNIST1D,
    "sequential-mnist": SequentialMNIST,
    "permuted-mnist": PermutedMNIST,
    "mackey-glass": MackeyGlass,
    "lorenz": Lorenz,
    "listops": ListOps,
}
"""Each task by its name."""
