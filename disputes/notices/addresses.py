"""Where a webhook may go: never into the lender's own network.

The address is looked at when an endpoint is registered and again at each delivery, and the connection is made to the
very address that was looked at, so that a name that changes its mind in between gains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from disputes.notices.posting import AddressRefused, resolve

LONGEST = 2000
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)

# Answers like any public address, but only inside Azure: its instances' metadata and DNS.
_PUBLIC_BUT_LOCAL = {IPv4Address("168.63.129.16")}
# RFC 6052, section 2.1: the address that a translator makes of an IPv4 address, which stands in its last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")
# RFC 4291, section 2.4: what is not global unicast (and not translated) is no address of the internet's.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# RFC 3056 and RFC 4380: tunnels; RFC 3849, RFC 9637: documentation; RFC 5180: benchmarks; RFC 4843, RFC 7343: ORCHID.
_NOT_PUBLIC = tuple(IPv6Network(text) for text in ("2002::/16", "2001::/23", "2001:db8::/32", "3fff::/20"))
# RFC 5214, section 6.1: an interface id that holds an IPv4 address.
_ISATAP = (0x00005EFE, 0x02005EFE)

Resolve = Callable[[str, int], list[str]]


class BadAddress(ValueError):
    """An address that no webhook may have. `code`, and a sentence for whoever gave it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def read_url(url: str, *, loopback: bool) -> str:
    """The address as it is kept: scheme and host in lower case, everything else as given. Raises BadAddress.

    ``https://host[:port]/path?query``; ``http://`` only with `loopback` (the embedded set-up).
    """
    if len(url) > LONGEST or not _VISIBLE.fullmatch(url) or "\\" in url:
        raise BadAddress("invalid", f"An address of visible ASCII characters, at most {LONGEST}.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadAddress("invalid", "Not an address.") from error
    if parts.scheme != "https" and not (loopback and parts.scheme == "http"):
        raise BadAddress("not_https", "The address must begin with https://.")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("credentials", "An address has no user and password; the signature proves who calls.")
    if "#" in url:
        raise BadAddress("invalid", "An address to post to has no fragment.")
    host = parts.hostname or ""
    if port == 0 or not (_is_ipv6(host) if "[" in parts.netloc else _is_name(host)):
        raise BadAddress("invalid", "The address names no host; a name beyond ASCII is written as xn--….")
    place = f"[{host}]" if ":" in host else host
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{place}{'' if port is None else f':{port}'}{target}"


def _is_name(host: str) -> bool:
    """A name, or an IPv4 address in any spelling: labels with dots between, one at the end allowed."""
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def _is_ipv6(host: str) -> bool:
    try:
        return isinstance(ip_address(host), IPv6Address) and "%" not in host
    except ValueError:
        return False


def check_url(url: str, *, loopback: bool, resolve: Resolve = resolve) -> str:
    """`read_url`, then its name is resolved and every address looked at. Raises BadAddress. Slow: asks the DNS."""
    kept = read_url(url, loopback=loopback)
    parts = urlsplit(kept)
    try:
        public_addresses(parts.hostname or "", parts.port or 443, loopback=loopback, resolve=resolve)
    except AddressRefused as error:
        raise BadAddress("private_address", "The address leads to a host that is not on the internet.") from error
    except OSError as error:
        raise BadAddress("not_resolved", "The address names a host that cannot be found.") from error
    return kept


def public_addresses(host: str, port: int, *, loopback: bool, resolve: Resolve = resolve) -> list[str]:
    """The addresses of a host, all of which are public. Raises AddressRefused where one is not, OSError where the name
    has none. Odd spellings (``0x7f.1``, ``2130706433``) are read by the resolver, as a connection would."""
    found = resolve(host, port)
    if not found:
        raise OSError("no address")
    for text in found:
        if not is_public(text, loopback=loopback):
            raise AddressRefused("not a public address")
    return found


def is_public(text: str, *, loopback: bool = False) -> bool:
    """Whether an IP address is one of the internet's; `loopback`: this machine's own counts too."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_public_v4(address, loopback=loopback)
    if address.scope_id is not None:
        return False
    inner = _inner(address)
    if inner is not None:
        return _is_public_v4(inner, loopback=loopback and address.ipv4_mapped is not None)
    if address.is_loopback:
        return loopback
    return address in _GLOBAL_UNICAST and not any(address in network for network in _NOT_PUBLIC)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, translated (NAT64) or in its interface id (ISATAP)."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    number = int(address)
    if address in _NAT64 or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(number & 0xFFFFFFFF)
    return None


def _is_public_v4(address: IPv4Address, *, loopback: bool) -> bool:
    if address.is_loopback:
        return loopback
    refused = address.is_multicast or address.is_reserved or address.is_private or address in _PUBLIC_BUT_LOCAL
    # Not global: shared addresses of carriers (100.64.0.0/10) and what else IANA keeps apart.
    return address.is_global and not refused and not _is_kept_apart(address)


def _is_kept_apart(address: IPv4Address) -> bool:
    """192.0.0.0/24 (RFC 6890, with a cloud's metadata at 192.0.0.192) and the old relays 192.88.99.0/24 (RFC 7526),
    which Python's table calls global in part or whole."""
    return int(address) >> 8 in (0xC00000, 0xC05863)
