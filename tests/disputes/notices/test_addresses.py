"""Where a webhook may go."""

from __future__ import annotations

import pytest

from disputes.notices.addresses import BadAddress, check_url, is_public, public_addresses, read_url
from disputes.notices.posting import AddressRefused, resolve

NOT_ON_THE_INTERNET = {
    "this machine": "127.0.0.1",
    "all of this machine": "127.8.9.10",
    "this machine in IPv6": "::1",
    "no address": "0.0.0.0",
    "this network": "0.1.2.3",
    "no address in IPv6": "::",
    "private, ten": "10.1.2.3",
    "private, 172": "172.16.0.1",
    "private, 192": "192.168.1.1",
    "link-local": "169.254.1.1",
    "a cloud's metadata": "169.254.169.254",
    "Alibaba's metadata, in the carriers' shared range": "100.100.100.200",
    "Oracle's metadata": "192.0.0.192",
    "Azure's metadata, which looks public": "168.63.129.16",
    "Amazon's metadata in IPv6": "fd00:ec2::254",
    "carriers' shared range": "100.64.0.1",
    "benchmarks": "198.18.0.1",
    "documentation": "203.0.113.7",
    "old relays": "192.88.99.1",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "unique local": "fc00::1",
    "link-local IPv6": "fe80::1",
    "link-local with its interface": "fe80::1%eth0",
    "public with an interface": "2606:4700::1111%eth0",
    "site-local": "fec0::1",
    "multicast IPv6": "ff02::1",
    "documentation IPv6": "2001:db8::1",
    "newer documentation IPv6": "3fff::1",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped private": "::ffff:10.0.0.1",
    "mapped metadata": "::ffff:a9fe:a9fe",
    "compatible loopback": "::127.0.0.1",
    "6to4 of a private one": "2002:0a00:0001::1",
    "6to4 of a public one": "2002:0808:0808::1",
    "Teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "NAT64 of a private one": "64:ff9b::10.0.0.1",
    "NAT64 of the metadata": "64:ff9b::169.254.169.254",
    "local NAT64": "64:ff9b:1::8.8.8.8",
    "ISATAP of a private one": "2606:4700::5efe:10.0.0.1",
    "ISATAP of a private one, marked global": "2606:4700::200:5efe:192.168.0.1",
    "discard": "100::1",
    "not an address": "localhost",
}


@pytest.mark.parametrize("address", NOT_ON_THE_INTERNET.values(), ids=NOT_ON_THE_INTERNET)
def test_an_address_that_is_not_on_the_internet_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8", "192.0.1.1"]
)
def test_an_address_on_the_internet_is_taken(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_let_through_on_the_embedded_set_up_alone(address: str) -> None:
    assert is_public(address, loopback=True)
    assert not is_public(address, loopback=False)


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "0.0.0.0", "::", "fe80::1", "64:ff9b::7f00:1"])
def test_the_embedded_set_up_lets_nothing_else_through(address: str) -> None:
    assert not is_public(address, loopback=True)


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "017700000001", "0", "localhost"],
)
def test_odd_spellings_of_loopback_are_read_as_a_connection_would_read_them(host: str) -> None:
    with pytest.raises(AddressRefused):
        public_addresses(host, 443, loopback=False, resolve=resolve)


def test_one_address_inside_the_network_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(AddressRefused):
        public_addresses("both.example", 443, loopback=False, resolve=lambda host, port: ["8.8.8.8", "10.0.0.1"])


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://hooks.example/x", "not_https"),
        ("ftp://hooks.example/x", "not_https"),
        ("//hooks.example/x", "not_https"),
        ("javascript:alert(1)", "not_https"),
        ("https://user:secret@hooks.example/", "credentials"),
        ("https://user@hooks.example/", "credentials"),
        ("https://@hooks.example/", "credentials"),
        ("https://hooks.example#part", "invalid"),
        ("https://", "invalid"),
        ("https:///path", "invalid"),
        ("https://:443/", "invalid"),
        ("https://hooks.example:0/", "invalid"),
        ("https://hooks.example:99999/", "invalid"),
        ("https://hooks.example:port/", "invalid"),
        ("https://hooks.example\\@10.0.0.1/", "invalid"),
        ("https://hooks.example/a b", "invalid"),
        ("https://hooks.example/\r\nHost: other", "invalid"),
        ("https://hooks.\texample/", "invalid"),
        ("https://Ｈooks.example/", "invalid"),
        ("https://１２７.0.0.1/", "invalid"),
        ("https://[::1/", "invalid"),
        ("https://[fe80::1%25eth0]/", "invalid"),
        ("https://[v1.x]/", "invalid"),
        ("https://a..b/", "invalid"),
        ("https://-a.example/", "invalid"),
        ("https://" + "a" * 64 + ".example/", "invalid"),
        ("https://" + "a." * 127 + "a/", "invalid"),
        ("https://hooks.example/" + "a" * 2000, "invalid"),
        ("", "invalid"),
    ],
)
def test_an_address_that_is_not_plain_https_is_refused_by_name(url: str, code: str) -> None:
    with pytest.raises(BadAddress) as refused:
        read_url(url, loopback=False)
    assert refused.value.code == code


def test_an_address_is_kept_as_given_but_for_the_case_of_its_host() -> None:
    assert read_url("HTTPS://Hooks.Example:8443/A/b?c=D", loopback=False) == "https://hooks.example:8443/A/b?c=D"
    assert read_url("https://hooks.example", loopback=False) == "https://hooks.example/"
    assert read_url("https://[2606:4700::1111]:444/x", loopback=False) == "https://[2606:4700::1111]:444/x"


def test_a_long_name_is_refused_at_once() -> None:
    with pytest.raises(BadAddress):
        read_url("https://" + "a" * 1900 + "!/", loopback=False)


def test_a_name_that_cannot_be_found_is_refused_at_registration() -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(BadAddress) as refused:
        check_url("https://nowhere.example/", loopback=False, resolve=nowhere)
    assert refused.value.code == "not_resolved"


def test_a_name_that_leads_inside_is_refused_at_registration() -> None:
    with pytest.raises(BadAddress) as refused:
        check_url("https://inside.example/", loopback=False, resolve=lambda host, port: ["10.0.0.8"])
    assert refused.value.code == "private_address"
