"""What the diagnostics tell about the node and its cameras."""
from __future__ import annotations

import time
from pathlib import Path
from typing import Iterable

from instseg_ros.core.network import Network
from instseg_ros.node.camera import Camera
from instseg_ros.node.diagnostics import ERROR, Conditions, Report
from instseg_ros.node.model_text import checksum_text
from instseg_ros.node.pipeline import Pipeline
from instseg_ros.node.stages import Frame, Stages


def state_text(stages: Stages | None, pipeline: Pipeline[Frame] | None, is_paused: bool) -> str:
    """Return the state of a node that has stages while configured and a pipeline while active."""
    if pipeline is not None:
        return 'active, paused' if is_paused else 'active'
    return 'unconfigured' if stages is None else 'inactive'


def check_stages(pipeline: Pipeline[Frame] | None, limit: float, conditions: Conditions) -> None:
    """Report a stage that has not returned for `limit` seconds, and that it is back."""
    step = pipeline.longest_step() if pipeline is not None else None
    if step is not None and time.monotonic() - step.began > limit:
        conditions.begin('stuck', ERROR, f'an image has been in the stage '
                         f'"{step.name.strip("_")}" for more than {limit:g} s')
    else:
        conditions.end('stuck')


def make_reports(name: str, model: Path, stages: Stages | None, cameras: Iterable[Camera],
                 conditions: Conditions) -> list[Report]:
    """Return the report of the node and that of each camera with a name.

    A camera without a name is the only one, and its values are in the node's report.

    Parameters
    ----------
    name : str
        Full name of the node.
    model : Path
        Empty before the node was configured for the first time.
    stages : Stages or None
    cameras : iterable of Camera
    conditions : Conditions
        Of the node.
    """
    now = time.monotonic()
    by_camera = {camera: camera.report(now) for camera in cameras}
    rate = sum(float(values['fps']) for values in by_camera.values())
    own = {'model': str(model) if model.name else '',
           **_network_values(stages.segmenter.network if stages else None),
           'converter': stages.converter.name if stages else '', 'fps': f'{rate:.2f}'}
    named = []
    for camera, values in by_camera.items():
        if camera.name:
            named.append(_report(f'{name}/{camera.name}', camera.conditions, values))
        else:
            own.update(values)
    return [_report(name, conditions, own), *named]


def _network_values(network: Network | None) -> dict[str, str]:
    if network is None:
        return dict.fromkeys(('model_sha256', 'provider', 'max_batch'), '')
    return {'model_sha256': checksum_text(network), 'provider': network.provider,
            'max_batch': str(network.max_batch)}


def _report(name: str, conditions: Conditions, values: dict[str, str]) -> Report:
    return Report(name, conditions.report(), {**values, 'last_error': conditions.last_error})
