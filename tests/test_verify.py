"""``adjudicate verify``: nothing wrong is said of what stands, and all that is changed is found.

The random changes are few here; VERIFY_BYTES says how many (`make verify-bytes`: 2,000).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adjudicator import store
from adjudicator.night import Order, run_night
from adjudicator.store.audit import BEGINNING, _hash
from adjudicator.verify import Fault, Verified, verify
from cli import app
from edi.remitted import remitted
from schemas.config import Config
from tests.synthetic import generate
from tests.test_night import load

DAY, NEXT = date(2025, 11, 15), date(2025, 11, 16)
CHANGES = int(os.environ.get("VERIFY_BYTES", "50"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights of 40 claims, the second with what the first left and an act on it."""
    place = tmp_path_factory.mktemp("verify")
    generate(place, 40, seed=7)
    load(f"sqlite:///{place / 'a.db'}", place / "reference")
    config = Config(db=f"sqlite:///{place / 'a.db'}", out=place / "out")
    run_night(Order((place / "inbox",), config, DAY, DAY))
    engine = store.open_store(config.db)
    with engine.begin() as connection:
        claim_id, number = connection.exec_driver_sql(
            "SELECT claim_id, claim_number FROM claim WHERE disposition = 'pended'"
        ).first()  # type: ignore[misc]
        store.insert_override(
            connection, claim_id, number, "released", {"edit": "suspected_duplicate"},
            made_date=NEXT, made_by="Ames", note="a note",
        )  # fmt: skip
    engine.dispose()
    (place / "empty").mkdir()
    run_night(Order((place / "empty",), config, NEXT, NEXT))
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "out", tmp_path / "out")
    shutil.copy(made / "a.db", tmp_path / "a.db")
    return tmp_path


def look(place: Path) -> Verified:
    engine = store.open_store(f"sqlite:///{place / 'a.db'}", create=False)
    with store.reading(engine) as connection:
        found = verify(connection, place / "out")
    engine.dispose()
    return found


def forge(place: Path, *statements: str) -> None:
    """What somebody with the file and without scruples does: no trigger stands in the way."""
    with sqlite3.connect(place / "a.db") as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
            assert connection.total_changes, statement
    connection.close()


def test_nothing_is_wrong_with_what_stands(made: Path) -> None:
    found = look(made)
    assert found.faults == []
    assert found.as_text().endswith("nothing is wrong")
    # 1 load, 2 nights of begun, decided and published, 1 act
    assert (found.nights, found.audit_rows) == (2, 8)
    assert found.files == sum(p.is_file() for p in (made / "out").rglob("*"))
    assert min(found.received, found.payments, found.ledger_entries) > 1
    assert found.accumulator_entries > 5


# ---- files -----------------------------------------------------------------------------------


def test_every_changed_byte_of_every_file_is_found(place: Path) -> None:
    chance = random.Random(2025)
    files = sorted(p for p in (place / "out").rglob("*") if p.is_file())
    missed = []
    for _ in range(CHANGES):
        path = chance.choice(files)
        whole = path.read_bytes()
        at = chance.randrange(len(whole))
        other = bytes([whole[at] ^ chance.randrange(1, 256)])
        path.write_bytes(whole[:at] + other + whole[at + 1 :])
        name = path.relative_to(place / "out").as_posix()
        if name not in [fault.file for fault in look(place).faults]:
            missed.append((name, at))
        path.write_bytes(whole)
    assert missed == []
    assert look(place).faults == []


def first(place: Path, pattern: str) -> Path:
    return min((place / "out").rglob(pattern))


def torn(place: Path) -> Path:
    path = first(place, "*.835")
    path.write_bytes(path.read_bytes()[:-100])
    return path


def emptied(place: Path) -> Path:
    path = first(place, "claims.csv")
    path.write_bytes(b"")
    return path


def removed(place: Path) -> Path:
    path = first(place, "*.999")
    path.unlink()
    return path


def added(place: Path) -> Path:
    path = first(place, "*.835").with_name("carepartners-000000099.835")
    path.write_bytes(first(place, "*.835").read_bytes())
    return path


def swapped(place: Path) -> Path:
    one, other, *_ = sorted((place / "out").rglob("*.835"))
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    return one


def no_manifest(place: Path) -> Path:
    path = first(place, "manifest.json")
    path.unlink()
    return path


def no_folder(place: Path) -> Path:
    path = first(place, "run-*")
    shutil.rmtree(path)
    return path


@pytest.mark.parametrize(
    "damage", [torn, emptied, removed, added, swapped, no_manifest, no_folder],
    ids=lambda damage: damage.__name__,
)  # fmt: skip
def test_a_damaged_file_is_named_with_its_mend(place: Path, damage: Callable[[Path], Path]) -> None:
    name = damage(place).relative_to(place / "out").as_posix()
    told = [fault for fault in look(place).faults if fault.file == name]
    assert told
    assert all(fault.what and fault.mend for fault in told)


