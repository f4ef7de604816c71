"""Paper claims as records: UB-04 and CMS-1500, a claim a line of JSON, keyed by box.

The keys of ``boxes`` are the boxes as the provider manual names them (001:2416-2936); a box of
several parts is an object, one that is printed several times a list in the order printed. Values
are text as it stands on the form; a blank box is absent, null or empty. docs/paper.md and
docs/paper.schema.json are made from these models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from schemas.form import CMS1500, UB04
from schemas.frames import CENTS_LIMIT

QUANTITY_LIMIT = 10**13
SELF = "18"


# ---- kinds of values ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """How a value is printed: in ``words``, as a pattern, and what it is read as. Blanks around it
    and runs of them inside don't count, nor does case where the pattern is in capitals."""

    words: str
    pattern: str
    read: Callable[[re.Match[str]], Any] = lambda m: m[0]

    @cached_property
    def _whole(self) -> Callable[[str], re.Match[str] | None]:
        return re.compile(self.pattern).fullmatch

    def parse(self, value: object) -> Any:
        """The value read; None where the box is blank. Raises PydanticCustomError."""
        if value is None:
            return None
        if not isinstance(value, str):
            raise PydanticCustomError("paper", "is not text; write it in quotes, as printed")
        text = " ".join(value.split())
        if not text:
            return None
        if not text.isprintable():
            raise PydanticCustomError("paper", "holds a character that can't be printed")
        match = self._whole(text) or self._whole(text.upper())
        if match is None:
            raise PydanticCustomError("paper", f"is not {self.words}")
        try:
            return self.read(match)
        except ValueError:
            raise PydanticCustomError("paper", f"is not {self.words}") from None

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": ["string", "null"], "pattern": f"^(?:{self.pattern})?$"}


def _day(match: re.Match[str]) -> date:
    month, day, year, iso_year, iso_month, iso_day = match.groups()
    if iso_year:
        return date(int(iso_year), int(iso_month), int(iso_day))
    return date(int(year) + 2000 * (len(year) == 2), int(month), int(day))


class MonthDay(NamedTuple):
    """A day whose year may be the bill's."""

    month: int
    day: int
    year: int | None


def _month_day(match: re.Match[str]) -> MonthDay:
    month, day, year = match.groups()
    full = None if year is None else int(year) + 2000 * (len(year) == 2)
    date(full or 2000, int(month), int(day))  # 2000 has every day
    return MonthDay(int(month), int(day), full)


def _cents(match: re.Match[str]) -> int:
    minus, whole, part = match.groups()
    cents = int(whole.replace(",", "")) * 100 + int(part)
    if cents > CENTS_LIMIT:
        raise ValueError
    return -cents if minus else cents


def _thousandths(match: re.Match[str]) -> int:
    minus, whole, part = match.groups()
    quantity = int(whole) * 1000 + int((part or "").ljust(3, "0"))
    return -quantity if minus else quantity


def _plain(match: re.Match[str]) -> str:
    return re.sub(r"[^A-Z0-9]", "", match[0])


class Diagnosis(NamedTuple):
    code: str
    present_on_admission: str | None


def _diagnosis(match: re.Match[str]) -> Diagnosis:
    whole, eighth, code, apart = match.groups()
    return Diagnosis((whole or code).replace(".", ""), eighth or apart)


def _procedure(match: re.Match[str]) -> tuple[str, str | None]:
    return match[1], ":".join(re.findall(r"[A-Z0-9]{2}", match[2])) or None


def _one_of(words: str, **values: str) -> Kind:
    names = {name.replace("_", " "): value for name, value in values.items()}
    return Kind(words, "|".join(names), lambda m: names[m[0]])


_SEPARATED = r"(\d\d)[ /-]?(\d\d)[ /-]?"
_ISO = r"|(\d{4})-(\d\d)-(\d\d)"
_ICD = r"([A-Z0-9]\d[A-Z0-9]\.?[A-Z0-9]{0,4})"

