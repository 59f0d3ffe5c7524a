"""Recommend what comes next: train on a log of events, measure, recommend with reasons, stream, take in new events."""

import random

import foretell

# A tea shop: a pot of some kind, then whatever accessory comes to mind, then the tea of that kind.
KINDS = ("green", "black", "white", "herbal", "oolong", "rooibos")
ACCESSORIES = ("sieve", "tray", "spoon", "timer", "honey")
draw = random.Random(0)
rows = []
for customer in range(400):
    kinds, accessories = draw.sample(KINDS, 3), draw.sample(ACCESSORIES, 3)
    bought = [
        thing for kind, extra in zip(kinds, accessories, strict=True) for thing in (f"{kind} pot", extra, f"{kind} tea")
    ]
    rows += [{"customer": f"c{customer}", "product": thing, "day": day} for day, thing in enumerate(bought)]

# Any CSV, Parquet or JSON lines file, database or frame; columns are told by their names, or said as here.
model = foretell.Recommender(epochs=12, hidden=16, batch=128, dropout=0.1, embedding_dropout=0.1, learning_rate=0.02)
model.fit(rows, user="customer", item="product", time="day")

# Each customer's last purchase was held out; it is ranked among all products not bought before.
found = model.evaluate(k=1)
print(found.headline)
print(found.summary)

# A customer of the log, or anybody with a history; reasons are purchases without which it would be less probable.
print(model.recommend("c7", k=3).frame)
print(model.recommend(["green pot", "spoon", "green tea", "black pot", "tray"], k=3, reasons=True).frame)
print(model.recommend_all(k=2).head(4))

# One purchase after the other, at a constant cost each.
stream = model.stream(k=2)
for product in ("white pot", "timer"):
    print(product, "->", stream.step(product).items)

# New purchases, customers and products enter without training.
model.update([{"customer": "new", "product": name, "day": 99} for name in ("oolong pot", "sieve", "kettle")])
print(model.updated_)
print(model.recommend("new", k=2).frame)
