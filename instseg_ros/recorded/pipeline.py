"""Stages that work at the same time on successive items, whose results come in order."""
from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Generator, Iterable, Sequence, TypeVar

Item = TypeVar('Item')
Stage = Callable[[Any], Any]


def run_in_order(items: Iterable[tuple[Item, bool]], stages: Sequence[Stage], depth: int
                 ) -> Generator[tuple[Item, Future | None], None, None]:
    """Take items through the stages, each of which has a thread of its own.

    Unlike the node's pipeline, this one drops nothing: it takes the next item when there is room.

    Parameters
    ----------
    items : iterable of (item, bool)
        False: the item passes by the stages and only keeps its place in the order.
    stages : sequence of callable
        The first takes the item, each other one what the stage before it returned.
    depth : int
        Items in the stages at once.

    Yields
    ------
    item, future
        In the order of `items`. The future, None for an item that passes by, gives what the last
        stage returned, or raises what any stage raised.
    """
    pools = [ThreadPoolExecutor(1, f'stage_{number}') for number in range(len(stages))]
    window: deque[tuple[Item, Future | None]] = deque()
    under_way = 0
    try:
        for item, takes_part in items:
            window.append((item, _submit(item, stages, pools) if takes_part else None))
            under_way += takes_part
            while under_way > depth or (window and window[0][1] is None):
                under_way -= window[0][1] is not None
                yield window.popleft()
        while window:
            yield window.popleft()
    except BaseException:  # also that with which an unfinished generator is closed
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        for pool in pools:
            pool.shutdown()


def _submit(item: Any, stages: Sequence[Stage], pools: Sequence[ThreadPoolExecutor]) -> Future:
    future: Future | None = None
    for stage, pool in zip(stages, pools):
        # A pool works in order and the one before it too, so waiting there never blocks for good.
        future = (pool.submit(stage, item) if future is None
                  else pool.submit(_follow, stage, future))
    assert future is not None
    return future


def _follow(stage: Stage, before: Future) -> Any:
    return stage(before.result())
