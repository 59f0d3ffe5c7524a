"""The translator's verbs: what they answer, what they keep, and what they refuse."""

import polars as pl
import pytest
import sacrebleu
import torch
from hypothesis import given
from hypothesis import strategies as st

import foretell
from foretell.errors import InputError
from foretell.jobs.translate import Translator
from foretell.jobs.translating.settings import Settings
from foretell.jobs.translating.splits import split
from foretell.sequences.pairs import Pairs


def weights(model):
    return model._model.network.state_dict()


def same(one, other):
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def write_pairs(path, pairs):
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    return path


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_sentence_gives_text_and_a_list_a_list(reversing):
    assert reversing.translate("ba de gu") == "gu de ba"
    assert reversing.translate(["ba de gu", "", " ko ba "]) == ["gu de ba", "", "ba ko"]
    assert reversing.translate([]) == []


def test_scores_and_n_best(reversing):
    best = reversing.translate("ba de gu", scores=True)
    assert (best.text, best.tokens) == ("gu de ba", (" gu", " de", " ba", "</s>"))
    assert all(0.5 < one <= 1 for one in best.probabilities)
    several = reversing.translate(["ba de gu"], n_best=3)
    assert several[0][0] == best
    assert [one.score for one in several[0]] == sorted((one.score for one in several[0]), reverse=True)
    assert len({one.text for one in several[0]}) == 3


def test_the_parts_of_a_stream_are_the_greedy_translation(reversing, small):
    for model in (reversing, small):
        for text in ("ba de gu", "größer ba 🌍"):
            parts = list(model.stream(text))
            assert "".join(parts).strip() == model.translate(text, beam=1)
    assert list(reversing.stream("ba de gu")) == ["gu", " de", " ba"]
    assert list(reversing.stream("  ")) == []


def test_explaining_its_own_and_a_given_translation(reversing):
    own = reversing.explain("ba de gu")
    assert own.translation == "gu de ba"
    assert own.source == (" ba", " de", " gu", "</s>")
    assert own.attention.shape == (4, 4)
    assert own.attention.sum(axis=1) == pytest.approx(1)
    wanted = reversing.translate("ba de gu", scores=True).probabilities
    assert own.probabilities == pytest.approx(wanted, abs=1e-4)
    other = reversing.explain("ba de gu", "ba de gu")
    assert other.probabilities[0] < 0.1
    assert own.frame.filter(target_place=0).select("source", "attention").to_dicts() == [
        {"source": token, "attention": weight} for token, weight in zip(own.source, own.attention[0], strict=True)
    ]


