"""The general world: what is not reasoning, the gold check of it, and the data that reward models are trained on."""

from r1kit.nano.general.corpus import GeneralCorpus, GeneralCorpusConfig
from r1kit.nano.general.preferences import (
    Preference,
    PreferenceConfig,
    SafetyConfig,
    SafetyExample,
    preference_pairs,
    safety_examples,
)
from r1kit.nano.general.problems import GeneralConfig
from r1kit.nano.general.replies import FAULTS, bad_reply, faults_of, good_reply
from r1kit.nano.general.sft import SftConfig, SftExample, sft_example
from r1kit.nano.general.task import General

__all__ = [
    "FAULTS",
    "General",
    "GeneralConfig",
    "GeneralCorpus",
    "GeneralCorpusConfig",
    "Preference",
    "PreferenceConfig",
    "SafetyConfig",
    "SafetyExample",
    "SftConfig",
    "SftExample",
    "bad_reply",
    "faults_of",
    "good_reply",
    "preference_pairs",
    "safety_examples",
    "sft_example",
]
