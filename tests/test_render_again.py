"""Files of a committed night that are gone or changed are rendered again from the store: equal to
the byte, or nothing is published. The books stay as they are."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import cli
from adjudicator import in_parts, night, render_again, store
from adjudicator.load import load_reference
from adjudicator.night import NightError, publish_again, run_night
from adjudicator.stages import STAGES
from adjudicator.verify import verify
from schemas.config import Config
from tests.case_tools import load_store
from tests.correcting import Nights, Sent
from tests.forms_on_paper import as_lines
from tests.stores import Stores
from tests.synthetic import generate
from tests.test_corrections import LATE, SMALLER
from tests.test_night import NEXT, load, opened, order, own_store, published, url
from tests.test_paper_night import PROFESSIONAL, RETURNED
from tests.test_paper_night import night as paper_night
from tests.test_payment_cycles import STORY, TERMS, Payer, correction, rows, two_programs
from tests.test_run_ledger import Killed, stopped_before_publishing
from tests.test_verify import forge
from tests.two_databases import books

ON_SQLITE = pytest.mark.parametrize("stores", ["sqlite"], indirect=True)
KINDS = {"835", "acks", "claims.csv", "summary.json", "manifest.json"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("render")
    generate(folder, 60, seed=7)
    load(f"sqlite:///{folder / 'loaded.db'}", folder / "reference")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, stores: Stores) -> Path:
    """A folder with an inbox of 60 claims and a store, on either database."""
    (tmp_path / "inbox").symlink_to(made / "inbox")
    own_store(tmp_path, made, stores)
    return tmp_path


class Standing:
    """What stood, to be held against what stands."""

    def __init__(self, place: Path, database: str) -> None:
        self.place, self.database = place, database
        self.files, self.books = published(place), books(database)

    def stands(self) -> None:
        assert published(self.place) == self.files
        assert books(self.database) == self.books
        engine = store.open_store(self.database, create=False)
        with store.reading(engine) as connection:
            assert verify(connection, self.place / "out").faults == []
        engine.dispose()


# ---- a night asked for again -----------------------------------------------------------------


def changed(path: Path) -> None:
    data = path.read_bytes()
    at = len(data) // 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


@pytest.mark.parametrize("damage", [Path.unlink, changed], ids=["deleted", "changed"])
def test_each_file_alone_is_put_back(place: Path, damage: Callable[[Path], None]) -> None:
    folder = place / "out" / run_night(order(place)).folder
    before = Standing(place, url(place))
    assert {Path(name).parts[1] for name in before.files} == KINDS
    for name in before.files:
        damage(place / "out" / name)
        publish_again(order(place).config, 1)
        before.stands()
    assert [p for p in (place / "out").iterdir() if p != folder] == []
    for path in (place / "out").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def folder_gone(folder: Path) -> None:
    shutil.rmtree(folder)


def only_the_manifest_left(folder: Path) -> None:
    manifest = (folder / "manifest.json").read_bytes()
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "manifest.json").write_bytes(manifest)


def remittances_gone(folder: Path) -> None:
    shutil.rmtree(folder / "835")


@pytest.mark.parametrize("loss", [folder_gone, only_the_manifest_left, remittances_gone])
@ON_SQLITE
def test_what_is_lost_together_is_put_back(place: Path, loss: Callable[[Path], None]) -> None:
    folder = place / "out" / run_night(order(place)).folder
    before = Standing(place, url(place))
    loss(folder)
    publish_again(order(place).config, 1)
    before.stands()


@ON_SQLITE
def test_a_published_night_s_command_puts_no_payment_in_place_again(place: Path) -> None:
    """Whoever fetched the 835s from the folder would fetch them again."""
    folder = place / "out" / run_night(order(place)).folder
    remittances_gone(folder)
    assert run_night(order(place)).run_id == 1
    assert not (folder / "835").exists()
    folder_gone(folder)
    with pytest.raises(NightError, match="its files are gone; run `adjudicate publish 1`"):
        run_night(order(place))
    assert not folder.exists()


@ON_SQLITE
def test_an_outbox_that_lost_a_row_is_told(place: Path) -> None:
    folder = place / "out" / run_night(order(place)).folder
    sql("DELETE FROM outbox WHERE file_name = 'claims.csv'")(place)
    publish_again(order(place).config, 1)  # whatever is in the outbox stands
    (folder / "summary.json").unlink()
    with pytest.raises(NightError, match="is not the one that the audit trail tells"):
        publish_again(order(place).config, 1)


@ON_SQLITE
def test_a_file_beside_them_stays_and_verify_tells_of_it(place: Path) -> None:
    folder = place / "out" / run_night(order(place)).folder
    (folder / "835" / "note.txt").write_text("sent on Monday")
    (folder / "claims.csv").unlink()
    publish_again(order(place).config, 1)
    assert (folder / "claims.csv").is_file()
    assert (folder / "835" / "note.txt").read_text() == "sent on Monday"


@ON_SQLITE
def test_files_that_stand_are_not_rendered(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_night(order(place))
    monkeypatch.setattr(night, "render_again", None)
    publish_again(order(place).config, 1)


@ON_SQLITE
def test_a_night_of_several_pieces_is_put_back(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_night(order(place))
    before = Standing(place, url(place))
    for module in (in_parts, render_again):
        monkeypatch.setattr(module, "PIECE_CLAIMS", 7)
    folder_gone(place / "out" / min(before.files).split("/")[0])
    publish_again(order(place).config, 1)
    before.stands()


@ON_SQLITE
def test_what_was_stopped_while_it_was_put_back_is_put_back_by_the_next(place: Path) -> None:
    folder = place / "out" / run_night(order(place)).folder
    before = Standing(place, url(place))
    for step in ("render", "publish"):
        shutil.rmtree(folder)

        def stop(at: str, step: str = step) -> None:
            if at == step:
                raise Killed

        with pytest.raises(Killed):
            publish_again(order(place).config, 1, stop)
        assert not folder.exists()
        publish_again(order(place).config, 1)
        before.stands()
        assert list((place / "out").iterdir()) == [folder]


@ON_SQLITE
@pytest.mark.long
def test_stopped_at_any_rename_it_is_put_back_by_the_next(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest comes last, so that a folder without it is not taken."""
    folder = place / "out" / run_night(order(place)).folder
    before = Standing(place, url(place))
    replace = Path.replace
    for at in range(len(before.files)):
        for path in folder.rglob("*"):
            if path.is_file():
                path.unlink()
        left = iter(range(at))

        def stopping(path: Path, target: Path, left: Iterator[int] = left) -> Path:
            if next(left, None) is None:
                raise Killed
            return replace(path, target)

        with monkeypatch.context() as stopped:
            stopped.setattr(Path, "replace", stopping)
            with pytest.raises(Killed):
                publish_again(order(place).config, 1)
        there = [p for p in folder.rglob("*") if p.is_file()]
        assert len(there) == at
        assert not (folder / "manifest.json").exists()
        publish_again(order(place).config, 1)
        before.stands()


