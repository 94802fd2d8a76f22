"""The backends there are: an entry is a params class and the class that it opens."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from nestling.llm.backend import Backend, ModelParams
from nestling.llm.echo import EchoBackend, EchoParams
from nestling.llm.ray import RayBackend, RayParams
from nestling.llm.server import ServerBackend, ServerParams
from nestling.llm.vllm import VllmBackend, VllmParams

BackendParams = Annotated[EchoParams | VllmParams | ServerParams | RayParams, Field(discriminator="kind")]

_BACKENDS: dict[type, Callable[[ModelParams, Any], Backend]] = {
    EchoParams: lambda model, params: EchoBackend(),
    VllmParams: VllmBackend,
    ServerParams: ServerBackend,
    RayParams: RayBackend,
}


def open_backend(model: ModelParams, params: BackendParams) -> Backend:
    """Return a backend that is ready to answer, which may take minutes.

    Raises:
        UserError: a library is missing, the model cannot be had or does not fit, the server does not answer.
    """
    return _BACKENDS[type(params)](model, params)
