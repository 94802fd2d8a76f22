"""What the server's processes see of the environment: what they need, and nothing of the person who started them."""

import os

from services.argilla.search.server import USER
from services.argilla.settings import Settings

_PASSED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")


def bare_environment(settings: Settings) -> dict[str, str]:
    """Return an environment without keys, proxies or settings of somebody else, that writes to the home alone."""
    mine = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return mine | {"HOME": str(settings.home / "tmp"), "TMPDIR": str(settings.home / "tmp"), "PYTHONUNBUFFERED": "1"}


def server_environment(settings: Settings, password: str = "", signing_key: str = "") -> dict[str, str]:
    """Return the environment of Argilla's own programs.

    Args:
        settings: where things are.
        password: of Redis and of the search service; not needed for what asks the database alone.
        signing_key: of sessions; needed by the server alone.
    """
    return bare_environment(settings) | {
        "ARGILLA_HOME_PATH": str(settings.home / "server"),
        "ARGILLA_DATABASE_SQLITE_TIMEOUT": "30",  # seconds to wait while another process writes
        "ARGILLA_REDIS_URL": f"redis://:{password}@127.0.0.1:{settings.redis_port}/0",
        "ARGILLA_SEARCH_ENGINE": "opensearch",
        "ARGILLA_ELASTICSEARCH": f"http://{USER}:{password}@127.0.0.1:{settings.search_port}",
        "ARGILLA_AUTH_SECRET_KEY": signing_key,
        "ARGILLA_CORS_ORIGINS": "[]",  # its own pages need none
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
    }
