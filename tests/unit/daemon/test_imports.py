"""rovyd is small at rest: what it loads only when somebody asks for it."""

import subprocess
import sys

import pytest

LATE = ("prometheus_client", "rovy.api.openapi", "multiformats")


@pytest.mark.slow
def test_what_few_need_stays_out():
    script = (
        "import sys; import rovy.daemon.__main__, rovy.daemon.start, rovy.api.server; "
        f"print([name for name in {LATE!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
