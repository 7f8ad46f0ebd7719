"""A platform that misbehaves by lot, and sells to four clients; run as a process of its own.

It is the sandbox of SigmaMind, with the purchases of three other platforms beside its own: what
their clients send is taken for the same purchase, meets the same faults and is entered in the same
ledger. Prints its address and key, and ends with its parent.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping

import attrs

from sigmamind_async.sandbox import Faults, Sandbox
from sigmamind_async.sandbox.messages import JSON, ApiRequest, Moved, NoRoute, Outcome, Route
from sigmamind_async.sandbox.sigmamind import SigmaMindApi
from sigmamind_async.sandbox.switches import Switches

PURCHASE = "/v1/phone-numbers"
PEERS = {
    "/create-phone-number": "nickname",  # Retell
    "/v2/number_orders": "customer_reference",  # Telnyx
    "/phone-number": "name",  # Vapi
}
"""Path of a purchase, and the field of its body that holds the caller's label."""
LATENCY = (0.0, 0.01)
HANG = 1.0


class Shop(SigmaMindApi):
    """SigmaMind, and the purchases of the peers."""

    def find(self, method: str, path: str, switches: Switches) -> Route | NoRoute | Moved:
        return super().find(method, PURCHASE if path in PEERS else path, switches)

    def is_authorized(self, headers: Mapping[str, str], api_key: str) -> bool:
        bearer = headers.get("Authorization") == f"Bearer {api_key}"
        return bearer or super().is_authorized(headers, api_key)

    def process(self, call: ApiRequest) -> Outcome:
        return super().process(_translated(call) if call.route.operation == "create" else call)


def _translated(call: ApiRequest) -> ApiRequest:
    """Return a peer's purchase as SigmaMind's."""
    asked = json.loads(call.body)
    for label in PEERS.values():
        if label in asked:
            body = json.dumps({"countryCode": "US", "friendlyName": asked[label]}).encode()
            return attrs.evolve(call, body=body, content_type=JSON)
    return call


async def serve(*, seed: int, share: float, late: float, lag: float) -> None:
    faults = Faults(share=share, late=late, hang=HANG)
    box = Sandbox(seed=seed, faults=faults, latency=LATENCY, list_lag=lag)
    box.sigmamind.backend = Shop(seed)
    async with box:
        print(box.sigmamind.base_url, box.sigmamind.api_key, flush=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, sys.stdin.read)  # ends when the parent does


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--late", type=float, required=True)
    parser.add_argument("--lag", type=float, required=True)
    asyncio.run(serve(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
