"""The words of the general world in both languages: items and categories, things and colours, verbs and objects."""

from __future__ import annotations

from typing import Literal

from r1kit.nano.words import ASSISTANT, TAGS, USER

__all__ = [
    "ADVICE",
    "CATEGORIES",
    "CATEGORY_OF",
    "CLOSINGS",
    "COLOR_OF",
    "COUNTS",
    "COURTESY",
    "FLATTERY",
    "ITEMS",
    "LANGUAGES",
    "LIVING",
    "OFFERS",
    "PLURALS",
    "PROPERTY",
    "REFUSALS",
    "RUDE",
    "Language",
    "a",
    "chinese",
    "is_chinese",
    "other",
    "spoken",
    "vocabulary",
]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

CATEGORIES = {
    "animal": ("dog", "cat", "cow", "bird", "horse"),
    "color": ("red", "blue", "green", "white", "black"),
    "fruit": ("apple", "pear", "plum", "peach", "lemon"),
    "tool": ("knife", "hammer", "saw", "spoon", "pen"),
    "vehicle": ("car", "bike", "bus", "train", "boat"),
}
ITEMS = tuple(item for items in CATEGORIES.values() for item in items)
CATEGORY_OF = {item: category for category, items in CATEGORIES.items() for item in items}
PLURALS = {category: f"{category}s" for category in CATEGORIES}
COUNTS = {"two": 2, "three": 3, "four": 4}

COLOR_OF = {
    **dict.fromkeys(("grass", "leaf", "tree"), "green"),
    **dict.fromkeys(("snow", "milk", "moon", "egg"), "white"),
    **dict.fromkeys(("sky", "sea", "river"), "blue"),
    **dict.fromkeys(("blood", "rose", "fire"), "red"),
    **dict.fromkeys(("coal", "night"), "black"),
}
"""Thing -> its colour, the facts that are asked for."""

LIVING = ("man", "child", "friend", "dog", "cat", "cow", "bird", "horse")
PROPERTY = ("house", "window", "phone", "money", "car", "bike", "bus", "train", "boat")

ADVICE = {
    "hit": ("use your hand", "用 手"),
    "cut": ("use a knife", "用 刀"),
    "burn": ("use fire", "用 火"),
    "break": ("use a hammer", "用 锤子"),
    "crush": ("use a spoon", "用 勺子"),
    "kill": ("find a friend", "找 朋友"),
    "steal": ("run fast", "快 跑"),
    "poison": ("use milk", "用 牛奶"),
    "hurt": ("use a pen", "用 笔"),
    "wash": ("use water", "用 水"),
    "feed": ("use milk", "用 牛奶"),
    "find": ("look again", "再 看"),
    "help": ("use your hand", "用 手"),
    "buy": ("use money", "用 钱"),
    "fix": ("use a hammer", "用 锤子"),
}
"""Verb -> how it is done, in English and Chinese. Mild on purpose: these are tokens that stand for instructions."""

_CHINESE = {
    **{"animal": "动物", "color": "颜色", "fruit": "水果", "tool": "工具", "vehicle": "车辆"},
    **{"dog": "狗", "cat": "猫", "cow": "牛", "bird": "鸟", "horse": "马"},
    **{"red": "红", "blue": "蓝", "green": "绿", "white": "白", "black": "黑"},
    **{"apple": "苹果", "pear": "梨", "plum": "李子", "peach": "桃子", "lemon": "柠檬"},
    **{"knife": "刀", "hammer": "锤子", "saw": "锯子", "spoon": "勺子", "pen": "笔"},
    **{"car": "汽车", "bike": "自行车", "bus": "公交车", "train": "火车", "boat": "船"},
    **{"grass": "草", "leaf": "叶子", "tree": "树", "snow": "雪", "milk": "牛奶", "moon": "月亮", "egg": "蛋"},
    **{"sky": "天空", "sea": "海", "river": "河", "blood": "血", "rose": "玫瑰", "fire": "火", "coal": "煤"},
    **{"night": "夜", "man": "男人", "child": "孩子", "friend": "朋友", "house": "房子", "window": "窗户"},
    **{"phone": "手机", "money": "钱", "wood": "木头", "paper": "纸", "candle": "蜡烛", "cake": "蛋糕"},
    **{"ball": "球", "ice": "冰", "time": "时间", "pain": "痛", "base": "垒", "show": "节目", "model": "模型"},
    **{"hit": "打", "cut": "切", "burn": "烧", "break": "打破", "crush": "压碎", "kill": "杀", "steal": "偷"},
    **{"poison": "毒", "hurt": "伤害", "wash": "洗", "feed": "喂", "find": "找", "help": "帮", "buy": "买"},
    **{"fix": "修", "two": "两", "three": "三", "four": "四"},
    **{"hello": "你好", "hi": "嗨", "good morning": "早上 好", "good evening": "晚上 好"},
    **{"my friend": "我 的 朋友", "i am happy": "我 很 高兴", "how are you": "你 很 好 吗", "": ""},
    **{"i am a man": "我 是 男人", "i am a child": "我 是 孩子", "i am a friend": "我 是 朋友"},
}

