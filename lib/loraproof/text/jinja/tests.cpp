// SPDX-License-Identifier: Apache-2.0
// What can stand after `is`.
#include <cmath>

#include "loraproof/text/jinja/operators.h"
#include "loraproof/text/jinja/print.h"
#include "loraproof/text/jinja/tables.h"
#include "loraproof/text/jinja/unicode.h"

namespace loraproof::text::jinja {
namespace {

Value one_argument(const char* name, const Args& args) {
  return *bind(name, args, {"other"}, 1)[0];
}

template <Kind kKind>
bool is_kind(Evaluator&, const Value& v, const Args& args) {
  no_arguments("test", args);
  return v.is(kKind);
}

bool is_defined(Evaluator&, const Value& v, const Args& args) {
  no_arguments("defined", args);
  return !v.is(Kind::Undefined);
}

template <bool kTrue>
bool is_bool_value(Evaluator&, const Value& v, const Args& args) {
  no_arguments("test", args);
  return v.is(Kind::Bool) && (v.as_int() != 0) == kTrue;
}

bool is_number(Evaluator&, const Value& v, const Args& args) {
  no_arguments("number", args);
  return v.is_number();
}

bool is_sequence(Evaluator&, const Value& v, const Args& args) {
  no_arguments("sequence", args);
  switch (v.kind()) {
    case Kind::Undefined:  // Has a length and an item access, as far as Jinja can see.
    case Kind::String:
    case Kind::List:
    case Kind::Tuple:
    case Kind::Dict:
    case Kind::Range: return true;
    default: return false;
  }
}

bool is_iterable(Evaluator&, const Value& v, const Args& args) {
  no_arguments("iterable", args);
  return v.iterable();
}

bool is_callable(Evaluator&, const Value& v, const Args& args) {
  no_arguments("callable", args);
  return v.is(Kind::Callable) || v.is(Kind::Undefined) || v.is(Kind::Loop);
}

Value remainder(const Value& v, std::int64_t by) {
  return binary_operator("%", v, Value::integer(by));
}

bool is_odd(Evaluator&, const Value& v, const Args& args) {
  no_arguments("odd", args);
  return equal(remainder(v, 2), Value::integer(1));
}

bool is_even(Evaluator&, const Value& v, const Args& args) {
  no_arguments("even", args);
  return equal(remainder(v, 2), Value::integer(0));
}

bool is_divisible(Evaluator&, const Value& v, const Args& args) {
  return equal(binary_operator("%", v, *bind("divisibleby", args, {"num"}, 1)[0]),
               Value::integer(0));
}

template <bool kLower>
bool is_case(Evaluator& e, const Value& v, const Args& args) {
  no_arguments("test", args);
  const Value text = Value::string(to_text(v));
  return e.call(*string_method(text, kLower ? "islower" : "isupper"), {}).truthy();
}

bool is_escaped(Evaluator&, const Value& v, const Args& args) {
  no_arguments("escaped", args);
  return v.is_markup();
}

bool is_equal(Evaluator&, const Value& v, const Args& args) {
  return equal(v, one_argument("eq", args));
}
bool is_not_equal(Evaluator&, const Value& v, const Args& args) {
  return !equal(v, one_argument("ne", args));
}
bool is_less(Evaluator&, const Value& v, const Args& args) {
  return order(v, one_argument("lt", args), "<") == -1;
}
bool is_less_equal(Evaluator&, const Value& v, const Args& args) {
  return order(v, one_argument("le", args), "<=") <= 0;
}
bool is_greater(Evaluator&, const Value& v, const Args& args) {
  return order(v, one_argument("gt", args), ">") == 1;
}
bool is_greater_equal(Evaluator&, const Value& v, const Args& args) {
  const int result = order(v, one_argument("ge", args), ">=");
  return result == 0 || result == 1;
}
bool is_in(Evaluator&, const Value& v, const Args& args) {
  return contains(*bind("in", args, {"seq"}, 1)[0], v);
}

bool is_same(Evaluator&, const Value& v, const Args& args) {
  const Value other = one_argument("sameas", args);
  if (v.kind() != other.kind()) return false;
  if (v.is(Kind::None)) return true;
  if (v.is(Kind::Bool)) return v.as_int() == other.as_int();
  if (v.kind() <= Kind::String) fail_unsupported("'is sameas' with " + v.type_name());
  return v.node() == other.node();
}

bool is_filter(Evaluator&, const Value& v, const Args& args) {
  no_arguments("filter", args);
  return known_filter(string_of(v)) != Known::No;
}

bool is_test(Evaluator&, const Value& v, const Args& args) {
  no_arguments("test", args);
  return known_test(string_of(v)) != Known::No;
}

struct Row {
  const char* name;
  Test test;
};

constexpr Row kTests[] = {
    {"!=", is_not_equal},
    {"<", is_less},
    {"<=", is_less_equal},
    {"==", is_equal},
    {">", is_greater},
    {">=", is_greater_equal},
    {"boolean", is_kind<Kind::Bool>},
    {"callable", is_callable},
    {"defined", is_defined},
    {"divisibleby", is_divisible},
    {"eq", is_equal},
    {"equalto", is_equal},
    {"escaped", is_escaped},
    {"even", is_even},
    {"false", is_bool_value<false>},
    {"filter", is_filter},
    {"float", is_kind<Kind::Float>},
    {"ge", is_greater_equal},
    {"greaterthan", is_greater},
    {"gt", is_greater},
    {"in", is_in},
    {"integer", is_kind<Kind::Int>},
    {"iterable", is_iterable},
    {"le", is_less_equal},
    {"lessthan", is_less},
    {"lower", is_case<true>},
    {"lt", is_less},
    {"mapping", is_kind<Kind::Dict>},
    {"ne", is_not_equal},
    {"none", is_kind<Kind::None>},
    {"number", is_number},
    {"odd", is_odd},
    {"sameas", is_same},
    {"sequence", is_sequence},
    {"string", is_kind<Kind::String>},
    {"test", is_test},
    {"true", is_bool_value<true>},
    {"undefined", is_kind<Kind::Undefined>},
    {"upper", is_case<false>},
};

}  // namespace

Test find_test(std::string_view name) {
  for (const Row& row : kTests) {
    if (name == row.name) return row.test;
  }
  return nullptr;
}

Known known_test(std::string_view name) {
  return find_test(name) != nullptr ? Known::Yes : Known::No;
}

}  // namespace loraproof::text::jinja
