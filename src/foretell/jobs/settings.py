"""What every job's settings share: checked when they are made, stored with the model."""

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from foretell.errors import InputError, require_known

# What a value must be, by the type of pydantic's error and its context.
ALLOWED = {
    "greater_than_equal": "at least {ge:,.12g}",
    "greater_than": "above {gt:,.12g}",
    "less_than_equal": "at most {le:,.12g}",
    "less_than": "below {lt:,.12g}",
    "multiple_of": "a multiple of {multiple_of}",
    "finite_number": "finite",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "True or False",
    "bool_parsing": "True or False",
    "string_type": "a text",
    "literal_error": "{expected}",
    "tuple_type": "a list",
}


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
            raise _sentence(cls.job, error.errors()[0]) from None


def _sentence(job: str, error: Any) -> InputError:
    """What is wrong, as `require` says it; pydantic's own words where ours have no place for them."""
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return InputError(f"{job}: {name} is missing; give it.")
    if error["type"] not in ALLOWED:
        return InputError(f"{job}: {name}: {error['msg']}; got {error['input']!r}.")
    allowed = ALLOWED[error["type"]].format(**error.get("ctx", {}))
    return InputError(f"{job}: {name} must be {allowed}; got {error['input']!r}.")
