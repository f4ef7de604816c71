"""What the program is made of, from its pinned requirements: a CycloneDX 1.5 document.

    python -m tests.sbom [--out build/sbom.json]

Needs nothing but Python. The same requirements give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)(?: *; *([^\\]*))?", re.M)
DIGEST = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def components(requirements: str) -> list[dict[str, Any]]:
    """One component a pinned requirement, by name, with its release files' checksums."""
    found = []
    starts = [*PINNED.finditer(requirements)]
    for at, match in enumerate(starts):
        end = starts[at + 1].start() if at + 1 < len(starts) else len(requirements)
        name, version, marker = match[1].lower(), match[2], (match[3] or "").strip()
        component = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
            "properties": [
                {"name": "sha256 of a release file", "value": digest}
                for digest in DIGEST.findall(requirements[match.end() : end])
            ],
        }
        if marker:
            component["properties"].insert(0, {"name": "only where", "value": marker})
        found.append(component)
    return sorted(found, key=lambda each: str(each["name"]))


def document() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    parts = components((ROOT / "requirements.txt").read_text("utf-8"))
    itself = f"pkg:pypi/{project['name']}@{project['version']}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": itself,
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": parts,
        "dependencies": [{"ref": itself, "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "sbom.json")
    given = parser.parse_args(arguments)
    made = document()
    given.out.write_text(json.dumps(made, indent=2) + "\n", "utf-8")
    print(f"{len(made['components'])} components in {given.out}")


if __name__ == "__main__":
    main()
