"""How well does the translator do on Multi30k, 29,000 pairs, on this machine's processor, and in what time?

FORETELL_DATA=... python benchmarks/accuracy/translate.py
trains a model a direction, translates test_2016_flickr, prints a table each and writes
benchmarks/results/accuracy-translate.json. Weights are chosen by the validation file; the test file is read once
the training has ended. With --keep the models stay in a folder, and a training that was killed goes on.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from sacrebleu.metrics.bleu import BLEU
from safetensors.torch import load_file

from foretell.jobs.translate import Translator
from foretell.jobs.translating.evaluation import COPY, OWN, WORDS, corpus_scores
from foretell.sequences import datasets
from foretell.sequences.pairs import read_sentences
from foretell.store import CHECKPOINT, RUN, SETTINGS, WEIGHTS

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/
import results

TIMED = 100  # sentences
# direction: the measure it is judged by, the bar, and the training time allowed in minutes
BARS = {"en-de": ("bleu", 30.0, 45), "de-en": ("bleu, lower case", 30.0, 45)}
TUTORIAL = "github.com/bentrevett/pytorch-seq2seq, lower-cased spaCy tokens, greedy"
PUBLISHED = {
    "en-de": {
        "transformer, 2.6 M weights, tokenised BLEU, two GPUs": (41.02, "github.com/LividWo/Revisit-MMT"),
    },
    "de-en": {
        "LSTM without attention, 13.9 M weights": (13.8, TUTORIAL),
        "GRU with attention, 20.5 M weights": (28.3, TUTORIAL),
        "transformer, 9.0 M weights": (36.52, TUTORIAL),
    },
}


def main() -> None:
    """One direction after the other, each written as soon as it is complete."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    for direction in arguments.only:
        entry = run(direction, arguments)
        if not arguments.dry:
            results.update("accuracy-translate", {direction: entry})
        print(f"\n{entry['title']}\n{entry['verdict']}\n{table(entry)}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(BARS), default=list(BARS), metavar="DIRECTION")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--settings", type=json.loads, default={}, metavar="JSON", help="of the Translator")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the models and their checkpoints")
    parser.add_argument("--dry", action="store_true", help="write no results")
    arguments = parser.parse_args()
    if "FORETELL_DATA" not in os.environ:
        parser.error("set FORETELL_DATA to the folder that holds the public data sets (multi30k is needed)")
    return arguments


