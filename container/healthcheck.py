"""The container's health check: ends with 0 when the service here is ready to search."""

import http.client
import os
import sys

SECONDS = 4.0  # less than the HEALTHCHECK of the Dockerfile waits
REACHED_AT = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # one that binds all addresses


def problem(host: str, port: int) -> str | None:
    """What is wrong with the service, in words."""
    # Not urllib, which would ask a proxy that the environment names.
    connection = http.client.HTTPConnection(REACHED_AT.get(host, host), port, timeout=SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return None if answer.status == 200 else f"not ready: {answer.status} {answer.reason}"
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer: {error}"
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(
        problem(
            os.environ.get("IMAGEFINDER_HOST", ""),
            int(os.environ.get("IMAGEFINDER_PORT") or 8000),
        )
    )
