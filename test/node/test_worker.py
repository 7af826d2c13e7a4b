"""A thread for calls one after another."""
import subprocess
import sys
import threading
import weakref

import pytest

from instseg_ros.node.worker import Worker

TIMEOUT = 60.0


def test_calls_run_in_order_in_one_thread():
    worker, seen = Worker('one'), []
    for number in range(100):
        worker.submit(lambda number=number: seen.append((number, threading.get_ident())))
    assert worker.close(TIMEOUT)
    assert [number for number, _ in seen] == list(range(100))
    assert len({thread for _, thread in seen}) == 1


@pytest.mark.parametrize('error', [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_no_exception_ends_it(error, caplog):
    def fail():
        raise error('the lamp is off')
    worker, seen = Worker('one'), []
    worker.submit(fail)
    worker.submit(seen.append, 1)
    assert worker.close(TIMEOUT)
    assert seen == [1]
    assert 'the lamp is off' in caplog.text


def test_a_call_that_does_not_return_delays_nobody_for_longer_than_asked():
    worker, released = Worker('one'), threading.Event()
    worker.submit(released.wait)
    assert not worker.close(0.01)
    released.set()
    assert worker.close(TIMEOUT)


def test_it_keeps_nothing_of_a_call_alive():
    class Frame:
        pass
    worker, done = Worker('one'), threading.Event()
    frame = Frame()
    reference = weakref.ref(frame)
    worker.submit(lambda frame=frame: None)
    del frame
    worker.submit(done.set)
    assert done.wait(TIMEOUT)
    assert reference() is None
    assert worker.close(TIMEOUT)


def test_the_process_ends_while_a_call_runs():
    code = ('import threading\nfrom instseg_ros.node.worker import Worker\n'
            'Worker("one").submit(threading.Event().wait)\nprint("end")')
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            timeout=TIMEOUT)
    assert (result.returncode, result.stdout) == (0, 'end\n')
