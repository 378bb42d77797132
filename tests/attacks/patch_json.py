# Tries: to replace how values are written
# Verdict: error or wrong_answer
import json

json.dumps = json.JSONEncoder.encode = lambda *_, **__: '{"value": true, "passed": 3}'
json.JSONEncoder.iterencode = lambda *_, **__: iter(['{"value": true}'])


def f(x):
    return None
