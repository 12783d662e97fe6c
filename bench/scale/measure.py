"""Measures the costs in costs.py that no scenario of the bench covers: `python -m bench.scale.measure [part …]`.

Each part starts its own servers on 127.0.0.1 and stops them. It measures processor time where possible, because other
processes disturb it less than elapsed time.
"""

import argparse
import os
import tempfile
from pathlib import Path

from bench import machine
from bench.commits import fsync_ms
from bench.scale import measure_postgresql, measure_sockets, measure_valkey, measure_worker

PARTS = {
    "valkey": measure_valkey.report,
    "postgresql": measure_postgresql.report,
    "sockets": measure_sockets.report,
    "worker": measure_worker.report,
}


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.scale.measure", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all without any")
    chosen = parser.parse_args().parts or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    print(machine.describe())
    for part in chosen:
        print(f"\n{part}", flush=True)
        PARTS[part]()
        with tempfile.TemporaryDirectory() as folder:
            load, disk = os.getloadavg()[0], fsync_ms(Path(folder))
            print(f"  load average {load:.1f}, a plain write and fdatasync {disk:.2f} ms", flush=True)


if __name__ == "__main__":
    main()
