"""llama.cpp's own server, from the package that holds it: ``llama_server.py MODEL PORT SLOTS``."""

from __future__ import annotations

import sys
import threading

import xllamacpp

CONTEXT_TOKENS = 1024  # of each slot

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.port = int(sys.argv[2])
parameters.n_parallel = int(sys.argv[3])
parameters.n_ctx = CONTEXT_TOKENS * parameters.n_parallel
parameters.cpuparams.n_threads = 1
server = xllamacpp.Server(parameters)
threading.Event().wait()
