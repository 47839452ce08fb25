"""Generated scenes: everyday objects that are modelled, arranged, photographed by path tracing, and fully annotated.

`kinds/` models objects out of `mesh.py`; `arrange.py` puts them on furniture; `render.py` photographs them;
`phrases.py` says what is true of what; `write.py` writes the capture with its annotations.
"""