Text = Annotated[str | None, Kind("text of at most 200 characters", r".{1,200}")]
Name = Annotated[
    str | None, Kind("a name of at most 100 characters: LAST, FIRST, MIDDLE", r".{1,100}")
]
NameOrSame = Annotated[
    str | None, Kind("a name of at most 100 characters (LAST, FIRST, MIDDLE), or SAME", r".{1,100}")
]
Day = Annotated[
    date | None, Kind("a date: MMDDYY or MMDDCCYY", rf"{_SEPARATED}(\d{{4}}|\d\d){_ISO}", _day)
]
BirthDay = Annotated[
    date | None,
    Kind("a date with a year of four digits: MMDDCCYY", rf"{_SEPARATED}(\d{{4}}){_ISO}", _day),
]
DayOfYear = Annotated[
    MonthDay | None,
    Kind("a day: MMDD, or MMDDYY", rf"{_SEPARATED}(\d{{4}}|\d\d)?", _month_day),
]
Amount = Annotated[
    int | None,
    Kind(
        "an amount of at most 99,999,999.99 in dollars and cents: 120.00 or 120 00",
        r"([-(])?\$? ?(\d{1,3}(?:,\d{3})+|\d{1,10})[. ](\d\d)\)?",
        _cents,
    ),
]
Units = Annotated[
    int | None,
    Kind("a number with at most three decimals: 1", r"(-)?(\d{1,9})(?:\.(\d{1,3}))?", _thousandths),
]
Answer = Annotated[str | None, _one_of("YES or NO", YES="YES", Y="YES", NO="NO", N="NO")]
Mark = Annotated[str | None, _one_of("Y, X or N", Y="Y", YES="Y", X="Y", N="N", NO="N")]
Sex = Annotated[
    str | None, _one_of("M, F or U", M="M", MALE="M", F="F", FEMALE="F", U="U", UNKNOWN="U")
]
Relationship = Annotated[
    str | None, _one_of("SELF, SPOUSE, CHILD or OTHER", SELF=SELF, SPOUSE="01", CHILD="19",
                        OTHER="G8"),
]  # fmt: skip
Coverage = Annotated[
    str | None,
    _one_of(
        "MEDICARE, MEDICAID, TRICARE, CHAMPVA, GROUP HEALTH PLAN, FECA BLK LUNG or OTHER",
        MEDICARE="MB", MEDICAID="MC", TRICARE="CH", CHAMPVA="VA", GROUP_HEALTH_PLAN="CI",
        FECA_BLK_LUNG="OF", OTHER="ZZ",
    ),
]  # fmt: skip
IcdVersion = Annotated[str | None, Kind("9 or 0: ICD-9-CM or ICD-10-CM", "[09]")]
Npi = Annotated[str | None, Kind("an NPI of ten digits", r"\d{10}")]
TaxNumber = Annotated[
    str | None,
    Kind("a tax number of nine digits", r"\d{2}-?\d{7}|\d{3}-\d{2}-\d{4}", _plain),
]
State = Annotated[str | None, Kind("a state's two letters", "[A-Z]{2}")]
Zip = Annotated[
    str | None, Kind("a ZIP code of five or nine digits", r"\d{5}(?:[ -]?\d{4})?", _plain)
]
Code2 = Annotated[str | None, Kind("a code of two characters", "[A-Z0-9]{2}")]
Digits2 = Annotated[str | None, Kind("a code of two digits", r"\d\d")]
Code1 = Annotated[str | None, Kind("a code of one character", "[A-Z0-9]")]
Hour = Annotated[str | None, Kind("an hour, 00 to 23", r"(?:[01]\d|2[0-3])", lambda m: f"{m[0]}00")]
BillType = Annotated[
    str | None,
    Kind("a type of bill: three characters, or a 0 and three", r"0?([1-9]\d[A-Z0-9])",
         lambda m: m[1]),
]  # fmt: skip
Revenue = Annotated[
    str | None, Kind("a revenue code of four digits", r"\d{3,4}", lambda m: m[0].zfill(4))
]
Procedure = Annotated[
    tuple[str, str | None] | None,
    Kind("a procedure code, with its modifiers behind it: 99213 25",
         r"([A-Z0-9]{5})((?: ?[A-Z0-9]{2}){0,4})", _procedure),
]  # fmt: skip
ProcedureCode = Annotated[str | None, Kind("a procedure code of five characters", "[A-Z0-9]{5}")]
Modifiers = Annotated[
    str | None,
    Kind("at most four modifiers of two characters: 25 59", r"[A-Z0-9]{2}(?:[ ,]?[A-Z0-9]{2}){0,3}",
         lambda m: ":".join(re.findall("[A-Z0-9]{2}", m[0]))),
]  # fmt: skip
Pointers = Annotated[
    str | None,
    Kind("letters of box 21: A, or AB", r"[A-Z](?:[ ,]?[A-Z])*", _plain),
]
IcdCode = Annotated[str | None, Kind("an ICD-CM code", _ICD, lambda m: m[1].replace(".", ""))]
IcdCodeOnAdmission = Annotated[
    Diagnosis | None,
    Kind(
        "an ICD-CM code, present on admission as its eighth character or after a blank: I10 Y",
        rf"([A-Z]\d[A-Z0-9]\.?[A-Z0-9]{{4}})([YNUW1])|{_ICD}(?: ([YNUW1]))?",
        _diagnosis,
    ),
]
IcdProcedure = Annotated[
    str | None,
    Kind("an ICD procedure code of three to seven characters", r"[A-Z0-9.]{3,8}", _plain),
]
AttachmentDay = Annotated[
    date | None,
    Kind("a date: MMDDYY, MMDDCCYY or CCYY-MM-DD", rf"{_SEPARATED}(\d{{4}}|\d\d){_ISO}", _day),
]


