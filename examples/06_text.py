"""A language model of a small text: train, measure, write on, look inside."""

import random
import tempfile

import foretell

# A generated text; any file, folder or pattern will do: .fit("book.txt")
draw = random.Random(0)
PEOPLE, VERBS, THINGS = (
    ["the cat", "a dog", "the old man"],
    ["sees", "likes", "forgets"],
    ["the moon", "a song", "bread"],
)
lines = [f"{draw.choice(PEOPLE)} {draw.choice(VERBS)} {draw.choice(THINGS)}.\n" for _ in range(500)]

model = foretell.LanguageModel(hidden=48, epochs=6, lanes=8, steps=64, learning_rate=0.01)
model.fit(text="".join(lines))

# The last tenth of the text was held out. The model is an LSTM with n-grams at its side; each is also measured alone.
found = model.evaluate()
print(found.headline)
print(found.summary)

# Pieces come as they are written, each at the cost of one step.
for piece in model.generate("the cat ", length=60, temperature=0.7, seed=1):
    print(piece, end="", flush=True)
print()

# How likely is a text? The typo surprises the model.
scores = model.score("a dog likes braed.")
print(scores.sort("log_probability").head(3))

# A live text: every piece is answered with what may come next.
stream = model.stream()
answer = stream.step("the old m")
print({token: round(p, 2) for token, p in zip(answer.tokens[:3], answer.probabilities, strict=False)})

print(model.explain().units.head(4))  # which unit follows what

with tempfile.TemporaryDirectory() as folder:
    model.save(folder)
    again = foretell.load(folder)
assert "".join(again.generate("a ", 20, seed=2)) == "".join(model.generate("a ", 20, seed=2))
