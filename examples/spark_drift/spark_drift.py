#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Profiles a log of any size with Spark: one loraproof process for each partition, merged on the driver.

spark_drift.py sample LOG... --fraction F -o FILE           lines for `loraproof drift map`, the same ones every time
spark_drift.py profile LOG... --tokenizer FILE --map FILE -o FILE [--reference] [-- OPTION OF drift profile...]

LOG is whatever spark.read.text takes. README.md beside this file says how, and what is done about retries.
"""
import argparse
import filecmp
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

from pyspark import SparkFiles, TaskContext
from pyspark.sql import SparkSession

PREFIX = "loraproof-drift:"  # a profile as a line of text begins so


def read_lines(spark, logs, partitions=0):
    """The lines as bytes. A string would not do: Spark puts U+FFFD where bytes are no UTF-8, and such a line would count
    as a prompt instead of a malformed line. Neither would the default separator, which is "\\r" as well."""
    lines = spark.read.text(logs, lineSep="\n").selectExpr("cast(value as binary) value")
    return lines.coalesce(partitions) if partitions else lines


def ship(spark, path):
    """Sends a file to every executor, unless `spark-submit --files` has; SparkFiles finds it by the name returned."""
    name = pathlib.Path(path).name
    shipped = SparkFiles.get(name)
    if not os.path.exists(shipped):
        spark.sparkContext.addFile(str(path))
    elif os.path.exists(path) and not filecmp.cmp(path, shipped, shallow=False):
        # Executors keep the first file of a name; a second map would silently not be used.
        raise ValueError(f"{path}: another file named {name} has been shipped; give one of them another name")
    return name


class Profiler:
    """What each partition runs. `names` are those of the shipped files: binary, tokenizer, map and perhaps a key."""

    def __init__(self, spark, files, options=(), part=""):
        self.names = [ship(spark, path) for path in files]
        self.options = list(options)
        self.part = part

    def command(self, find):
        binary, tokenizer, drift_map, *key = (find(name) for name in self.names)
        # Spark gives a task one core; more threads would take them from other tasks.
        return [binary, "drift", "profile", "-", "--tokenizer", tokenizer, "--map", drift_map, "--line", "--quiet",
                "--threads", "1", *(["--key", *key] if key else []), *self.options]

    def __call__(self, batches):
        """For mapInPandas: the batches of one partition become one row, or none where the partition is empty."""
        import pandas

        batches = (batch["value"] for batch in batches if len(batch))
        first = next(batches, None)
        if first is None:
            return
        partition = TaskContext.get().partitionId()
        command = self.command(SparkFiles.get)
        if self.part:
            command += ["--part", f"{self.part}-{partition:05d}"]
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=errors)
            try:
                broken = not feed(child.stdin, first, batches)
                code = child.wait()
            finally:
                child.kill()  # no child outlives its task; one that has ended already does not mind
                child.wait()
            output.seek(0)
            errors.seek(0)
            profile = output.read().decode(errors="replace").rstrip("\n")
            if code != 0 or broken or not profile.startswith(PREFIX):
                said = errors.read().decode(errors="replace")
                raise RuntimeError(f"partition {partition}: loraproof ended with {code} and no profile: {said}")
            yield pandas.DataFrame({"profile": [profile]})


def feed(stdin, first, batches):
    """Writes each line with its end, which Spark has taken off. False when the child stopped reading."""
    try:
        with stdin:
            stdin.write(b"\n".join(first) + b"\n")
            for batch in batches:
                stdin.write(b"\n".join(batch) + b"\n")
    except BrokenPipeError:
        return False
    return True


def profiles_in_pandas(lines, profiler):
    return [row.profile for row in lines.mapInPandas(profiler, "profile string").collect()]


def profiles_by_pipe(lines, profiler):
    """The same with RDD.pipe. Lines pass as text and parts can't be numbered; the child's environment is empty."""
    context = lines.sparkSession.sparkContext
    # A task of a cluster starts in the folder with the shipped files, one of local[*] in that of the driver.
    folder = SparkFiles.getRootDirectory() if context._jsc.isLocal() else "."
    # Standard error goes the same way as the profile, so that expect_profiles can say what the child said.
    command = ["/bin/sh", "-c", 'exec "$0" "$@" 2>&1', *profiler.command(lambda name: f"{folder}/{name}")]
    text = lines.selectExpr("cast(value as string) value").rdd.map(lambda row: row.value)
    return text.pipe(shlex.join(command), checkCode=True).mapPartitions(expect_profiles).collect()


def expect_profiles(output):
    """The profile of a partition. Whatever else its child wrote is an error message, and becomes that of the job."""
    said, profiles = [], []
    try:
        for line in output:
            (profiles if line.startswith(PREFIX) else said).append(line)
    finally:  # the exit code is an exception of the loop, and does not say why
        if said or len(profiles) != 1:
            raise RuntimeError("loraproof wrote no profile: " + "\n".join(said))
    return profiles


def merge(loraproof, profiles, path):
    """One file for each partition: `drift merge` reads files up to 1 GiB."""
    with tempfile.TemporaryDirectory() as folder:
        parts = [pathlib.Path(folder, str(number)) for number in range(len(profiles))]
        for part, profile in zip(parts, profiles):
            part.write_text(profile + "\n")
        return subprocess.run([loraproof, "drift", "merge", *parts, "--output", path]).returncode


def sample(spark, options):
    lines = read_lines(spark, options.logs).sample(options.fraction, seed=0).collect()
    pathlib.Path(options.output).write_bytes(b"".join(row.value + b"\n" for row in lines))
    return 0


def profile(spark, options):
    extra = options.options + (["--reference"] if options.reference else [])
    files = [options.loraproof, options.tokenizer, options.map] + ([options.key] if options.key else [])
    profiler = Profiler(spark, files, extra, options.part)
    lines = read_lines(spark, options.logs, options.partitions)
    profiles = (profiles_by_pipe if options.pipe else profiles_in_pandas)(lines, profiler)
    if not profiles:
        print("the log has no lines", file=sys.stderr)
        return 3
    return merge(SparkFiles.get(profiler.names[0]), profiles, options.output)


def parse(arguments):
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run in (("sample", sample), ("profile", profile)):
        command = commands.add_parser(name)
        command.set_defaults(run=run, options=arguments[end + 1:])
        command.add_argument("logs", nargs="+", metavar="LOG")
        command.add_argument("-o", "--output", required=True)
    commands.choices["sample"].add_argument("--fraction", type=float, required=True, help="of the lines")
    for name in ("--tokenizer", "--map"):
        command.add_argument(name, required=True, metavar="FILE")
    command.add_argument("--key", default="", metavar="FILE", help="as that of `loraproof drift`; it goes to every executor")
    command.add_argument("--reference", action="store_true", help="leave out what the map was made of")
    command.add_argument("--loraproof", default="loraproof", metavar="FILE", help="the binary (%(default)s)")
    command.add_argument("--partitions", type=int, default=0, help="at most so many processes and profiles")
    command.add_argument("--part", default="", metavar="NAME", help="parts are NAME-00000 and so on, not named by content")
    command.add_argument("--pipe", action="store_true", help="RDD.pipe instead of mapInPandas")
    options = parser.parse_args(arguments[:end])
    if options.command == "profile" and options.pipe and options.part:
        parser.error("--part needs the partition's number, which a piped process does not know")
    return options


def main():
    options = parse(sys.argv[1:])
    spark = SparkSession.builder.appName("loraproof drift").getOrCreate()
    try:
        return options.run(spark, options)
    finally:
        spark.stop()


if __name__ == "__main__":
    sys.exit(main())
