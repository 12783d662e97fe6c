"""Realistic English and Chinese messages, the same in every run: word frequencies follow Zipf's law."""

import math
import random
from itertools import accumulate
from typing import NamedTuple

COMMON = (
    "the to and a i you it is of in that for on we be this have with are not but my what so just can me was your at do"
    " if they all like get out no up there think will about time one or know now see from good go how when need more he"
    " would some as yeah want really him back make them an take work then only day here right okay after today could"
    " thanks very over great team also build has please new let sure well still"
).split()
HAN = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成"
    "方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工"
    "使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表"
    "化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结"
)
STARTS = "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl gr pl pr sh sl sp st str th tr".split()
MIDDLES = "a e i o u ai ea ee ou io".split()
ENDS = ["", "", *"n r s t l m nd st ck ng".split()]
#: The share of English messages; the others are Chinese.
ENGLISH = 0.6
#: Words that no message contains by chance, and the share of their language's messages that contain them.
SHARES = {
    "zanzibar": 5 / 6,
    "鸳鸯": 5 / 6,
    "halva": 0.01,
    "琥珀": 0.01,
    "marzipan": 0.001,
    "蝴蝶": 0.001,
    "xylophone": 0.00001,
    "饕餮": 0.00001,
}
#: The first is common everywhere but in the middle room; the second is common only there.
ELSEWHERE, IN_MIDDLE = "zanzibar", "quokka"
COMMON_SHARE, RARE_SHARE = 1 / 2, 0.0001


class Rooms(NamedTuple):
    """Names of rooms. The big one gets nine of ten messages, and the middle one nine of ten of the others."""

    big: str
    middle: str
    small: list[str]


class Vocabulary:
    """Words by rank: the second is about half as frequent as the first, the third a third as frequent."""

    def __init__(self, draw, words, invent, count):
        self._draw = draw
        self._words = list(dict.fromkeys(words))
        known = set(self._words)
        while len(self._words) < count:
            if (word := invent()) not in known:
                known.add(word)
                self._words.append(word)
        self._weights = list(accumulate(1 / (rank + 2.7) for rank in range(count)))

    def sample(self, typical):
        """Return a list of words, typically about `typical` of them."""
        length = min(60, max(1, int(self._draw.lognormvariate(math.log(typical), 0.7))))
        return self._draw.choices(self._words, cum_weights=self._weights, k=length)


class Sentences:
    """Iterate over (room, text), `count` times."""

    def __init__(self, rooms, count, seed=1):
        self._rooms = rooms
        self._count = count
        self._draw = random.Random(seed)
        characters = [*HAN, *map(chr, self._draw.sample(range(0x4E00, 0x9FA5), 3000))]
        self._characters = characters, list(accumulate(1 / (rank + 20) for rank in range(len(characters))))
        self._english = Vocabulary(self._draw, COMMON, self._english_word, 30_000)
        self._chinese = Vocabulary(self._draw, HAN[:60], self._chinese_word, 20_000)

    def __iter__(self):
        for _ in range(self._count):
            room = self._room()
            if self._draw.random() < ENGLISH:
                words = self._planted(self._english.sample(7), room, LATIN)
                yield room, " ".join(words).capitalize() + self._draw.choice(".!?…")
            else:
                words = self._planted(self._chinese.sample(6), room, CHINESE)
                yield room, "".join(words) + self._draw.choice("。！？…")

    def _room(self):
        one = self._draw.random()
        if one < 0.9:
            return self._rooms.big
        return self._rooms.middle if one < 0.99 else self._draw.choice(self._rooms.small)

    def _planted(self, words, room, planted):
        in_middle = room == self._rooms.middle
        for word in planted:
            share = SHARES.get(word, COMMON_SHARE if in_middle else RARE_SHARE / 10)
            if self._draw.random() < (RARE_SHARE if in_middle and word == ELSEWHERE else share):
                words.insert(self._draw.randrange(len(words) + 1), word)
        return words

    def _english_word(self):
        return "".join(
            self._draw.choice(STARTS) + self._draw.choice(MIDDLES) + self._draw.choice(ENDS)
            for _ in range(self._draw.choices((1, 2, 3, 4), (2, 5, 4, 1))[0])
        )

    def _chinese_word(self):
        characters, weights = self._characters
        length = self._draw.choices((1, 2, 3, 4), (1, 8, 2, 1))[0]
        return "".join(self._draw.choices(characters, cum_weights=weights, k=length))


LATIN = [*(word for word in SHARES if word.isascii()), IN_MIDDLE]
CHINESE = [word for word in SHARES if not word.isascii()]
