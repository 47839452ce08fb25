"""Generated scenes of everyday objects: modelled, arranged, photographed by path tracing and annotated.

`kinds/` models objects out of the meshes of `mesh.py`; `arrange.py` draws a composition of objects, furniture and
lights from a seed; `render.py` photographs it with mitsuba; `phrases.py` lists phrases and what they are true of;
`write.py` writes the capture with its annotation. Needs the extra `lerf[scenes]`. `lerf` reads the annotations
(`lerf.evaluation.annotations`) and imports this package for the command `make-scene` only.
"""