# ---- boxes of several parts --------------------------------------------------------------------


def part(name: str, alias: str | None = None) -> Any:
    """A box, or a part of one: ``name`` is what schemas/forms calls it. One that begins with 's
    goes behind the name of the box that it is a part of."""
    return Field(default=None, alias=alias, description=name)


def parts(kind: type[Part], name: str, alias: str) -> Any:
    """A box that has parts; blank, all of them are."""
    return Field(default=kind(), alias=alias, description=name)


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def filled(self) -> bool:
        return any(
            value.filled if isinstance(value, Part) else value is not None
            for value in (getattr(self, name) for name in type(self).model_fields)
        )


class Address(Part):
    street: Text = part("'s street")
    city: Text = part("'s city")
    state: State = part("'s state")
    zip: Zip = part("'s ZIP code")
    phone: Text = part("'s telephone")


class Party(Address):
    name: Text = part("'s name")


class BirthAndSex(Part):
    birth_date: BirthDay = part("'s birth date")
    sex: Sex = part("'s sex")


class Signature(Part):
    signature: Text = part("'s signature")
    date: Day = part("'s date of signing")


# ---- CMS-1500 ----------------------------------------------------------------------------------


class Conditions(Part):
    employment: Answer = part("employment: yes or no")
    auto_accident: Answer = part("auto accident: yes or no")
    state: State = part("state of the auto accident")
    other_accident: Answer = part("other accident: yes or no")


class QualifiedNumber(Part):
    qualifier: Code2 = part("'s qualifier")
    number: Text = part("'s number")


class QualifiedDay(Part):
    qualifier: Annotated[str | None, Kind("a qualifier of three digits", r"\d{3}")] = part(
        "'s qualifier"
    )
    date: Day = part("'s day")


class DayToDay(Part):
    from_: Day = part("'s first day", "from")
    to: Day = part("'s last day")


class Stay(Part):
    from_: Day = part("day of the admission", "from")
    to: Day = part("day of the discharge")


