// SPDX-License-Identifier: Apache-2.0
// The functions that transformers puts into every chat template.
#include <ctime>

#include "loraproof/text/jinja/evaluator.h"
#include "loraproof/text/jinja/print.h"

namespace loraproof::text::jinja {
namespace {

Value do_range(Evaluator&, const Args& args) {
  const auto a = bind("range", args, {"start", "stop", "step"}, 1, false);
  if (!a[1]) return Value::range(0, integer_of(*a[0]), 1);
  return Value::range(integer_of(*a[0]), integer_of(*a[1]), a[2] ? integer_of(*a[2]) : 1);
}

/// dict(mapping or pairs, **named).
Value::Pairs pairs_of(Evaluator& e, const char* function, const Args& args) {
  Value::Pairs pairs;
  if (args.positional.size() > 1) fail(std::string(function) + " expects at most 1 argument");
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.is(Kind::Dict)) {
      pairs = source.pairs();
    } else {
      for (const Value& item : source.iterate()) {
        const auto parts = item.iterate();
        if (parts.size() != 2) fail(std::string(function) + ": an element has not two parts");
        pairs.emplace_back(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : args.named) pairs.emplace_back(Value::string(name), value);
  e.step(pairs.size());
  return pairs;
}

Value do_dict(Evaluator& e, const Args& args) { return Value::dict(pairs_of(e, "dict", args)); }

Value do_namespace(Evaluator& e, const Args& args) {
  // A dict settles doubled names first; then every name must be one that a template may store.
  const Value attributes = Value::dict(pairs_of(e, "namespace", args));
  for (const auto& [key, value] : attributes.pairs()) {
    if (!key.is(Kind::String)) fail_unsupported("a namespace with names that are not strings");
    if (!key.text().empty() && key.text()[0] == '_') {
      fail("a namespace takes no attribute that starts with '_'");
    }
  }
  return e.adopt_namespace(attributes.pairs());
}

Value do_raise(Evaluator&, const Args& args) {
  const auto a = bind("raise_exception", args, {"message"}, 1);
  throw Failure(FailureKind::Raised, to_text(*a[0]));
}

std::tm calendar(const Evaluator::Clock& now) {
  std::tm out{};
  if (!now) {
    const std::time_t t = std::time(nullptr);
    localtime_r(&t, &out);
    return out;
  }
  // A local time is a local time: no zone takes part.
  const std::time_t t = now->time_since_epoch().count();
  gmtime_r(&t, &out);
  return out;
}

Value do_strftime(Evaluator& e, const Args& args) {
  const auto a = bind("strftime_now", args, {"format"}, 1);
  const std::string& format = string_of(*a[0]);
  if (format.size() > 4096) fail_limit("a date format is too long");
  // datetime.now() knows no time zone, so %z and %Z are empty, and %f is ours to fill in.
  std::string plain;
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char next = i + 1 < format.size() ? format[i + 1] : '\0';
    if (format[i] != '%' || next == '\0') {
      plain.push_back(format[i]);
      continue;
    }
    ++i;
    if (next == 'f') plain += "000000";
    if (next != 'f' && next != 'z' && next != 'Z') plain += {'%', next};
  }
  const std::tm time = calendar(e.now());
  std::string out(plain.size() * 64 + 256, '\0');
  const std::size_t n = std::strftime(out.data(), out.size(), (plain + "|").c_str(), &time);
  if (n == 0) fail_unsupported("a date of that format");
  out.resize(n - 1);
  return Value::string(std::move(out));
}

Value refuse_cycler(Evaluator&, const Args&) { fail_unsupported("the function 'cycler'"); }
Value refuse_joiner(Evaluator&, const Args&) { fail_unsupported("the function 'joiner'"); }
Value refuse_lipsum(Evaluator&, const Args&) { fail_unsupported("the function 'lipsum'"); }

}  // namespace

std::vector<std::pair<std::string, Value>> global_functions() {
  static constexpr std::pair<const char*, Function> table[] = {
      {"range", do_range},           {"dict", do_dict},
      {"namespace", do_namespace},   {"raise_exception", do_raise},
      {"strftime_now", do_strftime}, {"cycler", refuse_cycler},
      {"joiner", refuse_joiner},     {"lipsum", refuse_lipsum},
  };
  std::vector<std::pair<std::string, Value>> out;
  for (const auto& [name, function] : table) out.emplace_back(name, make_function(name, function));
  return out;
}

}  // namespace loraproof::text::jinja