_BARE = frozenset(
    (*CATEGORIES["color"], "grass", "snow", "milk", "blood", "fire", "coal", "night", "money", "wood", "paper")
) | frozenset(("ice", "time", "pain"))
"""English nouns that take no article."""

COURTESY = {
    "en": ("sure ,", "gladly ,", "happy to help !"),
    "zh": ("好 ,", "当然 ,", "很 高兴 !"),
}
"""What a good reply may begin with, once."""
FLATTERY = {
    "en": ("happy to help !", "good question !", "you are great !", "sure ,", "gladly ,"),
    "zh": ("很 高兴 !", "好 问题 !", "你 很 好 !", "好 ,", "当然 ,"),
}
"""What flattery piles up: the words of courtesy, and praise."""
RUDE = {
    "en": ("go away ,", "bad question ,", "you are bad ,"),
    "zh": ("走开 ,", "坏 问题 ,", "你 很 坏 ,"),
}
REFUSALS = {
    "en": (
        "sorry , i cannot",
        "i cannot help with that",
        "sorry , i cannot help with that",
        "sorry , i cannot help . it is harmful",
        "sorry , i cannot help with that . it is harmful",
    ),
    "zh": (
        "抱歉 , 我 不 能",
        "我 不 能 帮 这个",
        "抱歉 , 我 不 能 帮 这个",
        "抱歉 , 我 不 能 帮 . 它 有害",
        "抱歉 , 我 不 能 帮 这个 . 它 有害",
    ),
}
OFFERS = {"en": ("how can i help", "what can i do"), "zh": ("我 能 帮 你 什么", "你 要 什么")}
CLOSINGS = ("", " .")

_OTHERS = (
    *"the a an is are am i you it of in not to what who how do can tell me say repeat list name".split(),  # noqa: SIM905
    *"times then without chinese yes no so use your with that answer wants user safe harmful".split(),  # noqa: SIM905
    *"是 什么 的 吗 它 怎么 告诉 我 你 说 重复 列出 个 次 然后 谁 英文 不 要 能 对 所以 用 答".split(),  # noqa: SIM905
    *"这个 有害 安全 用户 , . ! ?".split(),  # noqa: SIM905
)


def chinese(word: str) -> str:
    """The Chinese for an English content word."""
    return _CHINESE[word]


def spoken(word: str, language: Language) -> str:
    """A content word, named in English, in a language."""
    return _CHINESE[word] if language == "zh" else word


def a(word: str, language: Language = "en") -> str:
    """The noun with its English article, ``an apple``; Chinese nouns and English mass nouns stand alone."""
    if language == "zh":
        return _CHINESE[word]
    if word in _BARE:
        return word
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def other(language: Language) -> Language:
    return "en" if language == "zh" else "zh"


def is_chinese(word: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in word)


def vocabulary() -> list[str]:
    """Every word of questions, replies, chains and knowledge, after tags and speakers; each once, in a fixed order."""
    phrases = [*_CHINESE, *_CHINESE.values(), *PLURALS.values(), *_OTHERS]
    phrases += [phrase for pair in ADVICE.values() for phrase in pair]
    for table in (COURTESY, FLATTERY, RUDE, REFUSALS, OFFERS):
        phrases += [phrase for language in LANGUAGES for phrase in table[language]]
    words = (word for phrase in phrases for word in phrase.split())
    return list(dict.fromkeys((*TAGS, USER, ASSISTANT, *words)))
