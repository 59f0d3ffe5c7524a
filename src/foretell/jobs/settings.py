"""What every job's settings share: checked when they are made, stored with the model."""

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from foretell.errors import InputError, require_known


class JobSettings(BaseModel):
    """The arguments of a job's class. A field of None is chosen from the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    job: ClassVar[str]  # the class that takes them, as messages name it

    @classmethod
    def of(cls, **values: object) -> Self:
        """Check the caller's values; an InputError names the first that is wrong."""
        require_known(cls.job, "setting", values, cls.model_fields)
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{cls.job}: {name}: {first['msg']}; got {first['input']!r}.") from None
