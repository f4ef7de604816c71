"""What the README shows of the commands, made by the commands.

python -m tests.readme          rewrite the README's blocks
make demo must have run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DENIED = "TF-61"  # the sample night's claim received on day 61


def demo_output(reference: str, inbox: str, folder: Path) -> str:
    """What the demo's commands print."""
    db = f"sqlite:///{folder}/adjudicator.db"
    load = _adjudicate("reference", "load", reference, "--db", db)
    run = _adjudicate("run", inbox, "--db", db, "--out", f"{folder}/out",
                      "--business-date", "2025-11-15")  # fmt: skip
    reports = [
        _adjudicate("report", name, "--db", db, "--out", f"{folder}/out")
        for name in ("eop", "in-process", "register")
    ]
    return "\n".join([load + run, *reports]).replace(str(folder), "build/demo")


def explain_output(folder: Path) -> str:
    """The story of the claim that came a day too late."""
    listed = next((folder / "out").glob("run-*/claims.csv")).read_text("utf-8")
    row = next(line for line in listed.splitlines() if f",{DENIED}," in line)
    number = row.split(",")[0]
    told = _adjudicate("explain", number, "--db", f"sqlite:///{folder}/adjudicator.db")
    return f"$ adjudicate explain {number} --db sqlite:///build/demo/adjudicator.db\n{told}"


def bench_table(file: Path) -> str:
    """The last `make bench` as a table; empty where there was none."""
    if not file.is_file():
        return ""
    rows = json.loads(file.read_text("utf-8"))
    base = next(r["claims_per_s"] for r in rows if r["what"] == "pyx12" and r["claims"] == 10_000)
    out = ["| claims | what | claims/s | against pyx12 at 10,000 | peak MB |",
           "| ---: | --- | ---: | ---: | ---: |"]  # fmt: skip
    out += [
        f"| {r['claims']:,} | {r['what']} | {r['claims_per_s']:,.0f} | "
        f"{r['claims_per_s'] / base:.1f} | {r['peak_mb']:,.0f} |"
        for r in rows
    ]
    return "\n".join(out)


def block(name: str, text: str) -> str:
    """The README's block of that name with other text in it."""
    return re.sub(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
        lambda m: f"{m.group(1)}{text}\n{m.group(2)}" if text else m.group(0),
        README.read_text("utf-8"),
        flags=re.DOTALL,
    )


def shown(name: str) -> str:
    """What the README shows in that block."""
    found = re.search(rf"<!-- {name} -->\n```\n(.*?)\n```\n<!-- /{name} -->",
                      README.read_text("utf-8"), flags=re.DOTALL)  # fmt: skip
    return found.group(1) if found else ""


def fenced(text: str) -> str:
    return "```\n" + "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n```"


def _adjudicate(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "cli", *arguments], cwd=ROOT, capture_output=True,
                          text=True, check=True)  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    import tempfile

    from tests.case_tools import fill_inbox

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        inbox = fill_inbox(place)
        README.write_text(
            block("demo", fenced(demo_output("fixtures/reference", str(inbox), place)))
        )
        README.write_text(block("explain", fenced(explain_output(place))))
    README.write_text(block("bench", bench_table(ROOT / "build" / "bench.json")))
