"""llama.cpp's own server, from the package that holds it: ``MODEL THREADS SLOTS TOKENS PORT``, with
so many tokens of context in each slot."""

import sys
import threading

import xllamacpp

path, threads, slots, context_tokens, port = sys.argv[1], *map(int, sys.argv[2:])
parameters = xllamacpp.CommonParams()
parameters.model.path = path
parameters.port = port
parameters.n_parallel = slots
parameters.n_ctx = context_tokens * slots
parameters.cpuparams.n_threads = threads
server = xllamacpp.Server(parameters)
threading.Event().wait()
