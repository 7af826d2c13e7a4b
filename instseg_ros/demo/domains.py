"""ROS domains that nobody else on this machine takes part in."""
from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager
from typing import Iterator

DOMAINS = 101
"""Domains 1 to this one are tried. The ports of higher ones may be taken by any program."""

PORT_BASE, PORTS_PER_DOMAIN = 7400, 250
"""Ports of the domains, section 9.6.1 of the RTPS specification."""

FIRST_PARTICIPANT, LAST_PORT = 10, 249
"""Ports of a domain, counted from its first: that of the first participant's discovery, and one
that only a 120th participant would use. Whoever reserves the domain holds the latter."""


@contextmanager
def reserved_domain() -> Iterator[int]:
    """Reserve a domain without participants.

    Yields
    ------
    int
        ROS_DOMAIN_ID; no other reservation gives the same one until this one ends, with the
        context or with the process.

    Raises
    ------
    RuntimeError
        All domains are taken.
    """
    # The process id spreads programs over the domains that know nothing of reservations.
    for domain in (1 + (os.getpid() + offset) % DOMAINS for offset in range(DOMAINS)):
        with ExitStack() as stack:
            try:
                _bind(stack, domain, LAST_PORT)
                with ExitStack() as probe:
                    _bind(probe, domain, FIRST_PARTICIPANT)
            except OSError:
                continue
            yield domain
            return
    raise RuntimeError(f'all ROS domains from 1 to {DOMAINS} are taken on this machine')


def _bind(stack: ExitStack, domain: int, port: int) -> None:
    end = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    end.bind(('', PORT_BASE + PORTS_PER_DOMAIN * domain + port))
