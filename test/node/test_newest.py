"""The newest item is worked on, and nothing piles up."""
import threading

from instseg_ros.node.newest import NewestWorker

TIMEOUT = 60


def test_items_are_worked_on_and_of_those_that_wait_only_the_newest():
    begun, go, done = threading.Semaphore(0), threading.Semaphore(0), []

    def work(item):
        begun.release()
        assert go.acquire(timeout=TIMEOUT)
        done.append(item)

    worker = NewestWorker(work, 'worker')
    assert worker.submit(1) == 0
    assert begun.acquire(timeout=TIMEOUT)
    assert [worker.submit(item) for item in (2, 3, 4)] == [0, 1, 1]
    go.release(2)
    assert begun.acquire(timeout=TIMEOUT)
    worker.close()
    assert done == [1, 4]


def test_closing_gives_up_what_waits_and_what_comes_later():
    begun, go, done = threading.Semaphore(0), threading.Semaphore(0), []

    def work(item):
        begun.release()
        assert go.acquire(timeout=TIMEOUT)
        done.append(item)

    worker = NewestWorker(work, 'worker')
    worker.submit(1)
    assert begun.acquire(timeout=TIMEOUT)
    worker.submit(2)
    closing = threading.Thread(target=worker.close)
    closing.start()
    while worker.submit(3) == 0 or not worker._is_closed:
        pass
    go.release(2)
    closing.join(TIMEOUT)
    assert done == [1] and worker.submit(4) == 1


def test_closing_waits_no_longer_than_allowed_for_what_does_not_return():
    begun, go = threading.Event(), threading.Event()

    def work(item):
        begun.set()
        go.wait(TIMEOUT)

    worker = NewestWorker(work, 'worker')
    worker.submit(1)
    assert begun.wait(TIMEOUT)
    assert not worker.close(0.01)
    go.set()
    assert worker.close(TIMEOUT)
