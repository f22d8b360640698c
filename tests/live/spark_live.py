#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does examples/spark_drift do on a cluster what its README says?

spark_live.py --binary PATH --root DIR --work DIR

A Spark of two worker processes (local-cluster) profiles a log that is cut into partitions, and must give the bytes of one
loraproof process that reads the same partitions as files; sealed, those of one that reads the whole log. Tasks that fail
once, children that fail always, equal partitions and empty ones are tried as well, and then the commands of the README.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import random
import re
import shutil
import sys

from live_support import Tally, fresh_folder, run, skip

MASTER = "local-cluster[2,1,1024]"
PARTITION_BYTES = 48 << 10  # so that the log has more partitions than Spark has workers
# Fails the first time it sees a partition, as a lost executor would; then hands it to loraproof.
FLAKY = """#!/bin/sh
seen="{folder}/$(tee "{folder}/$$" | cksum | cut -d' ' -f1)"
[ -e "$seen" ] || {{ touch "$seen"; echo "lost for once" >&2; exit 1; }}
exec "{binary}" "$@" < "{folder}/$$"
"""
FAILING = '#!/bin/sh\ncat > /dev/null; echo "the disk is full" >&2; exit 3\n'
DEAF = '#!/bin/sh\nexit 0\n'  # reads nothing, says nothing, and claims that all is well


def missing_peer():
    for module in ("pyspark", "pandas", "pyarrow"):
        if importlib.util.find_spec(module) is None:
            return f"no {module} in {sys.executable}"
    java = pathlib.Path(os.environ["JAVA_HOME"], "bin/java") if os.environ.get("JAVA_HOME") else shutil.which("java")
    return "" if java and os.path.exists(java) else "no java"


def set_environment(work):
    """Spark writes into its home; the links keep that out of the installed package."""
    import pyspark

    home = work / "home"
    home.mkdir()
    for path in pathlib.Path(pyspark.__file__).parent.iterdir():
        (home / path.name).symlink_to(path)
    (work / "conf").mkdir()
    # Short runs: compiling and collecting at full effort would cost more than it saves.
    java = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    (work / "conf/spark-defaults.conf").write_text(
        f"spark.ui.enabled false\nspark.driver.extraJavaOptions {java}\nspark.executor.extraJavaOptions {java}\n")
    os.environ |= {"SPARK_HOME": str(home), "SPARK_CONF_DIR": str(work / "conf"), "SPARK_LOCAL_IP": "127.0.0.1",
                   "SPARK_LOCAL_DIRS": str(work / "local"), "PYSPARK_PYTHON": sys.executable,
                   "PATH": f"{home / 'bin'}:{os.environ['PATH']}"}


def write_logs(root, folder):
    """Files of prompts (clean), and one with what may stand in a log besides."""
    words = sorted({w for line in (root / "tests/fixtures/drift/log.jsonl").read_text().splitlines()
                    for w in str(json.loads(line).get("prompt", "")).split()})
    draw = random.Random(7)
    folder.mkdir()
    number = 0
    for name, lines in {"a": 900, "b": 500, "c": 1}.items():
        with open(folder / name, "w", encoding="utf-8") as file:
            for number in range(number + 1, number + 1 + lines):
                prompt = " ".join(draw.choices(words, k=draw.randint(1, 30)))
                file.write(json.dumps({"id": number, "prompt": prompt}, ensure_ascii=False) + "\n")
    (folder / "empty").touch()
    dirty = [b'{"prompt": "ends with CR LF"}\r', b"", b'{"prompt": "not \xff UTF-8"}', b'{"prompt":', b'{"other": 1}',
             b'{"prompt":\r"a CR inside"}', b'{"prompt": "no line end"}']
    (folder / "dirty").write_bytes(b"\n".join(dirty))


