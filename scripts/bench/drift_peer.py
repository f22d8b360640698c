#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The peer of scripts/bench/drift: token counts with Hugging Face tokenizers, then Evidently's drift report on them.

    drift_peer.py REFERENCE CURRENT TOKENIZER_JSON --log LOG [--lengths]    RAYON_NUM_THREADS: threads of encode_batch

Both logs are read in blocks, each prompt is encoded once, and the report has PSI of the tokens, one row each. --lengths: the least
such a script can do; only the numbers of tokens and bytes of a prompt are kept, and the report has PSI of these two columns. Appends
the seconds, peak RSS and processor seconds of the calls of encode_batch by themselves to LOG as "encode_batch", and prints the
numbers of tokens.
"""
import argparse
import itertools
import json
import resource
import time

import numpy
import pandas
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from tokenizers import Tokenizer

BLOCK = 8192  # prompts


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Encoder:
    def __init__(self, path):
        self.tokenizer = Tokenizer.from_file(path)
        self.seconds = self.processor = 0.0

    def ids(self, prompts):
        seconds, processor = time.monotonic(), processor_seconds()
        encodings = self.tokenizer.encode_batch(prompts, add_special_tokens=False)
        self.seconds += time.monotonic() - seconds
        self.processor += processor_seconds() - processor
        return [encoding.ids for encoding in encodings]


def prompts_of(path):
    with open(path) as lines:
        while block := list(itertools.islice(lines, BLOCK)):
            yield [json.loads(line)["prompt"] for line in block]


def lengths(path, encoder):
    tokens, sizes = [], []
    for prompts in prompts_of(path):
        tokens += map(len, encoder.ids(prompts))
        sizes += [len(prompt.encode()) for prompt in prompts]
    return pandas.DataFrame({"tokens": tokens, "bytes": sizes})


def token_ids(path, encoder):
    ids = [numpy.concatenate([numpy.array(row, dtype=numpy.int32) for row in encoder.ids(prompts)]) for prompts in prompts_of(path)]
    return pandas.DataFrame({"ids": numpy.concatenate(ids)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference")
    parser.add_argument("current")
    parser.add_argument("tokenizer")
    parser.add_argument("--log", required=True)
    parser.add_argument("--lengths", action="store_true", help="PSI of numbers of tokens and bytes, not of the tokens")
    options = parser.parse_args()
    encoder = Encoder(options.tokenizer)
    frames = [(lengths if options.lengths else token_ids)(path, encoder) for path in (options.reference, options.current)]
    columns = list(frames[0].columns)
    definition = DataDefinition(**{"numerical_columns" if options.lengths else "categorical_columns": columns})
    reference, current = [Dataset.from_pandas(frame, definition) for frame in frames]
    report = Report([ValueDrift(column=name, method="psi") for name in columns]).run(current, reference)
    with open(options.log, "a") as log:
        rss_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print("encode_batch", encoder.seconds, rss_kb, encoder.processor, file=log)
        print("tokens", sum(int(frame["tokens"].sum()) if options.lengths else len(frame) for frame in frames), file=log)
    for metric in report.dict()["metrics"]:
        print(metric["metric_name"], float(metric["value"]))


main()
