"""Pages that say what the code says are fresh, and their examples work."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest

from sweeper.cli.main import run
from sweeper.documentation import IN_PART, WHOLE, made
from sweeper.sweepfile.document import read_document
from sweeper.sweepfile.documentation import EXAMPLES, forms
from sweeper.sweepfile.schema import sweep_schema
from sweeper.testing.small import differ, tensors_of, trained, with_trick
from trials import catalogue
from trials.documentation import page
from trials.part import temporary_parts
from trials.trick import Trick

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [*WHOLE, *IN_PART])
def test_what_is_made_from_the_code_says_what_the_code_says(name: str) -> None:
    shipped = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert shipped == made(name, ROOT / "docs"), "run: make docs"


def test_every_key_of_the_sweep_file_has_a_meaning_and_every_example_is_read() -> None:
    reference = (ROOT / "docs/sweep-file.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[\w.]+`) \| (.*) \| (.*) \| (.*) \|$", reference, flags=re.M)
    assert not [key for key, *told in rows if not all(told)]
    headings = re.findall(r"^## `(\w+)`$", reference, flags=re.M)
    assert headings == list(sweep_schema()["properties"])
    assert len(EXAMPLES) == len(headings)
    validator = jsonschema.Draft202012Validator(sweep_schema())
    for example in re.findall(r"```yaml\n(.*?)```", reference, flags=re.S):
        given = read_document(example, "example").root
        whole = {
            "name": "example",
            "base": {"data": "digits"},
            "parameters": {"seed": {"value": 1}},
        }
        inner = given.keys() - validator.schema["properties"].keys()
        whole |= {"base": whole["base"] | given} if inner else given
        assert not list(validator.iter_errors(whole)), example
    given = {"parameters": read_document(forms(), "forms").root}
    assert not list(validator.iter_errors(whole | given))


def test_an_example_of_a_part_shows_what_is_not_the_default() -> None:
    reference = (ROOT / "docs/sweep-file.md").read_text(encoding="utf-8")
    shown = re.findall(r"```yaml\n([^`]+)```\n\n\| key.*?\n\|.*?\n(.*?)\n\n", reference, re.S)
    defaults = [dict(re.findall(r"^\| `(\w+)` \| `(.*?)` ", rows, flags=re.M)) for _, rows in shown]
    examples = [dict(re.findall(r"(\w+): ([^,{}\s]+)", text)) for text, _ in shown]
    same = [
        (example, key)
        for example, known in zip(examples, defaults, strict=True)
        if example.keys() & {"family", "name"}
        for key in example.keys() & known.keys()
        if example[key] == known[key]
    ]
    assert len(examples) > 30
    assert not same
    assert "{name: digits, size: 16}" in reference.partition("`base.data`")[2]


def test_the_template_of_a_trick_is_a_trick_that_works(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    namespace: dict[str, object] = {"__name__": "trials.tricks.contrast"}
    with temporary_parts():
        exec(compile(code, "contrast.py", "exec"), namespace)
        trick = Trick.named("contrast")
        assert trick.search_ranges() == {"factor": {"min": 0.5, "max": 2.0}}
        plain = trained(with_trick(trick, {"factor": 1.0}), tmp_path / "plain", 2)
        changed = trained(with_trick(trick, {"factor": 0.5}), tmp_path / "changed", 2)
        assert differ(tensors_of(plain), tensors_of(changed))
        assert "### `contrast`" in page()
        assert "benchmarks/tricks.py contrast" in catalogue.cost_in_words("contrast")


def test_costs_are_those_of_tricks_that_there_are() -> None:
    assert catalogue.costs().keys() <= catalogue.tricks().keys()
    assert all(ratio > 0 for ratio in catalogue.costs().values())
    assert f"{catalogue.costs()['unrolled']:.2f} times" in catalogue.cost_in_words("unrolled")


@pytest.mark.parametrize("asked", [[], ["--presets"], *([name] for name in catalogue.tricks())])
def test_what_the_terminal_shows_fits_it(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sweeper.cli.tricks.terminal_columns", lambda: 80)
    assert run(["tricks", *asked]) == 0
    # Formulas stand as they were set, indented by four and more.
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("    ")]
    assert lines
    assert not [line for line in lines if len(line) > 80]


@pytest.mark.parametrize(
    "file", ["README.md", "CONTRIBUTING.md", *map(str, ROOT.glob("docs/*.md"))]
)
def test_links_between_pages_lead_somewhere(file: str) -> None:
    path = ROOT / file
    for target in re.findall(r"\]\(([^)]+?)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            page, _, anchor = target.partition("#")
            there = path.parent / page if page else path
            assert there.exists(), f"{file} links to {target}"
            assert not anchor or anchor in anchors(there), f"{file} links to {target}"


def anchors(page: Path) -> set[str]:
    """What the headings of a page can be linked to by, as GitHub has it."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
