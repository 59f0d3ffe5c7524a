"""The report of a language model: what is known of it, gathered for the charts."""

import polars as pl

from foretell.charts.text import TextContents
from foretell.jobs.language.evaluation import TextEvaluation
from foretell.jobs.language.explaining import TextExplanation
from foretell.jobs.language.folder import Record
from foretell.jobs.language.model import Model
from foretell.jobs.language.sampling import Sampling
from foretell.jobs.language.stepper import Stepper, fresh_context
from foretell.jobs.language.writing import write

SAMPLE = 600  # tokens of each sample
TEMPERATURES = (0.5, 0.9)
SEED = 1


def text_contents(
    model: Model, record: Record, evaluation: TextEvaluation | None, explanation: TextExplanation
) -> TextContents:
    """Everything the report shows. Without an evaluation it says that there is none."""
    stepper = Stepper(model, fresh_context(model.network))
    samples = {
        temperature: "".join(write(stepper.copy(), model.tokenizer, "", SAMPLE, Sampling(temperature), (), SEED))
        for temperature in TEMPERATURES
    }
    training = pl.DataFrame(record.training, infer_schema_length=None)
    return TextContents(
        title=_title(record),
        headline=evaluation.headline if evaluation else "Not evaluated: no text was held out.",
        facts=facts(model, record),
        scores=evaluation.summary if evaluation else pl.DataFrame(),
        samples=samples,
        training=training.select("epoch", "train", "validation"),
        surprise=explanation.surprise,
        units=explanation.units,
        cells=explanation.cells,
    )


def facts(model: Model, record: Record) -> tuple[tuple[str, str], ...]:
    """Name and value of what a reader asks first."""
    config, network = record.config, model.network
    weights = sum(parameter.numel() for parameter in network.parameters())
    trained, validated, held_out = record.tokens
    embedding = f"{config.embedding} numbers a token" + (", shared with the softmax" if config.tied else "")
    listed = {
        "Source": ", ".join(record.sources or ("a text in memory",)),
        "Text": f"{record.characters:,} characters in {record.documents:,} document{'s' * (record.documents > 1)}",
        "Tokens": f"{config.tokens:,} different {record.settings.tokens}",
        "Split": f"{trained:,} tokens to train on, {validated:,} to validate, {held_out:,} held out",
        "Network": f"LSTM of {config.layers} x {config.hidden} cells, {weights:,} weights",
        "Embedding": embedding,
        "Softmax": config.softmax,
        "N-grams": _ngrams(model),
        "Training": f"{len(record.training) - 1} epochs, {record.seconds:.1f} s",
    }
    return tuple(listed.items())


def _ngrams(model: Model) -> str:
    mixture = model.mixture
    if mixture is None:
        return "none beside the network"
    return f"of up to {mixture.order} tokens, with {mixture.share:.0%} of the say"


def _title(record: Record) -> str:
    if not record.sources:
        return "A text"
    names = [source.replace("\\", "/").rsplit("/", 1)[-1] for source in record.sources]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
