"""Reading checkpoints, and checking whether a training can be resumed from one."""
from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping

import torch

from instseg_ros.datasets.config import PATHS
from instseg_ros.files import replacing
from instseg_ros.learning.build import build_network
from instseg_ros.learning.config import TrainingConfig
from instseg_ros.learning.data_record import DataRecord
from instseg_ros.learning.integrity import CHECKSUM, check_records, check_tensors, checksum
from instseg_ros.learning.model import InstanceSegmentationNetwork

FORMAT = 3
"""Version of the entry below: 2 had only numbers of images, and 1 is a file without it."""

ENTRY = 'instseg_ros'
"""Key in the file of what `CheckpointMetadata` holds beyond Lightning's own entries."""

RENAMED = {'data': {'calibration_images': 'validation_images'}}
"""Keys of the configuration in older checkpoints, by section, and what they are called now."""

FREE_TO_CHANGE = frozenset({
    *(f'{data}.{path}' for data in ('data', 'data.sets', 'data.validation') for path in PATHS),
    'data.cache_gb',
    'model.weights', 'model.blend_with', 'model.teacher', 'optimization.workers',
    'optimization.validation_period', 'optimization.monitor', 'optimization.patience'})
"""Options that may differ in a resumed training, because its curve stays the same.

The images may have moved: their labels are compared. The schedule of the learning rate depends on
the number of epochs, the batch size and the number of processes, so these must not differ.
"""

LASTING = ('state_dict', 'hyper_parameters', 'epoch', 'global_step', ENTRY,
           'pytorch-lightning_version')
"""Entries of a checkpoint that an export or a new training needs."""

logger = logging.getLogger(__name__)

NUMBER = re.compile(r'\[\d+\]')
"""Place in a list, within the name of an option."""


@dataclass(frozen=True)
class CheckpointMetadata:
    """The contents of a checkpoint beside weights and configuration.

    Attributes
    ----------
    epochs, steps : int
        Done so far.
    format : int
        Version of the file, see `FORMAT`.
    processes : int
        Of the training; 0 if unknown.
    data : DataRecord or None
        None in files of an older format.
    """

    epochs: int
    steps: int
    format: int = FORMAT
    processes: int = 0
    data: DataRecord | None = None

    @classmethod
    def from_checkpoint(cls, checkpoint: Mapping[str, Any]) -> CheckpointMetadata:
        """Read a loaded file of any format up to `FORMAT`."""
        entry = checkpoint.get(ENTRY, {'format': 1})
        data = DataRecord.from_dict(entry['data']) if 'data' in entry else None
        return cls(int(checkpoint['epoch']) + 1, int(checkpoint['global_step']),
                   int(entry['format']), int(entry.get('processes', 0)), data)

    def training_summary(self, config: TrainingConfig) -> dict[str, Any]:
        """Return the description of the training that a model file carries."""
        return {'encoder': config.model.encoder,
                'initial_weights': Path(config.model.weights).name,
                'annotations': config.data.source, 'trained': config.model.trained,
                'epochs': self.epochs, 'steps': self.steps, 'seed': config.optimization.seed}


def load_checkpoint(path: str | Path) -> tuple[InstanceSegmentationNetwork, TrainingConfig,
                                               CheckpointMetadata]:
    """Return the trained network, ready for inference, its configuration and its metadata.

    Raises
    ------
    ValueError
        The file is missing, no checkpoint of `instseg train`, or one of another version.
    """
    checkpoint, config, metadata = _read(path)
    prefix = 'network.'
    try:
        network = build_network(config)
        network.load_state_dict({name[len(prefix):]: tensor
                                 for name, tensor in checkpoint['state_dict'].items()
                                 if name.startswith(prefix)})
    except RuntimeError as error:
        raise ValueError(f'{path}: holds another network than this version builds from its '
                         f'configuration ({error})') from error
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return network.eval(), config, metadata


def write_weights(source: str | Path, target: str | Path, half: bool = False) -> None:
    """Write a checkpoint without the state of the optimizer: it can be exported, but not resumed.

    Parameters
    ----------
    source, target : path
    half : bool
        Whether kernels are stored in float16. They are loaded into float32.

    Raises
    ------
    ValueError
        The source is missing or no checkpoint.
    """
    checkpoint, _, _ = _read(source)
    if half:
        checkpoint['state_dict'] = {
            name: tensor.half() if tensor.dtype == torch.float32 and tensor.ndim > 1 else tensor
            for name, tensor in checkpoint['state_dict'].items()}
    kept = {name: value for name, value in checkpoint.items() if name in LASTING}
    if CHECKSUM in kept.get(ENTRY, {}):
        kept[ENTRY] = {**kept[ENTRY], CHECKSUM: checksum(kept)}
    with replacing(target) as temporary:
        torch.save(kept, temporary)


