"""llama.cpp's own server, from the package that holds it: ``MODEL THREADS SLOTS PORT``."""

import sys
import threading

import xllamacpp

CONTEXT_TOKENS = 2048  # of each slot

path, threads, slots, port = sys.argv[1], *map(int, sys.argv[2:])
parameters = xllamacpp.CommonParams()
parameters.model.path = path
parameters.port = port
parameters.n_parallel = slots
parameters.n_ctx = CONTEXT_TOKENS * slots
parameters.cpuparams.n_threads = threads
server = xllamacpp.Server(parameters)
threading.Event().wait()
