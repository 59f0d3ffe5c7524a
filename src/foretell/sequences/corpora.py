"""Public data sets that are no tables: text, sentence pairs, one user a line."""

from dataclasses import dataclass

from foretell.sequences.download import Published, github


@dataclass(frozen=True)
class Corpus(Published):
    """Files that the jobs read as they are. `split` says what published results train and test on."""

    split: str


def _tinyshakespeare() -> Corpus:
    repository, commit = "karpathy/char-rnn", "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
    checksum = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
    return Corpus(
        "tinyshakespeare",
        "40,000 lines of Shakespeare, 1,115,394 characters",
        f"https://github.com/{repository}",
        "text in the public domain",
        "tinyshakespeare",
        github(repository, commit, {"data/tinyshakespeare/input.txt": checksum}),
        "first 90 % to train on, last 10 % to test on",
    )


def _amazon_beauty() -> Corpus:
    repository, commit = "RUCAIBox/CIKM2020-S3Rec", "2a81540ae18615d88ef88227b0c066e5b74781e5"
    checksum = "226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8"
    return Corpus(
        "amazon_beauty",
        "Beauty products reviewed by 22,363 users, 12,101 items; one user a line, items in order of time",
        f"https://github.com/{repository}",
        "none stated",
        "amazon_beauty",
        github(repository, commit, {"data/Beauty.txt": checksum}),
        "leave one out: each user's last item to test on, the last but one to choose with",
    )


def _multi30k() -> Corpus:
    repository, commit = "multi30k/dataset", "a3d2e0d26b56f3846f66a952536ffed4e401d05a"
    paths = {
        "train.en.gz": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
        "train.de.gz": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
        "val.en.gz": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
        "val.de.gz": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
        "test_2016_flickr.en.gz": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
        "test_2016_flickr.de.gz": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
    }
    return Corpus(
        "multi30k",
        "Descriptions of 31,014 pictures in English and German, one sentence a line",
        f"https://github.com/{repository}",
        "none stated; pictures for research and education only",
        "multi30k",
        github(repository, commit, {f"data/task1/raw/{file}": checksum for file, checksum in paths.items()}),
        "in the files: train, val, test_2016_flickr",
    )


CORPORA: dict[str, Corpus] = {corpus.name: corpus for corpus in (_tinyshakespeare(), _amazon_beauty(), _multi30k())}
