"""How far a reader has to follow a call: the functions and files of ours that it goes through.

``python -m benchmarks paths`` prints the frames between an update and its transport, those between
a purchase and the write before its first byte, and the course of a purchase with a journal on disk.
All of it is counted, nothing is timed. A function that goes on after an ``await`` counts once.
"""

from __future__ import annotations

import asyncio
import gc
import io
import os
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    contextmanager,
    nullcontext,
    redirect_stderr,
    redirect_stdout,
)
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from unittest.mock import patch

import attrs

import sigmamind_async
from sigmamind_async import SigmaMind
from sigmamind_async.cli import main
from sigmamind_async.operation import Response
from sigmamind_async.platforms.sigmamind import CreatePhoneNumber
from sigmamind_async.provisioning import MemoryJournal, Provisioner, Row, SqliteJournal, State
from sigmamind_async.provisioning.journal.protocol import PutResult
from sigmamind_async.provisioning.journal.sqlite.writer import FLUSH_DELAY
from sigmamind_async.sandbox import Sandbox, SandboxThread
from sigmamind_async.testing import ScriptedTransport, reply

PACKAGE = f"{Path(sigmamind_async.__file__).parent}/"
NUMBER = "+14155550100"


@attrs.frozen
class Step:
    """One function that was entered."""

    file: str
    """Its file, relative to the package's folder."""
    function: str

    def __str__(self) -> str:
        return f"{self.file}: {self.function}"


@attrs.frozen
class Course:
    """What a call went through, in order."""

    steps: Sequence[Step]

    def within(self, folder: str) -> Course:
        """Return the steps in one folder of the package, as if nothing came between them."""
        return Course([step for step in self.steps if step.file.startswith(f"{folder}/")])

    @property
    def files(self) -> Sequence[str]:
        """The files, each where it is first met."""
        return list(dict.fromkeys(step.file for step in self.steps))

    @property
    def switches(self) -> int:
        """How often the course goes on in another file."""
        return sum(before.file != after.file for before, after in pairwise(self.steps))


def frames_of_an_update() -> Sequence[Step]:
    """Return the frames between the caller of ``update`` and the transport, outermost first."""
    frames: list[Step] = []

    def answer(_: object) -> Response:
        frames.extend(_frames_above(sys._getframe(2)))  # noqa: SLF001 - the stack is what is asked for
        return reply(200, {"sipPhoneNumber": NUMBER, "friendlyName": "b"})

    async def update() -> None:
        async with SigmaMind("key", transport=ScriptedTransport(answer)) as client:
            await client.phone_numbers.update(NUMBER, friendly_name="a")
            frames.clear()
            await client.phone_numbers.update(NUMBER, friendly_name="b")

    asyncio.run(update())
    return frames[::-1]


def _frames_above(frame: FrameType | None) -> Iterator[Step]:
    while frame is not None:
        step = _step_of(frame.f_code)
        if step is not None:
            yield step
        frame = frame.f_back


def frames_of_a_claim() -> Sequence[Step]:
    """Return the frames between the caller of ``run`` and the write before the first byte."""
    frames: list[Step] = []

    class Watched(MemoryJournal):
        async def put(
            self, row: Row, *, max_purchases: int | None = None, durable: bool = True
        ) -> PutResult:
            if row.state is State.SENDING and not frames:
                frames.extend(_frames_above(sys._getframe(1)))  # noqa: SLF001 - as above
            return await super().put(row, max_purchases=max_purchases, durable=durable)

    async def buy() -> None:
        async with (
            Sandbox(seed=1) as box,
            SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as client,
        ):
            provisioner = Provisioner(client, Watched())
            await provisioner.run("first", CreatePhoneNumber(country_code="US"))

    asyncio.run(buy())
    return frames[::-1]


def course_of_a_purchase() -> Course:
    """Return what one purchase goes through once another one has been made."""
    steps: list[Step] = []

    async def buy() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with (
                Sandbox(seed=1) as box,
                SigmaMind(box.sigmamind.api_key, base_url=box.sigmamind.base_url) as client,
                SqliteJournal(Path(folder, "orders.db")) as journal,
            ):
                provisioner = Provisioner(client, journal)
                first = await provisioner.run("first", CreatePhoneNumber(country_code="US"))
                # Its last write is no part of the second: it is held back, then queued, then done.
                await asyncio.sleep(2 * FLUSH_DELAY)
                await journal.counts("sigmamind")
                # A purchase opens a connection of its own unless the last one was just in use.
                await client.phone_numbers.get(str(first.sip_phone_number))
                with recorded(steps):
                    await provisioner.run("second", CreatePhoneNumber(country_code="US"))

    asyncio.run(buy())
    return Course(steps)


def course_of_apply() -> Course:
    """Return what ``sigmamind apply`` of a fleet that buys two numbers goes through.

    The second one of a process is recorded, so that no import is in it; the journal's own thread is
    left out.
    """
    steps: list[Step] = []
    _apply(nullcontext(), rows=2)
    _apply(recorded(steps), rows=2)
    return Course(steps)


