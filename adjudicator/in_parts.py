"""A night too large to be held whole: decided one part of its families after another.

No decision looks beyond a family, so a family's claims all stand in one part, and the parts are
decided one by one. What waits for its turn, and what is decided, is packed in memory (Arrow,
zstd: a twentieth); none of it is written to a disk. It comes to the same as a night in one piece:
the same decisions, numbers and published bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.remittance import (
    FINAL,
    Remittance,
    payees_to_pay,
    payments_due,
    remit,
)
from adjudicator.stages.identify import find_members

PIECE_CLAIMS = 50_000  # that are booked, or written to 835s, together
# what the store is told of a claim; lines last, by far the largest
BOOKED = (
    "claims", "decisions", "findings", "adjustments", "accumulator_entries",
    "referral_visit_entries", "authorization_unit_entries", "benefit_use_entries", "pends", "lines",
)  # fmt: skip
# what is asked of all claims of a night at once
OF_ALL = {
    "claims": ("claim_id", "claim_number", "patient_control_number", "received_date",
               "program_code", "payee_id", "frequency_code"),
    "lines": ("claim_id", "plan_code", "allowed_amount"),
    "findings": ("claim_id", "edit", "edit_rank", "disposition"),
    "decisions": None,
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
        self._ids: list[pl.Series] = []

    def add(self, frames: Frames, *, earlier: bool = False) -> None:
        """Claims as they are read, in receipt order; ``earlier``: those of earlier nights."""
        claims = frames["claims"]
        families = find_members(claims, self._members)["family_id"]
        # claims of nobody known are together
        part = (families.hash() % len(self._tonight)).fill_null(0).cast(pl.Int64)
        shelves = self._earlier if earlier else self._tonight
        shelves.add(frames, claims.select("claim_id", shelf=part))
        self._empty |= {n: f.clear() for n, f in frames.items() if n not in self._empty}
        self._ids.append(claims["claim_id"])

    @property
    def claim_ids(self) -> pl.Series:
        return pl.concat([pl.Series(dtype=pl.Int64), *self._ids]).sort()

    def __len__(self) -> int:
        return len(self._tonight)

    def take(self, part: int) -> list[dict[str, pl.DataFrame]]:
        """The claims of a part in receipt order, as frames to be put together; none where it has
        none. Nothing here holds them then."""
        earlier, tonight = self._earlier.take(part), self._tonight.take(part)
        if not earlier and not tonight:
            return []
        return [
            {
                name: pl.concat(
                    [empty, *earlier.pop(name, ()), *tonight.pop(name, ())], how="vertical_relaxed"
                )
                for name, empty in self._empty.items()
            }
        ]


@dataclass(frozen=True)
class Decided:
    """What a night decided, of all claims at once in ``whole``."""

    whole: Batch

    def pieces(self) -> Iterator[Batch]:
        """What the store is told, some claims at a time, in claim order."""
        yield self.whole

    def remit(self, payments: pl.DataFrame, reference: Reference) -> Iterator[Remittance]:
        """The remittances of these payments (see ``remit``), some payments at a time."""
        yield remit(self.whole, reference, payments)


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

    def remit(self, payments: pl.DataFrame, reference: Reference) -> Iterator[Remittance]:
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
            yield Remittance(
                here.select(none.payments.columns), claims, lines, adjustments,
                none.provider_adjustments,
            )  # fmt: skip


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
            self._whole.setdefault(name, []).append(frame.select(columns) if columns else frame)

    def decided(self) -> Decided:
        assert self._empty is not None
        whole = {
            n: pl.concat(f).sort("claim_id", maintain_order=True) for n, f in self._whole.items()
        }
        return DecidedInParts(Batch(**whole), self._booked, self._written, self._empty)
