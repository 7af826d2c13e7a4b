"""Transitions of a lifecycle node that report their exceptions."""
from __future__ import annotations

from functools import wraps
from typing import Any, Callable

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]

SUCCESS = TransitionCallbackReturn.SUCCESS


def transition(name: str, otherwise: TransitionCallbackReturn
               ) -> Callable[[Transition], Transition]:
    """Decorate a transition callback, whose exceptions rclpy would drop without a word.

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
            except Exception as error:
                node.on_transition_failed(name, error)
                return otherwise
            node.on_transition_done()
            return SUCCESS
        return guarded
    return decorate