def spine_of_apply() -> Sequence[str]:
    """Return the files between ``sigmamind apply`` and the transport that sends a purchase.

    These are the frames above the transport, down to `main`, and those of the tasks that wait
    meanwhile for what it brings. The fleet has one row, so that no task waits for another number.
    """
    files: list[str] = []

    def look(frame: FrameType, event: str, _: object) -> None:
        is_send = event == "call" and frame.f_code.co_qualname == "AiohttpTransport.send"
        if is_send and not files and frame.f_locals["request"].method == "POST":
            steps = [step for step in map(_step_of, _codes_above(frame)) if step is not None]
            # The journal's own task waits for its next write meanwhile.
            journal = "provisioning/journal/"
            files.extend(dict.fromkeys(x.file for x in steps if not x.file.startswith(journal)))

    @contextmanager
    def watching() -> Generator[None]:
        sys.setprofile(look)
        try:
            yield
        finally:
            sys.setprofile(None)

    _apply(watching(), rows=1)
    return files


def _codes_above(frame: FrameType | None) -> Iterator[CodeType]:
    frame = None if frame is None else frame.f_back
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        waiting: Any = task.get_coro()
        while waiting is not None:
            if code := getattr(waiting, "cr_code", None) or getattr(waiting, "ag_code", None):
                yield code
                waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "ag_await", None)
            else:  # what a class returns as its `__await__` holds the coroutine and shows it not
                held = gc.get_referents(waiting)
                waiting = next((each for each in held if hasattr(each, "cr_code")), None)


def _apply(watch: AbstractContextManager[object], *, rows: int) -> None:
    """Apply a fleet that buys a number for each of its *rows* from a sandbox, under *watch*."""
    with tempfile.TemporaryDirectory() as folder, SandboxThread(seed=1) as box:
        path = Path(folder, "fleet.csv")
        path.write_text(
            "id,platform,source,country_code,label\n"
            + "".join(f"desk-{row},sigmamind,purchase,US,Desk\n" for row in range(rows))
        )
        environment = {
            "SIGMAMIND_BASE_URL": box.sigmamind.base_url,
            "SIGMAMIND_API_KEY": box.sigmamind.api_key,
            "XDG_STATE_HOME": folder,
        }
        words = ["apply", str(path), "--max-purchases", str(rows), "--yes"]
        silent = redirect_stdout(io.TextIOWrapper(io.BytesIO())), redirect_stderr(io.StringIO())
        with patch.dict(os.environ, environment), silent[0], silent[1], watch:
            code = main(words)
        assert code == 0, f"exit code {code}"


class recorded:  # noqa: N801 - used as a function
    """Add each function of ours that is entered in this thread to *steps*."""

    def __init__(self, steps: list[Step]) -> None:
        self._steps = steps
        # Kept, so that no frame gets the address of one that has ended.
        self._seen: dict[int, FrameType] = {}

    def __enter__(self) -> None:
        sys.setprofile(self._see)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or id(frame) in self._seen:
            return
        if step := _step_of(frame.f_code):
            self._seen[id(frame)] = frame
            self._steps.append(step)


def _step_of(code: CodeType) -> Step | None:
    """Return the step that *code* is: none outside the package, and in the sandbox's server."""
    file = code.co_filename.removeprefix(PACKAGE)
    if file == code.co_filename or file.startswith("sandbox/"):
        return None
    return Step(file, code.co_qualname)


def show() -> dict[str, int]:
    """Print all three; return their figures."""
    frames, claim, purchase = frames_of_an_update(), frames_of_a_claim(), course_of_a_purchase()
    inner = purchase.within("provisioning")
    print(f"\nAn update: {len(frames)} frames before the transport")
    print(*frames, sep="\n")
    print(f"\nA purchase: {len(claim)} frames before it is written down")
    print(*claim, sep="\n")
    print(f"\nA purchase: {len(purchase.steps)} calls in {len(purchase.files)} files,")
    print(
        f"of which provisioning has {len(inner.steps)} in {len(inner.files)},"
        f" with {inner.switches} switches between them"
    )
    print(*purchase.steps, sep="\n")
    spine, applied = spine_of_apply(), course_of_apply()
    entered = set(applied.steps)
    print(
        f"\n`sigmamind apply` of two rows: {len(entered)} functions in {len(applied.files)} files;"
    )
    # What stands inside a function, and is one of its own for Python.
    inline = sum(step.function.endswith(">") for step in entered)
    print(f"{inline} of these are comprehensions and lambdas;")
    print(f"{len(spine)} files between its entry and the transport:")
    print(*spine, sep="\n")
    return {
        "files of an apply": len(applied.files),
        "functions of an apply": len(entered),
        "files between apply and the transport": len(spine),
        "frames of an update": len(frames),
        "calls of a purchase": len(purchase.steps),
        "switches between files of provisioning": inner.switches,
    }
