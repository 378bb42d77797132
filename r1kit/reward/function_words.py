"""Tell languages of one script apart by their small words, without a model.

What it does not see: a line with fewer than two of them, languages that are not listed, and dialects. ``lingua`` does
better; ``TOLD`` says for which targets this light way will do. A question, which is short, is told by what asks in it
and by its letters too (``question_words.py``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from r1kit.reward.question_words import ALPHABETS, ASKING

__all__ = ["TOLD", "foreign_share", "told_by_small_words"]

_LISTS = {
    "en": """the we and of is to both so that this are with then for it in be can which have from by let get first next
        since because therefore number answer sum add sides equation need find multiply divide subtract equals has not
        but if as at on an or there now also no yes do per try wait all only was will would they you he she me my""",
    "fr": """le la les un une des du de et est nous on que qui dans pour par avec donc alors sur pas ce cette ces il
        elle sont deux en au aux plus mais ou si somme réponse nombre côtés avons ainsi puis""",
    "de": """der die das ein eine einen und ist wir nicht mit auf für von zu den dem des sich auch also dann beide sind
        es wird als an aus bei daher weil aber oder wenn so summe antwort zahl seiten haben durch ergibt""",
    "es": """el la los las un una de del y es que en por para con se no lo al como pero entonces ambos suma respuesta
        número lados son su más si tenemos luego porque""",
    "it": """il lo la gli le un una di del della dei e è che in per con non si come ma quindi allora entrambi somma
        risposta numero lati sono al alla nel abbiamo poi perché più""",
    "pt": """o os as um uma de do da dos das e é que em no na por para com não se como mas então ambos dois soma
        resposta número lados são ao temos logo porque mais""",
    "nl": """de het een en is wij we van niet met op voor zijn dat die dus dan beide aan ook maar of als bij som
        antwoord getal zijden hebben uit door omdat naar""",
    "sv": "och att det som en är på för av inte med den till om vi båda så har ett eller men då summan svaret talet",
    "da": "og at det som en er på for af ikke med den til om vi begge så har et eller men da summen svaret tallet",
    "pl": "i w na nie się z do jest to że oraz po od jak dla obie więc są mamy liczba suma odpowiedź ale czy wtedy",
    "cs": "a v na ne se z do je to že po od jak pro obě takže jsou máme číslo součet odpověď ale nebo pak tedy",
    "ro": "și în de la nu se cu este că pe pentru un o sunt ambele deci avem număr suma răspuns dar sau apoi care din",
    "hu": "az és egy nem hogy van ez meg is mindkét tehát akkor szám összeg válasz de vagy ha mert oldalt",
    "fi": "ja on ei se että ovat kun niin molemmat joten luku summa vastaus mutta tai jos siis saadaan meillä",
    "tr": "ve bir bu için ile da de iki taraf toplam cevap sayı ama veya eğer çünkü olarak olan her sonra değil var",
    "id": "yang dan di ke dari ini itu kita adalah untuk dengan tidak pada kedua jumlah jawaban bilangan jadi maka",
    "vi": "và là của có một không cho các này với được ta hai vế tổng số trong để nên thì vì như",
    "ru": "и в не на что это как мы обе с по из для к то так значит равно число сумма ответ но или если тогда потому",
    "uk": "і в не на що це як ми обидві з по із для до та так отже дорівнює число сума відповідь але або якщо тоді й",
    "bg": "и в не на че това как ние двете с по от за към да е са така значи число сума отговор но или ако тогава се",
    "sr": "и у не на што то како ми обе са по из за да је су тако значи број збир одговор али или ако онда се",
    "be": "і ў не на што гэта як мы абедзве з па для да так значыць лік сума адказ але або калі тады ёсць",
    "mk": "и во не на што тоа како ние двете со по од за да е се така значи број збир одговор но или ако тогаш",
    "ar": "في من على إلى أن هذا هذه هو هي التي الذي لا ما كل ثم إذن لأن مع عن العدد مجموع الجواب نحن كلا",
    "fa": "در به از که این است را با آن برای هر دو ما پس می شود یا اگر عدد مجموع پاسخ جمع کنیم نیست",
    "ur": "کے میں ہے کی سے اور کو کا نے یہ وہ ہم پر نہیں دونوں تو عدد مجموعہ جواب کر ہیں اگر",
}
"""Small words, and a few that chains of mathematics are full of; one that two languages have stands in both."""
_STEPS = {
    "fr": """abord ensuite enfin trois nombres première additionne additionnons soustrait soustrayons multiplions
        divisons obtient obtenons reste chaque moitié puisque calculons résultat équation comme fait""",
    "de": """zuerst zunächst danach drei zahlen addieren subtrahieren multiplizieren dividieren teilen erhalten
        bleibt bleiben jeder jede jedes hälfte insgesamt ergebnis gleichung zuletzt uns""",
    "es": """primero después dos tres números sumamos restamos multiplicamos dividimos obtenemos quedan queda cada
        mitad resultado ecuación""",
    "it": """prima tre numeri sommiamo sottraiamo moltiplichiamo dividiamo otteniamo rimangono restano ogni metà
        risultato equazione""",
    "pt": """primeiro depois três números somamos subtraímos multiplicamos dividimos obtemos restam sobram cada
        metade resultado equação""",
    "nl": """eerst daarna twee drie getallen tellen trekken vermenigvuldigen delen krijgen blijven elke helft totaal
        resultaat vergelijking""",
    "sv": """först sedan två tre tal talen adderar subtraherar multiplicerar dividerar får varje hälften resultatet
        ekvationen""",
    "da": "først derefter tre tallene adderer trækker ganger dividerer får hver halvdelen resultatet ligningen",
    "pl": """najpierw potem następnie dwa dwie trzy liczby liczb dodajemy odejmujemy mnożymy dzielimy otrzymujemy
        zostaje każdy każda połowa razem wynik równanie""",
    "cs": """nejprve potom dva dvě tři čísla sečteme odečteme vynásobíme vydělíme dostaneme zbývá každý polovina
        celkem výsledek rovnice""",
    "ro": """întâi două trei numere numerele adunăm scădem înmulțim împărțim obținem rămân fiecare jumătate
        rezultatul ecuația""",
    "hu": """először aztán majd két három számot számok összeadjuk kivonjuk megszorozzuk elosztjuk kapunk kapjuk
        marad minden fele összesen eredmény egyenlet""",
    "fi": """ensin sitten kaksi kolme lukua luvut lasketaan yhteen vähennetään kerrotaan jaetaan saamme jää jokainen
        puolet yhteensä tulos yhtälö""",
    "tr": """önce üç sayıyı sayılar topluyoruz toplarız çıkarırız çarparız böleriz elde ederiz kalır yarısı toplamda
        sonuç denklem""",
    "id": """pertama lalu kemudian dua tiga jumlahkan kurangkan kalikan bagi dapat sisa setiap setengah semua hasil
        hasilnya persamaan""",
    "vi": "trước hết đầu tiên sau đó cộng trừ nhân lại còn mỗi nửa kết quả phương trình",
    "ru": """сначала затем потом два две три четыре числа чисел складываем сложим вычитаем вычтем умножаем умножим
        делим разделим получаем получим остаётся остается каждый каждая половина всего поэтому следовательно решение
        уравнение""",
    "uk": """спочатку потім далі два дві три чотири числа чисел додаємо додамо віднімаємо віднімемо множимо
        помножимо ділимо поділимо отримуємо отримаємо залишається кожен половина всього тому рівняння""",
    "bg": """първо после след два две три четири числа числата събираме изваждаме умножаваме делим получаваме остава
        всеки половина общо затова следователно решение уравнение""",
    "sr": """прво затим потом два две три бројеве бројеви саберемо сабирамо одузмемо помножимо поделимо добијамо
        остаје сваки половина укупно решење једначина""",
    "be": """спачатку затым потым два дзве тры лікі лікаў складаем адымаем множым дзелім атрымліваем застаецца кожны
        палова усяго таму ураўненне""",
    "mk": """прво потоа два две три броеви броевите собираме одземаме множиме делиме добиваме останува секој
        половина вкупно затоа решение равенка""",
    "ar": """أولا ثانيا بعد ذلك اثنين ثلاثة عددين العددين الأعداد نجمع نطرح نضرب نقسم نحصل يبقى نصف المجموع الناتج
        المعادلة إذا معا وبالتالي لذلك""",
    "fa": "ابتدا سپس سه اعداد تفریق ضرب تقسیم داریم باقی نصف نتیجه معادله بنابراین",
    "ur": "پہلے پھر دو تین اعداد جمع تفریق ضرب تقسیم حاصل باقی ہر نصف نتیجہ مساوات",
}
"""What short steps of arithmetic are told by: first, two, numbers, we add, there remain. None of it is English."""
_WORDS: Mapping[str, frozenset[str]] = {
    code: frozenset((*text.split(), *_STEPS.get(code, "").split())) for code, text in _LISTS.items()
}
_OWNERS: dict[str, list[str]] = {}
"""Word -> languages."""
for _code, _words in _WORDS.items():
    for _word in _words:
        _OWNERS.setdefault(_word, []).append(_code)
_SAME_SCRIPT: tuple[Sequence[str], ...] = (
    "en fr de es it pt nl sv da pl cs ro hu fi tr id vi".split(),  # noqa: SIM905
    "ru uk bg sr be mk".split(),  # noqa: SIM905
    "ar fa ur".split(),  # noqa: SIM905
)
TOLD = frozenset(_WORDS) | {"zh", "ja", "ko", "el", "he", "hi", "th"}
"""Targets that this way, or the script alone, tells from others."""
_WORD = re.compile(r"[^\W\d_]+")
EVIDENCE = 2
"""Small words of another language that a line must have to be no English; for other targets one is enough, where it
has fewer of the target's."""
LONG = 4
"""Words of a chain from which on it must have one small word of its language, or its letters. English is let off: what
has no small words at all is taken for it."""


