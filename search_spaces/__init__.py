"""Search spaces that come with the package: one question per YAML file."""
