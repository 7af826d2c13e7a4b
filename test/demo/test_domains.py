"""Domains that nobody else takes part in."""
import socket

import pytest

from instseg_ros.demo import domains
from instseg_ros.demo.domains import DOMAINS, reserved_domain


def participate(domain):
    """Return a socket like that of the first participant of a domain."""
    participant = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    participant.bind(('', 7410 + 250 * domain))
    return participant


def test_two_reservations_differ():
    with reserved_domain() as one, reserved_domain() as other:
        assert one != other


def test_a_reservation_ends_with_its_context(monkeypatch):
    monkeypatch.setattr(domains, 'DOMAINS', 1)
    for _ in range(2):
        with reserved_domain() as domain:
            assert domain == 1


def test_a_domain_with_a_participant_is_left_alone():
    with reserved_domain() as domain:
        pass
    with participate(domain), reserved_domain() as other:
        assert other != domain
        assert 1 <= other <= DOMAINS


def test_no_free_domain_is_an_error(monkeypatch):
    monkeypatch.setattr(domains, 'DOMAINS', 1)
    with reserved_domain(), pytest.raises(RuntimeError, match='from 1 to 1 are taken'), \
            reserved_domain():
        pass