@ON_SQLITE
def test_a_full_disk_puts_nothing_back_and_costs_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "out" / run_night(order(place)).folder
    before = Standing(place, url(place))
    (folder / "claims.csv").unlink()
    (folder / "summary.json").unlink()
    there = sorted(folder.rglob("*"))

    def full(path: Path, content: bytes) -> None:
        if path.name == "summary.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        path.write_bytes(content)

    with monkeypatch.context() as disk:
        disk.setattr(render_again, "write", full)
        with pytest.raises(OSError, match="No space left"):
            publish_again(order(place).config, 1)
    assert sorted(folder.rglob("*")) == there
    assert books(url(place)) == before.books
    publish_again(order(place).config, 1)
    before.stands()


# ---- committed and not published -------------------------------------------------------------


@pytest.fixture
def undisturbed(place: Path, made: Path, tmp_path: Path, stores: Stores) -> Standing:
    alone = tmp_path / "undisturbed"
    alone.mkdir()
    own_store(alone, made, stores)
    run_night(order(alone, place / "inbox"))
    return Standing(alone, url(alone))


def partial_gone(partial: Path) -> None:
    shutil.rmtree(partial)


def partial_torn(partial: Path) -> None:
    for path in (min(partial.rglob("*.835")), partial / "manifest.json"):
        path.write_bytes(path.read_bytes()[:-1])
    (partial / "claims.csv").unlink()


