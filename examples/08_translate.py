"""Translate: learn from sentence pairs, measure on held-out ones, see where each word comes from."""

import itertools
import random
import tempfile
from pathlib import Path

import foretell

# Pairs are a file of two columns (pairs.tsv), a tuple of two parallel files, a frame, or, as here, tuples.
WHO = {"the dog": ("der Hund", "den Hund"), "the cow": ("die Kuh", "die Kuh"), "the calf": ("das Kalb", "das Kalb")}
DOES = {"sees": "sieht", "hears": "hört", "likes": "mag"}
WHEN = {"today": "Heute", "at night": "Nachts", "in May": "Im Mai", "now": "Jetzt", "here": "Hier"}
HOW = {"": "", "always": "immer", "often": "oft", "gladly": "gern"}

pairs = []
for who, does, whom, when, how in itertools.product(WHO, DOES, WHO, WHEN, HOW):
    source = f"{who} {how} {does} {whom} {when}.".replace("  ", " ").capitalize()
    target = f"{WHEN[when]} {DOES[does]} {WHO[who][0]} {WHO[whom][1]} {HOW[how]}."  # the verb comes second
    pairs.append((source, target.replace(" .", ".")))
random.Random(0).shuffle(pairs)

# Small sizes for a small language; left out, they are chosen for real text, which takes minutes.
model = foretell.Translator(hidden=48, dropout=0.0, learning_rate=1e-2, batch=150, epochs=12, vocabulary=400, test=100)
model.fit(pairs)

found = model.evaluate()  # sacreBLEU and chrF, beside word by word and the source copied
print(found.headline)
print(found.summary)
print(found.signatures["bleu"])

sentence = "The cow often hears the dog at night."
print(model.translate(sentence))
for translation in model.translate(sentence, n_best=3):
    print(f"{translation.score:7.3f}  {translation.text}")

told = model.explain(sentence)
for piece, weights in zip(told.target, told.attention, strict=True):
    print(f"{piece:>8} from {told.source[weights.argmax()]}")

print("|".join(model.stream(sentence)))  # part by part, as it is written

model.update([("Good night!", "Gute Nacht!")])  # a translation memory: these sentences are looked up
print(model.translate(["Good night!", "The calf likes the dog now."]))

with tempfile.TemporaryDirectory() as folder:
    model.save(folder)
    model.report(Path(folder) / "report.html")  # scores, samples, attention; opens without a network
    assert foretell.load(folder).translate(sentence) == model.translate(sentence)
