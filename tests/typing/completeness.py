"""How much of the public interface has a type that every checker reads alike: ``poe types``.

Pyright looks at an installed package only, and an editable one is none: it is shown a copy.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "sigmamind_async"
LEAST = 0.99


def main() -> int:
    """Print the share of known types and, if that is too small, what is not known."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder)
        site = Path(sysconfig.get_path("purelib", vars={"base": folder}))
        shutil.copytree(PACKAGE, site / PACKAGE.name)
        (site / "others.pth").write_text("\n".join(path for path in sys.path if path))
        scripts = Path(folder, "Scripts" if os.name == "nt" else "bin")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pyright", "--verifytypes", PACKAGE.name),
                *("--ignoreexternal", "--outputjson"),
            ],
            cwd=folder,
            env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
    found = json.loads(done.stdout)["typeCompleteness"]
    counts = found["exportedSymbolCounts"]
    sys.stdout.write(f"{found['completenessScore']:.2%} of {sum(counts.values())} names\n")
    if found["completenessScore"] >= LEAST:
        return 0
    for symbol in found["symbols"]:
        if symbol["isExported"] and not symbol["isTypeKnown"]:
            messages = [each["message"] for each in symbol["diagnostics"]]
            sys.stdout.write("\n    ".join([symbol["name"], *messages]) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
