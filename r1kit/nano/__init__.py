"""The nano world: Countdown, list_ops and general prompts, the text a base is pretrained on, all by rules, endless.

A pipeline that runs on a laptop needs tasks that a model of a third of a million parameters can learn. Nothing in here
is known to the rest of the package but by the names in its open lists, as a user's own file is.
"""

import r1kit.tasks  # noqa: F401 - first, whoever comes here first: its list of kinds holds ours
