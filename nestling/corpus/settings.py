"""What set.yaml says about a whole set: defaults for documents that say nothing themselves."""

import math
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nestling.corpus.language import code_of
from nestling.corpus.values import identity, is_blank
from nestling.errors import UserError
from nestling.params import read_yaml

FILE = "set.yaml"

Scale = Annotated[list[float], Field(min_length=2, max_length=2)]  # lowest, highest score


def rises(low: float, high: float) -> bool:
    """Tell whether a scale has an extent, and one that numbers can be divided by."""
    return low < high and math.isfinite(high - low)


class Settings(BaseModel):
    """The content of set.yaml; every key may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    licence: str | None = None
    language: str | None = None
    sts_scale: Scale | dict[str, Scale] | None = None  # of all pairs, or by file, such as sts/mine.csv

    @model_validator(mode="after")
    def scale_rises(self) -> Self:
        """Refuse a scale without extent."""
        scales = self.sts_scale.values() if isinstance(self.sts_scale, dict) else [self.sts_scale or [0, 1]]
        if not all(rises(low, high) for low, high in scales):
            raise ValueError("sts_scale must be [lowest, highest], two finite numbers")
        return self

    @field_validator("licence", "language")
    @classmethod
    def says_something(cls, said: str | None) -> str | None:
        """Refuse a blank."""
        if said is not None and is_blank(said):
            raise ValueError("it must say something, or be left out")
        return said

    @field_validator("language")
    @classmethod
    def is_known(cls, said: str | None) -> str | None:
        """Refuse what is no language."""
        if said is not None and code_of(said) is None:
            raise ValueError("it is no language that is known: write its ISO 639-1 code, such as it")
        return said

    def scale(self, name: str) -> list[float] | None:
        """Return the scale of a file of pairs by its name within the set, or None where nothing is said."""
        if not isinstance(self.sts_scale, dict):
            return self.sts_scale
        return {identity(key): scale for key, scale in self.sts_scale.items()}.get(identity(name))


def read_settings(folder: Path) -> Settings:
    """Return the settings of the set in `folder`.

    Raises:
        UserError: set.yaml is not YAML, or has a key or a value that means nothing.
    """
    path = folder / FILE
    if not path.exists():
        return Settings()
    tree = read_yaml(path)
    if isinstance(tree, dict) and "license" in tree and "licence" not in tree:
        tree["licence"] = tree.pop("license")
    return checked({} if tree is None else tree, str(path))


def checked(tree: Any, where: str) -> Settings:
    """Return settings.

    Raises:
        UserError: a key or a value means nothing; `where` says where it stands.
    """
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{where}: {_sentence(error)} (keys: licence, language, sts_scale)") from None


def _sentence(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(step) for step in problem["loc"])
    hint = "; put it in quotes: YAML reads no as false" if problem["input"] is False else ""
    return f"{key or 'the whole'} is {problem['input']!r}: {problem['msg']}{hint}"
