"""Raise nested sentence encoders from a team's own documents."""

import os

# Set before any library is imported that reads them: what we ship phones nobody.
for _switch in (
    "HF_HUB_DISABLE_TELEMETRY",
    "VLLM_NO_USAGE_STATS",
    "DVC_NO_ANALYTICS",
    "DVC_STUDIO_OFFLINE",
    "DO_NOT_TRACK",
):
    os.environ.setdefault(_switch, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
