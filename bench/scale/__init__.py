"""The capacity of many workers and machines: measured costs, closed forms, and a simulation checked by them.

`python -m bench.scale` prints the tables of docs/scale.md. `python -m bench.scale.measure` measures the costs that no
scenario of the bench covers: Valkey, PostgreSQL, and the kernel's memory of a socket.
"""