def in_place_and_torn(partial: Path) -> None:
    partial_torn(partial)
    partial.rename(partial.with_name(partial.name.removeprefix(".").removesuffix(".partial")))


@pytest.mark.parametrize("damage", [partial_gone, partial_torn, in_place_and_torn])
@pytest.mark.parametrize("asked", ["run", "publish"])
def test_a_night_that_lost_its_files_before_they_were_published_is_published(
    place: Path, undisturbed: Standing, damage: Callable[[Path], None], asked: str
) -> None:
    damage(stopped_before_publishing(place))
    if asked == "run":
        run_night(order(place))
    else:
        publish_again(order(place).config, 1)
    assert published(place) == undisturbed.files
    assert books(url(place)) == undisturbed.books
    Standing(place, url(place)).stands()


@ON_SQLITE
def test_a_strange_file_among_what_waits_is_not_published(place: Path) -> None:
    partial = stopped_before_publishing(place)
    strange = partial / "835" / "carepartners-000000099.835"
    strange.write_bytes(b"ISA")
    with pytest.raises(NightError, match=r"carepartners-000000099\.835 is no file of this night"):
        run_night(order(place))
    assert list((place / "out").iterdir()) == [partial]
    strange.unlink()
    run_night(order(place))
    Standing(place, url(place)).stands()


# ---- later -----------------------------------------------------------------------------------


def test_after_later_nights_and_loads_each_night_is_put_back(place: Path, made: Path) -> None:
    """Claims that waited are decided by the second night, by what was loaded since: payees have
    another address by then, members another name."""
    first = run_night(order(place))
    engine = store.open_store(url(place))
    later = place / "reference"
    shutil.copytree(made / "reference", later)
    for name, column in (("payees", "address_line"), ("members", "last_name")):
        table = pl.read_csv(later / f"{name}.csv", infer_schema=False)
        table.with_columns(pl.lit("ELSEWHERE").alias(column)).write_csv(later / f"{name}.csv")
    with engine.begin() as connection:
        load_reference(connection, later)
    engine.dispose()
    second = run_night(order(place, made / "empty", day=NEXT))
    assert second.counts["brought_forward"]["count"] > 0
    before = Standing(place, url(place))
    shutil.rmtree(place / "out")
    for run_id, folder in ((2, second.folder), (1, first.folder)):
        assert publish_again(order(place).config, run_id).folder == folder
    before.stands()


@ON_SQLITE
def test_a_night_that_was_decided_after_a_later_one_is_put_back(place: Path, made: Path) -> None:
    """Run 1 is stopped before it takes anything in, run 2 decides, run 1 goes on then with what
    waits: what run 2 found is earlier there, and what run 1 found is not earlier for run 2."""

    def stop(at: str) -> None:
        if at == "intake":
            raise Killed

    with pytest.raises(Killed):
        run_night(order(place, made / "empty", day=NEXT), stop)
    run_night(order(place))
    again = run_night(order(place, made / "empty", day=NEXT))
    assert (again.run_id, again.counts["brought_forward"]["count"] > 0) == (1, True)
    before = Standing(place, url(place))
    shutil.rmtree(place / "out")
    for run_id in (1, 2):
        publish_again(order(place).config, run_id)
    before.stands()


