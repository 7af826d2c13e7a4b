"""Page-locked ("pinned") memory: a GPU copies from it directly, without a detour by the driver.

Taken from NVIDIA's driver, whose library is there wherever a GPU is, whatever CUDA was installed.
"""
from __future__ import annotations

import ctypes
import threading
import weakref
from typing import Any

import numpy as np

DRIVER = 'libcuda.so.1'
PORTABLE = 1  # CU_MEMHOSTALLOC_PORTABLE: locked for all contexts


class PinnedMemoryError(RuntimeError):
    """The driver is missing, or gives no such memory."""


class PinnedMemory:
    """Arrays in page-locked memory; safe to be called from several threads.

    Memory is taken when it is first needed. What an array was in is used again once nobody holds
    the array any more, and goes back to the driver with this object.

    Parameters
    ----------
    driver : str
        Library of the CUDA driver.
    """

    def __init__(self, driver: str = DRIVER) -> None:
        self._driver = driver
        self._stock: _Stock | None = None
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array of uint8 with any content.

        Raises
        ------
        PinnedMemoryError
            It can't be had; says why.
        """
        with self._lock:
            if self._stock is None:
                self._stock = _Stock(self._driver)
                weakref.finalize(self, self._stock.close).atexit = False
        count = int(np.prod(shape))
        # In a few sizes only: what images of one size leave behind serves others.
        size = 1 << max(count - 1, 0).bit_length()
        pointer = self._stock.take(size)
        block = (ctypes.c_uint8 * size).from_address(pointer)
        weakref.finalize(block, self._stock.give_back, size, pointer).atexit = False
        return np.frombuffer(block, np.uint8, count).reshape(shape)


class _Stock:
    """Blocks of memory that are not in use."""

    def __init__(self, driver: str) -> None:
        try:
            self._library = ctypes.CDLL(driver)
        except OSError as error:
            raise PinnedMemoryError(f'no page-locked memory: {error}') from error
        self._blocks: dict[int, list[int]] = {}
        self._closed = False
        # Reentrant: the garbage collector may give a block back while one is being taken.
        self._lock = threading.RLock()
        device = ctypes.c_int()
        self._context = ctypes.c_void_p()  # the device's primary one, as ONNX Runtime uses
        self._call('cuInit', ctypes.c_uint(0))
        self._call('cuDeviceGet', ctypes.byref(device), ctypes.c_int(0))
        self._call('cuDevicePrimaryCtxRetain', ctypes.byref(self._context), device)

    def take(self, size: int) -> int:
        """Return the address of a block."""
        with self._lock:
            blocks = self._blocks.get(size)
            if blocks:
                return blocks.pop()
        pointer = ctypes.c_void_p()
        self._call_in_context('cuMemHostAlloc', ctypes.byref(pointer), ctypes.c_size_t(size),
                              ctypes.c_uint(PORTABLE))
        return pointer.value

    def give_back(self, size: int, pointer: int) -> None:
        """Keep a block for the next time."""
        with self._lock:
            if not self._closed:
                self._blocks.setdefault(size, []).append(pointer)
                return
        self._free(pointer)

    def close(self) -> None:
        """Free the blocks, and from now on those that are given back."""
        with self._lock:
            self._closed = True
            blocks = [pointer for pointers in self._blocks.values() for pointer in pointers]
            self._blocks.clear()
        for pointer in blocks:
            self._free(pointer)

    def _free(self, pointer: int) -> None:
        self._call_in_context('cuMemFreeHost', ctypes.c_void_p(pointer))

    def _call_in_context(self, function: str, *arguments: Any) -> None:
        self._call('cuCtxPushCurrent_v2', self._context)
        try:
            self._call(function, *arguments)
        finally:
            self._call('cuCtxPopCurrent_v2', ctypes.byref(ctypes.c_void_p()))

    def _call(self, function: str, *arguments: Any) -> None:
        error = getattr(self._library, function)(*arguments)
        if error:
            name = ctypes.c_char_p()
            self._library.cuGetErrorName(ctypes.c_int(error), ctypes.byref(name))
            raise PinnedMemoryError(f'no page-locked memory: {function} of the CUDA driver says '
                                    f'{(name.value or b"error").decode()} ({error})')
