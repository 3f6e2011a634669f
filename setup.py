"""All else is in pyproject.toml; this compiles the files of the core side by side."""

import os
from concurrent.futures import ThreadPoolExecutor

from setuptools import setup
from setuptools.command.build_ext import build_ext

AT_MOST = 8  # a compiler takes up to half a gigabyte


class BuildOnAllCores(build_ext):
    """setuptools compiles the files of one extension one after the other, which takes minutes for the core."""

    def build_extensions(self) -> None:
        """Give the compiler one file at a time, from as many threads as there are cores for this process."""
        compile_files = self.compiler.compile
        own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

        def compile_side_by_side(sources: list[str], **options: object) -> list[str]:
            with ThreadPoolExecutor(min(own, AT_MOST)) as pool:
                compiled = pool.map(lambda source: compile_files([source], **options), sources)
                return [name for names in compiled for name in names]

        self.compiler.compile = compile_side_by_side
        super().build_extensions()


setup(cmdclass={"build_ext": BuildOnAllCores})
