"""The backends there are: an entry is a params class and the class that it opens."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field

from nestling.errors import UserError
from nestling.llm.backend import Backend, ChatRequest, ModelParams
from nestling.llm.echo import EchoBackend, EchoParams
from nestling.llm.ray import RayBackend, RayParams
from nestling.llm.server_params import ServerParams
from nestling.llm.vllm import VllmBackend, VllmParams

BackendParams = Annotated[EchoParams | VllmParams | ServerParams | RayParams, Field(discriminator="kind")]


def _server(model: ModelParams, params: ServerParams, shortest: Sequence[ChatRequest]) -> Backend:
    from nestling.llm.server import ServerBackend  # openai takes more than a second to import

    return ServerBackend(model, params)


_BACKENDS: dict[type, Callable[[ModelParams, Any, Sequence[ChatRequest]], Backend]] = {
    EchoParams: lambda model, params, shortest: EchoBackend(),
    VllmParams: VllmBackend,
    ServerParams: _server,
    RayParams: RayBackend,
}


def answering(model: ModelParams, params: BackendParams) -> ModelParams:
    """Return what stands for the model in the response cache: with what makes it answer as another would.

    Where it runs, and in which floating-point type, is no part of it; that its weights are quantised on loading is,
    and that a server does not hold it to the schema. What echoes is not that model.
    """
    if isinstance(params, EchoParams):
        return _varied(model, params.kind, "")
    if isinstance(params, ServerParams):
        return _varied(model, params.structure, "schema")
    engine = params.engine if isinstance(params, RayParams) else params
    return _varied(model, engine.quantization, "none")


def _varied(model: ModelParams, variant: str, ordinary: str) -> ModelParams:
    if variant == ordinary:
        return model
    return ModelParams(name=model.name, revision=f"{model.revision}+{variant}")


def limits(params: BackendParams) -> str:
    """Return what decides which requests are refused."""
    if isinstance(params, EchoParams):
        return ""
    if isinstance(params, ServerParams):
        return f"{params.url} {params.served_as}"
    return str((params.engine if isinstance(params, RayParams) else params).max_model_len)


def open_backend(model: ModelParams, params: BackendParams, shortest: Sequence[ChatRequest]) -> Backend:
    """Return a backend that is ready to answer, which may take minutes.

    Args:
        model: that answers.
        params: of the backend.
        shortest: requests about an empty passage; where one does not fit the context, nothing is loaded.

    Raises:
        UserError: a library is missing, the model has no revision, cannot be had or does not fit, its context holds
            no prompt, or the server does not answer.
    """
    if isinstance(params, ServerParams) and not model.revision.strip():
        raise UserError(
            f"generate.llm.model: {model.name} has an empty revision, and the response cache could not tell it from "
            "the next version of the same name: write its version, or today's date, into revision"
        )
    return _BACKENDS[type(params)](model, params, shortest)
