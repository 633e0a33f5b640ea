"""The HTTP proxy for a server, from the environment.

The rules are those of Go's ``golang.org/x/net/http/httpproxy``, which kubectl and the Kubernetes
components follow. Pure.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Mapping

import yarl

_DEFAULT_PORTS = {"https": 443, "http": 80}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def from_environment(server: str, environment: Mapping[str, str]) -> str:
    """Return the URL of the proxy for ``server``; empty for a direct connection.

    ``HTTPS_PROXY`` or ``HTTP_PROXY`` names the proxy, by the scheme of the server. ``NO_PROXY``
    excludes servers from it. The lower-case names take precedence, as in curl and requests. A
    connection to ``localhost`` or to a loopback address is always direct.
    """
    parts = urllib.parse.urlsplit(server)
    proxy = _variable(environment, f"{parts.scheme}_proxy")
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    if not proxy or is_direct(host, port, _variable(environment, "no_proxy")):
        return ""
    return proxy


def is_direct(host: str, port: int, no_proxy: str) -> bool:
    """Return whether ``no_proxy`` excludes the server from the proxy.

    ``no_proxy`` is a list with commas. An entry is a domain, which includes its subdomains; a
    domain with a leading ``.`` or ``*.``, which is its subdomains only; an IP address; a CIDR
    block; or ``*``, which is every server. A domain or an IP address can have a port.
    """
    host = host.lower()
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = filter(None, (entry.strip().lower() for entry in no_proxy.split(",")))
    return any(_matches(entry, host, port, address) for entry in entries)


def parse(url: str) -> yarl.URL:
    """Parse ``http://[USER:PASSWORD@]HOST[:PORT]``; the scheme can be omitted.

    Raises ValueError, whose message does not contain the password.
    """
    parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not is_host(parts.hostname):
        named = f"{parts.scheme}://{parts.hostname or ''}"
        message = f"the proxy {named} is not supported: it must be http://HOST:PORT"
        raise ValueError(message)
    return yarl.URL(parts.geturl())


def is_host(name: str | None) -> bool:
    """Return whether the name can be passed to a resolver."""
    try:
        return bool(name and name.isascii() and name.encode("idna"))
    except UnicodeError:
        return False


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _matches(entry: str, host: str, port: int, address: Address | None) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _in_network(address, entry)
    name, entry_port = _split_port(entry)
    if entry_port and entry_port != str(port):
        return False
    if (entry_address := _address(name)) is not None:
        return entry_address == address
    return _in_domain(host, name.removeprefix("*"))


def _in_domain(host: str, domain: str) -> bool:
    if domain.startswith("."):
        return len(domain) > 1 and host.endswith(domain)
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _split_port(entry: str) -> tuple[str, str]:
    """Split ``host:port``, ``[IPv6]:port`` or either without a port."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""


def _in_network(address: Address, block: str) -> bool:
    try:
        return address in ipaddress.ip_network(block, strict=False)
    except ValueError:
        return False


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
