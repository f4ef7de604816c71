"""Small 837 files made up for the tests of reading, and the words to make others from them.

A transaction set is a list of segments written with ``*``, ``:`` and ``^``; ``write`` puts in
whatever delimiters a file is to have. Every person, practice and number is invented; NPIs begin
with 2, of which none is issued, and carry a right check digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edi.envelope import Delimiters

STANDARD = Delimiters("*", ":", "^", "~")
PROFESSIONAL, INSTITUTIONAL = "005010X222A1", "005010X223A2"


def npi(serial: int) -> str:
    """2, the serial in eight digits and the check digit over 80840 and these (ISO 7812)."""
    body = f"2{serial:08d}"
    doubled = [int(d) * (2 - i % 2) for i, d in enumerate(reversed("80840" + body))]
    return body + str(-sum(d // 10 + d % 10 for d in doubled) % 10)


def words(text: str) -> list[str]:
    return text.split()


def segments(text: str) -> list[str]:
    """A segment a line; blank lines and the lines' indentation don't count."""
    return [line.strip() for line in text.splitlines() if line.strip()]


# ---- envelopes -------------------------------------------------------------------------------


def transaction(body: Sequence[str], number: int = 1, guide: str = PROFESSIONAL) -> list[str]:
    """ST, the body, SE."""
    return [f"ST*837*{number:04d}*{guide}", *body, f"SE*{len(body) + 2}*{number:04d}"]


def group(sets: Sequence[Sequence[str]], number: int = 1, guide: str = PROFESSIONAL) -> list[str]:
    """GS, the sets, GE."""
    return [
        f"GS*HC*WILLOWEDI*CPCT1*20250602*0815*{number}*X*{guide}",
        *(segment for set_ in sets for segment in set_),
        f"GE*{len(sets)}*{number}",
    ]


def interchange(groups: Sequence[Sequence[str]], number: int = 1, usage: str = "P") -> list[str]:
    """ISA, the groups, IEA."""
    header = (
        f"ISA*00*{'':10}*00*{'':10}*ZZ*{'WILLOWEDI':15}*ZZ*{'CPCT1':15}*250602*0815*^*00501"
        f"*{number:09d}*0*{usage}*:"
    )
    trailer = f"IEA*{len(groups)}*{number:09d}"
    return [header, *(segment for group_ in groups for segment in group_), trailer]


def write(lines: Iterable[str], delimiters: Delimiters = STANDARD, padding: str = "") -> bytes:
    """The bytes of some segments, each terminated and followed by ``padding``."""
    into = str.maketrans(
        {
            "*": delimiters.element,
            ":": delimiters.component,
            "^": delimiters.repetition,
            "~": delimiters.terminator,
        }
    )
    return "".join(line.translate(into) + delimiters.terminator + padding for line in lines).encode(
        "latin-1"
    )


# ---- 837P ------------------------------------------------------------------------------------

_HEADER = """
    BHT*0019*00*{reference}*20250602*0815*CH
    NM1*41*2*WILLOW BILLING*****46*WILLOWEDI
    PER*IC*QUILL DESK*TE*2035550101
    NM1*40*2*CAREPARTNERS OF CONNECTICUT*****46*CPCT1
"""
_PROVIDER = """
    HL*{level}**20*1
    PRV*BI*PXC*207Q00000X
    NM1*85*{name}*XX*{npi}
    N3*4 SYCAMORE RD
    N4*MERIDEN*CT*064500001
    REF*EI*061234567
"""
_SUBSCRIBER = """
    HL*{level}*{above}*22*{below}
    SBR*P*{relationship}*GRP77******HM
    NM1*IL*1*TALLOWAY*ORRIN*J**SR*MI*CP{card:07d}
    N3*18 HERON LN
    N4*HAMDEN*CT*06514
    DMG*D8*19710417*M
    NM1*PR*2*CAREPARTNERS OF CONNECTICUT*****PI*CPCT1
"""
_PATIENT = """
    HL*{level}*{above}*23*0
    PAT*19
    NM1*QC*1*TALLOWAY*PIPPA
    N3*18 HERON LN
    N4*HAMDEN*CT*06514
    DMG*D8*20140930*F
"""
_CLAIM_P = """
    CLM*{number}*180.5***11:B:1*Y*A*Y*Y
    HI*ABK:E119*ABF:I10
    LX*1
    SV1*HC:99213*130.5*UN*1***1:2
    DTP*472*D8*20250513
    LX*2
    SV1*HC:93000:26*50*UN*1***1
    DTP*472*D8*20250513
"""
_CLAIM_I = """
    CLM*{number}*1250***11:A:1**A*Y*Y
    DTP*434*RD8*20250504-20250506
    DTP*435*DT*202505040915
    CL1*1*7*01
    HI*ABK:K5730:::::::Y
    NM1*71*1*BRACKENWELL*TESS****XX*{attending}
    LX*1
    SV2*0120**1000*DA*2
    LX*2
    SV2*0250*HC:J1100*250*UN*5
    DTP*472*D8*20250504
