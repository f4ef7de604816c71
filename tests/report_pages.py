"""The pictures of docs/reports.md, of the sample night's invented members.

    python -m tests.report_pages

writes docs/eop.png and docs/claims-in-process.png anew: look at them before they are committed.
"""

from __future__ import annotations

import json
import tempfile
from datetime import date
from pathlib import Path

from adjudicator import store
from adjudicator.night import Order, run_night
from adjudicator.reports.figures import period
from adjudicator.reports.pdf import as_png
from adjudicator.reports.publish import publish_documents
from schemas.config import Config
from tests.case_tools import FIRST_NIGHT, fill_inbox, load_store

DOCS = Path(__file__).parents[1] / "docs"
WEEK_ENDS = date(2025, 11, 21)
PAYEE = "P01"
DOTS_AN_INCH = 92


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inbox = fill_inbox(folder)
        load_store(folder / "a.db")
        config = Config(db=f"sqlite:///{folder / 'a.db'}", out=folder)
        run_night(Order((inbox,), config, FIRST_NIGHT, FIRST_NIGHT))
        with store.reading(store.open_store(config.db, create=False)) as connection:
            nights = period(connection, None, FIRST_NIGHT, WEEK_ENDS)
            for report, picture in (("eop", "eop"), ("in-process", "claims-in-process")):
                publish_documents(connection, report, nights, folder, ("json",), PAYEE)
                [made] = (folder / report).glob("carepartners-*.json")
                document = json.loads(made.read_text("utf-8"))
                page = as_png(json.dumps(document), DOTS_AN_INCH)[0]
                target = DOCS / f"{picture}.png"
                target.write_bytes(page)
                target.chmod(0o644)


if __name__ == "__main__":
    main()
