"""The configuration of a training, read from one YAML file."""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Collection, Mapping

from instseg_ros.core.config import check_options, option
from instseg_ros.datasets.config import PATHS as DATA_PATHS
from instseg_ros.datasets.config import DataConfig, refuse_unknown, resolve_path
from instseg_ros.learning.augmentation import AugmentationConfig
from instseg_ros.learning.detector.heads import STRIDES
from instseg_ros.learning.encoders import DETECTORS, ENCODERS
from instseg_ros.learning.encoders.encoder import TENSOR_FILES
from instseg_ros.learning.losses import LossConfig
from instseg_ros.yaml_files import read_yaml

OUTPUT_STRIDES = (8, 4, 2, 1)

PATHS = {'data': DATA_PATHS, 'model': ('weights', 'blend_with', 'teacher')}
"""Options that are paths, by section."""

TRAINED_PARTS = {'instances': ('center', 'embedding'), 'semantic': ('semantic',),
                 'classes': ('semantic_encoder', 'semantic'),
                 'center': ('center',), 'embedding': ('embedding',),
                 'background': ('background',), 'assignment': ('assignment',),
                 'decoders': ('semantic', 'center', 'embedding', 'background',
                              *(f'heads.{stride}.output' for stride in STRIDES))}
"""Parts of the network that can be trained without the rest; a network has all or some of them."""


@dataclass(frozen=True)
class ModelConfig:
    """What network is trained."""

    encoder: str = option('mobilenet_v2', 'Name of the encoder', choices=tuple(ENCODERS))
    weights: str = option('', 'Initial weights: for the encoder (.safetensors, or .pth in '
                          "torchvision's layout for ResNets), or of the whole network: a "
                          'checkpoint (.ckpt), or the model file of a network that starts from a '
                          'detector (.onnx), whose classes are matched by name; empty: random')
    teacher: tuple[str, ...] = option((), 'Networks whose class probabilities training keeps '
                                      'near, see loss.distillation_weight: a path or several, of '
                                      'checkpoints (.ckpt) or of weights of DeepLabV3 trained on '
                                      'PASCAL VOC, as for the encoder mobilenet_v2 '
                                      '(.safetensors)')
    blend_with: str = option('', 'Weights that the encoder of a checkpoint in model.weights once '
                             'started from; training starts between the two')
    blend: float = option(0.3, "The checkpoint's share in that mixture", minimum=0.0, maximum=1.0)
    trained: str = option('all', 'What is trained; the rest stays as it is',
                          choices=('all', *TRAINED_PARTS))
    frozen_stages: int = option(0, 'The first stages of each encoder that are not trained; '
                                'mobilenet_v2 has 7, the others have 5', minimum=0, maximum=16)
    output_stride: int = option(4, 'Pixels of the input per pixel of the output: 8, 4, 2 or 1; '
                                'the finer, the slower, see docs/method.md', unit='px',
                                minimum=1, maximum=8)
    embedding_size: int = option(32, "Length of a pixel's embedding", minimum=2, maximum=256)
    position: bool = option(True, "Whether a pixel's position is added to its embedding")
    width_16: int = option(128, 'Channels of the decoders at stride 16', minimum=8, maximum=1024)
    width_8: int = option(96, 'Channels of the decoders at stride 8', minimum=8, maximum=1024)
    width_4: int = option(48, 'Channels of the decoders at stride 4', minimum=8, maximum=1024)
    width_2: int = option(32, 'Channels of the decoders at stride 2', minimum=8, maximum=1024)
    width_1: int = option(16, 'Channels of the decoders at stride 1', minimum=8, maximum=1024)
    semantic_encoder: str = option('', 'Encoder of its own for the classes, beside the one of a '
                                   'detector; empty: they share', choices=('', *ENCODERS))
    semantic_classes: int = option(0, 'So many of the first classes are known to the decoder of '
                                   'the semantic encoder; a decoder of its own divides the '
                                   'background among the others. 0: all', minimum=0, maximum=255)
    background_width: int = option(96, 'Channels of the decoder that divides the background',
                                   minimum=8, maximum=1024)
    residual_width: int = option(64, 'Channels of the decoders that add to the centers and boxes '
                                 'of a detector; 0: none', minimum=0, maximum=1024)
    assignment_width: int = option(0, 'Channels of the decoder that learns which center of a '
                                   'detector a pixel belongs to; 0: none', minimum=0,
                                   maximum=1024)
    evidence_gain: float = option(1.0, 'What a box of score 1 adds to the logit of its class, '
                                  'before training', minimum=0.0, maximum=100.0)
    evidence_loss: float = option(2.0, 'What no box takes away from the logit of a class, before '
                                  'training', minimum=0.0, maximum=100.0)
    dropout: float = option(0.1, "Share of the decoders' channels that training switches off",
                            minimum=0.0, maximum=0.9)
    input_size: int = option(768, 'Long side of the images at inference', unit='px', minimum=64,
                             maximum=8192)

    def __post_init__(self) -> None:
        check_options(self, 'model')
        self._freeze_teachers()
        if self.blend_with and not self.weights.endswith('.ckpt'):
            raise ValueError('model.blend_with: expected a checkpoint (.ckpt) in model.weights to '
                             f'blend with, got {self.weights!r}')
        if self.blend_with and self.encoder in DETECTORS:
            raise ValueError('model.blend_with: only for other encoders than those of a detector '
                             f'({", ".join(DETECTORS)}), got {self.encoder}')
        if self.semantic_encoder and self.encoder not in DETECTORS:
            raise ValueError('model.semantic_encoder: only for the encoders of a detector '
                             f'({", ".join(DETECTORS)}), got {self.encoder}')
        if self.assignment_width and self.encoder not in DETECTORS:
            raise ValueError('model.assignment_width: only for the encoders of a detector '
                             f'({", ".join(DETECTORS)}), got {self.encoder}')
        if self.semantic_classes and not self.semantic_encoder:
            raise ValueError('model.semantic_classes: only beside model.semantic_encoder, '
                             f'got {self.semantic_classes} without one')
        if self.output_stride not in OUTPUT_STRIDES:
            raise ValueError('model.output_stride: expected one of '
                             f'{", ".join(map(str, OUTPUT_STRIDES))}, got {self.output_stride}')

    def _freeze_teachers(self) -> None:
        given: Any = self.teacher
        paths = [given] if isinstance(given, str) else given
        if not isinstance(paths, (list, tuple)) or not all(
                isinstance(path, str) for path in paths):
            raise ValueError('model.teacher: expected a path or a list of paths, got '
                             f'{given!r:.200}')
        object.__setattr__(self, 'teacher', tuple(path for path in paths if path))

    @property
    def widths(self) -> dict[int, int]:
        """Stride and channels of the decoders' levels, down to the output stride."""
        widths = {16: self.width_16, 8: self.width_8, 4: self.width_4, 2: self.width_2,
                  1: self.width_1}
        return {stride: width for stride, width in widths.items() if stride >= self.output_stride}


