"""Text that would be a formula, markup, a delimiter or an unseen mark is only text everywhere."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from adjudicator import store
from adjudicator.load import load_reference
from adjudicator.night import Order, run_night
from adjudicator.reports.documents import as_csv
from adjudicator.reports.figures import Period
from adjudicator.reports.pdf import as_pdf
from adjudicator.reports.publish import FORMATS, publish_documents
from adjudicator.reports.text import clean, csv_text, inert
from edi.balance import check_835
from schemas.config import Config
from tests.case_tools import CLAIMS, REFERENCE
from tests.pdf_text import pages
from tests.pyx12_check import pyx12_errors

TEMPLATE = Path(__file__).parents[1] / "adjudicator" / "reports" / "report.typ"
DAY = date(2025, 11, 15)
# a formula, our delimiters, typst's code and markup; a whole markup document if it were read as one
NAME = '=1+1*2~3:4^5 #panic("x") $y$ *b* [c] <d> @e `f` //'
ACCOUNT = '@SUM(A1)*~:^;-1"#'
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def night_of(folder: Path, name: str, account: str) -> Path:
    """A night whose patient and account are named so, sent with delimiters of its own."""
    text = (CLAIMS / "professional-fee-table" / "claim.837").read_text("ascii").replace("\n", "")
    text = text.translate(str.maketrans("*:~^", "\x1d\x1f\x1c\x1e"))
    text = text.replace("HOLLOWBROOK", name).replace("FT-1", account)
    (folder / "claim.837").write_text(text, "latin-1")
    shutil.copytree(REFERENCE, folder / "reference")
    for table, found, put in (
        ("members.csv", "Hollowbrook", name),
        ("payees.csv", "Benedict Larkfield MD", name),
    ):
        file = folder / "reference" / table
        quoted = '"' + put.replace('"', '""') + '"'
        file.write_text(file.read_text("utf-8").replace(found, quoted), "utf-8")
    config = Config(db=f"sqlite:///{folder / 'a.db'}", out=folder / "out")
    engine = store.open_store(config.db)
    with engine.begin() as connection:
        load_reference(connection, folder / "reference")
    done = run_night(Order((folder / "claim.837",), config, DAY, DAY))
    assert done.counts["paid"]["count"] == 2
    with store.reading(engine) as connection:
        nights = Period((done.run_id,), DAY, DAY, of_one_run=True)
        publish_documents(connection, "eop", nights, folder / "out", FORMATS)
    return folder / "out"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return night_of(tmp_path_factory.mktemp("hostile"), NAME, ACCOUNT)


def only(out: Path, pattern: str) -> Path:
    [found] = out.glob(pattern)
    return found


def test_in_the_835_it_opens_no_segment_element_or_component(out: Path) -> None:
    content = only(out, "*/835/*.835").read_bytes()
    assert not check_835(content)
    assert not pyx12_errors(content)
    segments = content.decode("ascii").split("~")
    assert [s.split("*")[0] for s in segments].count("CLP") == 2
    [patient, _] = [s.split("*") for s in segments if s.startswith("NM1*QC*")]
    assert patient[3] == NAME.translate(str.maketrans("*~:^", "    "))
    assert patient[4] == "MARGUERITE"
    claim = next(s for s in segments if s.startswith("CLP*")).split("*")
    assert claim[1:5] == ['@SUM(A1)    ;-1"#', "1", "180", "81.4"]


@pytest.mark.parametrize("pattern", ["*/claims.csv", "eop/*.csv"])
def test_in_a_csv_no_cell_of_it_begins_a_formula(out: Path, pattern: str) -> None:
    text = only(out, pattern).read_text("utf-8")
    header, *rows = csv.reader(io.StringIO(text))
    assert rows
    assert {len(row) for row in rows} == {len(header)}
    cells = [cell for row in rows for cell in row]
    assert """'@SUM(A1)*~:^;'-1"#""" in cells
    assert not [c for c in cells if c.lstrip().startswith(FORMULA)]


def test_in_a_csv_read_with_semicolons_it_begins_no_cell_either(out: Path) -> None:
    text = only(out, "eop/*.csv").read_text("utf-8")
    cells = [cell for row in csv.reader(io.StringIO(text), delimiter=";") for cell in row]
    assert not [c for c in cells if c.lstrip().startswith(FORMULA)]


