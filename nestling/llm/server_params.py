"""Parameters of a server that speaks OpenAI's chat API; reading them imports no client."""

from typing import Annotated, Literal

import httpx2
from pydantic import AfterValidator, ConfigDict, Field, PositiveInt

from nestling.params import Strict

KEY = "NESTLING_LLM_API_KEY"  # the environment variable; its value stands in no parameter, message or log

Structure = Literal["schema", "object", "none"]


def _bare_url(url: str) -> str:
    """Return a URL without the slash at its end.

    Raises:
        ValueError: it is none, or holds more than a scheme, a host, a port and a path.
    """
    try:
        parts = httpx2.URL(url)
        parts.host.encode("idna")
    except (httpx2.InvalidURL, UnicodeError):
        raise ValueError("is not a URL") from None
    port = 80 if parts.port is None else parts.port
    if parts.scheme not in ("http", "https") or not parts.host or not 0 < port < 65536:
        raise ValueError("must be a URL such as http://127.0.0.1:8000/v1")
    if parts.userinfo or parts.query or parts.fragment:
        raise ValueError(f"must hold no user, password, ?query or #fragment; a key goes into {KEY}")
    return url.rstrip("/")


class ServerParams(Strict):
    """A server that speaks OpenAI's chat API."""

    model_config = ConfigDict(hide_input_in_errors=True)  # a url that is rejected may hold a password

    kind: Literal["server"]
    url: Annotated[str, AfterValidator(_bare_url)]  # all that stands before /chat/completions
    served_as: str  # the server's name for the model; "" where it is the model's own name
    structure: Structure  # what the server constrains answers to: the JSON schema, any JSON object, nothing
    in_flight: PositiveInt  # requests at the same time
    tries: PositiveInt  # of each request
    timeout_s: float = Field(gt=0, allow_inf_nan=False)  # of one try, its wait in the server's queue included