class QualifiedName(Part):
    qualifier: Code2 = part("'s qualifier")
    name: Name = part("'s name")


class ReferringNumbers(Part):
    qualifier: Code2 = part("'s qualifier")
    number: Text = part("'s other number")
    npi: Npi = part("'s NPI")


class OutsideLab(Part):
    answer: Answer = part("outside laboratory")
    charges: Amount = part("the outside laboratory's charges")


class Diagnoses(Part):
    """The letters are the form's."""

    indicator: IcdVersion = part("version of the diagnosis codes")
    a: IcdCode = part("first diagnosis", "A")
    b: IcdCode = part("diagnosis B", "B")
    c: IcdCode = part("diagnosis C", "C")
    d: IcdCode = part("diagnosis D", "D")
    e: IcdCode = part("diagnosis E", "E")
    f: IcdCode = part("diagnosis F", "F")
    g: IcdCode = part("diagnosis G", "G")
    h: IcdCode = part("diagnosis H", "H")
    i: IcdCode = part("diagnosis I", "I")
    j: IcdCode = part("diagnosis J", "J")
    k: IcdCode = part("diagnosis K", "K")
    l: IcdCode = part("diagnosis L", "L")  # noqa: E741

    def by_letter(self) -> list[str | None]:
        """The codes in the places A to L."""
        return [getattr(self, name) for name in "abcdefghijkl"]


class Resubmission(Part):
    code: Code1 = part("frequency of the claim")
    original_number: Text = part("number of the claim corrected")


class ServiceDays(Part):
    from_: Day = part("date of service", "from")
    to: Day = part("day of a line")


class ProcedureAndModifiers(Part):
    code: ProcedureCode = part("procedure")
    modifiers: Modifiers = part("modifiers")


class RenderingNumbers(Part):
    npi: Npi = part("rendering provider's NPI")
    number: Text = part("rendering provider's other number")


class CMS1500Line(Part):
    """One of the six rows of box 24, or of those on the sheets that follow."""

    supplement: Text = part("text in the shaded row", "24")
    days: ServiceDays = parts(ServiceDays, "dates of service", "24a")
    place: Digits2 = part("place of service", "24b")
    emergency: Mark = part("emergency", "24c")
    procedure: ProcedureAndModifiers = parts(ProcedureAndModifiers, "procedure", "24d")
    pointers: Pointers = part("diagnosis pointers", "24e")
    charge: Amount = part("charge", "24f")
    units: Units = part("units", "24g")
    epsdt: Text = part("EPSDT or family planning", "24h")
    qualifier: Code2 = part("kind of the rendering provider's number", "24i")
    rendering: RenderingNumbers = parts(RenderingNumbers, "rendering provider", "24j")


class TaxNumberAndKind(Part):
    number: TaxNumber = part("federal tax number")
    kind: Annotated[str | None, _one_of("SSN or EIN", SSN="SSN", EIN="EIN")] = part(
        "kind of the federal tax number"
    )


class FacilityNumbers(Part):
    npi: Npi = part("facility's NPI or other number")
    number: Text = part("facility's other number")


