"""What a reader has to follow stays short. Counted, so that it does not depend on the machine."""

from __future__ import annotations

from benchmarks import paths


def test_an_update_is_a_few_frames_away_from_the_transport() -> None:
    frames = paths.frames_of_an_update()

    assert frames[0] == paths.Step("platforms/sigmamind/client.py", "PhoneNumbers.update")
    assert len(frames) <= 4


def test_a_purchase_is_written_down_in_the_third_file() -> None:
    """Before a byte can leave, and with nothing of provisioning's between."""
    frames = paths.Course(paths.frames_of_a_claim()).within("provisioning")

    assert frames.files == [
        "provisioning/provisioner.py",
        "provisioning/execution.py",
        "provisioning/claim.py",
    ]


def test_a_purchase_is_a_short_course() -> None:
    """Control: with one function more in each file it is longer."""
    course = paths.course_of_a_purchase()

    assert len(course.steps) <= 120
    assert course.within("provisioning").switches <= 30


def test_an_apply_of_two_rows() -> None:
    """Through the command line, the fleet and its file; what is below has figures of its own."""
    steps = set(paths.course_of_apply().steps)
    outer = {step for step in steps if step.file.startswith(("cli/", "fleet/", "rowfiles/"))}

    assert len({step.file for step in outer}) <= 32
    assert len(outer) <= 341
    assert len({step.file for step in steps}) <= 92
    assert len(steps) <= 709


def test_the_spine_of_an_apply() -> None:
    """From its entry to the transport, `provisioning/bulk` included, which only makes the run."""
    files = set(paths.spine_of_apply())

    assert {"cli/app.py", "fleet/apply.py", "engine.py"} <= files
    assert len(files) <= 10
