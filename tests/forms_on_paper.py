"""Paper claims with every box filled that may be asked for; people and numbers are invented."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests import samples

OURS = ("CarePartners of Connecticut", "CPCT1")
NPI = samples.NPIS

Record = dict[str, Any]

CMS1500: Record = {
    "form": "CMS-1500",
    "boxes": {
        "1": "MEDICARE",
        "1a": "CP0000001",
        "2": "TALLOWAY SR, ORRIN, J",
        "3": {"birth_date": "04 17 1971", "sex": "M"},
        "4": "SAME",
        "5": {"street": "18 HERON LN", "city": "HAMDEN", "state": "CT", "zip": "06514"},
        "6": "SELF",
        "7": {"street": "SAME"},
        "9": "TALLOWAY, GERDA",
        "9a": "OT123",
        "9d": "SECOND HARVEST HEALTH",
        "10a-c": {
            "employment": "NO", "auto_accident": "YES", "state": "CT", "other_accident": "NO",
        },
        "11": "GRP77",
        "11c": "CAREADVANTAGE PREFERRED",
        "11d": "YES",
        "12": {"signature": "SIGNATURE ON FILE"},
        "13": "SIGNATURE ON FILE",
        "17": {"qualifier": "DN", "name": "LARKFIELD, BENEDICT"},
        "17a-b": {"npi": NPI["referring"]},
        "18": {"from": "051025"},
        "21": {"indicator": "0", "A": "S52.501A", "B": "I10"},
        "22": {"code": "7", "original_number": "000000000123"},
        "24": [
            {
                "24a": {"from": "051325", "to": "051325"}, "24b": "21",
                "24d": {"code": "99213", "modifiers": "25"}, "24e": "AB", "24f": "200 00",
                "24g": "1", "24i": "ZZ", "24j": {"npi": NPI["rendering"], "number": "207Q00000X"},
            },
            {
                "24a": {"from": "051325"}, "24b": "21", "24d": {"code": "93000"}, "24e": "A",
                "24f": "100.00", "24g": "2", "24i": "ZZ",
                "24j": {"npi": NPI["rendering"], "number": "207Q00000X"},
            },
        ],
        "25": {"number": "06-1234567", "kind": "EIN"},
        "26": "F1",
        "27": "YES",
        "28": "300.00",
        "29": "100.00",
        "31": {"signature": "SIGNATURE ON FILE"},
        "32": {"name": "HARBORLIGHT CLINIC", "street": "200 LANTERN WAY", "city": "NORWALK",
               "state": "CT", "zip": "06850"},
        "32a-b": {"npi": NPI["facility"]},
        "33": {"name": "SABLEWORTH MEDICINE", "street": "4 SYCAMORE RD", "city": "MERIDEN",
               "state": "CT", "zip": "06450-0001"},
        "33a": samples.npi(0),
    },
    "attachments": [{"kind": "eob", "date": "05/01/2025", "payer": "SECOND HARVEST HEALTH"}],
}  # fmt: skip

UB04: Record = {
    "form": "UB-04",
    "boxes": {
        "1": {"name": "FERNHOLLOW HOSPITAL", "street": "4 SYCAMORE RD", "city": "MERIDEN",
              "state": "CT", "zip": "064500001"},
        "2": {"name": "FERNHOLLOW HOSPITAL", "street": "PO BOX 4", "city": "MERIDEN",
              "state": "CT", "zip": "06450"},
        "3a": "F1",
        "4": "0117",
        "5": "06-1234567",
        "6": {"from": "050425", "through": "050625"},
        "8a": "CP0000001",
        "8b": "TALLOWAY, ORRIN, J",
        "9a-e": {"street": "18 HERON LN", "city": "HAMDEN", "state": "CT", "zip": "06514"},
        "10": "04171971",
        "11": "M",
        "12": "050425",
        "13": "09",
        "14": "1",
        "15": "7",
        "16": "14",
        "17": "01",
        "18-28": ["41"],
        "29": "CT",
        "31-34": [{"code": "02", "date": "050325"}, {"code": "11", "date": "050425"}],
        "42-49": [
            {"42": "0120", "43": "ROOM AND BOARD", "45": "050425", "46": "2", "47": "1000.00"},
            {"42": "360", "43": "OPERATING ROOM", "45": "050525", "46": "1", "47": "250 00"},
            {"42": "0001", "47": "1,250.00"},
        ],
        "50a-c": ["FOURTH WALL ASSURANCE", "CAREPARTNERS OF CONNECTICUT"],
        "51": ["FWA88", "CPCT1"],
        "54": ["500.00"],
        "56": samples.npi(0),
        "58a-c": ["TALLOWAY, GERDA", "TALLOWAY, ORRIN, J"],
        "59": ["01", "18"],
        "60a-c": ["OI321", "CP0000001"],
        "61a-c": ["", "FERNHOLLOW STAFF"],
        "62a-c": ["", "GRP77"],
        "64a-c": ["", "000000000123"],
        "66": "0",
        "67": "S52501A Y",
        "69": "S52.501A",
        "72": ["V4352XA"],
        "74": {"code": "0PSH04Z", "date": "0505"},
        "74a-e": [{"code": "30233N1", "date": "0506"}],
        "76": {"npi": NPI["attending"], "name": "BRACKENWELL, TESS"},
        "77": {"npi": NPI["operating"], "name": "CALDECOT, REX"},
    },
    "attachments": [{"kind": "eob", "date": "052025", "payer": "Fourth Wall Assurance"}],
}  # fmt: skip


def changed(record: Record, *changes: tuple[tuple[str | int, ...], Any]) -> Record:
    """The record with other values at some places of its boxes; None takes a value out."""
    made: Record = copy.deepcopy(record)
    for path, value in changes:
        at = made["boxes"]
        for key in path[:-1]:
            at = at[key]
        if value is not None:
            at[path[-1]] = value
        elif isinstance(at, list):
            at[path[-1]] = None  # type: ignore[call-overload]
        else:
            at.pop(path[-1], None)
    return made


CHILD = (
    (("3",), {"birth_date": "09302014", "sex": "F"}),
    (("2",), "TALLOWAY, PIPPA"),
    (("4",), "TALLOWAY, ORRIN, J"),
    (("6",), "CHILD"),
    (("11a",), {"birth_date": "04171971", "sex": "M"}),
)
CLINIC = (
    (("4",), "0131"),
    (("6",), {"from": "050425", "through": "050425"}),
    *(((box,), None) for box in ("12", "13", "14", "15", "16", "29", "31-34", "64a-c", "69", "72",
                                 "74", "74a-e", "77")),
    (("67",), "R06.02"),
    (("42-49",), [
        {"42": "0450", "43": "EMERGENCY ROOM", "44": "99284 25", "45": "050425", "46": "1",
         "47": "200.00"},
        {"42": "0250", "43": "PHARMACY", "45": "050425", "46": "1", "47": "50.00"},
        {"42": "0001", "47": "250.00"},
    ]),
)  # fmt: skip
RECORDS: dict[str, Record] = {
    "P": CMS1500,
    "P child": changed(CMS1500, *CHILD),
    "I": UB04,
    "I child": changed(
        UB04, (("8b",), "TALLOWAY, PIPPA"), (("10",), "09302014"), (("59", 1), "19")
    ),
    "outpatient": changed(UB04, *CLINIC),
}


def as_lines(*records: Record) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()
