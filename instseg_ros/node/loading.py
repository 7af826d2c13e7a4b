"""A model, ready for its first image."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from instseg_ros.core import depth, tracking
from instseg_ros.core.compiled import watch_compilation
from instseg_ros.core.segmenter import Segmenter
from instseg_ros.node.options import Configs


def load_segmenter(path: Path, configs: Configs, logger: Any,
                   is_interrupted: Callable[[], bool]) -> Segmenter:
    """Load a model and whatever its first image, or a change of options, would wait for.

    Parameters
    ----------
    path : Path
    configs : Configs
    logger : rclpy.impl.rcutils_logger.RcutilsLogger
        Kernels that have to be compiled are logged one by one.
    is_interrupted : callable
        Whether a signal came, which must not wait for the end of loading.

    Raises
    ------
    ModelError
        The model can't be loaded.
    KeyboardInterrupt
        A signal came.
    """
    def end_if_interrupted() -> None:
        if is_interrupted():
            raise KeyboardInterrupt

    def log(kernel: str, ready: int, total: int) -> None:
        end_if_interrupted()
        logger.info(f'compiling kernels, once on this machine: {ready + 1} of {total} '
                    f'({kernel.lstrip("_")}); "instseg warm-up" does it in advance')

    end_if_interrupted()
    segmenter = Segmenter.from_onnx(path, network=configs.network, grouping=configs.grouping,
                                    refinement=configs.refinement, selection=configs.selection)
    with watch_compilation(log):
        end_if_interrupted()
        segmenter.warm_up()
        tracking.warm_up()
        if any(config.enabled for config in configs.depths.values()):
            depth.warm_up()
    end_if_interrupted()
    return segmenter
