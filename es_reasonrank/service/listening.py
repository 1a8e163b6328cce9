"""The socket that the service listens on, and its certificate: both are tried before anything is started."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path

from es_reasonrank.errors import SettingsError
from es_reasonrank.service_settings import ServiceSettings

_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Connections whose client is gone without a word are found out: seconds, seconds, and number of probes."""
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
BACKLOG = 2048
"""Connections that may wait to be accepted."""


def listening(settings: ServiceSettings) -> socket.socket:
    """A socket that clients can connect to.

    Raises:
        SettingsError: host or port cannot be used.
    """
    where = f"{settings.host}:{settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(f"service.host {settings.host!r} is no address: {error.strerror}") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _keep_alive(listener)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {where}: {_why(error)}") from error
    return listener


def address_of(settings: ServiceSettings, listener: socket.socket) -> str:
    """The address that a client on this machine uses."""
    host, port = listener.getsockname()[:2]
    host = _ANY.get(host, host)
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def check_certificate(settings: ServiceSettings) -> None:
    """Try the certificate and its key, where there are any.

    Raises:
        SettingsError: they cannot be read, or do not belong together.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return
    for key, file in (("service.tls_cert", settings.tls_cert), ("service.tls_key", settings.tls_key)):
        _check_readable(key, file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without an answer of ours, a key under a password would have the terminal asked for it.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "not in PEM form, or under a password"
        raise SettingsError(
            f"service.tls_cert {settings.tls_cert} and service.tls_key {settings.tls_key} are no certificate with its "
            f"private key ({reason.lower().replace('_', ' ')}); both must be in PEM form, without a password"
        ) from error


def _check_readable(key: str, file: Path) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{key} {file} cannot be read: {error.strerror}") from error


def _keep_alive(listener: socket.socket) -> None:
    """What is accepted from a socket has its options."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES.items():
        if hasattr(socket, name):  # not every system has all of them
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _why(error: OSError) -> str:
    """What the system says, and what to do."""
    if isinstance(error, PermissionError):
        return "ports below 1024 are not for everybody; choose another with --port"
    said = error.strerror or str(error)
    hint = "choose another with --port, or any free one with --port 0" if "in use" in said else "set another --host"
    if os.environ.get("ES_REASONRANK_SERVICE_HOST") and os.environ.get("KUBERNETES_SERVICE_HOST"):
        hint = (
            "Kubernetes itself sets ES_REASONRANK_SERVICE_HOST and _PORT where a service is called es-reasonrank; "
            "set enableServiceLinks: false in the pod, or give --host and --port"
        )
    return f"{said[:1].lower()}{said[1:]}; {hint}"
