"""Where a training runs: on which processors, and on how many of them."""
from __future__ import annotations

from dataclasses import dataclass

from instseg_ros.core.config import check_options, option


@dataclass(frozen=True)
class MachineConfig:
    """Which processors train. Not a part of `TrainingConfig`: one configuration runs anywhere.

    There is no choice of a strategy: several processes always train by data parallelism (DDP), as
    the moving average of the weights needs all of them in each process.
    """

    accelerator: str = option('auto', 'What computes; auto takes a GPU where there is one',
                              choices=('auto', 'cpu', 'gpu'))
    devices: int = option(1, 'GPUs, or processes on the CPU, on each machine', minimum=1,
                          maximum=1024)
    num_nodes: int = option(1, 'Machines', minimum=1, maximum=1024)

    def __post_init__(self) -> None:
        check_options(self, 'machine')