"""

# Everything at once: each 837P segment that the reader takes anything from.
_FULL_P = """
    CLM*{number}*1010.75***11:B:7*Y*A*Y*Y*P*AA:OA::CT*02********11
    DTP*431*D8*20250420
    DTP*439*D8*20250418
    DTP*435*D8*20250421
    DTP*096*D8*20250424
    PWK*OZ*EL***AC*ATT4471
    CN1*02*800*12.5*KX9
    AMT*F5*25
    REF*9F*REFER88
    REF*G1*AUTH{number}
    REF*F8*000000000123
    REF*D9*CLEAR55
    REF*EA*MRN0042
    K3*STATE DATA HERE
    NTE*ADD*SEEN WITH AN INTERPRETER
    CR1*LB*140**A*DH*12.4***TO ED*STRETCHER
    CRC*07*Y*01*04*05
    CRC*75*Y*IH
    HI*ABK:S52501A*ABF:W19XXXA*ABF:E11.9
    HI*BP:25600*BO:01830
    HI*BG:AJ*BG:17
    NM1*DN*1*MARLOWELL*INES*Q**III*XX*{referring}
    REF*G2*MARL900
    NM1*82*1*OSTERBRIDGE*HAL*B***XX*{rendering}
    PRV*PE*PXC*207X00000X
    NM1*77*2*HARBORLIGHT CLINIC*****XX*{facility}
    N3*200 LANTERN WAY*SUITE 9
    N4*NORWALK*CT*068500009
    REF*LU*SITE3
    NM1*DQ*1*PELLAMORE*VIV****XX*{supervising}
    NM1*PW*2
    N3*6 QUAY ST
    N4*BRISTOL*CT*06010
    NM1*45*2*NORTH GATE WARD
    N3*8 QUAY ST
    N4*BRISTOL*CT*06010
    SBR*S*01*GRP12*OTHER PLAN*12****CI
    CAS*PR*1*100.5*1*2*20**3*30.25*2*45*.5**96*0*0*97*1.01*3
    CAS*CO*45*10
    AMT*D*600.25
    AMT*A8*12
    AMT*EAF*398.5
    OI***Y*P**I
    NM1*IL*1*TALLOWAY*GERDA****MI*OT123
    N3*18 HERON LN
    N4*HAMDEN*CT*06514
    NM1*PR*2*SECOND HARVEST HEALTH*****PI*SHH01
    DTP*573*D8*20250501
    REF*F8*SHH000777
    SBR*T*18*******MB
    OI***N***Y
    NM1*IL*1*TALLOWAY*ORRIN****MI*MB444
    NM1*PR*2*THIRD ROCK MUTUAL*****PI*TRM09
    LX*1
    SV1*HC:25600:RT:22:59:GC:CLOSED CARE*900.25*UN*1.5*22**1:2:3:4**Y**Y*Y***0
    PWK*OZ*BM***AC*LINEATT1
    CRC*07*N*06*09
    DTP*472*RD8*20250421-20250424
    DTP*471*D8*20250420
    REF*G1*LINEAUTH
    REF*6R*LINE-1
    REF*9F*LINEREF
    AMT*T*4.4
    K3*LINE FIXED DATA
    NTE*ADD*A LINE NOTE
    LIN**N4*00555012345
    CTP****2.125*ML
    REF*XZ*RX7788
    NM1*82*1*OSTERBRIDGE*IDA****XX*{line_rendering}
    PRV*PE*PXC*208100000X
    NM1*DK*1*QUENNELL*ART****XX*{ordering}
    N3*1 FELL RD
    N4*DERBY*CT*06418
    REF*G2*QUEN1
    SVD*SHH01*500.25*HC:25600:RT:22**1.5
    CAS*PR*1*300*1
    CAS*CO*45*100
    DTP*573*D8*20250502
    AMT*EAF*300
    SVD*TRM09*0*HC:25600**1
    DTP*573*D8*20250509
    LX*2
    SV1*HC:J1885*110.5*UN*2***2
    DTP*472*D8*20250421