def check_resumable(path: str | Path, config: TrainingConfig, data: DataRecord,
                    processes: int) -> int:
    """Check that a resumed training gives what an uninterrupted one would give.

    Returns
    -------
    int
        Steps that are done.

    Raises
    ------
    ValueError
        It would not, naming all that differs; or the file has weights only.
    """
    checkpoint, theirs, metadata = _read(path)
    advice = ('to train on under other conditions, start a new training from it: model.weights '
              'takes the path of a checkpoint')
    if metadata.data is None:
        raise ValueError(f'{path}: of format {metadata.format}, this version resumes format '
                         f'{FORMAT}; {advice}')
    if 'optimizer_states' not in checkpoint:
        raise ValueError(f'{path}: has no state of the optimizer, so no training can be resumed '
                         f'from it; {advice}')
    found = differences(theirs.to_dict(), config.to_dict())
    found += differences({'processes': metadata.processes, 'data': _numbers(metadata.data)},
                         {'processes': processes, 'data': _numbers(data)})
    changed = metadata.data.validation_differences(data.validation)
    if changed:
        found.append(f'data.validation: {changed}')
    if found:
        raise ValueError(f'{path} can not be resumed, as it would not be the same training: '
                         f'{"; ".join(found)}; {advice}')
    return metadata.steps


def _numbers(data: DataRecord) -> dict[str, Any]:
    return {'training_images': data.training_images,
            'class_frequencies': list(data.class_frequencies)}


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """Return a phrase for each option that matters and that differs."""
    then, now = dict(_flat(theirs)), dict(_flat(ours))
    return [f'{key}: {_words(then.get(key))} in the checkpoint, {_words(now.get(key))} now'
            for key in {**then, **now}
            if NUMBER.sub('', key) not in FREE_TO_CHANGE and then.get(key) != now.get(key)]


def _flat(values: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f'{prefix}{key}.')
        elif isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
            for number, item in enumerate(value):
                yield from _flat(item, f'{prefix}{key}[{number}].')
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ', '.join(map(_words, value))
    return f'{value:.4g}' if isinstance(value, float) else str(value)


def _read(path: str | Path) -> tuple[dict[str, Any], TrainingConfig, CheckpointMetadata]:
    if not Path(path).exists():
        raise ValueError(f'{path}: no such checkpoint')
    if not Path(path).is_file():
        raise ValueError(f'{path}: expected a checkpoint, got a folder, device, pipe or socket')
    refused = f'{path}: not a checkpoint of "instseg train"'
    try:
        check_records(path)
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # whatever torch finds in a file that is no checkpoint
        raise ValueError(f'{refused} ({error})') from error
    values = _checked_entries(checkpoint, refused)
    try:
        metadata = CheckpointMetadata.from_checkpoint(checkpoint)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f'{refused} (its entry "{ENTRY}": {error!r})') from error
    if metadata.format > FORMAT:
        raise ValueError(f'{path}: of format {metadata.format}, this version reads up to '
                         f'{FORMAT}')
    if CHECKSUM in checkpoint.get(ENTRY, {}):
        try:
            check_tensors(checkpoint, checkpoint[ENTRY][CHECKSUM])
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        except RuntimeError as error:  # of sparse tensors, which have no bytes to check
            raise ValueError(f'{refused} ({error})') from error
    else:
        logger.warning('%s: names no checksum of its weights, as checkpoints of this version do',
                       path)
    try:
        return checkpoint, TrainingConfig.from_dict(_renamed(values)), metadata
    except ValueError as error:
        raise ValueError(f'{path}: made with a configuration that this version does not '
                         f'understand ({error})') from error


def _checked_entries(checkpoint: Any, refused: str) -> Mapping[str, Mapping[str, Any]]:
    """Check that a checkpoint has all that is read of it, and return its configuration."""
    if not isinstance(checkpoint, dict):
        raise ValueError(f'{refused} (expected a dictionary, got a {type(checkpoint).__name__})')
    for name in ('epoch', 'global_step'):
        value = checkpoint.get(name)
        if type(value) is not int or value < -1:  # -1 epochs: those before the first
            raise ValueError(f'{refused} (expected a number as "{name}", got {value!r:.80})')
    state = checkpoint.get('state_dict')
    if not isinstance(state, dict) or not state or not all(
            isinstance(name, str) and isinstance(value, torch.Tensor)
            for name, value in state.items()):
        raise ValueError(f'{refused} (expected weights by their names as "state_dict", got '
                         f'{type(state).__name__})')
    parameters = checkpoint.get('hyper_parameters')
    values = parameters.get('config') if isinstance(parameters, dict) else None
    if not isinstance(values, dict) or not all(
            isinstance(name, str) and isinstance(section, dict)
            for name, section in values.items()):
        raise ValueError(f'{refused} (it has no configuration)')
    return values


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of a configuration with today's names of their keys."""
    return {name: {RENAMED.get(name, {}).get(key, key): value for key, value in section.items()}
            for name, section in values.items()}
