// SPDX-License-Identifier: Apache-2.0
// Any bytes as a tokenizer.json; what loads must encode and decode without harm.
#include "fuzz/fuzz.h"
#include "loraproof/core/file.h"
#include "loraproof/text/tokenizer.h"
#include "loraproof/text/tokenizer_digest.h"
#include "loraproof/text/unicode.h"

namespace {

using loraproof::fuzz::as_text;
using loraproof::fuzz::fuzz_check;
using loraproof::text::Tokenizer;

constexpr std::string_view kText =
    " a  b<s>ab's 123\n\ncafe\u0301 \u6f22\u5b57 \xF0\x9F\x98\x80\u2581 x\u00e9<e> ABc'LL \t!? "
    "'ab/";

void check(std::string_view file) {
  const Tokenizer tokenizer = Tokenizer::from_json(file, "fuzz");
  fuzz_check(tokenizer.vocab_size() > 0, "a vocabulary has tokens");
  for (const bool flag : {false, true}) {
    const auto ids = tokenizer.encode(kText, flag);
    fuzz_check(ids == tokenizer.encode(kText, flag), "encoding is a function of the text");
    for (const auto id : ids) fuzz_check(id >= 0, "ids are not negative");
    fuzz_check(loraproof::text::is_valid_utf8(tokenizer.decode(ids, flag)),
               "decoded text is UTF-8");
  }
}

// Small enough that mutations often hit structure and not the vocabulary.
std::string tokenizer_json(std::string_view parts, std::string_view model) {
  return R"({"version":"1.0","added_tokens":[{"id":9,"content":"<s>","single_word":false,"lstrip":true,"rstrip":true,)"
         R"("normalized":false,"special":true},{"id":10,"content":"<e>","single_word":true,"lstrip":false,"rstrip":false,)"
         R"("normalized":true,"special":false}],)" +
         std::string(parts) + R"("model":{"type":"BPE","unk_token":"a",)" + std::string(model) +
         R"("vocab":{"a":0,"b":1,"ab":2,"c":3,"<0x41>":4,")" + "\u2581" + R"(":5,")" + "\u0120" +
         R"(":6},)" + R"("merges":["a b"]}})";
}

}  // namespace

namespace loraproof::fuzz {

Corpus corpus() {
  return {
      .seeds =
          {tokenizer_json(
               R"("normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[)"
               R"({"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":true,)"
               R"("trim_offsets":true,"use_regex":true}]},"post_processor":{"type":"TemplateProcessing",)"
               R"("single":[{"SpecialToken":{"id":"s","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],)"
               R"("pair":[],"special_tokens":{"s":{"id":"s","ids":[9],"tokens":["s"]}}},)"
               R"("decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},)",
               R"("ignore_merges":true,)"),
           tokenizer_json(
               R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"_"},)"
               R"({"type":"Replace","pattern":{"String":" "},"content":"x"}]},"pre_tokenizer":{"type":"Split",)"
               R"("pattern":{"String":"b"},"behavior":"MergedWithNext","invert":true},"decoder":{"type":"Sequence",)"
               R"("decoders":[{"type":"Replace","pattern":{"String":"x"},"content":" "},{"type":"ByteFallback"},)"
               R"({"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},)",
               R"("byte_fallback":true,"fuse_unk":true,)"),
           tokenizer_json(
               R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first","split":false},)"
               R"("decoder":{"type":"Metaspace","replacement":"_","prepend_scheme":"always"},)",
               "")},
      .dictionary = {R"("type":)",
                     R"("Isolated")",
                     R"("Removed")",
                     R"("Contiguous")",
                     R"("MergedWithPrevious")",
                     R"("String")",
                     R"("Regex")",
                     R"("\\p{N}{1,3}")",
                     R"({"type":"Punctuation"})",
                     R"("never")",
                     R"("always")",
                     R"([["a","b"]])",
                     "\"\"",
                     "true",
                     "false",
                     "null",
                     "[]",
                     "{}",
                     "[[",
                     "2097151",
                     "\\u2581",
                     "\\ud800",
                     "\xff",
                     "\xe2\x96\x81"}};
}

}  // namespace loraproof::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  loraproof::fuzz::only_input_errors([&] { check(as_text(data, size)); });
  loraproof::fuzz::only_input_errors(
      [&] { (void)loraproof::text::tokenizer_field_digests(as_text(data, size), "fuzz"); });
  return 0;
}
