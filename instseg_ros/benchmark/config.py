"""The options of the benchmark, once; the command's flags are made from them."""
from __future__ import annotations

from dataclasses import dataclass

from instseg_ros.core.config import check_options, option


@dataclass(frozen=True)
class BenchmarkConfig:
    """How often what is called, and the made-up street that it is called on."""

    threads: int = option(0, 'Threads of network and refinement; 0 takes one for each core',
                          minimum=0, maximum=1024)
    rounds: int = option(5, 'Calls of the slow ones; the quick are called more often',
                         minimum=1, maximum=10_000)
    instances: int = option(50, 'Objects in the street', minimum=0, maximum=10_000)
    classes: int = option(19, 'Classes, about 8 of 19 with objects; the model has its own',
                          minimum=1, maximum=255)
    output_stride: int = option(4, 'Pixels of the image per pixel of the label maps; the model '
                                'has its own', minimum=1, maximum=64)

    def __post_init__(self) -> None:
        check_options(self, '')
