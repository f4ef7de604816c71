"""The program on one page: every stage of a night, in order.

The first decides what is taken in, the others what is paid. Each is a pure function of the batch
and the reference data; none opens a file, a database or a clock.
"""

from adjudicator.edits import edits
from adjudicator.pipeline import Stage
from adjudicator.stages.benefits import benefits
from adjudicator.stages.coordinate import coordinate
from adjudicator.stages.identify import identify
from adjudicator.stages.match import match
from adjudicator.stages.price import price
from adjudicator.stages.settle import settle
from adjudicator.stages.validate import validate

STAGES: tuple[Stage, ...] = (
    validate,
    identify,
    match,
    edits,
    price,
    benefits,
    coordinate,
    settle,
)
