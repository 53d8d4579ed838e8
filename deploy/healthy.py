"""Ask a service of Raisonné whether it answers: exit code 0 if it does, else 1 and the reason.

What belongs here: the health check of a container, which has no curl; it imports only Python itself. What does not:
who may ask (`orchestration/runtime/web_access.py`).
"""

import os
import sys
import urllib.error
import urllib.request

_WAIT_S = 8


def main(url: str) -> str | None:
    """Return why a service does not answer with success, None if it does.

    The UI answers nobody without its token, RAISONNE_UI_TOKEN. The guard's service needs none for its health.
    """
    token = os.environ.get("RAISONNE_UI_TOKEN", "").strip()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_WAIT_S):  # noqa: S310 -- the address is the image's own
            return None
    except (urllib.error.URLError, OSError) as error:
        return f"{url}: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