def test_in_the_pdf_it_is_set_as_it_stands(out: Path) -> None:
    text = " ".join("".join(pages(only(out, "eop/*.pdf").read_bytes())).split())
    whole = re.sub(r"[\s\u200b]", "", text)
    assert re.sub(r"\s", "", NAME) in whole
    assert ACCOUNT in whole
    document = json.loads(only(out, "eop/*.json").read_text("utf-8"))
    assert document["payee"]["name"] == NAME
    assert document["payments"][0]["claims"][0]["patient_last_name"] == NAME


# every string that a document takes from elsewhere
FOREIGN = ("patient_last_name", "patient_first_name", "patient_middle_name", "member_number",
           "patient_control_number", "claim_number", "rendering_last_name", "rendering_first_name",
           "rendering_npi", "procedure_code", "revenue_code", "trace_number", "payee_id", "name",
           "npi", "address_line", "city", "state_code", "zip_code")  # fmt: skip


def laced(value: Any, text: str, key: str = "") -> Any:
    """The document with that text in every such place, and in every modifier."""
    if isinstance(value, dict):
        return {k: laced(v, text, k) for k, v in value.items()}
    if isinstance(value, list):
        of = [laced(v, text, key) for v in value]
        return [text] if key == "modifier_codes" else of
    return text if key in FOREIGN else value


@pytest.mark.parametrize(
    "text",
    [
        '#panic("evaluated")',
        '"; panic("evaluated"); "',
        "]; #panic(); [",
        "$ #panic() $",
        '#eval("panic()")',
        '\\u{0} \\" {{}} </script>',
        "W" * 80,
        "\u202eevil\u202c",
        "אבגד ابجد 漢字 🏥",
        "\x00\x07\x1b[31m\t\r\n",
        "",
    ],
)
def test_no_element_of_a_document_is_read_as_code(out: Path, text: str) -> None:
    document = laced(json.loads(only(out, "eop/*.json").read_text("utf-8")), text)
    shown = pages(as_pdf(json.dumps(document)))
    assert f"of {len(shown)}" in shown[-1]
    assert "170.90" in shown[0]  # 81.40 + 89.50
    rows = list(csv.reader(io.StringIO(as_csv(document).decode("utf-8"))))
    assert {len(row) for row in rows} == {len(rows[0])}


def test_the_template_evaluates_nothing_and_opens_nothing_but_its_document() -> None:
    source = TEMPLATE.read_text("utf-8")
    assert not re.search(
        r"\b(eval|read|plugin|import|include|markup|cbor|yaml|toml|xml|csv)\b\(", source
    )
    assert source.count("json(") == 1
    assert "date: none" in source


@pytest.mark.parametrize(
    "first", [*FORMULA, " =", "\t=", "\r@", "\n-", "\u200b+", "\ufeff=", "\u202e="]
)
def test_a_formula_gets_an_apostrophe(first: str) -> None:
    [cell] = pl.DataFrame({"a": [f"{first}1"]}).select(inert(pl.col("a")))["a"]
    assert cell.startswith("'")
    assert cell.isprintable()


@pytest.mark.parametrize(
    "text", ["O'BRIEN-SMITH", "1-2", "A=B", "", "  x", "'=already", "é", "a; b"]
)
def test_other_text_is_left_alone(text: str) -> None:
    [cell] = pl.DataFrame({"a": [text]}).select(inert(pl.col("a")))["a"]
    assert cell == text


@pytest.mark.parametrize("mark", ["\x00", "\t", "\n", "\x7f", "\x85", "\xad", "\u200b", "\u200f",
                                  "\u2028", "\u202e", "\u2066", "\ufeff"])  # fmt: skip
def test_unseen_marks_become_spaces(mark: str) -> None:
    [text] = pl.DataFrame({"a": [f"A{mark}B"]}).select(clean(pl.col("a")))["a"]
    assert text == "A B"


def test_a_csv_quotes_text_and_leaves_amounts_to_be_added_up() -> None:
    frame = pl.DataFrame({"name": ["a;=b", 'say "x", y', None], "paid_amount": [-1, 12345, None]})
    assert csv_text(frame).decode() == (
        '"name","paid"\n"a;\'=b","-0.01"\n"say ""x"", y","123.45"\n,\n'
    )
