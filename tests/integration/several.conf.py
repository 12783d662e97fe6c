"""gunicorn.conf.py but for its refusal of several workers: what is served here is a site's own events alone."""

from pathlib import Path
from runpy import run_path

globals().update(run_path(str(Path(__file__).parents[2] / "gunicorn.conf.py")))
del on_starting  # noqa: F821
