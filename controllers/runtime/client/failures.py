"""Why a request to the API server got no response, for error messages."""

from __future__ import annotations

import aiohttp

from controllers.runtime.client.config import RestConfig


def reason(error: Exception, config: RestConfig) -> str:
    """Return the reason of an exception of aiohttp, whose own texts name internal objects.

    It contains no password of a proxy.
    """
    match error:
        case aiohttp.ClientHttpProxyError():
            proxy = config.proxy and f"{config.proxy.host}:{config.proxy.port}"
            status = f"{error.status} {error.message}"
            return f"the proxy {proxy} does not connect to {config.host}: {status}"
        case aiohttp.ClientConnectorCertificateError():
            return f"cannot connect to {_address(error)}: {error.certificate_error}"
        case aiohttp.ClientProxyConnectionError():
            return f"cannot connect to the proxy {_address(error)}: {error.os_error}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {_address(error)}: {error.os_error}"
        case _:
            return _without_connection(error, config)


def _without_connection(error: Exception, config: RestConfig) -> str:
    match error:
        case aiohttp.ConnectionTimeoutError():
            return f"cannot connect to {config.host} within {config.timeouts.connect:g} s"
        case aiohttp.SocketTimeoutError():
            return f"no data received for {config.timeouts.watch_silence:g} s"
        case TimeoutError():
            return f"no response within {config.timeouts.request:g} s"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return "the connection ended before the response did"
        case aiohttp.ClientResponseError():
            return f"the response is not valid HTTP: {error.message}"
        case _:
            return str(error) or type(error).__name__


def _address(error: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError) -> str:
    host = f"[{error.host}]" if ":" in error.host else error.host
    return f"{host}:{error.port}"