class CMS1500Boxes(Part):
    coverage: Coverage = part("type of coverage", "1")
    insured_number: Text = part("member number", "1a")
    patient_name: Name = part("patient's last name", "2")
    patient: BirthAndSex = parts(BirthAndSex, "patient", "3")
    insured_name: NameOrSame = part("insured's last name", "4")
    patient_address: Address = parts(Address, "patient", "5")
    relationship: Relationship = part("patient's relationship to the insured", "6")
    insured_address: Address = parts(Address, "insured", "7")
    reserved_8: Text = part("reserved", "8")
    other_insured_name: NameOrSame = part("other insured's last name", "9")
    other_insured_number: Text = part("other insured's policy or group number", "9a")
    reserved_9: list[Text] = Field(default=[], alias="9b-c", max_length=2, description="reserved")
    other_insurance: Text = part("other insurance's name", "9d")
    conditions: Conditions = parts(Conditions, "condition", "10a-c")
    condition_codes: list[Code2] = Field(
        default=[], alias="10d", max_length=4, description="condition codes"
    )
    group_number: Text = part("insured's group number", "11")
    insured: BirthAndSex = parts(BirthAndSex, "insured", "11a")
    other_claim: QualifiedNumber = parts(QualifiedNumber, "other claim", "11b")
    insured_plan: Text = part("insured's plan", "11c")
    another_plan: Answer = part("another health plan: yes or no", "11d")
    patient_signature: Signature = parts(Signature, "patient", "12")
    insured_signature: Text = part("insured's signature (assignment of benefits)", "13")
    illness: QualifiedDay = parts(QualifiedDay, "illness", "14")
    other_date: QualifiedDay = parts(QualifiedDay, "other date", "15")
    unable_to_work: DayToDay = parts(DayToDay, "inability to work", "16")
    referring: QualifiedName = parts(QualifiedName, "referring provider", "17")
    referring_numbers: ReferringNumbers = parts(ReferringNumbers, "referring provider", "17a-b")
    stay: Stay = parts(Stay, "hospital stay", "18")
    additional: Text = part("additional information", "19")
    outside_lab: OutsideLab = parts(OutsideLab, "outside laboratory", "20")
    diagnoses: Diagnoses = parts(Diagnoses, "diagnoses", "21")
    resubmission: Resubmission = parts(Resubmission, "resubmission", "22")
    authorization_number: Text = part("authorization or notification number", "23")
    lines: list[CMS1500Line | None] = Field(default=[], alias="24", description="line of service")
    tax: TaxNumberAndKind = parts(TaxNumberAndKind, "federal tax number", "25")
    account_number: Text = part("patient's account number", "26")
    assignment: Answer = part("assignment accepted", "27")
    total: Amount = part("total charge", "28")
    paid: Amount = part("amount paid", "29")
    reserved_30: Text = part("reserved", "30")
    provider_signature: Signature = parts(Signature, "provider", "31")
    facility: Party = parts(Party, "facility", "32")
    facility_numbers: FacilityNumbers = parts(FacilityNumbers, "facility", "32a-b")
    billing: Party = parts(Party, "billing provider", "33")
    billing_npi: Npi = part("billing provider's NPI", "33a")
    billing_other_number: Text = part("billing provider's other number", "33b")


# ---- UB-04 -------------------------------------------------------------------------------------


class Payee(Party):
    street: Text = part("payee's address")


class Period(Part):
    from_: Day = part("first day of the period", "from")
    through: Day = part("last day of the period")


class PatientAddress(Address):
    country: Code2 = part("'s country")


class Occurrence(Part):
    code: Code2 = part("code of an occurrence")
    date: Day = part("the occurrence's date")


class OccurrenceSpan(Part):
    code: Code2 = part("code of an occurrence span")
    from_: Day = part("first day of an occurrence span", "from")
    through: Day = part("last day of an occurrence span")


class CodedAmount(Part):
    code: Code2 = part("value code")
    amount: Amount = part("amount of a value code")


class UB04Line(Part):
    """A row of boxes 42 to 48; revenue code 0001 is the row of totals."""

    revenue: Revenue = part("revenue code", "42")
    description: Text = part("revenue description", "43")
    procedure: Procedure = part("procedure", "44")
    day: Day = part("service date", "45")
    units: Units = part("units", "46")
    charge: Amount = part("charge", "47")
    noncovered: Amount = part("charge not covered", "48")
    unused: Text = part("unused", "49")


class OtherProcedure(Part):
    code: IcdProcedure = part("other procedure")
    date: DayOfYear = part("date of another procedure")


class PrincipalProcedure(OtherProcedure):
    code: IcdProcedure = part("principal procedure")
    date: DayOfYear = part("date of the principal procedure")


