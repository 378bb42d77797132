"""What tells the language of a question, which is short: the words that ask and command, and the letters of alphabets.

Chains are judged by ``function_words.py`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ALPHABETS", "ASKING"]

_ASKING = {
    "en": """what which who whom whose when where why how many much does did are was were could should may must
        there please write find solve explain describe calculate compute determine prove show simplify evaluate
        compare list name translate give tell make use using between its their his her your our what's if than
        each after before function code program string sentence text question following long far old into about
        sort summarize reverse""",
    "fr": """quel quelle quels quelles combien quand où comment pourquoi quoi a ai as ont est-ce était fait
        faire peut avoir être écris écrivez écrire trouve trouvez résous résolvez résoudre explique expliquez
        calcule calculez calculer décris détermine déterminez montre montrez démontrer prouve compare traduis
        traduisez donne donnez fonction chaîne phrase texte équation programme entre son sa ses leur leurs mon
        ma mes tu vous je ils elles trie triez simplifie simplifiez résume""",
    "de": """wer wie was wann wo warum wieso weshalb wohin woher welche welcher welches welchen wem wen viele
        viel hat habe haben kann können ich du er ihr wurde war waren gibt schreibe schreib finde löse erkläre
        beschreibe berechne bestimme zeige beweise vereinfache vergleiche übersetze nenne gib funktion satz text
        gleichung programm zwischen sein seine ihre im am zum zur vom einer einem eines alt lang weit groß
        sortiere ordne fasse zusammen""",
    "es": """qué cuál cuáles quién quiénes cuándo dónde cómo cuánto cuánta cuántos cuántas tiene tienen tengo
        está están hay fue ha han escribe escriba escribir encuentra encuentre resuelve resuelva resolver
        explica explique calcula calcule calcular describe determina demuestra muestra simplifica compara
        traduce da dame función cadena frase texto ecuación programa entre sus ella ellos él yo tú usted ser
        hacer puede sobre este esta ordena ordene resume""",
    "it": """che chi cosa cos quando dove come perché quanto quanta quanti quante quale quali qual ha hanno ho
        hai c'è ci era fu può scrivi scrivere scriva trova trovare risolvi risolvere risolva spiega spiegare
        calcola calcolare descrivi determina dimostra mostra semplifica confronta traduci dai dammi funzione
        stringa frase testo equazione programma tra fra suo sua suoi loro lui lei io tu degli delle dello dell
        nell all sull questo questa si ordina riassumi""",
    "pt": """qual quais quem quando onde como quanto quanta quantos quantas tem têm tenho está estão há foi
        escreva escreve escrever encontre encontra ache resolva resolve resolver explique explica calcule
        calcula calcular descreva determine demonstre mostre simplifique compare traduza dê função frase texto
        equação programa entre seu sua seus suas ela eles elas ele eu você pode fazer ser este esta isso ao à
        pelo pela ordene ordena resuma simplifica""",
    "nl": """wie wat wanneer waar waarom hoe hoeveel welke welk heeft heb had kan kunnen ik jij hij zij ze was
        waren schrijf vind los bereken verklaar beschrijf bepaal toon bewijs vereenvoudig vergelijk vertaal noem
        geef leg functie zin tekst vergelijking programma tussen er deze dit worden wordt oud lang ver groot
        ligt sorteer vat samen""",
    "sv": """vad vem när var varför hur vilken vilket vilka många mycket mitt har hade kan ska jag du han hon de
        dem finns ligger heter skriv hitta finn lös förklara beräkna beskriv bestäm visa bevisa förenkla jämför
        översätt ge nämn funktion mening text ekvation ekvationen program mellan sin sitt sina hans hennes
        gammal lång stor sortera sammanfatta""",
    "da": """hvad hvem hvornår hvor hvorfor hvordan hvilken hvilket hvilke mange meget har havde kan skal jeg du
        han hun de dem der findes ligger hedder skriv find løs forklar beregn beskriv bestem vis bevis forenkl
        sammenlign oversæt giv nævn funktion sætning tekst ligning ligningen program mellem sin sit sine hans
        hendes gammel lang stor sorter opsummer""",
    "pl": """co kto kiedy gdzie dlaczego czemu jak jaki jaka jakie ile ilu który która które czyj ma mają był
        była było ja ty on ona oni można napisz znajdź rozwiąż wyjaśnij oblicz opisz wyznacz pokaż udowodnij
        uprość porównaj przetłumacz podaj wymień funkcję funkcja zdanie tekst równanie program między jego jej
        ich tego tym za przez posortuj uporządkuj streść""",
    "cs": """co kdo kdy kde proč jak jaký jaká jaké kolik který která které čí má mají byl byla bylo já ty on
        ona oni lze napiš napište najdi najděte vyřeš vyřešte vysvětli vysvětlete vypočítej vypočítejte spočítej
        popiš urči určete ukaž dokaž zjednoduš porovnej přelož uveď funkci funkce věta text rovnici rovnice
        program mezi jeho její jejich tento ve ze při let seřaď seřaďte shrň""",
    "ro": """ce cine când unde cum cât câtă câți câte care are am ai au era fost poate eu tu el ea ei scrie
        scrieți găsește găsiți află rezolvă rezolvați explică explicați calculează calculați descrie determină
        determinați arată demonstrează simplifică compară traduce tradu dă funcție propoziție text ecuația
        ecuație program între lui lor său sa al ale unei unui acest sortează ordonează rezumă""",
    "hu": """mi ki mikor hol miért hogyan mennyi hány melyik kinek kié milyen mekkora van vannak volt ő én te ők
        lehet írj írjon írd keresd találd oldd oldja magyarázd számítsd számold számolja írja határozd mutasd
        bizonyítsd egyszerűsítsd hasonlítsd fordítsd adj add függvényt függvény mondat szöveg egyenletet
        egyenlet program között ezt azt fel be le éves és rendezd foglald össze""",
    "fi": """mikä mitä kuka milloin missä miksi miten kuinka kumpi minkä kenen monta montako paljonko minä sinä
        hän he oli ovat voi kirjoita etsi ratkaise selitä laske kuvaile määritä näytä todista sievennä vertaa
        käännä anna luettele funktio lause teksti yhtälö ohjelma välillä joka jotka tämä tässä vanha pitkä suuri
        järjestä tiivistä""",
    "tr": """ne kim nerede neresi neresidir neden niçin nasıl kaç hangi kime kimin nedir mı mi mu mü ben sen o
        onlar vardı yaz yazın bul bulun çöz çözün açıkla açıklayın hesapla hesaplayın tanımla belirle göster
        kanıtla sadeleştir karşılaştır çevir ver fonksiyon fonksiyonu cümle metin denklem denklemi denklemini
        program arasında arasındaki kadar büyük sırala özetle""",
    "id": """apa siapa kapan mana dimana mengapa kenapa bagaimana berapa apakah memiliki punya dimiliki ada saya
        kamu dia mereka kami tulis tuliskan tulislah carilah cari temukan selesaikan jelaskan hitung hitunglah
        deskripsikan tentukan tunjukkan buktikan sederhanakan bandingkan terjemahkan berikan sebutkan buat
        buatlah fungsi kalimat teks persamaan program antara nya sebuah seekor seorang banyak jika adalah
        urutkan ringkas""",
    "vi": """gì ai nào đâu sao mấy bao nhiêu thế tại khi bị bởi ở tôi bạn anh chị nó họ chúng viết tìm giải tính
        hãy mô tả xác định chứng minh rút gọn so sánh dịch đưa ra hàm câu văn phương trình chương giữa hơn nhất
        năm tuổi người con quả cái đó đây sắp xếp tóm tắt""",
    "ru": """что кто где когда почему зачем как какой какая какое какие каков какова сколько чей у есть был была
        было были он она они я ты вы его её их напиши напишите найди найдите реши решите объясни объясните
        вычисли вычислите посчитай опиши определи определите покажи докажи докажите упрости сравни переведи
        назови дай функцию функция строку предложение текст уравнение программу между при чему чем лет находится
        который которая от о об отсортируй упорядочи""",
    "uk": """що хто де коли чому навіщо як який яка яке які скільки чий у є був була було були він вона вони я
        ти ви його її їх напиши напишіть знайди знайдіть розв'яжи розв розв'яжіть поясни поясніть обчисли
        обчисліть опиши визнач визначте покажи доведи доведіть спрости порівняй переклади назви дай функцію
        функція рядок речення текст рівняння програму між при від років знаходиться про відсортуй впорядкуй""",
    "bg": """какво кой коя кое кои кога къде защо как колко чий има имат беше бил той тя те аз ти вие него нея
        напиши напишете намери намерете реши решете обясни обяснете изчисли изчислете опиши определи определете
        покажи докажи докажете опрости сравни преведи назови дай функция низ изречение текст уравнение
        уравнението програма между при години намира който която подреди сортирай""",
    "sr": """шта ко где када кад зашто како колико који која које чији има имају био била је ли он она они ја ти
        ви његов њен напиши напишите нађи нађите пронађи реши решите објасни објасните израчунај израчунајте
        опиши одреди одредите покажи докажи упрости упореди преведи наведи дај функцију функција реченица текст
        једначину једначина програм између при година налази поређај сортирај""",
    "be": """што хто дзе калі чаму навошта як які якая якое якія колькі чый у ёсць быў была было былі ён яна яны
        я ты вы яго яе іх напішы напішыце знайдзі знайдзіце рашы рашыце растлумач вылічы вылічыце апішы вызнач
        пакажы дакажы спрасці параўнай перакладзі назаві дай функцыю функцыя радок сказ тэкст ўраўненне раўнанне
        праграму паміж пры ад гадоў знаходзіцца адсартуй упарадкуй""",
    "mk": """што кој која кое кои кога каде зошто како колку чиј има имаат беше бил тој таа тие јас ти вие
        неговата напиши напишете најди најдете реши решете објасни објаснете пресметај пресметајте опиши одреди
        одредете покажи докажи упрости спореди преведи наведи дај функција реченица текст равенката равенка
        програма меѓу при години наоѓа ја го ги подреди сортирај""",
    "ar": """ما ماذا من متى أين لماذا كيف كم أي هل لدى لديه لديها عند كان كانت اكتب أوجد جد حل احسب اشرح صف حدد
        أثبت برهن بسط قارن ترجم اذكر أعط دالة جملة نص النص معادلة المعادلة برنامج بين هم أنا أنت عدد الفرق عمر
        تقع وما عاصمة مساحة رتب لخص""",
    "fa": """چه کی چی کجا کجاست چرا چگونه چطور چند چقدر کدام چیست کیست آیا دارد دارند داشت بود هست من تو او آنها
        بنویس بنویسید پیدا حل کن کنید کند توضیح بده دهید محاسبه حساب شرح تعیین نشان اثبات ساده مقایسه ترجمه بگو
        تابع تابعی جمله متن معادله برنامه بین ها سال مرتب خلاصه""",
    "ur": """کیا کون کب کہاں کیوں کیسے کتنا کتنے کتنی کس کونسا پاس تھا تھے تھی میں تم آپ وہ ان لکھیں لکھو تلاش
        حل کریں کیجیے کرو معلوم وضاحت بیان حساب ثابت مختصر موازنہ ترجمہ بتائیں دیں فنکشن جملہ متن مساوات پروگرام
        درمیان ایک جو ہوں ہیں ہے ترتیب خلاصہ""",
}
"""What asks, what commands, and what stands beside them, whatever the subject; one that two languages have stands in
both."""
ASKING: Mapping[str, frozenset[str]] = {code: frozenset(text.split()) for code, text in _ASKING.items()}

_BASE = "abcdefghijklmnopqrstuvwxyz"
_CYRILLIC = "абвгдежзклмнопрстуфхцчш"
_ARABIC = "ابتثجحخدذرزسشصضطظعغفقلمنوهءئؤأآ"
ALPHABETS: Mapping[str, frozenset[str]] = {
    code: frozenset(letters)
    for code, letters in {
        "en": _BASE, "fr": _BASE + "àâæçéèêëîïôœùûüÿ", "de": _BASE + "äöüß", "es": _BASE + "áéíñóúü",
        "it": _BASE + "àèéìíîòóùú", "pt": _BASE + "áâãàçéêíóôõúü", "nl": _BASE + "áéëïóöüè",
        "sv": _BASE + "åäöé", "da": _BASE + "æøåé", "pl": _BASE + "ąćęłńóśźż", "cs": _BASE + "áčďéěíňóřšťúůýž",
        "ro": _BASE + "ăâîșțşţ", "hu": _BASE + "áéíóöőúüű", "fi": _BASE + "äöå", "tr": _BASE + "çğıöşüâîû\u0307",
        "id": _BASE, "vi": _BASE + "ăâđêôơưàáảãạằắẳẵặầấẩẫậèéẻẽẹềếểễệìíỉĩịòóỏõọồốổỗộờớởỡợùúủũụừứửữựỳýỷỹỵ",
        "ru": _CYRILLIC + "иёйщъыьэюя", "uk": _CYRILLIC + "иґєіїйщьюя", "bg": _CYRILLIC + "ийщъьюяѝ",
        "sr": _CYRILLIC + "иђјљњћџ", "be": _CYRILLIC + "ёійўыьэюя", "mk": _CYRILLIC + "иѓѕјљњќџѐѝ",
        "ar": _ARABIC + "يىكةإ", "fa": _ARABIC + "پچژگکیۀ\u200c", "ur": _ARABIC + "ٹپچڈڑژکگںہھیےۓۂ",
    }.items()
}  # fmt: skip
"""Small letters that a language's own words are written with."""
