"""The type checker of the tests: beartype as type hints are meant, where an int will do for a float (PEP 484)."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