class Physician(Part):
    npi: Npi = part("'s NPI")
    qualifier: Code2 = part("'s qualifier")
    number: Text = part("'s other number")
    name: Name = part("'s name")


class OtherProvider(Physician):
    role: Code2 = part("'s role")


class QualifiedCode(Part):
    qualifier: Code2 = part("'s qualifier")
    code: Text = part("'s code")
    value: Text = part("'s value")


def rows(name: str, alias: str, count: int) -> Any:
    """A box that is printed ``count`` times, in the order printed."""
    return Field(default=[], alias=alias, max_length=count, description=name)


class UB04Boxes(Part):
    provider: Party = parts(Party, "provider", "1")
    payee: Payee = parts(Payee, "payee", "2")
    account_number: Text = part("patient control number", "3a")
    medical_record_number: Text = part("medical record number", "3b")
    bill_type: BillType = part("type of bill", "4")
    tax_number: TaxNumber = part("federal tax number", "5")
    period: Period = parts(Period, "period", "6")
    unused_7: Text = part("unused", "7")
    patient_number: Text = part("patient's member number", "8a")
    patient_name: Name = part("patient's last name", "8b")
    patient_address: PatientAddress = parts(PatientAddress, "patient", "9a-e")
    birth_date: BirthDay = part("patient's birth date", "10")
    sex: Sex = part("patient's sex", "11")
    admission_date: Day = part("admission date", "12")
    admission_hour: Hour = part("admission hour", "13")
    admission_type: Code1 = part("type of admission", "14")
    admission_source: Code1 = part("source of admission", "15")
    discharge_hour: Hour = part("discharge hour", "16")
    status: Digits2 = part("patient's status", "17")
    condition_codes: list[Code2] = rows("condition codes", "18-28", 11)
    accident_state: State = part("state of the accident", "29")
    unused_30: Text = part("unused", "30")
    occurrences: list[Occurrence | None] = rows("occurrence", "31-34", 8)
    spans: list[OccurrenceSpan | None] = rows("occurrence span", "35-36", 4)
    unused_37: Text = part("unused", "37")
    unused_38: Text = part("unused", "38")
    values: list[CodedAmount | None] = rows("value codes and amounts", "39-41", 12)
    lines: list[UB04Line | None] = Field(default=[], alias="42-49", description="line of service")
    payers: list[Text] = rows("other payer", "50a-c", 3)
    plan_numbers: list[Text] = rows("health plan's number", "51", 3)
    release: list[Code1] = rows("release of information", "52", 3)
    benefits_assignment: list[Code1] = rows("assignment of benefits", "53", 3)
    prior_payments: list[Amount] = rows("prior payment", "54", 3)
    amounts_due: list[Amount] = rows("estimated amount due", "55", 3)
    npi: Npi = part("provider's NPI", "56")
    other_numbers: list[Text] = rows("provider's other number", "57a-c", 3)
    insured_names: list[Name] = rows("insured's last name", "58a-c", 3)
    relationships: list[Code2] = rows("patient's relationship to the insured", "59", 3)
    insured_numbers: list[Text] = rows("insured's member number", "60a-c", 3)
    group_names: list[Text] = rows("group's name", "61a-c", 3)
    group_numbers: list[Text] = rows("group's number", "62a-c", 3)
    authorization_numbers: list[Text] = rows("referral or authorization number", "63a-c", 3)
    original_numbers: list[Text] = rows("number of the claim corrected", "64a-c", 3)
    employers: list[Text] = rows("employer's name", "65a-c", 3)
    diagnosis_version: IcdVersion = part("version of the diagnosis codes", "66")
    principal_diagnosis: IcdCodeOnAdmission = part("principal diagnosis", "67")
    other_diagnoses: list[IcdCodeOnAdmission] = rows("other diagnoses", "67a-q", 17)
    more_diagnoses: list[IcdCodeOnAdmission] = rows("other diagnoses", "68", 17)
    admitting_diagnosis: IcdCode = part("admitting diagnosis", "69")
    visit_reasons: list[IcdCode] = rows("patient's reason for the visit", "70", 3)
    payment_group: Annotated[str | None, Kind("a code of three digits", r"\d{3}")] = part(
        "prospective payment code", "71"
    )
    external_causes: list[IcdCodeOnAdmission] = rows("external cause of injury", "72", 3)
    unused_73: Text = part("unused", "73")
    principal_procedure: PrincipalProcedure = parts(PrincipalProcedure, "principal procedure", "74")
    other_procedures: list[OtherProcedure | None] = rows("other procedure", "74a-e", 5)
    unused_75: Text = part("unused", "75")
    attending: Physician = parts(Physician, "attending physician", "76")
    operating: Physician = parts(Physician, "operating physician", "77")
    other_providers: list[OtherProvider | None] = rows("other provider", "78-79", 2)
    remarks: Text = part("remarks", "80")
    codes: list[QualifiedCode | None] = rows("codes without a box", "81a-d", 4)


