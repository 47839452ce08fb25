"""A process that adds runs, killed at random: the catalogue stays whole, and adding again completes.

LERF_TEST_KILLS=20 kills it so often.
"""

import os
import random
import subprocess
import sys
import time

import pytest
from changed_runs import changed_run

from lerf.catalogue.catalogue import Catalogue

pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'lerf[catalogue]'")
KILLS = int(os.environ.get("LERF_TEST_KILLS", "2"))
ADDER = """
import sys, torch
from lerf.catalogue.catalogue import Catalogue
catalogue = Catalogue(sys.argv[1])
print("ready", flush=True)
while True:
    for run in sys.argv[2:]:
        catalogue.remove(run)
        catalogue.add(run)
"""


@pytest.mark.timeout(1800)
def test_an_adding_process_killed_at_random_leaves_a_whole_catalogue(lifted_run, tmp_path):
    runs = [str(changed_run(lifted_run, tmp_path / f"run-{n}", 30 * n)) for n in range(2)]
    place, chance = tmp_path / "catalogue", random.Random(5)
    for run in runs:
        Catalogue(place).add(run)
    support = next(path for path in sys.path if path.endswith("tests/support"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([support, *sys.path])}
    states = []
    for _ in range(KILLS):
        command = [sys.executable, "-c", ADDER, str(place), *runs]
        adder = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert adder.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.0, 8.0))
        assert adder.poll() is None, "the adder ended by itself"
        adder.kill()
        adder.wait()
        adder.stdout.close()
        found = Catalogue(place).check()
        assert (found.damaged, found.stale, found.gone) == ((), (), ())
        states.append((found.runs, found.left_over))
        for run in runs:
            Catalogue(place).add(run)
        whole = Catalogue(place)
        assert [entry.name for entry in whole.entries()] == runs
        assert whole.check().left_over == 0
        assert whole.store.count("cells") == sum(entry.rows for entry in whole.entries())
    print("runs and left-over additions after each kill:", states)