def test_evaluating_is_sacrebleu(reversing, make_pairs):
    pairs = make_pairs(30, lambda words: words[::-1], longest=8, seed=5)
    found = reversing.evaluate(pairs)
    texts = found.translations["foretell"].to_list()
    references = [[target for _, target in pairs]]
    own = found.summary.row(0, named=True)
    assert own["bleu"] == pytest.approx(sacrebleu.corpus_bleu(texts, references).score)
    assert own["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, references).score)
    assert found.signatures["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert found.summary["model"].to_list() == ["foretell", "word by word", "source copied"]
    assert found.by_length.filter(model="foretell")["pairs"].sum() == 30
    assert "held-out" not in found.headline


def test_losing_is_said_first(small, few):
    copies = [(f"{source} once more", f"{source} once more") for source, _ in few]
    assert "LESS than the best baseline, " in small.evaluate(copies).headline


@pytest.mark.parametrize("joint", [True, False])
def test_saved_and_loaded(few, tiny, joint, tmp_path):
    small = Translator(**tiny, joint=joint).fit(few).update([("new sentence", "known answer")])
    small.save(tmp_path / "model")
    loaded = foretell.load(tmp_path / "model")
    assert same(loaded, small)
    sources = [source for source, _ in few[:20]]
    assert loaded.translate(sources, n_best=2) == small.translate(sources, n_best=2)
    assert loaded.translate("new sentence") == "known answer"
    assert loaded.facts() == small.facts()
    assert loaded.training_.equals(small.training_)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "weights.safetensors"]


def test_held_out_pairs_are_found_again_in_their_file(few, tiny, tmp_path):
    path = write_pairs(tmp_path / "pairs.tsv", few)
    model = Translator(**tiny).fit(path)
    found = model.evaluate()
    model.save(tmp_path / "model")
    loaded = Translator.load(tmp_path / "model")
    assert loaded.evaluate().translations.equals(found.translations)
    write_pairs(path, few[1:])
    with pytest.raises(InputError, match="no longer those the model was fitted on"):
        Translator.load(tmp_path / "model").evaluate()


def test_pairs_in_memory_must_be_given_again(small, tmp_path):
    small.save(tmp_path / "model")
    with pytest.raises(InputError, match="pairs in memory"):
        Translator.load(tmp_path / "model").evaluate()


def test_separate_files_for_validation_and_test(few, tiny, tmp_path):
    paths = [write_pairs(tmp_path / f"{name}.tsv", few[first::3]) for first, name in enumerate("abc")]
    model = Translator(**tiny).fit(paths[0], validation=paths[1], test=paths[2])
    assert model.describe()["pairs"] == {"train": 40, "validation": 40, "test": 40, "too_long": 0, "blank": 0}
    assert model.evaluate().translations["source"].to_list() == [source for source, _ in few[2::3]]


def test_nothing_held_out(few, tiny, tmp_path):
    model = Translator(**tiny | {"test": 0}).fit(few)
    with pytest.raises(InputError, match="held out no pairs"):
        model.evaluate()
    assert "Not evaluated" in model.report(tmp_path / "report.html").read_text()


@pytest.mark.parametrize("after", [1, 2])
def test_a_killed_run_ends_as_one_that_was_not(few, tiny, tmp_path, after):
    path = write_pairs(tmp_path / "pairs.tsv", few)
    whole = Translator(**tiny).fit(path)

    def stop(epoch, plan):
        if epoch.epoch == after:
            raise Killed

    with pytest.raises(Killed):
        Translator(**tiny).fit(path, checkpoint=tmp_path / "run", progress=stop)
    lines = []
    resumed = Translator.resume(tmp_path / "run", progress=lambda *line: lines.append(line))
    assert same(resumed, whole)
    assert len(lines) == 2 - after
    resumed.save(tmp_path / "model")
    assert Translator.load(tmp_path / "model").evaluate().headline == whole.evaluate().headline


def test_a_run_does_not_go_on_with_other_pairs(few, tiny, tmp_path):
    path = write_pairs(tmp_path / "pairs.tsv", few)
    Translator(**tiny).fit(path, checkpoint=tmp_path / "run")
    write_pairs(path, few[1:])
    with pytest.raises(InputError, match="another training run"):
        Translator.resume(tmp_path / "run")


def test_fine_tuning_goes_on_from_the_weights_and_the_vocabulary(small, few):
    before = small.training_["validation"][-1]
    vocabulary = small._model.source.to_json()
    small.update([(source, "xyz") for source, _ in few[:5]])
    small.fit(few, warm=True)
    assert small.training_["validation"][0] == pytest.approx(before, rel=1e-4)
    assert small.describe()["pairs"]["train"] == 105
    assert small._model.source.to_json() == vocabulary
    assert small.translate(few[0][0]) == "xyz"


def test_a_memory_is_looked_up_but_not_measured(small, few):
    before = small.evaluate().headline
    small.update(few).update([("ba", "first")]).update([("ba", "second")])
    assert small.translate("  ba ") == "second"
    assert list(small.stream("ba")) == ["second"]
    assert small.translate("ba", n_best=2)[0].text == "second"
    assert small.evaluate().headline == before


def test_long_pairs_are_left_out_and_counted(few, tiny):
    model = Translator(**tiny | {"longest": 4}).fit(few)
    assert 0 < model.describe()["pairs"]["too_long"] < 100
    assert any("with over 4 tokens" in value for _, value in model.facts())


def test_the_same_seed_gives_the_same_model(few, tiny):
    first, second, other = (Translator(**tiny | {"seed": seed}).fit(few) for seed in (1, 1, 2))
    assert same(first, second)
    assert not same(first, other)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("joint", False),
        ("vocabulary", 265),
        ("longest", 4),
        ("test", 20),
        ("validation", 20),
        ("hidden", 12),
        ("layers", 2),
        ("heads", 2),
        ("dropout", 0.6),
        ("smoothing", 0.4),
        ("epochs", 3),
        ("learning_rate", 1e-3),
        ("weight_decay", 0.5),
        ("batch", 400),
    ],
)
def test_every_setting_of_the_training_matters(small, few, tiny, setting, value):
    assert not same(Translator(**tiny | {setting: value}).fit(few), small)


