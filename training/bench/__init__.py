"""Benchmarks. `make bench` runs them all and writes docs/benchmarks.md; each module also runs on its own."""
