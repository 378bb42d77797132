"""Two rewards of my own."""


def brevity(prompt, completion):
    """1 for an empty response, 0 for 40 words or more."""
    return max(0.0, 1 - len(completion.split()) / 40)


def variety(prompts, completions, **columns):
    """Distinct words in a response, out of all its words; nothing to say of an empty one."""
    return [len(set(text.split())) / len(text.split()) if text.strip() else None for text in completions]
