"""A million rows through ``statespace stream --detect``: rows in a second, and memory from the first to the last.

The command runs as a user runs it, a process with a pipe at each end; rows are written as fast as it takes them. Of
many series, all rows of a stamp follow each other. Memory is what the system counts as resident.

    python benchmarks/stream_rows.py
    python benchmarks/stream_rows.py --rows 100000 --series 1
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import torch
from measuring import machine, markdown, parameter

from statespace import Forecaster

SEASON, HISTORY = 24, 400
STEP = np.timedelta64(1, "h")
BEGIN = np.datetime64("2000-01-01T00", "s")


def value(steps: np.ndarray, series: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return values of some series at some steps: a season with noise, of which the phase is the series' own."""
    return np.asarray(np.sin(2 * np.pi * (steps + series) / SEASON) + 0.1 * rng.normal(size=len(steps)))


def rows(begin: int, end: int, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the rows of all series from one step to another, stamp by stamp."""
    steps, series = np.repeat(np.arange(begin, end), count), np.tile(np.arange(count), end - begin)
    return pd.DataFrame({"unique_id": series, "ds": BEGIN + steps * STEP, "y": value(steps, series, rng).round(4)})


def write(pipe: IO[bytes], total: int, count: int) -> None:
    """Write `total` rows and close the pipe."""
    rng, block = np.random.default_rng(1), max(1, 20_000 // count)
    for begin in range(0, total // count, block):
        part = rows(HISTORY + begin, HISTORY + min(begin + block, total // count), count, rng)
        pipe.write(part.to_csv(index=False, header=begin == 0).encode())
    pipe.close()


def resident(process: int) -> float:
    """Return the resident memory of a process in MB."""
    pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def worked(process: int) -> float:
    """Return the processor time that a process has had, in s: on a busy machine, less than the time that passed."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(count: int, options: argparse.Namespace) -> dict[str, Any]:
    """Stream rows of `count` series; return a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        given = {"input_size": 72, "max_steps": 50, "verbose": False} | dict(options.set)
        Forecaster(SEASON, **given).fit(rows(0, HISTORY, count, rng)).save(f"{folder}/model")
        command = [sys.executable, "-m", "statespace.cli.main", "stream", f"{folder}/model", "--detect", "--quiet"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert process.stdin is not None
        assert process.stdout is not None
        writer = threading.Thread(target=write, args=(process.stdin, options.rows, count))
        writer.start()
        process.stdout.readline()  # the header comes with the first rows: loading is over
        start, begin, done, sizes, times = time.perf_counter(), worked(process.pid), 0, [], []
        for done, _ in enumerate(process.stdout, 1):
            if done % (options.rows // 10) == 0 and done < options.rows:
                sizes.append(resident(process.pid))
                times.append((done, worked(process.pid) - begin))
        seconds = time.perf_counter() - start
        writer.join()
        if process.wait() or done != options.rows // count * count:
            sys.exit(f"stream_rows: {done} of {options.rows} rows came back, exit code {process.returncode}")
    return {
        "series": count,
        "rows": done,
        "rows/s": f"{done / seconds:.0f}",
        "rows/s of processor time": f"{times[-1][0] / times[-1][1]:.0f}",
        "MB after a tenth": f"{sizes[0]:.0f}",
        "MB at the end": f"{sizes[-1]:.0f}",
        "most": f"{max(sizes):.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--series", type=int, nargs="+", default=[1, 1000])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--set", nargs="*", default=[], type=parameter, metavar="NAME=VALUE", help="parameters of the Forecaster"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = [run(count, options) for count in options.series]
    print(f"torch {torch.__version__}; {machine(options.threads)}\n\n{markdown(found)}")


if __name__ == "__main__":
    main()
