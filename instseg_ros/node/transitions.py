"""Callbacks of a lifecycle node that report their exceptions.

rclpy drops an exception in a transition without a word, and ends the process after one in another
callback. SystemExit counts as an exception here: the node has no reason to raise it.
"""
from __future__ import annotations

from functools import wraps
from typing import Any, Callable, TypeVar

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from instseg_ros.node.diagnostics import ERROR, Conditions

Result = TypeVar('Result')
Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]

SUCCESS = TransitionCallbackReturn.SUCCESS


def transition(name: str, otherwise: TransitionCallbackReturn
               ) -> Callable[[Transition], Transition]:
    """Decorate a transition callback.

    After an exception it calls the node's `on_transition_failed(name, error)` and returns
    `otherwise`; after a success it calls `on_transition_done()`.

    FAILURE suits a transition that leads up: the node stays in its state, and the transition can
    be tried again. A transition that leads down can't go back, since a part of it is done; ERROR
    makes the node run `on_error`, release everything and become unconfigured.
    """
    def decorate(callback: Transition) -> Transition:
        @wraps(callback)
        def guarded(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
            try:
                callback(node, state)
            except (Exception, SystemExit) as error:
                node.on_transition_failed(name, error)
                return otherwise
            node.on_transition_done()
            return SUCCESS
        return guarded
    return decorate


def guarded(name: str, callback: Callable[..., Result], conditions: Conditions,
            otherwise: Callable[[str], Result]) -> Callable[..., Result]:
    """Return a callback that reports its exceptions.

    Parameters
    ----------
    name : str
        Of the condition `callback.NAME`, an error, which lasts until the callback succeeds.
    callback : callable
    conditions : Conditions
    otherwise : callable
        After an exception, it is called with the reason, and its result is returned.
    """
    @wraps(callback)
    def call(*args: Any, **kwargs: Any) -> Result:
        try:
            result = callback(*args, **kwargs)
        except (Exception, SystemExit) as error:
            reason = f'exception in the callback {name}, {type(error).__name__}: {error}'
            conditions.begin(f'callback.{name}', ERROR, reason)
            return otherwise(reason)
        conditions.end(f'callback.{name}')
        return result
    return call