def foreign_share(text: str, target: str) -> float:
    """Share, 0 to 1, of a text's words in lines that are in another language of the target's script.

    Lines without small words are taken for what the whole text is.
    """
    family = next((codes for codes in _SAME_SCRIPT if target in codes), () if target in TOLD else _SAME_SCRIPT[0])
    lines = [words for line in text.splitlines() if (words := _WORD.findall(line.lower()))]
    if not family or not lines:
        return 0.0
    counts = [_counts(line, family) for line in lines]
    whole = Counter[str]()
    for count in counts:
        whole.update(count)
    away = _is_foreign(whole, target)
    if away is None:
        long = [word for line in lines for word in line if len(word) > 1]
        away = target != "en" and target in _WORDS and len(long) >= LONG and not _spelled_so(long, target)
    judged = [_is_foreign(count, target) for count in counts]
    foreign = (len(line) for line, verdict in zip(lines, judged, strict=True) if (away if verdict is None else verdict))
    return sum(foreign) / sum(map(len, lines))


def told_by_small_words(text: str, script: str) -> str | None:
    """Of the languages in one script the one that a question is in; None where nothing tells, or two as much.

    Its small words and those that ask count for a language, words with a letter that it has not against it. Where all
    else is equal between the East Slavic ones, it is Russian: the others have letters of their own in most words.
    """
    family = {"latin": _SAME_SCRIPT[0], "cyrillic": _SAME_SCRIPT[1], "arabic": _SAME_SCRIPT[2]}.get(script, ())
    found = _WORD.findall(text.lower())
    told = [word for word in found if len(word) > 1 or not word.isascii()]
    letters = frozenset().union(*(ALPHABETS[code] for code in family))
    spelled = [word for word in told if not word.isascii() and not letters.isdisjoint(word)]
    scores = {
        code: sum(word in _WORDS[code] or word in ASKING[code] for word in told)
        - sum(not ALPHABETS[code].issuperset(word) for word in spelled)
        for code in family
    }
    most = max(scores.values(), default=0)
    best = {code for code, score in scores.items() if score == most}
    if most <= 0:
        return None
    return next(iter(best)) if len(best) == 1 else "ru" if {"ru"} < best <= {"ru", "uk", "be"} else None


def _spelled_so(found: Sequence[str], target: str) -> bool:
    """Whether there are words with letters that English has not, and the target has all of them."""
    spelled = [word for word in found if not word.isascii()]
    return bool(spelled) and all(ALPHABETS[target].issuperset(word) for word in spelled)


def _counts(line: Sequence[str], family: Sequence[str]) -> Counter[str]:
    """Language -> how many small words of it; single Latin letters are variables."""
    found = Counter[str]()
    for word in line:
        if word in _OWNERS and (len(word) > 1 or not word.isascii()):
            found.update(_OWNERS[word])
    return Counter({code: found[code] for code in family if found[code]})


def _is_foreign(counts: Mapping[str, int], target: str) -> bool | None:
    """None: it has small words of neither."""
    own = counts.get(target, 0)
    other = max((count for code, count in counts.items() if code != target), default=0)
    if other > own and (other >= EVIDENCE or target != "en"):
        return True
    return False if own else None
