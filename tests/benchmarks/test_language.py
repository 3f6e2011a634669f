"""The benchmark of the language model: it runs, and both sides do the same work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_prompts_and_tokens_are_timed_beside_transformers(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    file = tmp_path / "rows.json"
    command = [sys.executable, str(repository / "benchmarks" / "language.py"), "--quick", "--json", str(file)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    times = json.loads(file.read_text())["time"]
    assert set(times) == {"default", "memory kept"}
    for rows in times.values():
        assert [(row["layers"], row["of"]) for row in rows] == [
            (kind, what) for kind in ("mamba", "mamba2") for what in ("prompt, ms", "token, ms")
        ]
        for row in rows:
            assert row["transformers / MambaLM"] == pytest.approx(row["transformers"] / row["MambaLM"])
            for way in ("generate", "stream"):
                assert (row[way] is None) == (row["of"] == "prompt, ms")
    assert done.stdout.count("| layers | d | of | MambaLM | generate | stream | transformers |") == 2
