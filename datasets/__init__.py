"""Bundled series, readers of tables, and generators of tasks."""

if __name__ != "statespace.datasets":
    raise ImportError(f"{__name__} is a part of statespace: import it as statespace.datasets, after 'pip install -e .'")

from statespace.datasets.archives import Cases, read_archive
from statespace.datasets.audio import Audio, read_audio
from statespace.datasets.bundled import DATASETS, Series, load, names
from statespace.datasets.cases import CASES, load_cases
from statespace.datasets.live_audio import LiveAudio, read_live
from statespace.datasets.parts import each_part, part_files, read_parts
from statespace.datasets.readers import SUFFIXES, read_frame, write_frame
from statespace.datasets.recordings import Recordings, read_recordings
from statespace.datasets.resampling import resample
from statespace.datasets.signals import SIGNALS, load_signal
from statespace.datasets.stored import StoredFile, StoredSignals

__all__ = [
    "CASES",
    "DATASETS",
    "SIGNALS",
    "SUFFIXES",
    "Audio",
    "Cases",
    "LiveAudio",
    "Recordings",
    "Series",
    "StoredFile",
    "StoredSignals",
    "each_part",
    "load",
    "load_cases",
    "load_signal",
    "names",
    "part_files",
    "read_archive",
    "read_audio",
    "read_frame",
    "read_live",
    "read_parts",
    "read_recordings",
    "resample",
    "write_frame",
]
