"""What all sections of the settings are made of.

What belongs here: the base class, and names. What does not: any section.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class Section(BaseModel):
    """A part of the settings. It cannot be changed, and a key that it does not have is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
