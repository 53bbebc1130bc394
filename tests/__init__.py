"""All tests, and the tools that measure: each may use the engines that are for tests."""

import os

from ipc.engines import TEST_ENGINES

os.environ[TEST_ENGINES] = "1"
