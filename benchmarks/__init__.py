"""What `make bench` measures: each module prints the figures that it stands for, RESULTS.md collects them."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything imports the runtime, here as in the product