def test_a_night_that_is_committed_and_not_published_is_named(place: Path) -> None:
    folder = first(place, "run-*")
    folder.rename(folder.with_name(f".{folder.name}.partial"))
    forge(place, "UPDATE run SET state = 'decided' WHERE run_id = 1",
          "DELETE FROM audit WHERE what = 'published' AND run_id = 1")  # fmt: skip
    told = [f for f in look(place).faults if f.file == folder.name]
    assert told == [
        Fault(folder.name, "the folder is not there",
              "`adjudicate publish 1` publishes what is committed")
    ]  # fmt: skip


def test_a_payment_forged_with_all_its_checksums_is_found(place: Path) -> None:
    """File, manifest and outbox agree on 1,000.00 more; the ledger and the trail do not."""
    path = next(
        p for p in sorted((place / "out").rglob("*.835")) if remitted(p.read_bytes())[0].paid_amount
    )
    amount = remitted(path.read_bytes())[0].paid_amount or 0
    old, new = (f"BPR*I*{cents // 100}.{cents % 100:02}".rstrip("0").rstrip(".").encode()
                for cents in (amount, amount + 100_000))  # fmt: skip
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    folder = path.parents[1]
    name, manifest = path.relative_to(folder).as_posix(), folder / "manifest.json"
    told = json.loads(manifest.read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    told["files"][name] = digest
    manifest.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
    of_manifest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    forge(place, f"UPDATE outbox SET sha256 = '{digest}', byte_count = {len(path.read_bytes())} "
          f"WHERE file_name = '{name}'",
          f"UPDATE outbox SET sha256 = '{of_manifest}' WHERE file_name = 'manifest.json' "
          f"AND run_id = {told['run_id']}")  # fmt: skip
    whats = [f.what for f in look(place).faults]
    assert any("its audit row" in what for what in whats)
    assert any(what.startswith("segment ") and "BPR02" in what for what in whats)
    assert any(what.startswith("pays ") and "the ledger holds" in what for what in whats)
    assert not any("checksum differs" in what for what in whats)


# ---- the audit trail -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statements",
    [
        ("UPDATE audit SET detail = replace(detail, '\"paid_amount\":', '\"paid_amount\":1') "
         "WHERE what = 'decided' AND run_id = 1",),
        ("UPDATE audit SET what = 'pend denied' WHERE what = 'pend released'",),
        ("UPDATE audit SET run_id = 2 WHERE sequence_number = 2",),
        ("DELETE FROM audit WHERE sequence_number = 1",),
        ("DELETE FROM audit WHERE sequence_number = 4",),
        ("DELETE FROM audit WHERE sequence_number = 8",),
        ("DELETE FROM audit WHERE sequence_number >= 5",),
        ("UPDATE audit SET sequence_number = 99 WHERE sequence_number = 3",
         "UPDATE audit SET sequence_number = 3 WHERE sequence_number = 4",
         "UPDATE audit SET sequence_number = 4 WHERE sequence_number = 99"),
    ],
    ids=["figure", "act", "run", "first", "middle", "last", "tail", "order"],
)  # fmt: skip
def test_a_changed_removed_or_moved_row_is_found(place: Path, statements: tuple[str, ...]) -> None:
    forge(place, *statements)
    assert any(fault.file == "the audit trail" for fault in look(place).faults)


def test_a_row_changed_with_its_own_hash_does_not_fit_the_next(place: Path) -> None:
    with sqlite3.connect(place / "a.db") as connection:
        [(previous, run_id, what, detail)] = connection.execute(
            "SELECT previous_hash, run_id, what, detail FROM audit WHERE sequence_number = 2"
        ).fetchall()
    connection.close()
    changed = detail.replace(DAY.isoformat(), NEXT.isoformat())
    digest = _hash(previous, 2, run_id, what, changed)
    forge(place, f"UPDATE audit SET detail = '{changed}', hash = '{digest}' "
          "WHERE sequence_number = 2")  # fmt: skip
    assert [f.what for f in look(place).faults] == ["row 3 does not follow the row before it"]


def test_a_row_added_without_its_act_is_found(place: Path) -> None:
    engine = store.open_store(f"sqlite:///{place / 'a.db'}")
    with engine.begin() as connection:
        store.append_audit(connection, "pend released", {"override_number": 9, "claim_number": "1"})
    engine.dispose()
    assert [f.what for f in look(place).faults] == ["act 9 on a pend is not as the trail tells it"]


def test_a_trail_made_anew_with_all_its_hashes_is_given_away_by_the_manifests(place: Path) -> None:
    with sqlite3.connect(place / "a.db") as connection:
        rows = connection.execute(
            "SELECT sequence_number, run_id, what, detail FROM audit ORDER BY 1"
        ).fetchall()
    connection.close()
    updates, head = [], BEGINNING
    for number, run_id, what, detail in rows:
        changed = detail.replace('"tables":{', '"tables":{"x":"y",')
        digest = _hash(head, number, run_id, what, changed)
        updates.append(
            f"UPDATE audit SET detail = '{changed}', previous_hash = '{head}', hash = '{digest}' "
            f"WHERE sequence_number = {number}"
        )
        head = digest
    forge(place, *updates)
    faults = look(place).faults
    assert {fault.file.rpartition("/")[2] for fault in faults} == {"manifest.json"}
    assert len(faults) == 2