@ON_SQLITE
@pytest.mark.long
def test_a_claim_that_made_the_program_fail_is_told_as_it_was(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night knew nothing of it; now it can be identified, or still can't."""
    for stage, keep in ((1, True), (1, False), (4, False)):
        whole = STAGES[stage]

        @wraps(whole)
        def fragile(batch: Any, reference: Any, whole: Any = whole) -> Any:
            if 7 in batch.claims["claim_id"]:
                raise ZeroDivisionError
            return whole(batch, reference)

        with monkeypatch.context() as failing:
            failing.setattr(
                "adjudicator.decide.STAGES", (*STAGES[:stage], fragile, *STAGES[stage + 1 :])
            )
            if keep:
                failing.setattr(render_again, "identify", fragile)
            shutil.copy(place / "a.db", place / "loaded.db")
            run_night(order(place))
            if keep:
                all_again(place, order(place).config)
        all_again(place, order(place).config)
        shutil.rmtree(place / "out")
        shutil.move(place / "loaded.db", place / "a.db")


def all_again(folder: Path, config: Config) -> None:
    """Every night of a store, with its folder gone."""
    before = Standing(folder, config.db)
    runs = [row for row in before.books["run"] if row[5] in night.COMMITTED]
    shutil.rmtree(folder / "out")
    for run_id in sorted(row[0] for row in runs):
        publish_again(config, run_id)
    before.stands()


def test_claims_that_were_corrected_since_are_rendered_as_they_were(
    loaded: Path, tmp_path: Path
) -> None:
    """Replaced, voided and added to; a correction that waits; a debt that is carried forward."""
    shutil.copy(loaded, tmp_path / "a.db")
    nights = Nights(tmp_path)
    nights.night(Sent("A"), Sent("B", member="M6001"), Sent("C", member="M6002"))
    nights.night(
        Sent("R", SMALLER, "7", nights.number("A")),
        Sent("V", frequency="8", original=nights.number("B"), member="M6001"),
        Sent("L", LATE, "5", nights.number("C"), member="M6002"),
    )
    nights.night(
        Sent("S", (("99213", 140, 4),), "7", nights.number("R")), Sent("N", member="nobody")
    )
    assert nights.rows("SELECT count(*) FROM ledger_entry WHERE kind = 'reversal'") == [(3,)]
    assert nights.rows("SELECT count(*) FROM provider_adjustment") != [(0,)]
    nights.close()
    all_again(tmp_path, nights.config())


def test_cycles_with_claims_of_earlier_nights_are_put_back(tmp_path: Path) -> None:
    """A weekly payer with interest, monthly fees, a recovery, what is carried forward and brought,
    a reversal of what was paid and of what still waited."""
    folder = tmp_path / "tidewater"
    shutil.copytree(STORY, folder)
    with (folder / "programs" / "tidewater" / "program.yaml").open("a", encoding="utf-8") as file:
        file.write(TERMS)
    (folder / "reference" / "primary_care.csv").write_text(
        "member_id,provider_id,medical_group_id,funding_source_code,start_date,end_date\n"
        "T1,VT1,,,2025-06-01,\n"
    )
    load_store(folder / "adjudicator.db", folder / "reference")
    payer = Payer(folder)
    payer.night("2025-11-03", received="2025-09-24")
    payer.take("PT1", 20_000, "2025-11-03")
    payer.night("2025-11-05")
    correction(folder, "2025-11-06", "R", "7", "000000000001", 911)
    payer.night("2025-11-06")
    [(a3,)] = rows(payer, "SELECT claim_number FROM claim WHERE patient_control_number = 'A3'")
    correction(folder, "2025-11-07", "V", "8", a3, 912, whole=False)
    payer.night("2025-11-07")
    payer.night("2025-11-12", None)
    payer.night("2025-11-19")
    payer.night("2025-11-26")
    payer.night("2025-12-03", None)
    reasons = {r for (r,) in rows(payer, "SELECT reason_code FROM provider_adjustment")}
    assert reasons == {"FB", "WO", "L6", "CT"}
    config = Config(db=payer.db, out=folder / "out", programs=folder / "programs")
    all_again(folder, config)


def test_letters_are_put_back(loaded: Path, tmp_path: Path) -> None:
    shutil.copy(loaded, tmp_path / "a.db")
    paper_night(tmp_path, {"a.jsonl": as_lines(*RETURNED, *PROFESSIONAL)})
    assert any(name.endswith(".pdf") for name in published(tmp_path))
    all_again(tmp_path, order(tmp_path).config)


def test_programs_that_pay_on_other_days_are_put_back(tmp_path: Path) -> None:
    folder = tmp_path / "both"
    payer = two_programs(folder)
    config = Config(db=payer.db, out=folder / "out", programs=folder / "programs")
    all_again(folder, config)


# ---- a store that no longer says what it said ------------------------------------------------


def dearer(place: Path) -> None:
    """A line's decided part pays a cent more."""
    with opened(place) as connection:
        [content] = connection.exec_driver_sql(
            "SELECT content FROM decided_part WHERE kind = 'lines'"
        ).scalars()
    lines = pl.read_parquet(io.BytesIO(content))
    paid = lines["paid_amount"].to_list()
    paid[next(i for i, amount in enumerate(paid) if amount > 0)] += 1
    forged = io.BytesIO()
    lines.with_columns(paid_amount=pl.Series(paid)).write_parquet(forged)
    told = forged.getvalue().hex()
    forge(place, f"UPDATE decided_part SET content = x'{told}' WHERE kind = 'lines'")


def sql(statement: str) -> Callable[[Path], None]:
    return lambda place: forge(place, statement)


TAMPERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a line's amount": (dearer, "*.835"),
    "a line's amount, in the list": (dearer, "claims.csv"),
    "a decided part that can't be read": (
        sql("UPDATE decided_part SET content = x'00' WHERE kind = 'adjustments'"), "*.835"),
    "a decided part that is gone": (
        sql("DELETE FROM decided_part WHERE kind = 'lines'"), "*.835"),
    "a payment's amount": (sql("UPDATE payment SET payment_amount = 1"), "*.835"),
    "a payment that is gone": (sql("DELETE FROM payment WHERE payment_id = 1"), "*.835"),
    "a payment too many": (
        sql("INSERT INTO payment SELECT 99, run_id, payee_id, program_code || 'X', '99', 99, "
            "payment_method_code, payment_date, payment_amount, file_name FROM payment "
            "WHERE payment_id = 1"), "*.835"),
    "a received byte": (
        sql("UPDATE file_part SET content = substr(content, 1, length(content) - 9)"), "*.835"),
    "a claim's place in it": (
        sql("UPDATE claim SET claim_start = claim_start + 1 WHERE disposition = 'paid'"), "*.835"),
    "a finding": (sql("DELETE FROM finding"), "claims.csv"),
    "an answer": (sql("UPDATE acknowledgement SET content = x'00' WHERE kind = '999'"), "*.999"),
    "an answer that is gone": (sql("DELETE FROM acknowledgement WHERE kind = '999'"), "*.999"),
    "the night's figures": (
        sql("UPDATE audit SET detail = replace(detail, '\"paid_amount\":', '\"paid_amount\":1') "
            "WHERE what = 'decided'"), "summary.json"),
    "the trail's words": (sql("UPDATE audit SET detail = '{' WHERE what = 'decided'"), "*.835"),
    "the trail's row": (
        sql("UPDATE audit SET what = 'undecided' WHERE what = 'decided'"), "summary.json"),
    "the trail's hash": (sql("UPDATE audit SET hash = 'f'"), "manifest.json"),
    "a checksum": (sql("UPDATE outbox SET sha256 = 'f' WHERE file_name LIKE '835/%'"), "*.835"),
    "the checksum of another": (
        sql("UPDATE outbox SET sha256 = 'f' WHERE file_name = 'claims.csv'"), "*.835"),
}  # fmt: skip


