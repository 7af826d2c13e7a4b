"""Measurements of `instseg benchmark`: times beside a known yardstick, in one run.

Milliseconds don't carry over from one machine to another; ratios of calls made in turns do.
Measurements for developers of this package are in the top-level folder `benchmarks/`.
"""
