# The modules of lib/loraproof, bottom to top: the one list. The build takes its folders and their order from it,
# tests/meta/layers.sh what may include what and which modules are free of libtorch, tests/meta/modules_page.sh the table of
# docs/architecture.md. A row: name | libtorch: no, yes or part | modules that it may include, besides itself | what it holds.
set(LORAPROOF_MODULE_TABLE
  "core|no||Error, exit codes, strict JSON and YAML, files (mapped, atomic), SHA-256, progress, log"
  "io|no|core|safetensors, GGUF, checkpoints (shards as one name → view map), Hugging Face cache, digests, JSON Lines"
  "text|no|core|tokenizer.json pipeline, chat templates"
  "stats|no|core|divergences, intervals, paired tests, tests of drift, what a row of logits says: pure functions on spans"
  "report|no|core|Report, Check, Measure, rules, policy, gate, writers: knows no domain"
  "drift|no|core io text stats|profiles of traffic: reading logs, state, merging, sealing, file format, comparing"
  "tensor|yes|core io|the border between files and libtorch"
  "adapter|part|core io tensor|PEFT config, keys, placement, zero effect, identity (no libtorch). Landing, effect, `ModulePatch`"
  "quant|no|core io|quantisation schemes by name: what a library would store of a weight, and the values it computes with"
  "candidate|no|core io quant|weights of quantised checkpoints (GPTQ, AWQ, compressed-tensors, bitsandbytes, FP8, torchao, GGUF) under Hugging Face names, as their own library dequantises them"
  "merge|no|core io adapter quant|layout of any base by names and shapes, plan, low-rank sums rounded once, blocks from files to files"
  "nn|yes|core tensor adapter|linear (the only place where an adapter touches a forward), its BF16 product for CPUs, norm, rope, attention"
  "model|yes|core io tensor adapter nn|config.json → DecoderConfig by family, one decoder layer, names and shapes of weights"
  "engine|yes|core io tensor adapter nn model|pack, lane, weight variants, layer store (resident or streamed), sweep, decode"
  "deploy|yes|core io candidate tensor adapter quant merge nn model engine|a scheme on a whole matrix, a weight with its adapter in it, and the orders of both as variants of lanes"
  "golden|yes|core io text stats tensor adapter engine|suite, match, reference, observe, compare, spread, lanes against each other"
  "commands|part|core io text stats report drift candidate tensor adapter quant merge nn model engine deploy golden|one function per subcommand: options in, Report out. Lanes, measures, baseline, rules.yaml, `inspect` without a base (no libtorch)"
)
# apps/loraproof, above them all.
set(LORAPROOF_APP_ROW
  "app|part|core report commands|command line, table of subcommands, main. `loraproof` without, `loraproof-engine` with libtorch")

# LORAPROOF_MODULES: the names in order. LORAPROOF_MODULES_WITHOUT_TORCH: those with "no".
# LORAPROOF_MAY_INCLUDE_<name>: the modules of its row, and itself.
set(LORAPROOF_MODULES "")
set(LORAPROOF_MODULES_WITHOUT_TORCH "")
foreach(_row IN LISTS LORAPROOF_MODULE_TABLE)
  if(NOT _row MATCHES "^([a-z_]+)\\|(no|yes|part)\\|([a-z_ ]*)\\|(.+)$")
    message(FATAL_ERROR "cmake/modules.cmake: a row is name | no, yes or part | modules | text, found: ${_row}")
  endif()
  set(_name "${CMAKE_MATCH_1}")
  set(_torch "${CMAKE_MATCH_2}")
  string(REPLACE " " ";" LORAPROOF_MAY_INCLUDE_${_name} "${CMAKE_MATCH_3}")
  foreach(_below IN LISTS LORAPROOF_MAY_INCLUDE_${_name})
    if(NOT _below IN_LIST LORAPROOF_MODULES)
      message(FATAL_ERROR "cmake/modules.cmake: ${_name} may include ${_below}, which does not stand above it in the list")
    endif()
  endforeach()
  list(APPEND LORAPROOF_MAY_INCLUDE_${_name} "${_name}")
  list(APPEND LORAPROOF_MODULES "${_name}")
  if(_torch STREQUAL "no")
    list(APPEND LORAPROOF_MODULES_WITHOUT_TORCH "${_name}")
  endif()
endforeach()