def run(direction: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The entry of one direction: what was run, where, seconds and scores."""
    with tempfile.TemporaryDirectory() as empty:
        folder = (arguments.keep or Path(empty)) / direction
        model = trained(direction, folder, arguments.settings)
        found, signatures = measured(model, direction)
        weights = count_weights(folder)
    facts = model.describe()
    measure, bar, minutes = BARS[direction]
    entry = {
        "title": f"Multi30k {direction}, test_2016_flickr, sacreBLEU 13a",
        "settings": facts["settings"],
        "pairs": facts["pairs"],
        "weights": weights,
        "epochs": len(facts["training"]) - 1,
        "seconds": round(max(model.seconds_, model.training_["seconds"].sum()), 1),  # of a resumed run too
        "translating": timed(model, direction),
        "scores": found,
        "signatures": signatures,
        "bar": {"measure": measure, "at least": bar, "minutes": minutes},
        "published": {name: {"bleu": bleu, "source": source} for name, (bleu, source) in PUBLISHED[direction].items()},
        "threads": arguments.threads,
    }
    return entry | {"verdict": verdict(entry)} | results.circumstances("foretell", "torch", "sacrebleu")


def trained(direction: str, folder: Path, settings: dict[str, Any]) -> Translator:
    """The model of a folder, or a new one, or one whose training was killed."""
    if (folder / SETTINGS).is_file():
        return Translator.load(folder)
    checkpoint = folder / CHECKPOINT
    if (checkpoint / RUN).is_file():
        model = Translator.resume(checkpoint, progress=show)
    else:
        train, validation, test = (files(part, direction) for part in ("train", "val", "test_2016_flickr"))
        model = Translator(**settings)
        model.fit(train, validation=validation, test=test, checkpoint=checkpoint, progress=show)
    model.save(folder)
    return model


def files(part: str, direction: str) -> tuple[str, str]:
    """Source and target file of a part."""
    there = {path.name: str(path) for path in datasets.files("multi30k")}
    source, target = (there[f"{part}.{language}.gz"] for language in direction.split("-"))
    return source, target


def show(epoch: Any, plan: Any) -> None:
    print(
        f"epoch {epoch.epoch}/{plan.epochs}  train {epoch.train:.4f}  validation {epoch.validation:.4f}  "
        f"{epoch.seconds:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def measured(model: Translator, direction: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Scores of every competitor, and what sacreBLEU calls them."""
    searched, greedy = model.evaluate(), model.evaluate(beam=1)
    texts = searched.translations
    answers = {
        f"Foretell, beam {model.settings.beam}": texts[OWN].to_list(),
        "Foretell, greedy": greedy.translations[OWN].to_list(),
        WORDS: texts[WORDS].to_list(),
        COPY: texts["source"].to_list(),
    }
    reference, found = texts["reference"].to_list(), {}
    for name, hypotheses in answers.items():
        scores, signatures = corpus_scores(hypotheses, reference)
        lower, lower_signatures = corpus_scores(hypotheses, reference, lowercase=True)
        scores["bleu, lower case"], signatures["bleu, lower case"] = lower["bleu"], lower_signatures["bleu"]
        if direction == "de-en":
            name_it = "bleu, lower case, every punctuation mark a token"  # as spaCy's tokens in the tutorials, nearly
            scores[name_it], signatures[name_it] = international(hypotheses, reference)
        found[name] = {measure: round(value, 2) for measure, value in scores.items()}
    return found, signatures


def international(hypotheses: list[str], references: list[str]) -> tuple[float, str]:
    """Lower-cased BLEU that splits hyphens too."""
    measure = BLEU(lowercase=True, tokenize="intl")
    return measure.corpus_score(hypotheses, [references]).score, str(measure.get_signature())


def timed(model: Translator, direction: str) -> dict[str, float]:
    """Seconds for the test's first sentences, warm."""
    sentences = read_sentences(files("test_2016_flickr", direction)[0])[:TIMED]
    seconds = {}
    for beam in (model.settings.beam, 1):
        model.translate(sentences[:10], beam=beam)
        began = time.perf_counter()
        model.translate(sentences, beam=beam)
        seconds[f"{TIMED} sentences, beam {beam}"] = round(time.perf_counter() - began, 3)
    return seconds


def count_weights(folder: Path) -> int:
    return sum(tensor.numel() for name, tensor in load_file(folder / WEIGHTS).items() if name.startswith("network."))


def verdict(entry: Mapping[str, Any]) -> str:
    """Whether the bar is met."""
    bar = entry["bar"]
    own = next(iter(entry["scores"].values()))[bar["measure"]]
    minutes = entry["seconds"] / 60
    met = own >= bar["at least"] and minutes <= bar["minutes"]
    return (
        f"{'Met' if met else 'NOT MET'}: {bar['measure']} {own:.1f} after {minutes:.1f} minutes of training; the bar "
        f"is {bar['at least']:.0f} within {bar['minutes']}."
    )


def table(entry: Mapping[str, Any]) -> str:
    """One row a competitor, then what others published."""
    measures = list(next(iter(entry["scores"].values())))
    rows = [["", *measures]]
    rows += [[name, *(f"{scores[one]:.1f}" for one in measures)] for name, scores in entry["scores"].items()]
    rows += [
        [f"published: {name}", f"{one['bleu']:.1f}", *[""] * (len(measures) - 1)]
        for name, one in entry["published"].items()
    ]
    times = ", ".join(f"{name}: {seconds:.2f} s" for name, seconds in entry["translating"].items())
    trained = f"{entry['epochs']} epochs in {entry['seconds'] / 60:.0f} minutes, threads: {entry['threads']}"
    return f"{results.as_table(rows)}\n\n{entry['weights']:,} weights, {trained}; {times}"


if __name__ == "__main__":
    main()
