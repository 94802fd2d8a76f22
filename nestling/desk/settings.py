"""The section `review` of params.yaml: what goes out to people, where, and how many judge a record."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from nestling.desk.sheets import SheetParams
from nestling.params import StageParams, Strict
from nestling.review.people import People


class ArgillaParams(Strict):
    """An Argilla server; its address and key come from the environment."""

    kind: Literal["argilla"]
    workspace: str  # whose members judge
    referee_workspace: str  # whose members settle what others dispute
    vector_dims: NonNegativeInt  # of a query's vector, for "find similar"; 0 for none
    tries: PositiveInt  # of each request
    timeout_s: float = Field(gt=0, allow_inf_nan=False)  # of one try


class ReviewParams(StageParams, section="review", shared=("people",)):
    """What `nestling review` reads; no stage does, `shared.people` apart."""

    people: People
    round: str  # data/annotations/<round>.jsonl
    language: str  # of questions and guidelines
    suggest: tuple[Literal["audit", "active"], ...]  # what goes out with a machine's answers
    desk: Annotated[ArgillaParams | SheetParams, Field(discriminator="kind")]