class Story:
    def __init__(self, options, spark, example, tally):
        self.binary, self.work, self.spark, self.example, self.tally = options.binary, options.work, spark, example, tally
        self.tokenizer = options.root / "examples/demo-model/base/tokenizer.json"
        self.logs = options.work / "logs"
        self.map = options.work / "map.drift"

    def loraproof(self, *words):
        return run([self.binary, "drift", *words, "--quiet"])

    def lines(self, *names):
        return self.example.read_lines(self.spark, [f"file:{self.logs / name}" for name in names or ("",)])

    def profiles(self, lines, how, binary=None, part="", key=(), options=("--reference",)):
        files = [binary or self.binary, self.tokenizer, self.map, *key]
        profiler = self.example.Profiler(self.spark, files, options, part)
        return how(lines, profiler)

    def merged(self, name, profiles):
        """(exit status of merge, bytes of the sum)"""
        path = self.work / name
        status = self.example.merge(self.binary, profiles, path)
        return status, path.read_bytes() if status == 0 else b""

    def one_process(self, name, *words):
        path = self.work / name
        status, _, errors = self.loraproof("profile", *words, "--tokenizer", self.tokenizer, "--map", self.map,
                                           "--reference", "--output", path)
        return path.read_bytes() if status == 0 else errors.encode()

    def summary(self, name):
        """What the JSON report says of a profile, without what depends on how the log was cut."""
        _, output, _ = self.loraproof("merge", self.work / name, "--output", self.work / "again", "--format", "json")
        profile = json.loads(output)["metrics"]["profile"]
        return {key: value for key, value in profile.items() if key not in ("parts", "sha256")}

    def sealed(self, name):
        path = self.work / f"{name}-sealed"
        status, _, errors = self.loraproof("seal", self.work / name, "--min-prompts", "2", "--output", path)
        return path.read_bytes() if status == 0 else errors

    def make_map(self):
        options = argparse.Namespace(logs=[f"file:{self.logs}"], fraction=0.5, output=self.work / "sample")
        self.example.sample(self.spark, options)
        size = len(options.output.read_bytes().splitlines())
        self.tally.check("half of the lines are sampled", 600 < size < 800, f"{size} of 1408")
        status, _, errors = self.loraproof("map", options.output, "--tokenizer", self.tokenizer, "-o", self.map)
        return self.tally.check("map of a sample", status == 0, errors)

    def partitions_as_files(self, lines, folder):
        """Writes each partition to a file, from where it is; the working folders of the workers that did."""
        fresh_folder(folder)

        def write(batches):
            import pandas
            from pyspark import TaskContext

            data = b"".join(line + b"\n" for batch in batches for line in batch["value"])
            pathlib.Path(folder, f"{TaskContext.get().partitionId():03d}").write_bytes(data)
            yield pandas.DataFrame({"folder": [os.getcwd()]})

        return {row.folder for row in lines.mapInPandas(write, "folder string").collect()}

    def check_identity(self):
        check = self.tally.check
        profiles = self.profiles(self.lines(), self.example.profiles_in_pandas)
        status, spark = self.merged("spark", profiles)
        check("a profile for each partition", len(profiles) > 3 and status == 0, f"{len(profiles)} partitions")
        workers = self.partitions_as_files(self.lines(), self.work / "partitions")
        check("two workers took part", len(workers) == 2, f"{len(workers)}")
        files = sorted((self.work / "partitions").iterdir())
        check("the same bytes as one process on them", spark == self.one_process("one", *files), f"{len(spark)} bytes")
        check("the same bytes in another order", spark == self.merged("back", profiles[::-1])[1])
        whole = self.work / "whole.jsonl"
        whole.write_bytes(b"".join(path.read_bytes() for path in files))
        self.one_process("whole", whole)
        same = self.summary("spark") == self.summary("whole")
        check("the same numbers as the whole log", same, str(self.summary("spark"))[:150])
        check("the malformed lines too", self.summary("spark")["malformed"] | {} ==
              {**{k: 0 for k in self.summary("spark")["malformed"]}, "not JSON": 1, "not UTF-8": 1, "field missing": 1})
        check("sealed, the same bytes as the whole log", self.sealed("spark") == self.sealed("whole"))
        return spark

    def check_ways(self, spark):
        check, example = self.tally.check, self.example
        clean = self.lines("a", "b", "c", "empty")
        pandas = self.merged("pandas", self.profiles(clean, example.profiles_in_pandas))
        check("RDD.pipe gives the same bytes", pandas == self.merged("pipe", self.profiles(clean, example.profiles_by_pipe)))
        flaky = self.script("flaky", FLAKY.format(folder=fresh_folder_of(self.work / "seen"), binary=self.binary))
        again = self.merged("again", self.profiles(self.lines(), example.profiles_in_pandas, flaky))
        check("tasks that were tried again change nothing", again == (0, spark))
        window = self.profiles(clean, example.profiles_by_pipe, options=())
        self.merged("window", window)
        status, _, errors = self.loraproof("compare", self.work / "spark", self.work / "window")
        check("reference and window are compared", status == 0, errors)

    def script(self, name, text):
        path = self.work / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def check_failures(self):
        lines = self.lines("c")
        key = self.work / "key"
        key.write_text("not the key of the map")
        children = {"failing": ("the disk is full", {"binary": self.script("failing", FAILING)}),
                    "deaf": ("", {"binary": self.script("deaf", DEAF)}), "refusing": ("", {"key": [key]})}
        for name, (says, how_called) in children.items():
            for how in (self.example.profiles_in_pandas, self.example.profiles_by_pipe):
                said = ""
                try:
                    self.profiles(lines, how, **how_called)
                except Exception as error:  # of several kinds: Py4J's, PySpark's
                    said = str(error)
                right = "no profile: " + says in said and (name != "refusing" or "the key differs" in said)
                self.tally.check(f"{name} child, {how.__name__}", right, "" if right else said[:300])
        other = fresh_folder_of(self.work / "other") / "map.drift"
        other.write_bytes(b"another map")
        try:
            self.example.ship(self.spark, other)
            self.tally.check("a second file of one name is refused", False)
        except ValueError as error:
            self.tally.check("a second file of one name is refused", "another file named map.drift" in str(error))

    def check_parts(self):
        check, pandas = self.tally.check, self.example.profiles_in_pandas
        for copy in ("c", "c2"):
            shutil.copy(self.logs / "c", fresh_folder_of(self.logs / f"part={copy}") / "log")
        # Partitions of the union are those of its sides. Spark cuts the one line in three, two of which get nothing.
        twice = self.lines("part=c").union(self.lines("part=c2"))
        status, _ = self.merged("twice", self.profiles(twice, pandas))
        check("equal partitions are refused", status == 3, f"exit {status}")
        status, _ = self.merged("twice", self.profiles(twice, pandas, part="day"))
        _, output, _ = self.loraproof("merge", self.work / "twice", "--output", self.work / "again", "--format", "json")
        parts = json.loads(output)["metrics"]["profile"]["parts"]
        numbered = len(parts) == 2 and all(re.fullmatch(r"day-\d{5}", part) for part in parts)
        check("unless they are numbered", status == 0 and numbered, f"{parts}")
        for how in (pandas, self.example.profiles_by_pipe):
            profiles = self.profiles(self.lines("empty"), how)
            check(f"an empty log, {how.__name__}", profiles == [], f"{len(profiles)} profiles")


