"""What `instseg export` puts into the model file beside the network."""
import pytest

pytest.importorskip('torch', reason='export needs torch, the runtime does not')

import torch
from made_up import write_dataset

from instseg_ros.cli import main
from instseg_ros.core.types import ModelInfo
from instseg_ros.learning import calibration
from instseg_ros.learning.export import onnx_export as export
from instseg_ros.learning.calibration import Calibration, CalibrationReport
from instseg_ros.learning.config import DataConfig, ModelConfig, TrainingConfig
from instseg_ros.learning.module import TrainingModule


@pytest.fixture
def checkpoint(tmp_path):
    """Return a checkpoint of a small network as it is before training."""
    write_dataset(tmp_path, 3)
    config = TrainingConfig(
        DataConfig(images=str(tmp_path / 'images'), annotations=str(tmp_path / 'instances.json'),
                   classes=('background', 'box', 'post'), calibration_images=1),
        ModelConfig(embedding_size=4, width_16=8, width_8=8, width_4=8, input_size=64))
    path = tmp_path / 'untrained.ckpt'
    torch.save({'state_dict': TrainingModule(config).state_dict(), 'epoch': 0, 'global_step': 0,
                'hyper_parameters': {'config': config.to_dict()}}, path)
    return path


def test_the_model_file_holds_the_calibration_of_scores(checkpoint, monkeypatch, capsys):
    report = CalibrationReport(Calibration(2.0, 1.5), Calibration(0.75, -1.25), threshold=0.4,
                               quality={0.4: 0.2, 0.5: 0.21}, images=0, candidates=9, centers=5,
                               instances=4, right=3)
    monkeypatch.setattr(calibration, 'fit_calibration', lambda *_: report)
    written = []

    def write(network, center_calibration, info, path, *_):
        written.append((center_calibration, ModelInfo.from_metadata(info.to_metadata())))
        path.write_bytes(b'model')
        return {}

    monkeypatch.setattr(export, 'export_onnx', write)
    out = checkpoint.with_suffix('.onnx')
    assert main(['export', str(checkpoint), '--out', str(out)]) == 0
    (center_calibration, info), = written
    assert center_calibration == report.calibration
    assert (info.score_scale, info.score_shift) == (0.75, -1.25)
    assert info.training['calibration'] == {
        'images': 0, 'raw_threshold': 0.4, 'scale': 2.0, 'shift': 1.5}
    assert '3 of 4 instances are right' in capsys.readouterr().out
