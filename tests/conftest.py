"""Settings for every test: the same examples on every run and every machine."""

import hypothesis

hypothesis.settings.register_profile("foretell", deadline=None, derandomize=True)
hypothesis.settings.load_profile("foretell")