"""

_FULL_I = """
    CLM*{number}*8400.4***11:A:8**C*W*I***********5
    DTP*096*TM*1430
    DTP*434*RD8*20250504-20250509
    DTP*435*DT*202505040915
    CL1*2*7*01
    PWK*B4*FX***AC*IATT1
    CN1*01*7000
    AMT*F3*120.35
    REF*9F*IREFER
    REF*G1*IAUTH
    REF*F8*000000000456
    REF*D9*ICLEAR
    REF*EA*IMRN
    K3*INPATIENT FIXED
    NTE*DGN*HISTORY TAKEN
    NTE*ADD*BILLED AGAIN
    CRC*ZZ*Y*NU
    HI*ABK:I5022:::::::Y
    HI*ABJ:R0602
    HI*APR:R0789*APR:R55
    HI*ABN:W19XXXA:::::::N*ABN:Y92009
    HI*DR:291
    HI*ABF:E1165:::::::Y*ABF:N179:::::::U
    HI*BBR:02HV33Z:D8:20250505
    HI*BBQ:5A1D70Z:D8:20250506*BBQ:30233N1:D8:20250507
    HI*BI:70:RD8:20250401-20250403*BI:M0:RD8:20250504-20250509
    HI*BH:11:D8:20250501*BH:A3:D8:20250509
    HI*BE:01:::1200.5*BE:80:::5
    HI*BG:C5*BG:67
    HI*TC:A01
    NM1*71*1*BRACKENWELL*TESS*M**JR*XX*{attending}
    PRV*AT*PXC*207R00000X
    REF*0B*LIC555
    NM1*72*1*CALDECOT*REX****XX*{operating}
    NM1*ZZ*1*DUNMORREL*SUE
    REF*G2*DUN77
    NM1*82*1*EASTLEIGH*PAM****XX*{rendering}
    NM1*77*2*FERNHOLLOW HOSPITAL*****XX*{facility}
    N3*77 WARD PLAZA
    N4*DANBURY*CT*068100003
    NM1*DN*1*GOSSAMERE*LEO****XX*{referring}
    SBR*P*18*GRP9******16
    CAS*PR*2*75.25
    AMT*D*5000
    OI***Y***Y
    NM1*IL*1*TALLOWAY*ORRIN****MI*OI321
    NM1*PR*2*FOURTH WALL ASSURANCE*****XV*FWA88
    DTP*573*D8*20250520
    REF*F8*FWA000111
    LX*1
    SV2*0120**7000.4*DA*5**100.4
    DTP*472*RD8*20250504-20250509
    LX*2
    SV2*0250*HC:J0131:JW:KX*1400*UN*10.25
    PWK*B4*FX***AC*ILINE1
    DTP*472*D8*20250505
    REF*6R*ILINE-2
    AMT*N8*3.3
    NTE*TPO*REPRICED
    LIN**N4*00555067890
    CTP****10*UN
    REF*VY*LNK1
    NM1*82*1*EASTLEIGH*ROY****XX*{line_rendering}
    REF*G2*EAST2
    SVD*FWA88*900*HC:J0131:JW*0250*10
    CAS*CO*45*499.99**253*.01
    DTP*573*D8*20250521
    AMT*EAF*0
"""

_ROLES = words(
    "billing referring rendering facility supervising line_rendering ordering attending operating"
)
NPIS = {role: npi(100 + n) for n, role in enumerate(_ROLES)}


def claim(number: str = "P1", *, kind: str = "P", full: bool = False) -> list[str]:
    """The segments of one claim (2300 with its lines)."""
    text = {"P": (_CLAIM_P, _FULL_P), "I": (_CLAIM_I, _FULL_I)}[kind][full]
    return segments(text.format(number=number, **NPIS))


def body(
    claims: Sequence[Sequence[str]],
    *,
    kind: str = "P",
    reference: str = "B1",
    dependent: Sequence[bool] = (),
    provider_every: int = 0,
    together: bool = False,
) -> list[str]:
    """What stands between ST and SE: one billing provider, a subscriber a claim.

    ``dependent[i]``: the i-th claim is a child's (2000C). ``provider_every``: a new 2000A after so
    many claims. ``together``: all claims under the first subscriber.
    """
    name = "1*SABLEWORTH*NEVE***" if kind == "P" else "2*FERNHOLLOW HOSPITAL****"
    out = segments(_HEADER.format(reference=reference))
    level = provider = 0
    for index, one in enumerate(claims):
        child = index < len(dependent) and dependent[index]
        if index == 0 or (provider_every and index % provider_every == 0):
            level += 1
            provider = level
            number = npi(index // provider_every if provider_every else 0)
            out += segments(_PROVIDER.format(level=level, name=name, npi=number))
        if index == 0 or not together:
            level += 1
            out += segments(
                _SUBSCRIBER.format(
                    level=level,
                    above=provider,
                    below=int(child),
                    relationship="" if child else "18",
                    card=index + 1,
                )
            )
        if child:
            level += 1
            out += segments(_PATIENT.format(level=level, above=level - 1))
        out += one
    return out


def _file(kind: str, claims: int, full: bool, number: int, dependents: bool) -> list[str]:
    guide = PROFESSIONAL if kind == "P" else INSTITUTIONAL
    made = [claim(f"{kind}{number}{n}", kind=kind, full=full) for n in range(1, claims + 1)]
    turns = [dependents and n % 2 == 1 for n in range(claims)]
    set_ = transaction(body(made, kind=kind, dependent=turns), number, guide)
    return interchange([group([set_], number, guide)], number)


def professional(
    claims: int = 2,
    *,
    full: bool = False,
    number: int = 1,
    dependents: bool = False,
    delimiters: Delimiters = STANDARD,
    padding: str = "",
) -> bytes:
    """An 837P file that pyx12 has nothing against; every second claim a child's if asked."""
    return write(_file("P", claims, full, number, dependents), delimiters, padding)


def institutional(
    claims: int = 2,
    *,
    full: bool = False,
    number: int = 1,
    dependents: bool = False,
    delimiters: Delimiters = STANDARD,
    padding: str = "",
) -> bytes:
    """An 837I file that pyx12 has nothing against."""
    return write(_file("I", claims, full, number, dependents), delimiters, padding)