PRECISIONS = {'fp32': '32-true', 'bf16': 'bf16-mixed', 'fp16': '16-mixed'}
"""Names of arithmetic, and what Lightning calls them."""


@dataclass(frozen=True)
class OptimizationConfig:
    """Optimizer, schedule and validation."""

    epochs: int = option(100, 'Passes over the training images', minimum=1)
    batch_size: int = option(8, 'Crops in a step, of each device', minimum=2, maximum=4096)
    learning_rate: float = option(0.002, 'Peak of the one-cycle schedule, for the decoders',
                                  minimum=0.0, maximum=1.0)
    encoder_factor: float = option(0.1, "The encoder's learning rate, relative to the decoders'",
                                   minimum=0.0, maximum=1.0)
    weight_decay: float = option(0.05, 'Weight decay of AdamW', minimum=0.0, maximum=1.0)
    clip_norm: float = option(5.0, 'Gradients are clipped to this norm', minimum=0.0)
    ema_decay: float = option(0.998, 'Decay of the moving average of the weights, for a step',
                              minimum=0.0, maximum=1.0)
    precision: str = option('bf16', 'Arithmetic; bf16 and fp16 keep weights in fp32',
                            choices=tuple(PRECISIONS))
    validation_period: int = option(5, 'Epochs between validations; the last epoch is always '
                                    'validated', unit='epochs', minimum=1)
    monitor: str = option('pq_things', 'Validation metric by which the best checkpoint is chosen: '
                          'panoptic quality of things, mean IoU, or total loss',
                          choices=('pq_things', 'miou', 'total'))
    patience: int = option(0, 'Training stops early if that metric has not improved for so many '
                           'epochs; 0: never', unit='epochs', minimum=0)
    seed: int = option(1, 'Seed of everything random', minimum=0, maximum=2 ** 32 - 1)
    workers: int = option(1, 'Processes that prepare crops', minimum=0, maximum=256)

    def __post_init__(self) -> None:
        # Older checkpoints have Lightning's names.
        for name, theirs in PRECISIONS.items():
            if self.precision == theirs:
                object.__setattr__(self, 'precision', name)
        check_options(self, 'optimization')


