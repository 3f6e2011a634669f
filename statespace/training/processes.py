"""Several processes on one machine for one function, which know of each other: started for it, and gone with it.

They are spawned: whoever calls runs once, and only the function runs in each of them. A spawned process reads the
script anew, up to ``if __name__ == "__main__":``, below which what it does has to stand.
"""

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessContext, ProcessExitedException, start_processes

from statespace.errors import InputError
from statespace.files import replace_atomically

_OPEN_SCRIPT = 77  # exit code of a process that was started by a script that would start it again
_REFUSED, _TOLD = 78, "refused-*"


def leave_if_read_anew() -> None:
    """End this process if it is a spawned one that still reads the script: nobody waits for what it would do.

    To be called before long work that comes before `together`; who has started the process says what is wrong.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself tells
        sys.exit(_OPEN_SCRIPT)


def together(where: str, count: int, function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Run ``function(*args)`` in several processes; each finds its place in ``LOCAL_RANK`` and ``WORLD_SIZE``.

    The first has this process's random numbers, and passes them on where it has left them. Ctrl-C comes to the first;
    a second one ends all.

    Args:
        where: the function that was called, for the messages.
        count: number of processes; they share the threads of this one.
        function: of a module.
        args: what can be pickled.
    Returns:
        What came out of the first: plain values and tensors by name.
    Raises:
        InputError: the function raised it, or the processes cannot be started here.
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """
    from lightning.fabric.plugins.environments.lightning import find_free_network_port

    leave_if_read_anew()
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script is not None and not Path(script).exists():
        raise InputError(
            f"{where}: {count} processes are to be started, which read the script anew, but {script} cannot be read "
            "twice: write it to a file."
        )
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.pt"
        threads = max(1, torch.get_num_threads() // count)
        told = (where, count, find_free_network_port(), threads, torch.get_rng_state(), found, function, args)
        try:
            context = start_processes(_run, told, count, join=False, start_method="spawn")
            assert isinstance(context, ProcessContext)
            with _passing_on(context):
                while not context.join():
                    pass
        except (ProcessExitedException, BrokenPipeError) as error:  # a pipe breaks where it ends before it is told all
            code = getattr(error, "exit_code", _OPEN_SCRIPT)
            if code == _OPEN_SCRIPT:
                raise InputError(
                    f"{where}: {count} processes are to be started, which read the script anew and would start others "
                    'in turn: put what the script does below `if __name__ == "__main__":`.'
                ) from None
            # Whichever came first: the others were ended, perhaps while they wrote.
            for refused in sorted(Path(folder).glob(_TOLD)):
                raise InputError(refused.read_text(encoding="utf-8")) from None
            raise
        result: dict[str, Any] = torch.load(found, weights_only=True)
    torch.set_rng_state(result.pop("random_state"))
    return result


@contextmanager
def _passing_on(context: ProcessContext) -> Iterator[None]:
    """Pass the first Ctrl-C on to the first process; end all with whatever ends the block."""
    before, pressed = None, False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        os.kill(context.processes[0].pid, signal.SIGINT)

    told = logging.getLogger("torch.multiprocessing.spawn")
    level = told.level
    told.setLevel(logging.ERROR)  # which processes it ends, where one has failed
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        told.setLevel(level)
        if before is not None:
            signal.signal(signal.SIGINT, before)
        for process in context.processes:
            if process.is_alive():
                process.kill()
            process.join()


def _run(
    rank: int,
    where: str,
    count: int,
    port: int,
    threads: int,
    random_state: torch.Tensor,
    found: Path,
    function: Callable[..., dict[str, Any]],
    args: tuple[Any, ...],
) -> None:
    """Run the function in the process number `rank`."""
    os.setpgrp()  # a terminal would send Ctrl-C to all of them
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
    }
    torch.set_num_threads(threads)
    torch.set_rng_state(random_state)
    if rank:  # what they drop and disturb are different things
        torch.manual_seed(int(torch.randint(2**62, ())) + rank)
    try:
        result = function(*args)
    except InputError as error:
        with replace_atomically(where, found.with_name(_TOLD.replace("*", str(rank)))) as beside:
            beside.write_text(str(error), encoding="utf-8")
        sys.exit(_REFUSED)
    if rank == 0:
        torch.save(result | {"random_state": torch.get_rng_state()}, found)
