"""Countdown: the nano world's task, its corpus and its arithmetic."""

from r1kit.nano.countdown.corpus import CountdownCorpus
from r1kit.nano.countdown.corpus_settings import CountdownCorpusConfig
from r1kit.nano.countdown.problems import CountdownConfig
from r1kit.nano.countdown.task import Countdown

__all__ = ["Countdown", "CountdownConfig", "CountdownCorpus", "CountdownCorpusConfig"]
