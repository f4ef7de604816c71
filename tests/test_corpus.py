"""Every file of the shared corpus: a verdict, no traceback, no neighbour lost; and its page."""

from __future__ import annotations

import pytest

from edi.guide import Guide
from edi.read_file import read_file
from tests.corpus import CORPUS, PAGE, everything, files, page
from tests.samples import institutional, professional

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/corpus is absent: nothing to read"),
]


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What damaged files teach of a guide isn't kept in the user's cache folder."""
    monkeypatch.setattr(Guide, "remember", lambda _: None)


def test_every_file_has_its_row_and_the_page_is_not_stale() -> None:
    assert len(files()) >= 100
    assert PAGE.read_text("utf-8") == page(), "stale: python -m tests.corpus"


def test_every_claim_is_accepted_rejected_or_refused_and_a_loss_has_its_reason() -> None:
    for told in everything():
        assert told.claims == told.accepted + told.rejected + told.refused, told.name
        assert told.reasons or told.verdict == "accepted", told.name


def test_no_file_costs_a_neighbour() -> None:
    """All of them in one: a good file before each and after it loses nothing."""
    parts: list[bytes] = []
    for n, path in enumerate(files()):
        parts += [professional(1, number=1000 + n), path.read_bytes()]
    reading = read_file(b"".join([*parts, institutional(1, number=9)]))
    kept = reading.frames["claims"]["patient_control_number"].to_list()
    wanted = [f"P{1000 + n}1" for n in range(len(files()))] + ["I91"]
    assert [number for number in kept if number in set(wanted)] == wanted
    faulty = set(reading.objections["claim_id"].drop_nulls())
    ids = dict(zip(kept, reading.frames["claims"]["claim_id"], strict=True))
    assert not faulty & {ids[number] for number in wanted}
