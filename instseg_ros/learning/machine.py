"""Processors of a training."""
from __future__ import annotations

from dataclasses import dataclass

from instseg_ros.core.config import check_options, option


@dataclass(frozen=True)
class MachineConfig:
    """Processors of a training. Not a part of `TrainingConfig`: one configuration runs anywhere.

    The strategy is no option: several processes always train by data parallelism (DDP), since the
    moving average of the weights needs all weights in each process.
    """

    accelerator: str = option('auto', 'Kind of processor; auto takes a GPU if there is one',
                              choices=('auto', 'cpu', 'gpu'))
    devices: int = option(1, 'GPUs, or processes on the CPU, on each machine', minimum=1,
                          maximum=1024)
    num_nodes: int = option(1, 'Machines', minimum=1, maximum=1024)

    def __post_init__(self) -> None:
        check_options(self, 'machine')
