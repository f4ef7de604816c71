"""The pages of docs/ say what the program does: made from it, and commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from adjudicator.edits import EDITS
from adjudicator.edits.edit import Edit
from adjudicator.programs import load_forms, load_message_codes
from adjudicator.stages.validate import CHECKS, PAPER_ONLY
from adjudicator.store.tables import metadata
from cli import app
from schemas import frames, reference
from schemas.config import Config
from tests import docs
from tests.docs import DOCS, PAGES, ROOT, SCHEMAS

OPERATE = DOCS / "operate.md"
WRITTEN = [*PAGES, OPERATE.name, "programs.md", "disputes.md", "security.md"]


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


@pytest.mark.parametrize("name", PAGES | SCHEMAS)
def test_a_page_is_what_the_program_would_write_today(name: str) -> None:
    assert page(name) == (PAGES | SCHEMAS)[name](), f"docs/{name} is stale: run `make docs`"


# ---- what the makers of the pages must not lose ----------------------------------------------


def test_every_reference_table_and_column_is_told() -> None:
    made = PAGES["reference-files.md"]()
    for name, schema in reference.TABLES.items():
        section = made.split(f"\n### {name}\n")[1].split("\n### ")[0]
        for column in schema.columns():
            assert re.search(rf"^\| `{column}` \| [a-z -]+ \| (yes)? +\| \w", section, re.M), column
        header, row = re.findall(r"```csv\n(.*)\n(.*)\n```", section)[0]
        assert set(header.split(",")) <= set(schema.columns())
        assert row.count(",") == header.count(",")


def test_every_frame_and_column_is_told() -> None:
    made = PAGES["data-dictionary.md"]()
    for name, schema in vars(frames).items():
        if isinstance(schema, type) and issubclass(schema, docs.dy.Schema) and schema.columns():
            section = made.split(f"\n### {name}\n")[1].split("\n### ")[0]
            inherited = re.findall(r"All columns of \[(\w+)\]", section)
            known = {c for parent in inherited for c in getattr(frames, parent).columns()}
            for column in set(schema.columns()) - known:
                assert re.search(rf"^\| `{column}` \|.*\| .*\w.* \|$", section, re.M), column


@pytest.mark.parametrize("name", sorted(metadata.tables))
def test_every_column_of_the_store_has_a_meaning(name: str) -> None:
    """Say it in STORE_MEANINGS of tests/docs.py where no frame says it."""
    columns = [c.name for c in metadata.tables[name].columns]
    assert [c for c in columns if not docs.store_meaning(name, c)] == []


def test_no_meaning_is_told_of_a_column_that_is_gone() -> None:
    columns = {f"{t.name}.{c.name}" for t in metadata.tables.values() for c in t.columns}
    columns |= {c.name for t in metadata.tables.values() for c in t.columns}
    assert set(docs.STORE_MEANINGS) <= columns
    assert set(docs.STORE_FRAMES) <= set(metadata.tables)


@pytest.mark.long
@pytest.mark.parametrize("each", EDITS, ids=lambda each: each.name)
def test_an_edit_is_told_with_its_sentence_and_what_it_puts(each: Edit) -> None:
    section = PAGES["edits.md"]().split(f"\n### {each.name}\n")[1].split("\n### ")[0]
    assert f"> {each.cites.phrase}\n" in section
    for part in (each.carc, each.rarc, each.pend_code, *(carc for _, carc in each.other_codes)):
        assert not part or re.search(rf"\*\*.*\b{part}\b.*\*\*: \w", section), part
    assert (f"document {each.cites.document}, line") in section
    assert ("a judgement [j]" in section) == each.judgement


def test_the_edits_stand_in_their_order_and_every_validation_is_told() -> None:
    made = PAGES["edits.md"]()
    assert re.findall(r"^\| \d+ \| \[(\w+)\]", made, re.M) == [each.name for each in EDITS]
    for check in CHECKS.values():
        assert f"| `{check.edit}` | " in made


def test_every_box_is_told_with_its_element_and_usage() -> None:
    made = PAGES["forms.md"]()
    for form in load_forms():
        for field in form.fields:
            element = field.element or PAPER_ONLY
            assert f"| {field.box} | {field.name} | {element} | {field.usage} | " in made


# ---- all pages -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITTEN)
def test_links_lead_somewhere(name: str) -> None:
    text = page(name)
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        if file:
            assert (DOCS / file).exists(), target
        else:
            assert anchor in anchors, target


@pytest.mark.parametrize(
    "name", [n for n in WRITTEN if n not in ("data-dictionary.md", "faults.md", "security.md")]
)
def test_commands_that_are_shown_exist_with_their_options(name: str) -> None:
    shown = re.findall(r"^ {4}(?:\S+/)?adjudicate (.+)$", page(name), re.M)
    assert shown
    every = typer.main.get_command(app)
    for line in shown:
        words = shlex.split(line.split(" #")[0].split(" | ")[0])
        command = every
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        assert not getattr(command, "commands", {}) or words in (["--version"], []), line
        known = {option for each in command.params for option in each.opts}
        assert {w.split("=")[0] for w in words if w.startswith("--")} <= known | {"--help"}, line


def test_the_operators_guide_tells_every_command_key_and_pend() -> None:
    text = OPERATE.read_text("utf-8")
    command = typer.main.get_command(app)
    for name, each in command.commands.items():  # type: ignore[attr-defined]
        for sub in getattr(each, "commands", {"": None}):
            assert f"adjudicate {name} {sub}".strip() in text
    for key in Config.model_fields:
        assert re.search(rf"^\| `?{key}`? \|", text, re.M), key
    for message in load_message_codes().values():
        # RECEIVED is what a report says before a night has decided
        if message.kind == "pend" and message.code != "RECEIVED":
            assert re.search(rf"^\| {message.code} \|", text, re.M), message.code


def test_messages_that_the_guide_explains_are_the_programs() -> None:
    section = OPERATE.read_text("utf-8").split("## Messages, and what to do")[1].split("\n## ")[0]
    told = re.findall(r"^\| `([^`]+)` \|", section, re.M)
    assert len(told) > 15
    rooms = [
        ROOT / "cli.py",
        *(f for d in ("adjudicator", "edi") for f in (ROOT / d).rglob("*.py")),
    ]
    source = "".join(path.read_text("utf-8") for path in rooms)
    source = re.sub(r'"\s*f?"', "", source)  # strings that go on in the next line
    for message in told:
        assert message in source, message


def test_no_page_names_a_machine() -> None:
    for name in WRITTEN:
        assert not re.search(r"/(work|root|home)/", page(name))
    assert Path("docs") == DOCS.relative_to(ROOT)
