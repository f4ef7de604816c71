"""check_835 against remittances written by hand: each equation kept, then broken once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edi import balance
from edi.balance import Imbalance, check_835, check_forwards

HEADER = (
    "ISA*00*          *00*          *ZZ*EXPLAN         *ZZ*CLEARING       "
    "*240701*0000*^*00501*000000007*0*P*:"
)
# Line 1: 200.00 - 50.00 - 30.00 = 120.00; line 2: 100.00 - 100.00 = 0
# A: 300.00 - 180.00 = 120.00, PR 30.00 + 100.00 = 130.00
# B: 80.00 - 15.00 - 5.50 = 59.50, PR 15.00, no lines
# C, a reversal: -50.00 + 10.00 = -40.00, its line the same
# D: line 100.00 - 10.00 = 90.00; claim 100.00 - 20.00 - 10.00 = 70.00, PR 20.00
# CLP04: 120.00 + 59.50 - 40.00 + 70.00 = 209.50; PLB: 39.50 - 0.25 + 1.25 = 40.50
# BPR02: 209.50 - 40.50 = 169.00
GOOD = [
    HEADER,
    "GS*HP*EXPLAN*CLEARING*20240701*0000*7*X*005010X221A1",
    "ST*835*0007",
    "BPR*I*169*C*CHK************20240701",
    "TRN*1*T1*1061234567",
    "LX*1",
    "CLP*A*1*300*120*130*16*1",
    "NM1*QC*1*SAMPLE*PAT",
    "SVC*HC:99213*200*120.00",
    "DTM*472*20240501",
    "CAS*CO*45*50",
    "CAS*PR*2*30",
    "SVC*HC:99214*100*0",
    "CAS*PR*1*100",
    "CLP*B*2*80*59.5*15*16*2",
    "CAS*PR*3*15**100*0",
    "CAS*CO*97*5.5",
    "AMT*I*.25",
    "CLP*C*22*-50*-40**16*3",
    "NM1*QC*1*SAMPLE*PAT",
    "SVC*HC:99213*-50*-40",
    "CAS*CO*45*-10",
    "CLP*D*1*100*70*20*16*4",
    "CAS*PR*1*20",
    "NM1*QC*1*SAMPLE*PAT",
    "SVC*HC:99213*100*90",
    "CAS*CO*45*10",
    "PLB*1999999984*20241231*WO:1*39.5*L6*-.25",
    "PLB*1999999984*20251231*WO:2*1.25",
    "SE*28*0007",
    "GE*1*7",
    "IEA*1*000000007",
]


def joined(segments: list[str]) -> bytes:
    return "".join(s + "~" for s in segments).encode("latin-1")


def with_segment(number: int, text: str) -> bytes:
    """The good file with one segment (from 1) replaced."""
    assert GOOD[number - 1] != text
    return joined([*GOOD[: number - 1], text, *GOOD[number:]])


def without_segment(number: int) -> bytes:
    """The good file without one segment, SE01 made right where it counted there."""
    changed = [s.replace("SE*28", "SE*27") if 2 < number < 30 else s for s in GOOD]
    return joined(changed[: number - 1] + changed[number:])


def found(data: bytes) -> list[tuple[int, str]]:
    return [(f.segment, f.what) for f in check_835(data)]


def test_what_holds_is_silent() -> None:
    assert check_835(joined(GOOD)) == []


CLAIM, LINES_CHARGE, LINES_PAID = (
    "CLP03 - CAS = CLP04",
    "SVC02 = CLP03",
    "SVC03 = CLP04 + claim's CAS",
)
LINE, SET, MEMBER = "SVC02 - CAS = SVC03", "BPR02 = CLP04 - PLB", "CLP05 = PR"
INTEREST = "AMT*I = PLB L6"
H, NON = (f"{p} where nothing is paid, and only there" for p in ("BPR01 is H", "BPR04 is NON"))


@pytest.mark.parametrize(
    ("number", "text", "findings"),
    [
        # the line; its charge also stands in the claim's sum, its payment in the claim's
        (9, "SVC*HC:99213*200.01*120", [(9, LINE), (7, LINES_CHARGE)]),
        (9, "SVC*HC:99213*200*119.99", [(9, LINE), (7, LINES_PAID)]),
        (11, "CAS*CO*45*50.01", [(9, LINE), (7, CLAIM)]),
        # CAS of a line moved to PR's amount: line and claim lose the cent, PR gains it
        (12, "CAS*PR*2*30.01", [(9, LINE), (7, CLAIM), (7, MEMBER)]),
        (12, "CAS*CO*2*30", [(7, MEMBER)]),
        (12, "CAS*CR*2*30", [(12, "CAS01 is a known group"), (7, MEMBER)]),
        # the claim
        (7, "CLP*A*1*300.01*120*130", [(7, CLAIM), (7, LINES_CHARGE)]),
        (7, "CLP*A*1*300*120.01*130", [(7, CLAIM), (7, LINES_PAID), (4, SET)]),
        (7, "CLP*A*1*300*120*129.99", [(7, MEMBER)]),
        (7, "CLP*A*1*300*120", [(7, MEMBER)]),
        (15, "CLP*B*2*80*59.51*15", [(15, CLAIM), (4, SET)]),
        (17, "CAS*CO*97*5.51", [(15, CLAIM)]),
        (24, "CAS*PR*1*20.01", [(23, CLAIM), (23, LINES_PAID), (23, MEMBER)]),
        (19, "CLP*C*22*-50*-40*0", [(19, "CLP05 is empty on a reversal")]),
        (19, "CLP*C*1*-50*-40*-1", [(19, MEMBER)]),
        # the set
        (4, "BPR*I*169.01*C*CHK", [(4, SET)]),
        (4, "BPR*I*-169*C*CHK", [(4, SET), (4, "BPR02 >= 0")]),
        (28, "PLB*1*20241231*WO:1*39.5*L6*.25", [(4, SET), (30, INTEREST)]),
        (18, "AMT*I*.26", [(30, INTEREST)]),
        (18, "AMT*I*", [(18, "AMT02 is an amount of whole cents"), (30, INTEREST)]),
        (18, "AMT*AU*1", [(30, INTEREST)]),
        (4, "BPR*H*169*C*CHK", [(4, H)]),
        (4, "BPR*I*169*C*NON", [(4, NON)]),
        (29, "PLB*1*20251231*FB:T1*1.25", [(4, "a balance is brought under another's TRN02")]),
        (29, "PLB*1*20251231*FB:T0*1.25", []),
        (29, "PLB*1*20251231*FB:T0*1*FB:T2*.25", [(4, "a payment brings one balance")]),
        (29, "PLB*1*20251231*WO:1*2.25*FB:T1*-1",
         [(4, "only a payment of nothing carries a balance")]),
        (29, "PLB*1*20251231*WO:2*1.26", [(4, SET)]),
        (29, "PLB*1*20251231*WO:2*1.25*WO", [(29, "every PLB reason has its amount")]),
        # adjustments
        (21, "SVC*HC:99213*-10*-40", [
            (21, LINE), (21, "CARC 45 is less than the charge"), (19, LINES_CHARGE),
        ]),
        (12, "CAS*CO*45*30", [(12, "a group and reason stand once"), (7, MEMBER)]),
        (14, "CAS*PR*1*50**1*50", [(14, "a group and reason stand once")]),
        (16, "CAS*PR*3*15*1", []),
        (16, "CAS*PR*3*15***0", [(16, "every CAS amount has its reason")]),
        (16, "CAS*PR*3*14***1", [(16, "every CAS amount has its reason")]),
        (16, "CAS*PR*3*15**96", [(16, "every CAS reason has its amount")]),
        (14, "CAS*PR*1*100" + "**9*0**8*0**7*0**6*0**5*0**4*0",
         [(14, "CAS holds six adjustments")]),
        # counts and control numbers
        (30, "SE*29*0007", [(30, "SE01 = segments")]),
        (30, "SE*028*0007", []),
        (30, "SE*28*7", [(30, "SE02 = ST02")]),
        (31, "GE*2*7", [(31, "GE01 = sets")]),
        (31, "GE*1*8", [(31, "GE02 = GS06")]),
        (32, "IEA*0*000000007", [(32, "IEA01 = groups")]),
        (32, "IEA*1*000000008", [(32, "IEA02 = ISA13")]),
        (3, "ST*837*0007", [(3, "ST01 = 835")]),
        (5, "", [(5, "no segment is empty")]),
        # amounts
        (9, "SVC*HC:99213*200.000*120", [
            (9, LINE), (7, LINES_CHARGE), (9, "SVC02 is an amount of whole cents"),
        ]),
        (4, "BPR*I*1.69E2*C*CHK", [(4, SET), (4, "BPR02 is an amount of whole cents")]),
        (4, "BPR*I*+169*C*CHK", [(4, SET), (4, "BPR02 is an amount of whole cents")]),
        (4, "BPR*I*169.*C*CHK", [(4, SET), (4, "BPR02 is an amount of whole cents")]),
        (4, "BPR*I*1_69*C*CHK", [(4, SET), (4, "BPR02 is an amount of whole cents")]),
        (4, "BPR*I*169.0*C*CHK", []),
        (17, "CAS*CO*97*5,5", [(15, CLAIM), (17, "CAS03 is an amount of whole cents")]),
        (21, "SVC*HC:99213", [
            (21, "SVC is whole"), (21, LINE),
            (19, LINES_PAID), (19, LINES_CHARGE),
        ]),
    ],
)  # fmt: skip
def test_each_equation_broken_once(number: int, text: str, findings: list[tuple[int, str]]) -> None:
    assert sorted(found(with_segment(number, text))) == sorted(findings)


@pytest.mark.parametrize(
    ("number", "findings"),
    [
        (2, [
            (2, "ST stands in a group"), (30, "GE closes a GS"), (31, "IEA01 = groups"),
        ]),
        (3, [(29, "SE closes an ST"), (30, "GE01 = sets")]),
        (4, [(29, "a set has one BPR")]),
        (6, []),  # LX groups and counts for nothing
        # without its CLP the claim's lines hang in the air and 120.00 is missing
        (7, [
            *((n, "SVC belongs to a claim") for n in (8, 12)),
            *((n, "CAS belongs to a claim") for n in (10, 11, 13)),
            (4, SET),
        ]),
        # its CAS become the claim's: 300.00 - 180.00 = 120.00 still, but the lines sum to 100.00
        (9, [(7, LINES_CHARGE), (7, LINES_PAID)]),
        # its interest seems to be of the line before it
        (15, [(7, CLAIM), (7, MEMBER), (13, LINE), (4, SET), (29, INTEREST)]),
        (18, [(29, INTEREST)]),
        (28, [(4, SET), (29, INTEREST)]),
        (30, [(3, "SE closes every ST")]),
        (31, [(2, "GE closes every GS")]),
        (32, [(31, "IEA closes every ISA")]),
    ],
)  # fmt: skip
def test_each_segment_lost_once(number: int, findings: list[tuple[int, str]]) -> None:
    assert sorted(found(without_segment(number))) == sorted(findings)


NUMBERS = {
    "ISA": (13,),
    "GS": (6,),
    "ST": (2,),
    "BPR": (2,),
    "CLP": (3, 4, 5),
    "SVC": (2, 3),
    "CAS": (3, 6),
    "PLB": (4, 6),
    "SE": (1, 2),
    "GE": (1, 2),
    "IEA": (1, 2),
}


def test_every_digit_of_every_amount_count_and_control_number_matters() -> None:
    tried = 0
    for number, segment in enumerate(GOOD, 1):
        elements = segment.split("*")
        for place in NUMBERS.get(elements[0], ()):
            for at, digit in enumerate(elements[place] if place < len(elements) else ""):
                if digit.isdigit():
                    other = str((int(digit) + 1) % 10)
                    text = elements[place][:at] + other + elements[place][at + 1 :]
                    changed = "*".join([*elements[:place], text, *elements[place + 1 :]])
                    assert check_835(with_segment(number, changed)), (number, place, at)
                    tried += 1
    # counted over GOOD: envelope and set 9 + 1 + 4 + 6 + 2 + 10, BPR 3, CLP 9 + 7 + 4 + 7,
    # SVC 8 + 4 + 4 + 5, CAS 2 + 2 + 3 + 3 + 2 + 2 + 2 + 2, PLB 5 + 3
    assert tried == 32 + 3 + 27 + 21 + 18 + 8


def test_a_finding_says_what_was_expected_and_found() -> None:
    assert check_835(with_segment(4, "BPR*I*169.01*C*CHK")) == [
        Imbalance(4, "BPR02 = CLP04 - PLB", "16900", "16901")
    ]
    assert check_835(with_segment(30, "SE*29*0007")) == [
        Imbalance(30, "SE01 = segments", "28", "29")
    ]


def payment(bpr: str, trace: str, paid: str, plb: str) -> bytes:
    """A payment of one free claim or none, as bytes."""
    claims = [f"CLP*A*1*{paid}*{paid}"] if paid else []
    body = [f"BPR*{bpr}", f"TRN*1*{trace}*1061234567", "N1*PE*ELM*XX*1999999984", *claims]
    body += [f"PLB*1999999984*20251231*{plb}"] if plb else []
    return joined([*GOOD[:3], *body, f"SE*{len(body) + 2}*0007", *GOOD[30:]])


# 10.00 - 50.00 = -40.00; 15.00 - 40.00 = -25.00; 30.00 - 25.00 = 5.00
CHAIN = [
    payment("H*0*C*NON", "T1", "10", "WO:X*50*FB:T1*-40"),
    payment("H*0*C*NON", "T2", "15", "FB:T1*40*FB:T2*-25"),
    payment("H*0*C*NON", "T3", "", ""),
    payment("I*5*C*CHK", "T4", "30", "FB:T2*25"),
]


def test_a_balance_is_carried_until_it_is_recovered() -> None:
    for document in CHAIN:
        assert check_835(document) == []
    assert check_forwards(CHAIN) == []


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        ([*CHAIN[:2], payment("I*6*C*CHK", "T4", "30", "FB:T2*24")],
         ["payment T4 brings what no payment carried"]),
        ([*CHAIN[:2], payment("I*5*C*CHK", "T4", "30", "FB:T1*25")],
         ["payment T4 brings what no payment carried"]),
        ([CHAIN[0], CHAIN[3]], ["payment T4 brings what no payment carried"]),
        ([*CHAIN, payment("I*5*C*CHK", "T5", "30", "FB:T2*25")],
         ["payment T5 brings what no payment carried"]),
        ([CHAIN[0], payment("H*0*C*NON", "T2", "", "WO:Y*25*FB:T2*-25")],
         ["payment T2 carries a second balance"]),
        ([CHAIN[2], CHAIN[2]], ["trace number T3 is used twice"]),
    ],
)  # fmt: skip
def test_balances_that_do_not_tie_are_told(documents: list[bytes], told: list[str]) -> None:
    for document in documents:
        assert check_835(document) == []
    assert check_forwards(documents) == told


def test_a_balance_under_another_number_or_of_a_paid_payment_is_told() -> None:
    carried = payment("H*0*C*NON", "T1", "10", "WO:X*50*FB:T9*-40")
    assert found(carried) == [(4, "a balance is carried under its own TRN02")]
    twice = payment("H*0*C*NON", "T1", "10", "WO:X*50*FB:T1*-30*FB:T1*-10")
    assert found(twice) == [(4, "a payment carries one balance")]
    assert found(payment("I*0*C*NON", "T1", "", "")) == [(4, H)]
    assert found(payment("H*0*C*CHK", "T1", "", "")) == [(4, NON)]


def test_45_may_take_all_but_a_cent_and_a_free_line_has_none() -> None:
    # 10.00 - 9.99 = 0.01; the zero line: 0 - 0 = 0
    lines = ["SVC*HC:99213*10*.01", "CAS*CO*45*9.99", "SVC*HC:99213*0*0", "CAS*CO*45*0"]
    segments = [*GOOD[:3], "BPR*I*.01*C*CHK", "CLP*A*1*10*.01", *lines, "SE*8*0007", *GOOD[30:]]
    assert check_835(joined(segments)) == []


@pytest.mark.parametrize("claim", ["CLP*A*1*10*0", "CLP*A*22*-10*0"])
def test_45_at_claim_level_may_not_take_all(claim: str) -> None:
    amount = "-10" if "-10" in claim else "10"
    segments = [*GOOD[:3], "BPR*H*0*C*NON", claim, f"CAS*CO*45*{amount}", "SE*5*0007", *GOOD[30:]]
    assert found(joined(segments)) == [(5, "CARC 45 is less than the charge")]


# ---- bytes -----------------------------------------------------------------------------------


def test_two_interchanges_each_with_its_delimiters() -> None:
    other = joined(GOOD).translate(bytes.maketrans(b"*:^~", b"|>!'"))
    assert check_835(joined(GOOD) + other) == []
    assert check_835(joined(GOOD) + b"\r\n" + other + b"\r\n") == []
    broken = other.replace(b"BPR|I|169|", b"BPR|I|168|")
    assert found(joined(GOOD) + broken) == [(len(GOOD) + 4, SET)]
    # what is odd in the first costs the second nothing
    assert found(with_segment(4, "BPR*I*168*C*CHK") + other) == [(4, SET)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_may_end_behind_the_terminator(end: str) -> None:
    assert check_835("".join(s + "~" + end for s in GOOD).encode()) == []


def test_a_new_line_may_be_the_terminator() -> None:
    assert check_835(joined(GOOD).replace(b"~", b"\n")) == []


def test_a_byte_order_mark_is_passed_over() -> None:
    assert check_835(b"\xef\xbb\xbf" + joined(GOOD)) == []


def test_several_sets_and_groups_are_counted() -> None:
    second = [s.replace("0007", "0008") for s in GOOD[2:30]]
    group = ["GS*HP*EXPLAN*CLEARING*20240701*0000*9*X*005010X221A1", *GOOD[2:30], "GE*1*9"]
    whole = [*GOOD[:30], *second, "GE*2*7", *group, "IEA*2*000000007"]
    assert check_835(joined(whole)) == []


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "ISA opens the file"),
        (b" \r\n", "ISA opens the file"),
        (b"hello", "ISA opens an interchange"),
        (b"ISA*00*", "ISA opens an interchange"),
        (joined(GOOD) + b"rest", "ISA opens an interchange"),
        (joined(GOOD)[:-1], "a terminator ends the last segment"),
        (joined(GOOD)[:-30], "a terminator ends the last segment"),
        (HEADER.encode() + b"~", "IEA closes every ISA"),
    ],
)
def test_torn_files_are_told(data: bytes, what: str) -> None:
    assert what in [f.what for f in check_835(data)]


def test_an_interchange_of_nothing_but_its_envelope() -> None:
    assert check_835(joined([HEADER, "IEA*0*000000007"])) == []


def test_no_finding_repeats_data() -> None:
    for number, segment in enumerate(GOOD, 1):
        if number == 1:
            continue
        elements = segment.split("*")
        for place in range(1, len(elements)):
            planted = "*".join([*elements[:place], "CANARY", *elements[place + 1 :]])
            assert "CANARY" not in str(check_835(with_segment(number, planted)))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.integers(0, 106))
def test_no_bytes_make_it_raise(data: bytes, kept: int) -> None:
    check_835(data)
    check_835(HEADER.encode()[:kept] + b"~" + data)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(joined(GOOD)) - 1),
            st.sampled_from(
                [b"", b"~", b"*", b":", b"-", b".", b"9" * 5_000, b"\xb2", b"CAS*", b"A"]
            ),
        ),
        max_size=8,
    )
)
def test_no_damage_makes_it_raise(damage: list[tuple[int, bytes]]) -> None:
    data = joined(GOOD)
    for at, put in damage:
        data = data[:at] + put + data[at + 1 :]
    for finding in check_835(data):
        assert 1 <= finding.segment <= data.count(data[105:106]) + 2


def test_it_knows_nothing_of_the_writer() -> None:
    tree = ast.parse(Path(balance.__file__).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or node.names[0].name]
    }
    assert imported == {"__future__", "re", "dataclasses", "collections", "pathlib"}
