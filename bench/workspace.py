"""The folders of a run: the project, its results, what is installed for the bench, and a scratch folder."""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import install

PROJECT = Path(__file__).resolve().parent.parent
RESULTS = PROJECT / "bench/results"
INSTALLED = PROJECT / ".bench"


class Workspace(NamedTuple):
    """Where one run finds the load generator and the other servers, the project, and its scratch folder."""

    installed: Path
    project: Path
    scratch: Path


@contextmanager
def open_workspace(installed=INSTALLED):
    """Install what is missing, and yield the run's Workspace; its scratch folder is deleted afterwards."""
    install.prepare(installed)
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield Workspace(installed, PROJECT, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
