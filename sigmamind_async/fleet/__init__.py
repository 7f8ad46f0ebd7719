"""Fleets: files that say how phone numbers should be, compared with the accounts, and applied.

    fleet = load("fleet.csv")
    state = await refresh(fleet, {"sigmamind": client}, journal)
    result = await apply(plan(fleet, state), [Provisioner(client, journal)])

Each row has an id, by which the journal knows its number; a second `apply` sends nothing. Read in
this order: `spec` and `state` are compared by `plan`, row by row, which asks `blockers` what keeps
a row from being planned; `apply` carries the steps out, with `requests` that make the operations
and a `dispatcher` that sends them.
"""

from sigmamind_async.fleet.apply import (
    FleetRun,
    Result,
    Secrets,
    apply,
    check_secrets,
    count_new_purchases,
    recheck,
)
from sigmamind_async.fleet.blockers import ABANDONED
from sigmamind_async.fleet.dispatcher import StepBatch, StepOutcome, StepProvisioner
from sigmamind_async.fleet.export import export, write
from sigmamind_async.fleet.load import fleet_of, load
from sigmamind_async.fleet.plan import Plan, PlanOptions, plan
from sigmamind_async.fleet.plan_file import dump_plan, load_plan
from sigmamind_async.fleet.reassignment import plan_reassignment
from sigmamind_async.fleet.requests import find_purchases, purchase_identities
from sigmamind_async.fleet.spec import DesiredState, Fleet, FleetRow, Problem, Source
from sigmamind_async.fleet.state import FleetState, LastApplied, list_numbers, refresh
from sigmamind_async.fleet.step import Action, Change, Step
from sigmamind_async.fleet.vendors import RemoteNumber
from sigmamind_async.secret_references import SecretResolver

__all__ = [
    "ABANDONED",
    "Action",
    "Change",
    "DesiredState",
    "Fleet",
    "FleetRow",
    "FleetRun",
    "FleetState",
    "LastApplied",
    "Plan",
    "PlanOptions",
    "Problem",
    "RemoteNumber",
    "Result",
    "SecretResolver",
    "Secrets",
    "Source",
    "Step",
    "StepBatch",
    "StepOutcome",
    "StepProvisioner",
    "apply",
    "check_secrets",
    "count_new_purchases",
    "dump_plan",
    "export",
    "find_purchases",
    "fleet_of",
    "list_numbers",
    "load",
    "load_plan",
    "plan",
    "plan_reassignment",
    "purchase_identities",
    "recheck",
    "refresh",
    "write",
]