# ---- records -----------------------------------------------------------------------------------


class Attachment(BaseModel):
    """A document that came with the claim."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["eob", "auto_notice", "description", "notes"] = Field(
        description="eob: another payer's explanation; auto_notice: the auto insurer's denial or "
        "notice that its benefits are used up; description: of an unlisted service; notes"
    )
    date: AttachmentDay = Field(default=None, description="the day on the document")
    payer: Text = Field(default=None, description="whose document")


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    received_date: AttachmentDay = Field(
        default=None, description="the day stamped on the paper; default: the night's"
    )
    attachments: list[Attachment] = Field(default=[], description="what came with the claim")


class CMS1500Record(Record):
    form: Literal["CMS-1500"] = Field(description="which form")
    boxes: CMS1500Boxes = Field(description="the form's boxes")


class UB04Record(Record):
    form: Literal["UB-04"] = Field(description="which form")
    boxes: UB04Boxes = Field(description="the form's boxes")


RECORDS: Mapping[str, type[CMS1500Record] | type[UB04Record]] = {
    CMS1500: CMS1500Record,
    UB04: UB04Record,
}


# ---- what a place of a record is called ---------------------------------------------------------


class Place(NamedTuple):
    """A box or a part of it: the manual's label, the name of schemas/forms, how it is written
    (of a box with parts: None), and whether it is a list."""

    path: tuple[str, ...]
    box: str
    name: str
    kind: Kind | None
    many: bool


@cache
def places(form: str) -> tuple[Place, ...]:
    """Every box of the form and every part of it, in the form's order."""
    boxes = RECORDS[form].model_fields["boxes"].annotation
    assert isinstance(boxes, type)
    return tuple(_places(boxes, (), "", ""))


@cache
def place_of(form: str, path: tuple[str, ...]) -> Place | None:
    """The place of that path, numbers of rows left out; None for what the form has not."""
    return next((place for place in places(form) if place.path == path), None)


def _places(
    model: type[BaseModel], above: tuple[str, ...], box: str, owner: str
) -> Iterator[Place]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        path = (*above, key)
        label = key if key[0].isdigit() else box
        told = field.description or ""
        full = f"{owner}{told}" if told.startswith("'s ") else told
        kind, inside = _written(field)
        yield Place(path, label, full, kind, get_origin(field.annotation) is list)
        if inside is not None:
            yield from _places(inside, path, label, full)


def _written(field: FieldInfo) -> tuple[Kind | None, type[BaseModel] | None]:
    """The kind of a field's values, or the model of its parts."""
    found = [field.annotation, *field.metadata]
    while found:
        each = found.pop()
        if isinstance(each, Kind):
            return each, None
        if isinstance(each, type) and issubclass(each, BaseModel):
            return None, each
        found += [*get_args(each), *getattr(each, "__metadata__", ())]
    raise AssertionError(field)
