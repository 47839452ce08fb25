"""The rows of `benchmarks/run.py`, one subject a module; each offers `rows(sizes, rates)`."""
