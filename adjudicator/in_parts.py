"""A night too large to be held whole: decided one part of its families after another.

No decision looks beyond a family, so a family's claims all stand in one part, and the parts are
decided one by one; only a correction may name a claim of another family, and their parts are
decided together then. What waits for its turn, and what is decided, is packed in memory (Arrow,
zstd: a twentieth); none of it is written to a disk. It comes to the same as a night in one piece:
the same decisions, numbers and published bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
from sqlalchemy import Connection

from adjudicator import store
from adjudicator.clean_claims import FINDING
from adjudicator.corrections import CORRECTIONS, SHORT_DIGITS, named_number
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.remittance import (
    FINAL,
    Remittance,
    payees_to_pay,
    payments_due,
    remit,
)
from adjudicator.reversals import with_reversals
from adjudicator.stages.identify import find_members
from adjudicator.store.corrections import TAKEN

PIECE_CLAIMS = 50_000  # that are booked, or written to 835s, together
# what the store is told of a claim; lines last, by far the largest. What is reversed it is told of
# all at once
BOOKED = (
    "claims", "decisions", "findings", "adjustments", "accumulator_entries",
    "referral_visit_entries", "authorization_unit_entries", "benefit_use_entries", "pends", "lines",
)  # fmt: skip
# what is asked of all claims of a night at once
OF_ALL = {
    "claims": ("claim_id", "claim_number", "patient_control_number", "received_date",
               "program_code", "payee_id", "frequency_code"),
    "lines": ("claim_id", "plan_code", "allowed_amount"),
    "findings": tuple(FINDING),
    "decisions": None, "open_pends": None, "reopened": None, "corrections": None,
    "reversals": None, "versions": ("claim_id",), **dict.fromkeys(TAKEN),
}  # fmt: skip
# their order; of all others claim by claim
ORDER = {"reversals": ["of_claim_id"], **{n: c.primary_key() for n, (_, c) in TAKEN.items()}}
# what of a claim tells whether another is corrected by it, or corrects it
NAMED = {
    "claim_id": pl.Int64, "claim_number": pl.String, "frequency_code": pl.String,
    "original_claim_number": pl.String, "billing_npi": pl.String, "member_id": pl.String,
    "part": pl.Int64,
}  # fmt: skip
WRITTEN = ("claims", "lines", "adjustments")
Frames = Mapping[str, pl.DataFrame]


def part_count(byte_count: int, part_bytes: int) -> int:
    """In how many parts a night of so many received bytes is decided: in one where it has less
    than two parts' bytes."""
    return 1 if byte_count < 2 * part_bytes else -(-byte_count // part_bytes)


class Shelves:
    """Frames by name, each shelf packed until it is taken."""

    def __init__(self, count: int) -> None:
        self._packed: list[dict[str, list[bytes]]] = [{} for _ in range(count)]

    def __len__(self) -> int:
        return len(self._packed)

    def add(self, frames: Frames, shelves: pl.DataFrame) -> None:
        """``shelves``: ``claim_id`` and ``shelf``, from 0. Rows of other claims are left out."""
        for name, frame in frames.items():
            if frame.is_empty():
                continue
            of_shelf = frame.join(shelves, on="claim_id", maintain_order="left").partition_by(
                "shelf", as_dict=True, include_key=False, maintain_order=True
            )
            for (shelf,), rows in of_shelf.items():
                self._packed[int(shelf)].setdefault(name, []).append(_packed(rows))

    def see(self, shelf: int) -> dict[str, list[pl.DataFrame]]:
        """A shelf's frames, in the order in which they were added."""
        return {
            n: [pl.read_ipc(io.BytesIO(one)) for one in each]
            for n, each in self._packed[shelf].items()
        }

    def take(self, shelf: int) -> dict[str, list[pl.DataFrame]]:
        """As ``see``, and the shelf is empty then."""
        taken = self.see(shelf)
        self._packed[shelf] = {}
        return taken


def _packed(frame: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    frame.write_ipc(out, compression="zstd", compat_level=pl.CompatLevel.newest())
    return out.getvalue()


class Waiting:
    """The claims of a night until their part is decided."""

    def __init__(self, parts: int, members: pl.DataFrame) -> None:
        self._members = members
        self._earlier, self._tonight = Shelves(parts), Shelves(parts)
        self._empty: dict[str, pl.DataFrame] = {}
        self._claims = [pl.DataFrame(schema=NAMED)]

    def add(self, frames: Frames, *, earlier: bool = False) -> None:
        """Claims as they are read, in receipt order; ``earlier``: those of earlier nights."""
        claims = frames["claims"]
        found = find_members(claims, self._members)
        part = self.part_of(found["family_id"])
        shelves = self._earlier if earlier else self._tonight
        shelves.add(frames, claims.select("claim_id", shelf=part))
        self._empty |= {n: f.clear() for n, f in frames.items() if n not in self._empty}
        self._claims.append(
            claims.with_columns(found["member_id"], part=part).select(
                pl.col(name).cast(dtype) for name, dtype in NAMED.items()
            )
        )

    def part_of(self, families: pl.Series) -> pl.Series:
        """The part of each ``family_id``; claims of nobody known are together."""
        return (families.hash() % len(self)).fill_null(0).cast(pl.Int64)

    @property
    def claims(self) -> pl.DataFrame:
        """Every claim that waits (NAMED), in receipt order."""
        self._claims = [pl.concat(self._claims).sort("claim_id")]
        return self._claims[0]

    @property
    def claim_ids(self) -> pl.Series:
        return self.claims["claim_id"]

    def __len__(self) -> int:
        return len(self._tonight)

    def take(self, parts: Sequence[int]) -> list[dict[str, pl.DataFrame]]:
        """The claims of these parts, each part's in receipt order, as frames to be put together;
        none where they have none. Nothing here holds them then."""
        return [frames for part in parts for frames in self._taken(part)]

    def _taken(self, part: int) -> Iterator[dict[str, pl.DataFrame]]:
        earlier, tonight = self._earlier.take(part), self._tonight.take(part)
        if earlier or tonight:
            yield {
                name: pl.concat(
                    [empty, *earlier.pop(name, ()), *tonight.pop(name, ())], how="vertical_relaxed"
                )
                for name, empty in self._empty.items()
            }


def parts_together(
    connection: Connection, later: Waiting, waiting: pl.DataFrame, reference: Reference
) -> list[list[int]]:
    """The parts of a night in the order they are decided, those together of which one has a claim
    that may correct, or be corrected with, a claim of another (``match_corrections``).

    ``waiting``: the claims of earlier nights (OPEN_CLAIMS).
    """
    parts = [[part] for part in range(len(later))]
    reopened = waiting.filter(pl.col("reopened_code").is_not_null()).select(
        "claim_id", of_claim_id="predecessor_claim_id"
    )
    claims = later.claims
    correcting = claims.filter(
        pl.col("frequency_code").is_in(CORRECTIONS)
        | pl.col("claim_id").is_in(reopened["claim_id"].implode())
    )
    if correcting.is_empty():
        return parts
    numbers = [named_number(text) for text in correcting["original_claim_number"]]
    correcting = correcting.with_columns(
        short=pl.Series([n and n[-SHORT_DIGITS:] for n in numbers], dtype=pl.String)
    )
    unnamed = correcting.filter(pl.col("original_claim_number").is_null())
    versions = store.versions(
        connection,
        store.numbers_meant(connection, [n for n in numbers if n]),
        reopened["of_claim_id"],
        unnamed["member_id"].drop_nulls().unique(),
    )
    standing = _parts_of(connection, versions, later, reference)
    # whom a billing NPI may be paid to, whatever the day: a correction corrects its own payee's
    payees = reference.tables["providers"].select("payee_id", billing_npi="npi").unique()
    asked = correcting.join(payees, on="billing_npi")
    named = asked.drop_nulls("short")
    mine = ["short", "payee_id"]
    pairs = [
        named.join(standing, on=mine),
        named.join(
            claims.with_columns(short=pl.col("claim_number").str.tail(SHORT_DIGITS))
            .join(named.select("short").unique(), on="short", how="semi")
            .join(payees, on="billing_npi"),
            on=mine,
        ),
        asked.join(standing, on=["member_id", "payee_id"]),
        correcting.join(reopened, on="claim_id").join(
            standing, left_on="of_claim_id", right_on="claim_id"
        ),
        # the versions of a chain, and a claim that stands for two families
        standing.join(standing, left_on="predecessor_claim_id", right_on="claim_id"),
        standing.join(standing, on="claim_id"),
    ]
    linked = pl.concat([p.select("part", "part_right") for p in pairs]).unique().sort(pl.all())
    for one, other in linked.rows():
        a, b = (next(of for of in parts if part in of) for part in (one, other))
        if a is not b:
            parts.remove(b)
            a.extend(b)
    return [sorted(of) for of in parts]


def _parts_of(
    connection: Connection, versions: pl.DataFrame, later: Waiting, reference: Reference
) -> pl.DataFrame:
    """The part of each version: where it waits that part, else that of its member's family and
    of the family that it counted for."""
    counted = store.claims_of(
        connection, versions["claim_id"], {"claim_id": pl.Int64, "family_id": pl.String}
    )
    of_member = versions.select("claim_id", "member_id").join(
        reference.tables["members"].select("member_id", "family_id"), on="member_id", how="left"
    )
    families = pl.concat([counted, of_member.select("claim_id", "family_id")])
    waits = later.claims.select("claim_id", "part")
    parts = families.select("claim_id", part=later.part_of(families["family_id"]))
    return (
        versions.select(
            "claim_id", "predecessor_claim_id", "member_id", "payee_id",
            short=pl.col("claim_number").str.tail(SHORT_DIGITS),
        )
        .join(
            pl.concat(
                [
                    parts.join(waits, on="claim_id", how="anti"),
                    waits.join(versions, on="claim_id", how="semi"),
                ]
            ).unique(),
            on="claim_id",
        )
    )  # fmt: skip


@dataclass(frozen=True)
class Decided:
    """What a night decided, of all claims at once in ``whole``."""

    whole: Batch

    def pieces(self) -> Iterator[Batch]:
        """What the store is told, some claims at a time, in claim order."""
        yield self.whole

    def remit(
        self, payments: pl.DataFrame, reference: Reference, originals: Batch | None = None
    ) -> Iterator[Remittance]:
        """The remittances of these payments (see ``remit``), some payments at a time, with the
        reversals of ``originals``."""
        written = remit(self.whole, reference, payments)
        yield with_reversals(written, self.whole, originals, reference, payments)


@dataclass(frozen=True)
class DecidedInParts(Decided):
    """``whole`` has the columns of OF_ALL alone."""

    booked: Shelves
    written: Shelves
    empty: Remittance

    def pieces(self) -> Iterator[Batch]:
        for shelf in range(len(self.booked)):
            frames = {
                n: pl.concat(f).sort("claim_id", maintain_order=True)
                for n, f in self.booked.take(shelf).items()
            }
            if frames:
                yield Batch(**frames)

    def remit(
        self, payments: pl.DataFrame, reference: Reference, originals: Batch | None = None
    ) -> Iterator[Remittance]:
        due = (
            self.whole.decisions.filter(pl.col("disposition").is_in(FINAL))
            .join(self.whole.claims, on="claim_id")
            .join(payments, on=("payee_id", "program_code"))
            .select("claim_id", "payment_id")
        )
        shelf = _of_payee(payments["payee_id"], len(self.written))
        for at in range(len(self.written)):
            here = payments.filter(shelf == at)
            if here.is_empty():
                continue
            found = self.written.see(at)
            claims, lines, adjustments = (
                _paid(found.get(n, []), due, getattr(self.empty, n)) for n in WRITTEN
            )
            none = self.empty
            written = Remittance(
                here.select(none.payments.columns), claims, lines, adjustments,
                none.provider_adjustments,
            )  # fmt: skip
            yield with_reversals(written, self.whole, originals, reference, here)


def _paid(rows: Sequence[pl.DataFrame], due: pl.DataFrame, empty: pl.DataFrame) -> pl.DataFrame:
    """Rows with the payments that they are in, in their order."""
    if not rows:
        return empty
    return (
        pl.concat(rows)
        .drop("payment_id")
        .join(due, on="claim_id", maintain_order="left")
        .sort("payment_id", "claim_id", maintain_order=True)
        .select(empty.columns)
    )


def _of_payee(payees: pl.Series, count: int) -> pl.Series:
    return (payees.hash() % count).fill_null(0).cast(pl.Int64)


@dataclass
class Deciding:
    """What is decided so far of the claims of a night; ``claim_ids`` in order."""

    claim_ids: pl.Series
    _whole: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    _empty: Remittance | None = None

    def __post_init__(self) -> None:
        count = max(1, -(-len(self.claim_ids) // PIECE_CLAIMS))
        self._booked, self._written = Shelves(count), Shelves(count)

    def add(self, batch: Batch, reference: Reference) -> None:
        """A part, decided: its pends are told."""
        ids = batch.claims["claim_id"]
        place = self.claim_ids.search_sorted(ids).cast(pl.Int64) // PIECE_CLAIMS
        self._booked.add(
            {n: getattr(batch, n) for n in BOOKED}, pl.DataFrame({"claim_id": ids, "shelf": place})
        )
        # numbers of their own, which the payments' take the place of
        tie = payments_due(payees_to_pay(batch), reference, 1, reference.business_date)
        written = remit(batch, reference, tie)
        payee = _of_payee(batch.claims["payee_id"], len(self._written))
        self._written.add(
            {n: getattr(written, n) for n in WRITTEN},
            pl.DataFrame({"claim_id": ids, "shelf": payee}),
        )
        self._empty = Remittance(*(frame.clear() for frame in vars(written).values()))
        for name, columns in OF_ALL.items():
            frame = getattr(batch, name)
            if name in TAKEN:  # only what is given back
                taken_back = batch.reversals["of_claim_id"].implode()
                frame = frame.filter(pl.col("claim_id").is_in(taken_back))
            self._whole.setdefault(name, []).append(frame.select(columns) if columns else frame)

    def decided(self) -> Decided:
        assert self._empty is not None
        whole = {
            n: pl.concat(f).sort(ORDER.get(n, ["claim_id"]), maintain_order=True)
            for n, f in self._whole.items()
        }
        return DecidedInParts(Batch(**whole), self._booked, self._written, self._empty)
