"""Whether an address is this machine's own."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Say whether what is sent to a URL stays on this machine.

    A name may lead anywhere, and elsewhere tomorrow; `localhost` alone is kept for the machine itself (RFC 6761).
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