def fresh_folder_of(path):
    fresh_folder(path)
    return path


def check_readme(options, tally):
    """Its commands, from a folder that looks like the root of the repository."""
    folder = fresh_folder_of(options.work / "readme")
    for name in ("examples", "tests"):
        (folder / name).symlink_to(options.root / name)
    (folder / "build/dev/apps/loraproof").mkdir(parents=True)
    (folder / "build/dev/apps/loraproof/loraproof").symlink_to(options.binary)
    text = (options.root / "examples/spark_drift/README.md").read_text(encoding="utf-8")
    commands = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    tally.check("the README has commands", len(commands) == 5)
    for number, command in enumerate(commands):
        status, output, errors = run(["bash", "-c", f"cd '{folder}' && {command}"])
        tally.check(f"command {number + 1} of the README", status == 0, "" if status == 0 else errors[-500:])
    tally.check("no drift", "verdict: pass" in output)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("binary", "root", "work"):
        parser.add_argument(f"--{name}", type=lambda text: pathlib.Path(text).resolve(), required=True)
    options = parser.parse_args()
    if missing := missing_peer():
        return skip(missing)
    fresh_folder(options.work)
    set_environment(options.work)
    write_logs(options.root, options.work / "logs")
    sys.path.insert(0, str(options.root / "examples/spark_drift"))
    sys.dont_write_bytecode = True
    import spark_drift
    from pyspark.sql import SparkSession

    tally = Tally()
    settings = {"spark.sql.files.maxPartitionBytes": PARTITION_BYTES, "spark.sql.files.openCostInBytes": 0,
                "spark.task.maxFailures": 2,
                "spark.scheduler.minRegisteredResourcesRatio": 1}  # or one worker has done it all before the other is up
    spark = SparkSession.builder.master(MASTER).config(map=settings).getOrCreate()
    try:
        spark.sparkContext.setLogLevel("OFF")
        spark.sparkContext.addPyFile(spark_drift.__file__)
        story = Story(options, spark, spark_drift, tally)
        if story.make_map():
            story.check_ways(story.check_identity())
            story.check_failures()
            story.check_parts()
    finally:
        spark.stop()
    check_readme(options, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
