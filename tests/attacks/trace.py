# Tries: to change the runner's variables by tracing it
# Verdict: ok
import sys


def tracer(frame, event, argument):
    frame.f_trace_opcodes = True
    if "reason" in frame.f_locals:
        frame.f_locals["reason"] = 0
    return tracer


sys.settrace(tracer)
sys.setprofile(tracer)
sys.addaudithook(lambda *_: None)


def f(x):
    return [42, *sorted(x)]
