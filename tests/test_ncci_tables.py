"""The correct coding edits with CMS's own tables of a quarter, as kept in a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import NamedTuple

import polars as pl
import pytest
from sqlalchemy import Engine

from adjudicator import store
from adjudicator.coded import (
    CODED,
    Facts,
    coded_facts,
    coding_ages,
    coding_tables,
    read_coded,
    store_coded,
)
from adjudicator.edits import edits
from adjudicator.pipeline import Batch
from adjudicator.programs import load_programs
from tests import build
from tests.coding_tables import ABSENT, are_here
from tests.coding_tables import coding_tables as tables_of_days

# the quarter they are of; they have no dates of their own
FIRST, LAST = date(2024, 7, 1), date(2024, 9, 30)
BEFORE, AFTER = date(2024, 6, 30), date(2024, 10, 1)
POLICY = load_programs()["carepartners"].policies.ncci
PROGRAM = build.program(edits=("ncci",), policies={"ncci": POLICY})
EVERY = 60_013  # of the pairs so many are passed over for one that is asked: about fifty


class Kept(NamedTuple):
    engine: Engine
    tables: dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    if not are_here():
        pytest.skip(ABSENT)
    tables = tables_of_days(FIRST, LAST)
    database = tmp_path_factory.mktemp("coding") / "a.db"
    engine = store.open_store(f"sqlite:///{database}")
    with engine.begin() as connection:
        for name, frame in tables.items():
            store_coded(connection, name, name, frame)
    yield Kept(engine, tables)
    engine.dispose()


def rows_of(kept: Kept, codes: pl.Series) -> dict[str, pl.DataFrame]:
    with store.reading(kept.engine) as connection:
        found = {name: read_coded(connection, name, name, codes) for name in CODED}
    assert all(frame is not None for frame in found.values())
    return {name: frame for name, frame in found.items() if frame is not None}


def asked(kept: Kept) -> pl.DataFrame:
    """Some of three million pairs, of both tables and both indicators."""
    pairs = kept.tables["procedure_pairs"].gather_every(EVERY)
    assert pairs["table_code"].n_unique() == 2
    assert sorted(pairs["modifier_indicator_code"].unique()) == ["0", "1"]
    return pairs


def night(pairs: pl.DataFrame, day: date, modifier: str | None) -> Batch:
    """A claim of a member of its own for each pair: column one, then column two, and the modifier
    on that."""
    claims, lines = [], []
    for n, row in enumerate(pairs.iter_rows(named=True), start=1):
        hospital = row["table_code"] == "hospital"
        claims.append(
            {
                "member_id": f"M{n}", "claim_type_code": "I" if hospital else "P",
                "facility_code": "13" if hospital else "11",
            }
        )  # fmt: skip
        for code, with_modifier in (
            (row["column_one_code"], None),
            (row["column_two_code"], modifier),
        ):
            lines.append(
                {
                    "claim_id": n, "procedure_code": code, "modifier_codes": with_modifier,
                    "service_from_date": day, "unit_quantity": 1_000,
                }
            )  # fmt: skip
    return Batch(claims=build.claims(claims), lines=build.lines(lines))


def found(kept: Kept, batch: Batch) -> pl.DataFrame:
    rows = rows_of(kept, batch.lines["procedure_code"].unique())
    reference = build.reference(PROGRAM, **rows)
    return edits(batch, replace(reference, coding_tables=coding_tables(facts(kept)))).findings


def facts(kept: Kept) -> list[Facts]:
    with store.reading(kept.engine) as connection:
        told = [coded_facts(connection, name) for name in CODED]
    assert None not in told
    return list(filter(None, told))


def test_a_night_reads_all_rows_of_its_own_codes_and_no_others(kept: Kept) -> None:
    codes = asked(kept).select(pl.concat_list("column_one_code", "column_two_code").explode())
    wanted = codes.to_series().unique()
    for name, frame in rows_of(kept, wanted).items():
        inside = pl.all_horizontal(pl.col(c).is_in(wanted.implode()) for c in CODED[name])
        expected = kept.tables[name].filter(inside)
        assert 0 < frame.height == expected.height < kept.tables[name].height
        assert frame.sort(frame.columns).equals(expected.select(frame.columns).sort(frame.columns))


@pytest.mark.parametrize("day", [FIRST, LAST])
@pytest.mark.parametrize("modifier", [None, "59", "GT"])
def test_a_pair_is_denied_on_the_quarters_days_as_its_indicator_says(
    kept: Kept, day: date, modifier: str | None
) -> None:
    pairs = asked(kept)
    told = found(kept, night(pairs, day, modifier)).filter(carc="236")
    # column two, the second line; 59 sets apart what indicator 1 allows to be, GT nothing
    expected = [
        (n, 2)
        for n, indicator in enumerate(pairs["modifier_indicator_code"], start=1)
        if not (modifier == "59" and indicator == "1")
    ]
    assert not both_ways(kept, pairs)
    assert told.select("claim_id", "line_number").rows() == expected
    assert 0 < len(expected) <= pairs.height


def both_ways(kept: Kept, pairs: pl.DataFrame) -> int:
    """How many of the pairs stand in the table the other way round as well."""
    turned = pairs.select("table_code", column_one_code="column_two_code",
                          column_two_code="column_one_code")  # fmt: skip
    return kept.tables["procedure_pairs"].join(turned, on=turned.columns, how="semi").height


@pytest.mark.parametrize("day", [BEFORE, AFTER])
def test_on_other_days_nothing_is_denied_and_each_claim_is_told_why(kept: Kept, day: date) -> None:
    pairs = asked(kept)
    told = found(kept, night(pairs, day, None))
    assert told.select("claim_id", "line_number", "disposition", "carc").rows() == [
        (n, None, "inform", None) for n in range(1, pairs.height + 1)
    ]
    assert told["inputs"].str.contains('"last_day":"2024-09-30"').all()


@pytest.mark.parametrize(
    ("kind", "form", "taxonomy"),
    [
        ("practitioner", "P", "207Q00000X"), ("hospital", "I", "282N00000X"),
        ("supplier", "P", "332B00000X"),
    ],
)  # fmt: skip
def test_units_are_denied_above_the_limit_of_their_table_and_not_at_it(
    kept: Kept, kind: str, form: str, taxonomy: str
) -> None:
    limits = kept.tables["unit_limits"].filter(table_code=kind).gather_every(157)
    rows = [row for row in limits.iter_rows(named=True) if row["unit_limit"] > 0]
    assert len(rows) > 5
    for more in (0, 1):
        batch = Batch(
            claims=build.claims(
                [
                    {
                        "member_id": f"M{n}", "claim_type_code": form,
                        "billing_taxonomy_code": taxonomy,
                        "facility_code": "13" if form == "I" else "11",
                    }
                    for n in range(len(rows))
                ]
            ),
            lines=build.lines(
                [
                    {
                        "claim_id": n, "procedure_code": row["procedure_code"],
                        "service_from_date": LAST,
                        "unit_quantity": (row["unit_limit"] + more) * 1_000,
                    }
                    for n, row in enumerate(rows, start=1)
                ]
            ),
        )  # fmt: skip
        told = found(kept, batch).filter(carc="151")["claim_id"].to_list()
        assert told == (list(range(1, len(rows) + 1)) if more else [])


def test_an_add_on_code_is_paid_beside_its_primary_code_alone(kept: Kept) -> None:
    adds = kept.tables["add_on_codes"].filter(edit_type_code="1").gather_every(601)
    # a primary code that is itself an add-on code stands only with a third
    adds = adds.filter(
        ~pl.col("primary_code").is_in(kept.tables["add_on_codes"]["add_on_code"].implode())
    )
    assert adds.height > 4
    own = adds.rows(named=True)
    for beside in (True, False):
        lines = [
            {"claim_id": n, "procedure_code": row[column], "service_from_date": FIRST,
             "unit_quantity": None}
            for n, row in enumerate(own, start=1)
            for column in ("add_on_code", "primary_code")[: 1 + beside]
        ]  # fmt: skip
        claims = [{"member_id": f"M{n}"} for n in range(len(own))]
        told = found(kept, Batch(claims=build.claims(claims), lines=build.lines(lines)))
        denied = told.filter(carc="B15")["claim_id"].to_list()
        assert denied == ([] if beside else list(range(1, len(own) + 1)))


@pytest.mark.parametrize(
    ("day", "told"),
    [
        (BEFORE, "holds from 2024-07-01, and not on 2024-06-30"),
        (FIRST, "holds to 2024-09-30"),
        (LAST, "holds to 2024-09-30"),
        (AFTER, "ended 2024-09-30, 1 day ago: load the next edition"),
        (date(2025, 11, 15), "ended 2024-09-30, 411 days ago: load the next edition"),
    ],
)
def test_how_old_the_tables_are(kept: Kept, day: date, told: str) -> None:
    """From 2024-09-30 to 2025-11-15: 31 + 30 + 31 days to the year's end, 319 into the next."""
    assert coding_ages(coding_tables(facts(kept)), day) == [
        f"{name}: {told}"
        for name in (
            "hospital procedure pairs", "practitioner procedure pairs", "add on codes",
            "hospital unit limits", "practitioner unit limits", "supplier unit limits",
        )
    ]  # fmt: skip
