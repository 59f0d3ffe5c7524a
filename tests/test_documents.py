"""What the pages promise is there: options with their defaults, files, and the commands others rely on."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from foretell.jobs.forecasting import settings as forecasting
from foretell.jobs.language import settings as language
from foretell.jobs.recommending import settings as recommending
from foretell.jobs.translating import settings as translating
from foretell.lstm.options import Options

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def table(page: str) -> dict[str, str]:
    """Option and default of every row that has both."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*?) \| [^|]+ \|", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    return dict(rows)


def written(default: object) -> str:
    if isinstance(default, tuple):
        return ", ".join(map(written, default))
    return f"{default:g}" if type(default) in (int, float) else str(default)


@pytest.mark.parametrize(
    ("page", "job"),
    [
        ("forecasting.md", forecasting),
        ("recommend.md", recommending),
        ("text.md", language),
        ("translate.md", translating),
    ],
)
def test_every_setting_and_its_default(page, job):
    defaults = {
        name: "chosen" if field.default is None else written(field.default)
        for name, field in job.Settings.model_fields.items()
        if not field.is_required()
    }
    documented = table(page)
    assert {name: documented.get(name) for name in defaults} == defaults


def test_every_option_of_the_layer_and_its_default():
    assert table("layer.md") == {field.name: written(field.default) for field in fields(Options)}


@pytest.mark.parametrize(
    "command",
    [
        "pip install -c constraints.txt . && foretell demo",
        "pip install -c constraints.txt '.[test]' && pytest",
    ],
)
def test_the_readme_gives_the_commands(command):
    assert f"\n{command}\n" in README


def test_links_of_the_pages_lead_somewhere():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
