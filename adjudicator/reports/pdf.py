"""A document as PDF, by typst: the same JSON that is published, set by one template."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typst import Compiler

REPORT, LETTER, DISPUTE = "report.typ", "letter.typ", "dispute.typ"
FACES = ("Regular", "Semibold", "Bold")


@cache
def _faces() -> TemporaryDirectory[str]:
    """A folder of the faces we set in. The package has each twice, as OTF and TTF, and typst takes
    whichever the file system names first: other bytes on another machine."""
    folder = TemporaryDirectory(prefix="adjudicator-")
    package = Path(str(files("font_source_sans_pro"))) / "files"
    for face in FACES:
        name = f"SourceSansPro-{face}.otf"
        (Path(folder.name) / name).symlink_to(package / name)
    return folder


@cache
def _compiler(name: str) -> Compiler:
    from typst import Compiler, Fonts

    # typst's own serif is for what the sans lacks; the machine's fonts would make other bytes
    fonts = Fonts(
        include_system_fonts=False, include_embedded_fonts=True, font_paths=[_faces().name]
    )
    template = Path(str(files("adjudicator.reports"))) / name
    return Compiler(template, root=template.parent, font_paths=fonts, ignore_system_fonts=True)


def as_pdf(text: str, *, tagged: bool = True, template: str = REPORT) -> bytes:
    """The PDF of a document's JSON; ``tagged`` for screen readers, at ten times the size.

    It then is PDF/UA-1, but for a text with a character that no font of ours has. The same text
    gives the same bytes: nothing is dated.
    """
    from typst import TypstError

    def made(standards: Literal["ua-1"] | None) -> bytes:
        content = _compiler(template).compile(
            format="pdf", sys_inputs={"document": text}, pdf_standards=standards, pdf_tags=tagged
        )
        assert isinstance(content, bytes)
        return content

    try:
        return made("ua-1" if tagged else None)
    except TypstError:
        return made(None)


def as_png(text: str, dots_an_inch: int = 110, template: str = REPORT) -> list[bytes]:
    """Its pages as pictures."""
    made = _compiler(template).compile(
        format="png", ppi=dots_an_inch, sys_inputs={"document": text}
    )
    return made if isinstance(made, list) else [made or b""]