@dataclass(frozen=True)
class TrainingConfig:
    """A whole training: the sections of the YAML file."""

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)

    def __post_init__(self) -> None:
        if self.loss.distillation_weight and not self.model.teacher:
            raise ValueError('model.teacher: expected a network, as loss.distillation_weight is '
                             'not 0, got nothing')
        if self.loss.score_weight and self.model.encoder not in DETECTORS:
            raise ValueError('loss.score_weight: only for the encoders of a detector '
                             f'({", ".join(DETECTORS)}), got {self.model.encoder}')
        if self.loss.assignment_weight and not self.model.assignment_width:
            raise ValueError('model.assignment_width: expected channels, as '
                             'loss.assignment_weight is not 0, got 0')
        if self.model.trained == 'assignment' and not self.loss.assignment_weight:
            raise ValueError('loss.assignment_weight: expected more than 0, as model.trained is '
                             '"assignment", got 0')
        if self.loss.consistency_weight and self.model.encoder not in DETECTORS:
            raise ValueError('loss.consistency_weight: only for the encoders of a detector '
                             f'({", ".join(DETECTORS)}), got {self.model.encoder}')
        starts = *TENSOR_FILES, '.ckpt'
        if self.loss.consistency_weight and not self.model.weights.endswith(starts):
            raise ValueError("model.weights: expected a detector's weights or a checkpoint "
                             f'({", ".join(starts)}), as loss.consistency_weight is not 0, '
                             f'got {self.model.weights or "nothing"}')

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """Build from nested mappings; unknown sections and keys are refused.

        Raises
        ------
        ValueError
            Naming the key, what was expected and what came.
        """
        sections = {'data': DataConfig, 'model': ModelConfig, 'augmentation': AugmentationConfig,
                    'loss': LossConfig, 'optimization': OptimizationConfig}
        refuse_unknown('', values, sections)
        if 'data' not in values:
            raise ValueError('section "data" is missing: expected the paths of images and '
                             'annotations in it')
        built = {}
        for name, section in values.items():
            _check_section(name, section)
            known = [item.name for item in dataclasses.fields(sections[name])]
            refuse_unknown(f'{name}.', section, known)
            built[name] = sections[name](**section)
        return cls(**built)

    @classmethod
    def from_yaml(cls, path: str | Path,
                  overrides: Mapping[str, Any] = MappingProxyType({})) -> TrainingConfig:
        """Read a YAML file.

        Paths in it may contain environment variables, as in `${INSTSEG_DATA}/images`; relative
        ones are relative to the folder of the file. With the key `base`, the path of another such
        file, it only has what differs from that one; a list or mapping is replaced as a whole.

        Parameters
        ----------
        path : path
        overrides : mapping of str to value
            Values that replace those of the file, named SECTION.KEY. Relative paths among them
            are relative to the working directory.

        Raises
        ------
        ValueError
            The file can't be read, or a value is wrong; naming the file and the key.
        """
        sections = _read_sections(Path(path), overrides)
        try:
            return cls.from_dict(sections)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain nested dictionaries, as `from_dict` takes them."""
        return dataclasses.asdict(self)


def _read_sections(path: Path, overrides: Mapping[str, Any], above: tuple[Path, ...] = ()
                   ) -> dict[str, Any]:
    """Return the sections of a file and of its bases, with overridden values and resolved paths.

    `above` are the files whose base this one is.
    """
    try:
        values = read_yaml(path)
    except OSError as error:
        raise ValueError(f'{path}: {error.strerror}') from error
    if not isinstance(values, Mapping):
        raise ValueError(f'{path}: expected sections such as "data" and "model"')
    here = path.resolve()
    try:
        sections = _resolved({name: section for name, section in values.items()
                              if name != 'base'}, overrides, here.parent)
        if 'base' not in values:
            return sections
        base = Path(resolve_path(values['base'], here.parent, 'base'))
        if base.resolve() in (*above, here):
            raise ValueError(f'base: expected another file than those with this base, got {base}')
        for name, section in sections.items():
            _check_section(name, section)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return {**sections, **_read_sections(base, {
        f'{name}.{key}': value for name, section in sections.items()
        for key, value in section.items()}, (*above, here))}


def _check_section(name: str, section: Any) -> None:
    if not isinstance(section, Mapping):
        raise ValueError(f'{name}: expected a section with keys, got {section!r}')


def _resolved(values: Mapping[str, Any], overrides: Mapping[str, Any],
              folder: Path) -> dict[str, Any]:
    """Return sections with overridden values and with paths that don't depend on a folder."""
    sections = {name: dict(section) if isinstance(section, Mapping) else section
                for name, section in values.items()}
    paths = {(section, key) for section, keys in PATHS.items() for key in keys}
    for name, value in overrides.items():
        section, _, key = name.partition('.')
        items = sections.setdefault(section, {})
        if isinstance(items, dict):
            items[key] = (_resolved_paths(value, Path.cwd(), name) if (section, key) in paths
                          else value)
    for section, keys in PATHS.items():
        if isinstance(sections.get(section), dict):
            sections[section] = _resolved_section(sections[section], keys, folder, section)
    return sections


def _resolved_section(values: Mapping[str, Any], keys: Collection[str], folder: Path,
                      prefix: str) -> dict[str, Any]:
    """Return a section with resolved paths, also in the data sets that it holds."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        name = f'{prefix}.{key}'
        if isinstance(value, Mapping):
            result[key] = _resolved_section(value, keys, folder, name)
        elif key in keys:
            result[key] = _resolved_paths(value, folder, name)
        elif isinstance(value, list):
            result[key] = [_resolved_section(item, keys, folder, f'{name}[{k}]')
                           if isinstance(item, Mapping) else item
                           for k, item in enumerate(value)]
        else:
            result[key] = value
    return result


def _resolved_paths(value: Any, folder: Path, name: str) -> str | list[str]:
    if isinstance(value, list):
        return [resolve_path(item, folder, f'{name}[{k}]') for k, item in enumerate(value)]
    return resolve_path(value, folder, name)
