"""The proxy that the environment names for a server."""

import pytest

from controllers.runtime.client import proxy

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("no_proxy", "server", "excluded"),
    [
        # hosts and domains
        ("api.example", "https://api.example", True),
        ("example", "https://api.example", True),
        (".example", "https://api.example", True),
        ("*.example", "https://api.example", True),
        (".api.example", "https://api.example", False),
        ("*.api.example", "https://api.example", False),
        ("i.example", "https://api.example", False),
        ("API.Example", "https://api.EXAMPLE", True),
        ("other.example, api.example", "https://api.example", True),
        # addresses and CIDR blocks
        ("10.96.0.1", "https://10.96.0.1", True),
        ("10.96.0.0/12", "https://10.96.0.1", True),
        ("10.96.0.9/12", "https://10.96.0.1:443", True),
        ("10.0.0.0/16", "https://10.96.0.1", False),
        ("10.96.0.0/12", "https://api.example", False),
        ("fd00::1", "https://[fd00::1]:6443", True),
        ("[fd00::1]", "https://[fd00::1]:6443", True),
        ("fd00:0:0::1", "https://[fd00::1]:6443", True),
        ("fd00::/8", "https://[fd00::1]:6443", True),
        ("fd00::/8", "https://[fe00::1]:6443", False),
        ("fd00::/8", "https://10.96.0.1", False),
        ("::ffff:10.96.0.1", "https://10.96.0.1", True),
        # ports
        ("api.example:6443", "https://api.example:6443", True),
        ("api.example:443", "https://api.example", True),
        ("api.example:6443", "https://api.example", False),
        ("10.96.0.1:443", "https://10.96.0.1", True),
        ("10.96.0.1:6443", "https://10.96.0.1", False),
        ("[fd00::1]:443", "https://[fd00::1]", True),
        ("[fd00::1]:6443", "https://[fd00::1]", False),
        # every server, and none
        ("*", "https://api.example", True),
        ("other.example, *", "https://10.96.0.1", True),
        ("", "https://api.example", False),
        (" , ,", "https://api.example", False),
        (".", "https://api.example", False),
        ("*.", "https://api.example", False),
        ("not/a/block", "https://10.96.0.1", False),
        # this machine
        ("", "https://localhost:6443", True),
        ("", "https://127.0.0.1:6443", True),
        ("", "https://[::1]:6443", True),
    ],
)
def test_no_proxy_excludes_hosts_domains_addresses_and_blocks(
    no_proxy: str, server: str, *, excluded: bool
) -> None:
    environment = {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert proxy.from_environment(server, environment) == ("" if excluded else PROXY)


@pytest.mark.parametrize(
    ("server", "environment", "expected"),
    [
        ("https://api.example", {}, ""),
        ("https://api.example", {"https_proxy": PROXY}, PROXY),
        ("https://api.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://api.example", {"HTTPS_PROXY": "http://other:1", "https_proxy": PROXY}, PROXY),
        ("https://api.example", {"HTTP_PROXY": PROXY}, ""),
        ("http://api.example", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://api.example", {"HTTPS_PROXY": PROXY}, ""),
        ("https://api.example", {"HTTPS_PROXY": PROXY, "no_proxy": "*"}, ""),
    ],
)
def test_the_variables_have_lower_and_upper_case_names(
    server: str, environment: dict[str, str], expected: str
) -> None:
    assert proxy.from_environment(server, environment) == expected


@pytest.mark.parametrize("url", ["socks5://me:secret@p:1", "https://me:secret@p:1", "http://"])
def test_a_proxy_that_is_not_supported_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="must be http://HOST:PORT") as caught:
        proxy.parse(url)
    assert "secret" not in str(caught.value)


def test_the_scheme_of_a_proxy_can_be_omitted() -> None:
    parsed = proxy.parse("me:s%40cret@proxy.example:3128")
    assert (parsed.scheme, parsed.host, parsed.port) == ("http", "proxy.example", 3128)
    assert (parsed.user, parsed.password) == ("me", "s@cret")