# ---- the books -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "where", "what"),
    [
        ("UPDATE ledger_entry SET entry_amount = entry_amount + 1 WHERE entry_id = 2",
         "the store", "its ledger entries are"),
        ("UPDATE ledger_entry SET entry_amount = entry_amount + 1 WHERE entry_id = 2",
         "the store", "booked with another amount"),
        ("UPDATE ledger_entry SET entry_amount = entry_amount + 1 WHERE entry_id = 2",
         "835", "in the ledger"),
        ("DELETE FROM ledger_entry WHERE entry_id = 2", "the store", "final and not booked once"),
        ("UPDATE ledger_entry SET payment_id = 3 - payment_id WHERE payment_id IN (1, 2)",
         "835", "in the ledger"),
        ("UPDATE payment SET payment_amount = payment_amount - 1 WHERE payment_id = 1",
         "the store", "its ledger entries are"),
        ("UPDATE payment SET trace_number = '000000077' WHERE payment_id = 1",
         "835", "is not in it"),
        ("UPDATE claim SET paid_amount = paid_amount + 1 WHERE claim_id = "
         "(SELECT min(claim_id) FROM ledger_entry)", "the store", "booked with another amount"),
        ("UPDATE claim SET disposition = 'pended' WHERE claim_id = "
         "(SELECT claim_id FROM ledger_entry WHERE entry_amount > 0 LIMIT 1)",
         "the store", "is not final and has money"),
        ("UPDATE accumulator_entry SET deductible_amount = deductible_amount + 1, "
         "out_of_pocket_amount = out_of_pocket_amount + 1 WHERE rowid = 1",
         "the store", "limits"),
        ("DELETE FROM accumulator_entry WHERE rowid = 2", "the store", "limits"),
        ("UPDATE override SET made_by = 'Somebody'", "the audit trail", "act 1 on a pend"),
        ("DELETE FROM override", "the audit trail", "act 1 on a pend"),
        ("UPDATE reference_version SET version = 'x' || substr(version, 2)",
         "the audit trail", "reference version"),
        ("UPDATE file_part SET content = substr(content, 2) WHERE file_id = 1",
         "the store", "received file 1"),
        ("UPDATE file SET sha256 = replace(sha256, substr(sha256, 1, 1), 'x') WHERE file_id = 2",
         "the store", "received file 2"),
        ("UPDATE outbox SET sha256 = 'x' WHERE file_name = 'claims.csv' AND run_id = 2",
         "the store", "its audit row"),
    ],
)  # fmt: skip
def test_books_that_were_changed_are_found(
    place: Path, statement: str, where: str, what: str
) -> None:
    forge(place, statement)
    told = [fault for fault in look(place).faults if what in fault.what]
    assert told
    assert all(where in fault.file for fault in told)


# ---- the command -----------------------------------------------------------------------------


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[Any, str, str]]]:
    def run(*arguments: str) -> tuple[Any, str, str]:
        code = app(list(arguments), standalone_mode=False)
        out, err = capsys.readouterr()
        return code or 0, out, err

    yield run


def test_the_command_tells_and_exits(place: Path, say: Any) -> None:
    given = ("--db", f"sqlite:///{place / 'a.db'}", "--out", str(place / "out"))
    code, out, err = say("verify", *given)
    assert (code, err) == (0, "")
    assert out.endswith("\nnothing is wrong\n")
    name = torn(place).relative_to(place / "out").as_posix()
    code, out, _ = say("verify", "--json", *given)
    assert code == 1
    told = json.loads(out)
    assert {fault["file"] for fault in told["faults"]} == {name}
    assert told["nights"] == 2
    code, out, _ = say("verify", *given)
    assert code == 1
    assert f"{name}: has " in out
    assert "put it back from the backup" in out


def test_without_a_store_there_is_nothing_to_verify(tmp_path: Path, say: Any) -> None:
    code, out, err = say("verify", "--db", f"sqlite:///{tmp_path / 'none.db'}")
    assert (code, out) == (1, "")
    assert "no store is there" in err


def test_a_store_that_is_no_store_any_more_is_told(place: Path, say: Any) -> None:
    whole = (place / "a.db").read_bytes()
    (place / "a.db").write_bytes(whole[:8192] + b"\xff" * 4096 * 8 + whole[8192 + 4096 * 8 :])
    code, _, err = say("verify", "--db", f"sqlite:///{place / 'a.db'}", "--out", str(place / "out"))
    assert code == 1
    assert len(err.strip().splitlines()) == 1