@pytest.mark.parametrize("tampered", TAMPERED)
@ON_SQLITE
def test_a_store_that_was_changed_gives_nothing(place: Path, tampered: str) -> None:
    run_night(order(place))
    tamper, pattern = TAMPERED[tampered]
    names = [p.name for p in place.joinpath("inbox").iterdir()]
    for path in (place / "out").rglob(pattern):
        path.unlink()
    tamper(place)
    files, told = published(place), books(url(place))
    with pytest.raises(NightError) as refused:
        publish_again(order(place).config, 1)
    message = str(refused.value)
    assert "is not as it was committed and can't be rendered again" in message
    assert "nothing is published" in message
    assert "from the same backup" in message
    assert "\n" not in message
    assert not any(name in message for name in names)
    assert published(place) == files
    assert books(url(place)) == told
    assert len(list((place / "out").iterdir())) == 1


@ON_SQLITE
def test_a_tampered_store_publishes_no_night_that_waited(place: Path) -> None:
    partial = stopped_before_publishing(place)
    dearer(place)
    shutil.rmtree(partial)
    with pytest.raises(NightError, match=r"835/.*\.835 is not as it was committed"):
        run_night(order(place))
    assert list((place / "out").iterdir()) == []


@ON_SQLITE
def test_a_checksum_changed_with_what_it_is_of_is_not_believed(place: Path) -> None:
    """What the store gives has the checksum that the store tells, but the audit trail knows
    better."""
    folder = place / "out" / run_night(order(place)).folder
    listed = (folder / "claims.csv").read_bytes()
    forge(place, "DELETE FROM finding")
    with opened(place) as connection:
        reference = night._reference(store.open_store(url(place)), order(place))
        other = place / "other"
        other.mkdir()
        render_again.render_again(connection, 1, reference, ["claims.csv"], other)
    [told] = store.files_of(other)
    assert (other / "claims.csv").read_bytes() != listed
    forge(
        place,
        f"UPDATE outbox SET sha256 = '{told.sha256}', byte_count = {told.byte_count} "
        "WHERE file_name = 'claims.csv'",
    )
    with pytest.raises(NightError, match="not the one that the audit trail tells"):
        publish_again(order(place).config, 1)
    assert (folder / "claims.csv").read_bytes() == listed


