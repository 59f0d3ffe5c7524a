"""How a function becomes a command: groups of options taken apart, every way to end that is no success."""

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import typer
from typer.models import ArgumentInfo

from foretell.cli.options import flag
from foretell.cli.printing import print_error
from foretell.errors import InputError

WRONG, STOPPED = 2, 130  # exit codes: the user's mistake, and Ctrl-C as shells count it
_typed: dict[str, str] = {}  # how each parameter of all commands is typed, by its name in Python


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A function with a `json` parameter as typer wants it.

    A parameter that is a dataclass becomes one option a field. A mistake ends in one sentence on stderr (with
    --json also in {"error": ...} on stdout) and exit code 2; Ctrl-C in one sentence and 130.
    """
    hints = get_type_hints(function, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind)}

    @functools.wraps(function)
    def run(**values: Any) -> None:
        try:
            function(**_gather(groups, values))
        except BrokenPipeError:  # whoever reads our output has enough; typer ends quietly
            raise
        except (InputError, OSError) as error:
            print_error(_sentence(error), values["json"])
            raise typer.Exit(WRONG) from None
        except KeyboardInterrupt as stop:
            print_error(str(stop) or "Stopped.", values["json"])
            raise typer.Exit(STOPPED) from None

    del run.__wrapped__  # its signature still has the groups
    parameters = list(_parameters(function, hints))
    _typed.update((parameter.name, _typed_name(parameter)) for parameter in parameters)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameters(function: Callable[..., None], hints: dict[str, Any]) -> Iterator[inspect.Parameter]:
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if not is_dataclass(kind):
            yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=kind)
            continue
        inner = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            yield inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=inner[field.name],
            )


def _gather(groups: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The flat values of the command line as the function takes them."""
    inside = {name: {field.name: values[field.name] for field in fields(kind)} for name, kind in groups.items()}
    grouped = {name for members in inside.values() for name in members}
    plain = {name: value for name, value in values.items() if name not in grouped}
    return plain | {name: kind(**inside[name]) for name, kind in groups.items()}


def as_typed(sentence: str) -> str:
    """What speaks Python in a sentence, as it is typed here: "Say freq='1d'." becomes "Say --freq 1d."."""
    names = "|".join(map(re.escape, _typed))
    sentence = re.sub(rf"^\w+: ({names}) (?=must )", lambda found: f"{_typed[found[1]]} ", sentence)
    return re.sub(rf"(?<![^\s(])({names})=(?:'([^']*)'|(?=(\w)))?", _typed_argument, sentence)


def _typed_argument(found: re.Match[str]) -> str:
    name, text, follows = found.groups()
    return _typed[name] + (f" {text}" if text is not None else " " if follows else "")


def _typed_name(parameter: inspect.Parameter) -> str:
    """ "--learning-rate", or "DATA" for what has no name on the command line."""
    (how,) = parameter.annotation.__metadata__
    if isinstance(how, ArgumentInfo):
        return str(how.metavar).strip("[].")
    return next((name for name in how.param_decls or () if name.startswith("--")), flag(parameter.name))


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}."
    return as_typed(str(error))
