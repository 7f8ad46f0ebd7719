"""Phone numbers as they should be: said in a file, compared with what is there, made so.

    wanted = load("fleet.csv")
    known = await survey(wanted, {"sigmamind": client}, journal)
    todo = plan(wanted, known)
    await apply(todo, [Provisioner(client, journal)])

A row has an id of its own, by which the journal knows its number; a second `apply` writes nothing.
"""

from sigmamind_async.fleet.apply import Result, apply
from sigmamind_async.fleet.capability import Found
from sigmamind_async.fleet.draft import Rules
from sigmamind_async.fleet.export import export
from sigmamind_async.fleet.files.writing import write
from sigmamind_async.fleet.known import Applied, Known
from sigmamind_async.fleet.load import fleet_of, load
from sigmamind_async.fleet.plan import Plan, plan
from sigmamind_async.fleet.spec import Fleet, FleetRow, Presence, Problem, Source
from sigmamind_async.fleet.step import Action, Change, Step
from sigmamind_async.fleet.survey import numbers_of, survey
from sigmamind_async.fleet.work import StepOutcome
from sigmamind_async.secret_references import SecretResolver

__all__ = [
    "Action",
    "Applied",
    "Change",
    "Fleet",
    "FleetRow",
    "Found",
    "Known",
    "Plan",
    "Presence",
    "Problem",
    "Result",
    "Rules",
    "SecretResolver",
    "Source",
    "Step",
    "StepOutcome",
    "apply",
    "export",
    "fleet_of",
    "load",
    "numbers_of",
    "plan",
    "survey",
    "write",
]
