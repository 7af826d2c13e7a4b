"""Where the page is served, and which requests may be answered.

Browsers send requests to this computer for any page that is open in them. So a request must name
this computer as its host (else a foreign name was rebound to our address) and, if it says where it
comes from, come from our own page.
"""
from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass
from typing import Mapping
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Address:
    """The host to listen on, and the token that everyone must know where it isn't loopback.

    Attributes
    ----------
    host : str
        Name or IP address.
    family : socket.AddressFamily
    token : str
        First part of every path; empty for loopback addresses.
    """

    host: str
    family: socket.AddressFamily
    token: str

    @classmethod
    def find(cls, host: str) -> Address:
        """Return the address for a host name or IP address.

        Raises
        ------
        OSError
            It can't be resolved.
        """
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise OSError(f'--host {host}: expected an address of this computer, such as '
                          f'127.0.0.1 or 0.0.0.0 ({error})') from None
        is_local = all(ipaddress.ip_address(item[4][0]).is_loopback for item in found)
        return cls(host, found[0][0], '' if is_local else secrets.token_urlsafe(16))

    def url(self, port: int) -> str:
        """Return the address of the page, for people."""
        host = self.host
        if host in ('0.0.0.0', '::'):
            host = socket.gethostname()
        if ':' in host:
            host = f'[{host}]'
        return f'http://{host}:{port}/' + (f'{self.token}/' if self.token else '')

    def path_below(self, path: str) -> str | None:
        """Return what follows the token in a path; None if the token is missing or wrong."""
        path = path.removeprefix('/')
        if not self.token:
            return path
        token, _, rest = path.partition('/')
        return rest if hmac.compare_digest(token.encode(), self.token.encode()) else None

    def refusal(self, headers: Mapping[str, str]) -> str:
        """Return why a request with these headers must not be answered; empty if it may."""
        headers = {name.lower(): value for name, value in headers.items()}
        host = headers.get('host', '')
        if not self._is_ours(host):
            return f'Host: expected the address of this computer, got {host!r}'
        origin = headers.get('origin')
        if origin is not None and urlsplit(origin).netloc != host:
            return f'Origin: expected this page, got {origin!r}'
        if headers.get('sec-fetch-site', 'none') not in ('none', 'same-origin'):
            return 'Sec-Fetch-Site: expected a request of this page'
        return ''

    def _is_ours(self, host: str) -> bool:
        """Return whether a Host header names this computer; its port may be a forwarded one."""
        try:
            name = urlsplit(f'//{host}').hostname or ''
        except ValueError:
            return False
        if name in ('localhost', self.host.lower()):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return bool(self.token) and name == socket.gethostname().lower()
        return bool(self.token) or address.is_loopback
