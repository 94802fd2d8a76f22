"""What set.yaml says about a whole set: defaults for documents that say nothing themselves."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nestling.corpus.values import identity
from nestling.errors import UserError
from nestling.params import read_yaml

FILE = "set.yaml"

Scale = Annotated[list[float], Field(min_length=2, max_length=2)]  # lowest, highest score


class Settings(BaseModel):
    """The content of set.yaml; every key may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    licence: str | None = Field(default=None, min_length=1)
    language: str | None = Field(default=None, min_length=1)
    sts_scale: Scale | dict[str, Scale] | None = None  # of all pairs, or by file, such as sts/mine.csv

    @model_validator(mode="after")
    def scale_rises(self) -> Self:
        """Refuse a scale without extent."""
        scales = self.sts_scale.values() if isinstance(self.sts_scale, dict) else [self.sts_scale or [0, 1]]
        if not all(low < high for low, high in scales):
            raise ValueError("sts_scale must be [lowest, highest]")
        return self

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
    try:
        return Settings.model_validate({} if tree is None else tree)
    except ValidationError as error:
        raise UserError(f"{path}: {_sentence(error)} (keys: licence, language, sts_scale)") from None


def _sentence(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(step) for step in problem["loc"])
    hint = "; put it in quotes: YAML reads no as false" if problem["input"] is False else ""
    return f"{key or 'the whole'} is {problem['input']!r}: {problem['msg']}{hint}"
