"""rovyctl starts at once: what it must not load."""

import subprocess
import sys

HEAVY = ("asyncio", "aiohttp", "cryptography", "msgspec", "multiformats", "rovy.node", "uvloop")


def test_heavy_modules_stay_out():
    script = (
        "import sys; import rovy.cli.__main__; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