def test_settings_of_the_search_matter(small, few, tiny):
    sources = [source for source, _ in few]
    found = [
        Translator(**tiny | more).fit(few).translate(sources, scores=True)
        for more in ({}, {"beam": 1}, {"length_penalty": 0.0})
    ]
    assert found[0] != found[1]
    assert found[0] != found[2]


def test_columns_of_a_frame(few, tiny):
    frame = pl.DataFrame({"en": [source for source, _ in few], "de": [target for _, target in few]})
    model = Translator(**tiny, columns=("en", "de")).fit(frame)
    assert model.describe()["pairs"]["train"] == 100


@given(st.lists(st.integers(0, 29), max_size=40), st.integers(0, 3))
def test_no_source_is_in_two_parts(repeated, seed):
    source = tuple(f"s{number}" for number in [*range(30), *repeated])
    parts = split(
        Pairs(source, tuple(map(str, range(len(source)))), "pairs"), Settings(seed=seed, test=2, validation=2)
    )
    divided = (parts.train, parts.validation, parts.test)
    assert sum(len(set(one.source)) for one in divided) == 30
    together = sorted(target for one in divided for target in one.target)
    assert together == sorted(map(str, range(len(source))))
    assert all(len(one) >= 2 for one in divided)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.translate("a", beam=0), r"beam must be a whole number from 1 \(greedy\) to 1000; got 0"),
        (lambda model: model.translate("a", n_best=6), r"n_best must be a whole number from 1 to the beam \(5\)"),
        (lambda model: model.translate("a", n_best=0), "n_best"),
        (lambda model: model.translate(["a", 3]), "sentence 2 must be text; got 3"),
        (lambda model: model.explain(" "), "sentence must be a sentence that is not blank"),
        (lambda model: model.explain("a", " "), "translation must be"),
        (lambda model: model.stream(3), "sentence must be text"),
        (lambda model: model.update([("a", "")]), "pair 1: the target sentence is empty"),
        (lambda model: model.fit([("a", "b")], warm=True, checkpoint="x"), "checkpoint must be left out"),
    ],
)
def test_mistakes_are_named(small, call, message):
    with pytest.raises(InputError, match=message):
        call(small)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam": 0}, "Translator: beam must be at least 1; got 0"),
        ({"hiden": 8}, "unknown setting 'hiden'. Did you mean 'hidden'"),
        ({"hidden": 8, "heads": 3}, "hidden must be a multiple of heads"),
        ({"hidden": 7}, "hidden must be a multiple of 2; got 7"),
        ({"dropout": 1.0}, "dropout"),
        ({"vocabulary": 100}, "vocabulary"),
    ],
)
def test_settings_are_checked_at_once(settings, message):
    with pytest.raises(InputError, match=message):
        Translator(**settings)


def test_too_few_pairs_leave_nothing_behind(few, tmp_path):
    with pytest.raises(InputError, match=r"12 pairs leave 2 to train on beside 5 for the test and 5 for validation"):
        Translator(test=5, validation=5).fit(few[:12], checkpoint=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_no_pair_is_short_enough(few, tiny, tmp_path):
    with pytest.raises(InputError, match="every pair has a sentence of more than longest=1 pieces"):
        Translator(**tiny | {"longest": 1}).fit(few, checkpoint=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_the_report_shows_the_evaluation(small, tmp_path):
    page = small.report(tmp_path / "report.html").read_text()
    found = small.evaluate()
    assert found.headline in page
    assert found.signatures["bleu"] in page
    assert small.describe()["headline"] == found.headline
    small.evaluate(beam=1)
    assert small.describe()["headline"] == found.headline


def test_not_fitted():
    with pytest.raises(InputError, match="not fitted yet"):
        Translator().translate("a")
