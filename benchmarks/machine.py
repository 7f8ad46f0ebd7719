"""What the figures were measured on."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("aiohttp", "uvloop")


def machine() -> str:
    """Return processor, system, versions and what else is running, in one line."""
    parts = [
        f"{os.cpu_count()} cores of {processor()}",
        platform.system(),
        f"CPython {platform.python_version()}",
        *(f"{name} {found}" for name in PACKAGES if (found := _version(name))),
    ]
    if hasattr(os, "getloadavg"):
        parts.append(f"load {os.getloadavg()[1]:.1f}")  # a busy machine makes every figure dearer
    return ", ".join(parts)


def processor() -> str:
    """Return the processor's name, of which only Linux says much."""
    try:
        described = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    named = re.search(r"^model name\s*:\s*(.+)$", described, re.MULTILINE)
    if named is None:
        return platform.machine()
    name = re.sub(r"\((R|TM|r|tm)\)|\b(CPU|Processor)\b", "", named[1]).replace("@", "at")
    guest = re.search(r"^flags.*\bhypervisor\b", described, re.MULTILINE)
    return " ".join(name.split()) + (" (virtual machine)" if guest else "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
