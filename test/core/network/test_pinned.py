"""Page-locked memory, from a driver that is made up for the test, as there is no GPU."""
import ctypes
import gc
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from instseg_ros.core.network import network as network_module
from instseg_ros.core.config import NetworkConfig
from instseg_ros.core.network import Network
from instseg_ros.core.network.pinned import PinnedMemory, PinnedMemoryError
from instseg_ros.core.segmenter import Segmenter
from played_gpu import play_cuda

# Functions of the CUDA driver, as cuda.h declares them. Memory can only be had and given back in
# a context that is current in the thread, and only after cuInit.
DRIVER = r'''
#include <cstdlib>
#include <atomic>
typedef int CUresult; typedef int CUdevice; typedef struct CUctx_st *CUcontext;
enum { OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_CONTEXT = 201 };
extern "C" {
std::atomic<int> allocated, freed, initialized;
size_t most = size_t(1) << 62;
static thread_local int depth = 0;
static CUcontext const primary = (CUcontext)0x123456789abcdef0;
CUresult cuInit(unsigned int flags) { if (flags) return 1; ++initialized; return 0; }
CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    if (!initialized) return NOT_INITIALIZED;
    if (ordinal) return INVALID_DEVICE;
    *device = 7; return 0; }
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    if (device != 7) return INVALID_DEVICE;
    *context = primary; return 0; }
CUresult cuCtxPushCurrent_v2(CUcontext context) {
    if (context != primary) return INVALID_CONTEXT;
    ++depth; return 0; }
CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    if (!depth) return INVALID_CONTEXT;
    --depth; *context = primary; return 0; }
CUresult cuMemHostAlloc(void **pointer, size_t size, unsigned int flags) {
    if (depth != 1 || flags != 1) return INVALID_CONTEXT;
    if (size > most || !(*pointer = malloc(size))) return OUT_OF_MEMORY;
    ++allocated; return 0; }
CUresult cuMemFreeHost(void *pointer) {
    if (depth != 1) return INVALID_CONTEXT;
    free(pointer); ++freed; return 0; }
CUresult cuGetErrorName(CUresult error, const char **name) {
    *name = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_OTHER"; return 0; }
}
'''


class Driver:
    """A library that plays the driver; counts what was taken and given back."""

    def __init__(self, path):
        self.path = str(path)
        self._library = ctypes.CDLL(self.path)

    def count(self, name):
        return ctypes.c_int.in_dll(self._library, name).value

    def allow(self, size):
        ctypes.c_size_t.in_dll(self._library, 'most').value = size


@pytest.fixture
def driver(tmp_path):
    compiler = shutil.which('g++') or shutil.which('c++')
    if compiler is None:
        pytest.skip('no C++ compiler to make up a driver with')
    (tmp_path / 'driver.cpp').write_text(DRIVER)
    library = tmp_path / 'libcuda.so'
    subprocess.run([compiler, '-shared', '-fPIC', '-o', library, tmp_path / 'driver.cpp'],
                   check=True)
    return Driver(library)


def test_arrays_are_writable_and_apart(driver):
    memory = PinnedMemory(driver.path)
    first, second = memory.empty((48, 64, 3)), memory.empty((48, 64, 3))
    first[:], second[:] = 1, 2
    assert first.shape == (48, 64, 3) and first.dtype == np.uint8 and first.flags.c_contiguous
    assert (first == 1).all() and (second == 2).all()
    assert driver.count('allocated') == 2


def test_memory_is_used_again_when_nobody_holds_it(driver):
    memory = PinnedMemory(driver.path)
    for height in (50, 60, 50, 40):  # in about the same memory
        array = memory.empty((height, 70, 3))
        view = array[1:, 2:]
        del array
        view[:] = height
        assert (view == height).all()
        del view
        gc.collect()
    assert driver.count('allocated') == 1 and driver.count('freed') == 0


def test_all_memory_goes_back_to_the_driver(driver):
    memory = PinnedMemory(driver.path)
    held, _ = memory.empty((9, 9, 3)), memory.empty((200, 9, 3))
    del _, memory
    gc.collect()
    assert driver.count('freed') == 1
    held[:] = 5  # is still there
    del held
    gc.collect()
    assert driver.count('freed') == driver.count('allocated') == 2


def test_several_threads_may_take_memory(driver):
    memory = PinnedMemory(driver.path)

    def fill(value):
        array = memory.empty((30, 30, 3))
        array[:] = value
        return bool((array == value).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(fill, list(range(250)) * 4))
    gc.collect()
    assert driver.count('allocated') <= 8


def test_a_driver_that_gives_nothing_or_is_missing_is_an_error(driver, tmp_path):
    driver.allow(100)
    with pytest.raises(PinnedMemoryError, match=r'cuMemHostAlloc of the CUDA driver says '
                                                r'CUDA_ERROR_OUT_OF_MEMORY \(2\)'):
        PinnedMemory(driver.path).empty((10, 10, 3))
    with pytest.raises(PinnedMemoryError, match='no page-locked memory: .*nowhere.so'):
        PinnedMemory(str(tmp_path / 'nowhere.so')).empty((1, 1, 3))


@pytest.fixture
def cuda(monkeypatch):
    play_cuda(monkeypatch)


def test_images_are_scaled_into_page_locked_memory(tiny_model, cuda, driver, monkeypatch):
    monkeypatch.setattr(network_module, 'PinnedMemory', lambda: PinnedMemory(driver.path))
    segmenter = Segmenter.from_onnx(tiny_model, 'cuda')
    image = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
    results = [segmenter.segment(image) for _ in range(3)]
    gc.collect()
    assert driver.count('allocated') == 1
    expected = Segmenter.from_onnx(tiny_model, 'cpu').segment(image)
    assert all(np.array_equal(result.semantic_ids, expected.semantic_ids) for result in results)


def test_without_page_locked_memory_it_goes_on_and_says_so_once(
        tiny_model, cuda, driver, monkeypatch, caplog):
    driver.allow(0)
    monkeypatch.setattr(network_module, 'PinnedMemory', lambda: PinnedMemory(driver.path))
    network = Network(tiny_model, NetworkConfig(provider='cuda'))
    for _ in range(2):
        assert network.empty_image(32, 64).shape == (32, 64, 3)
    assert caplog.text.count('images go to the GPU from ordinary memory') == 1


def test_on_the_cpu_no_driver_is_asked(tiny_model, monkeypatch):
    monkeypatch.setattr(network_module, 'PinnedMemory', lambda: pytest.fail('asked'))
    assert Network(tiny_model, NetworkConfig(provider='cpu')).empty_image(2, 3).shape == (2, 3, 3)
