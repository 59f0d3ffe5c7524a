"""How good translations are: sacreBLEU's BLEU and chrF, beside word by word and the source copied."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from foretell.jobs.translating.model import Model
from foretell.jobs.translating.predicting import translate
from foretell.sequences.pairs import Pairs

OWN, WORDS, COPY = "foretell", "word by word", "source copied"
EDGES = (5, 10, 15, 20, 30)  # words of the source, the most of each group


@dataclass(frozen=True)
class Evaluation:
    """Scores on pairs, higher is better."""

    headline: str
    summary: pl.DataFrame  # model, bleu, chrf: foretell, then the baselines
    by_length: pl.DataFrame  # words (of the source), pairs, model, bleu
    translations: pl.DataFrame  # source, reference, foretell, word by word
    signatures: dict[str, str]  # of each measure, as sacreBLEU writes it: what was compared, and how


def evaluate(model: Model, pairs: Pairs, beam: int, *, held_out: bool) -> Evaluation:
    """Translate the pairs' sources and compare with their targets."""
    found = translate(model, pairs.source, beam, model.settings.length_penalty)
    answers = {
        OWN: [best[0].text for best in found],
        WORDS: [model.dictionary.translate(text) for text in pairs.source],
        COPY: list(pairs.source),
    }
    measured = {name: corpus_scores(texts, pairs.target) for name, texts in answers.items()}
    summary = pl.DataFrame([{"model": name, **scores} for name, (scores, _) in measured.items()])
    columns = {"source": pairs.source, "reference": pairs.target, OWN: answers[OWN], WORDS: answers[WORDS]}
    return Evaluation(
        headline=_headline(summary, len(pairs), held_out),
        summary=summary,
        by_length=_by_length(answers, pairs),
        translations=pl.DataFrame(columns),
        signatures=measured[OWN][1],
    )


def corpus_scores(
    hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool = False
) -> tuple[dict[str, float], dict[str, str]]:
    """BLEU (13a) and chrF of a whole text, and their signatures (Post 2018)."""
    from sacrebleu.metrics.bleu import BLEU  # wanted at evaluations only
    from sacrebleu.metrics.chrf import CHRF

    measures = {"bleu": BLEU(lowercase=lowercase), "chrf": CHRF(lowercase=lowercase)}
    scores = {
        name: measure.corpus_score(list(hypotheses), [list(references)]).score for name, measure in measures.items()
    }
    return scores, {name: str(measure.get_signature()) for name, measure in measures.items()}


def _headline(summary: pl.DataFrame, pairs: int, held_out: bool) -> str:
    own = summary["bleu"][0]
    best = summary.slice(1).sort("bleu", descending=True).row(0, named=True)
    difference = own - best["bleu"]
    how = f"{difference:.1f} more than" if difference >= 0 else f"{-difference:.1f} LESS than"
    where = "held-out pairs" if held_out else "pairs"
    return (
        f"BLEU {own:.1f} on {pairs:,} {where}: {how} the best baseline, {best['model']} ({best['bleu']:.1f}); "
        f"chrF {summary['chrf'][0]:.1f}."
    )


def _by_length(answers: dict[str, list[str]], pairs: Pairs) -> pl.DataFrame:
    lengths = [len(text.split()) for text in pairs.source]
    rows = []
    for least, most in zip((0, *EDGES), (*EDGES, None), strict=True):
        places = [place for place, words in enumerate(lengths) if least < words and (most is None or words <= most)]
        if not places:
            continue
        name = f"{least + 1}-{most}" if most else f"over {least}"
        references = [pairs.target[place] for place in places]
        for model in (OWN, WORDS):
            scores, _ = corpus_scores([answers[model][place] for place in places], references)
            rows.append({"words": name, "pairs": len(places), "model": model, "bleu": scores["bleu"]})
    return pl.DataFrame(rows)
