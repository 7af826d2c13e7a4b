"""What log and diagnostics tell about the model."""
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')
tiny_models = pytest.importorskip('tiny_models', reason='needs onnx')


@pytest.mark.parametrize('batch, max_batch, text', [
    (1, 4, 'one after another: the model file takes one image'),
    ('N', 0, 'one after another: network.max_batch is 1 here'),
    ('N', 4, 'up to 4 images of the cameras run together')])
def test_the_way_of_several_images_through_the_network_is_told(tmp_path, batch, max_batch, text):
    from instseg_ros import NetworkConfig
    from instseg_ros.core.network import Network
    from instseg_ros.node.model_text import batch_text
    tiny_models.write_tiny_model(tmp_path / 'model.onnx', batch=batch)
    network = Network(tmp_path / 'model.onnx', NetworkConfig(provider='cpu', max_batch=max_batch))
    assert text in batch_text(network)