@ON_SQLITE
def test_programs_that_were_changed_are_told(place: Path) -> None:
    """A payer's new telephone number makes another 835 than was sent."""
    run_night(order(place))
    programs = place / "programs"
    shutil.copytree(Path(__file__).parents[1] / "schemas" / "programs", programs)
    for file in programs.glob("*/program.yaml"):
        text = file.read_text("utf-8")
        start = text.index("contact_phone:")
        end = text.index("\n", start)
        file.write_text(text[:start] + 'contact_phone: "2035550199"' + text[end:], "utf-8")
    for path in (place / "out").rglob("*.835"):
        path.unlink()
    config = order(place).config.model_copy(update={"programs": programs})
    with pytest.raises(NightError, match=r"\.835 is not as it was committed"):
        publish_again(config, 1)
    publish_again(order(place).config, 1)
    Standing(place, url(place)).stands()


# ---- the command -----------------------------------------------------------------------------


@pytest.fixture
def said(place: Path) -> Iterator[Callable[..., Any]]:
    def say(*words: str) -> Any:
        given = ["publish", *words, "--db", url(place), "--out", str(place / "out")]
        return CliRunner().invoke(cli.app, given)

    yield say


@ON_SQLITE
def test_the_command_puts_nights_in_place(
    place: Path, made: Path, said: Callable[..., Any]
) -> None:
    first, second = run_night(order(place)), run_night(order(place, made / "empty", day=NEXT))
    before = Standing(place, url(place))
    shutil.rmtree(place / "out" / first.folder)
    (place / "out" / second.folder / "claims.csv").unlink()
    done = said("1", "2")
    assert done.exit_code == 0, done.stderr
    assert [line.split(": ")[1] for line in done.stdout.splitlines()] == [
        f"in place, {len(first.written)} files", f"in place, {len(second.written)} files",
    ]  # fmt: skip
    before.stands()


@ON_SQLITE
def test_the_command_refuses_in_a_line(place: Path, said: Callable[..., Any]) -> None:
    def stop(at: str) -> None:
        if at == "decide":
            raise Killed

    with pytest.raises(Killed):
        run_night(order(place), stop)
    for run_id in ("1", "2"):
        done = said(run_id)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        assert f"run {run_id} is not committed" in done.stderr
    with night.holding(url(place)):
        assert said("1").exit_code == 75
