"""Fetching a file from the first of several mirrors that serves the true one."""

import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds before the second and the third round over all mirrors.
PAUSES = (2.0, 8.0)
# Seconds of silence; torchvision's own download would wait for a stalled mirror for ever.
TIMEOUT = 30.0


class DownloadError(Exception):
    """No mirror served the file; the message lists what each did last."""


def fetch(
    urls: Sequence[str],
    read: Callable[[bytes], T],
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """Fetch and read a file from the first mirror that serves the true one.

    The content never touches the disk, so an interrupted download leaves nothing behind.

    Args:
        urls: of the same file, one on each mirror, tried in this order.
        read: turns the content into the result; raises ValueError if it is not the true file.
        pause: waits that many seconds before another round over all mirrors.

    Returns:
        What `read` returned.

    Raises:
        DownloadError: every mirror failed in every round.
    """
    failures: dict[str, str] = {}
    for wait in (*PAUSES, None):
        for url in urls:
            try:
                return read(_get(url))
            except urllib.error.HTTPError as error:
                error.close()
                failures[url] = f"answered {error.code} {error.reason}"
            except (OSError, http.client.HTTPException) as error:
                failures[url] = f"could not be read ({_reason(error)})"
            except ValueError as error:
                failures[url] = str(error)
            logger.warning("%s %s", url, failures[url])
        if wait is not None:
            pause(wait)
    raise DownloadError("; ".join(f"{url} {failure}" for url, failure in failures.items()))


def _get(url: str) -> bytes:
    # Some mirrors refuse the default agent of urllib.
    request = urllib.request.Request(url, headers={"User-Agent": "eigendrift"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        content: bytes = response.read()
    return content


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    return str(cause) or type(cause).__name__
