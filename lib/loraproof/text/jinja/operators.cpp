// SPDX-License-Identifier: Apache-2.0
// Python's operators and slices. Integers have 64 bits; what would need more is refused.
#include "loraproof/text/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "loraproof/text/jinja/evaluator.h"
#include "loraproof/text/jinja/unicode.h"

namespace loraproof::text::jinja {
namespace {

[[noreturn]] void fail_operands(const std::string& op, const Value& a, const Value& b) {
  fail("unsupported operand type(s) for " + op + ": '" + a.type_name() + "' and '" + b.type_name() +
       "'");
}
[[noreturn]] void fail_overflow() { fail_unsupported("integers of more than 64 bits"); }

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (a == std::numeric_limits<std::int64_t>::min() && b == -1) fail_overflow();
  const std::int64_t q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;
  const std::int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

Value integer_power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail("0.0 cannot be raised to a negative power");
    return Value::number(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  if (base == 0 || base == 1) return Value::integer(exponent == 0 ? 1 : base);
  if (base == -1) return Value::integer(exponent % 2 == 0 ? 1 : -1);
  for (std::int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base, &result)) fail_overflow();
  }
  return Value::integer(result);
}

Value integer_operator(const std::string& op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (op == "+") {
    if (__builtin_add_overflow(a, b, &result)) fail_overflow();
  } else if (op == "-") {
    if (__builtin_sub_overflow(a, b, &result)) fail_overflow();
  } else if (op == "*") {
    if (__builtin_mul_overflow(a, b, &result)) fail_overflow();
  } else if (op == "**") {
    return integer_power(a, b);
  } else {
    if (b == 0) fail("division by zero");
    if (op == "/") return Value::number(static_cast<double>(static_cast<long double>(a) / b));
    result = op == "//" ? floor_div(a, b) : floor_mod(a, b);
  }
  return Value::integer(result);
}

double float_mod(double a, double b) {
  double mod = std::fmod(a, b);
  if (mod != 0.0) {
    if ((b < 0) != (mod < 0)) mod += b;
    return mod;
  }
  return std::copysign(0.0, b);
}

double float_floor_div(double a, double b) {
  // As CPython's float_floor_div.
  double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0.0 && (b < 0) != (mod < 0)) div -= 1.0;
  if (div == 0.0) return std::copysign(0.0, a / b);
  const double floored = std::floor(div);
  return div - floored > 0.5 ? floored + 1.0 : floored;
}

Value float_operator(const std::string& op, double a, double b) {
  if (op == "+") return Value::number(a + b);
  if (op == "-") return Value::number(a - b);
  if (op == "*") return Value::number(a * b);
  if (op == "**") {
    if (a == 0.0 && b < 0) fail("0.0 cannot be raised to a negative power");
    if (a < 0 && std::floor(b) != b) fail_unsupported("complex numbers");
    const double result = std::pow(a, b);
    if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) fail("result too large");
    return Value::number(result);
  }
  if (b == 0.0) fail("float division by zero");
  if (op == "/") return Value::number(a / b);
  return Value::number(op == "//" ? float_floor_div(a, b) : float_mod(a, b));
}

Value repeat_value(const Value& v, std::int64_t count) {
  if (v.is(Kind::String)) {
    BoundedText text;
    text.repeat(v.text(), count);
    return Value::string(text.take());
  }
  Value::Items items;
  const auto& unit = v.items();
  if (count > 0 && !unit.empty()) {
    if (static_cast<std::uint64_t>(count) > Limits::kItems / unit.size()) {
      fail_limit("a list of the template grows too long");
    }
    for (std::int64_t i = 0; i < count; ++i) items.insert(items.end(), unit.begin(), unit.end());
  }
  return Value::sequence(v.kind(), std::move(items));
}

bool repeatable(const Value& v) {
  return v.is(Kind::String) || v.is(Kind::List) || v.is(Kind::Tuple);
}

struct Bounds {
  std::int64_t start, step, count;
};

/// Python's slice.indices().
Bounds slice_bounds(std::int64_t length, const std::optional<Value>& start,
                    const std::optional<Value>& stop, const std::optional<Value>& step) {
  const auto given = [](const std::optional<Value>& v) -> std::optional<std::int64_t> {
    if (!v || v->is(Kind::None)) return std::nullopt;
    if (v->is(Kind::Undefined) || !v->is_integral()) {
      fail("slice indices must be integers or None");
    }
    return v->as_int();
  };
  const std::int64_t stride = given(step).value_or(1);
  if (stride == 0) fail("slice step cannot be zero");
  const std::int64_t low = stride < 0 ? -1 : 0;
  const std::int64_t high = stride < 0 ? length - 1 : length;
  const auto clamp = [&](std::optional<std::int64_t> v, std::int64_t fallback) {
    if (!v) return fallback;
    return std::clamp(*v < 0 ? *v + length : *v, low, high);
  };
  const std::int64_t from = clamp(given(start), stride < 0 ? high : low);
  const std::int64_t to = clamp(given(stop), stride < 0 ? low : high);
  if (stride > 0 ? from >= to : from <= to) return {0, 1, 0};
  const std::uint64_t span = static_cast<std::uint64_t>(stride > 0 ? to - from : from - to);
  const std::uint64_t width =
      stride > 0 ? static_cast<std::uint64_t>(stride) : ~static_cast<std::uint64_t>(stride) + 1;
  return {from, stride, static_cast<std::int64_t>((span - 1) / width + 1)};
}

}  // namespace

void BoundedText::repeat(std::string_view part, std::int64_t count) {
  if (count <= 0 || part.empty()) return;
  if (static_cast<std::uint64_t>(count) > Limits::kString / part.size()) {
    fail_limit("a string of the template grows too long");
  }
  for (std::int64_t i = 0; i < count; ++i) add(part);
}

Value binary_operator(const std::string& op, const Value& a, const Value& b) {
  if (a.is_markup() || b.is_markup()) {
    if (op != "+" || !a.is(Kind::String) || !b.is(Kind::String)) {
      fail_unsupported("the operator " + op + " on escaped text");
    }
    // Adding to escaped text escapes the other side.
    BoundedText text;
    text.add(a.is_markup() ? a.text() : escape_html(a.text()));
    text.add(b.is_markup() ? b.text() : escape_html(b.text()));
    return Value::string(text.take(), true);
  }
  if (op == "%" && a.is(Kind::String)) return Value::string(percent_format(a.text(), b));
  if (a.is(Kind::Undefined)) fail_undefined(a);
  if (b.is(Kind::Undefined)) fail_undefined(b);
  if (a.is_integral() && b.is_integral()) return integer_operator(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return float_operator(op, a.as_double(), b.as_double());
  if (op == "+" && a.kind() == b.kind()) {
    if (a.is(Kind::String)) {
      BoundedText text;
      text.add(a.text());
      text.add(b.text());
      return Value::string(text.take());
    }
    if (a.is(Kind::List) || a.is(Kind::Tuple)) {
      Value::Items items = a.items();
      items.insert(items.end(), b.items().begin(), b.items().end());
      return Value::sequence(a.kind(), std::move(items));
    }
  }
  if (op == "*" && repeatable(a) && b.is_integral()) return repeat_value(a, b.as_int());
  if (op == "*" && repeatable(b) && a.is_integral()) return repeat_value(b, a.as_int());
  if (a.is(Kind::View) && b.is(Kind::View) && op == "-")
    fail_unsupported("set operations on views");
  fail_operands(op, a, b);
}

Value negate(const Value& a) {
  if (a.is(Kind::Undefined)) fail_undefined(a);
  if (a.is(Kind::Float)) return Value::number(-a.as_double());
  if (!a.is_integral()) fail("bad operand type for unary -: '" + a.type_name() + "'");
  if (a.as_int() == std::numeric_limits<std::int64_t>::min()) fail_overflow();
  return Value::integer(-a.as_int());
}

Value slice(const Value& object, const std::optional<Value>& start,
            const std::optional<Value>& stop, const std::optional<Value>& step) {
  if (object.is(Kind::Undefined)) fail_undefined(object);
  if (object.is(Kind::String)) {
    const auto points = decode(object.text());
    const auto b = slice_bounds(static_cast<std::int64_t>(points.size()), start, stop, step);
    std::string out;
    for (std::int64_t i = 0; i < b.count; ++i) {
      append_point(out, points[static_cast<std::size_t>(b.start + i * b.step)]);
    }
    return Value::string(std::move(out), object.is_markup());
  }
  if (object.is(Kind::List) || object.is(Kind::Tuple)) {
    const auto& items = object.items();
    const auto b = slice_bounds(static_cast<std::int64_t>(items.size()), start, stop, step);
    Value::Items out;
    for (std::int64_t i = 0; i < b.count; ++i) {
      out.push_back(items[static_cast<std::size_t>(b.start + i * b.step)]);
    }
    return Value::sequence(object.kind(), std::move(out));
  }
  if (object.is(Kind::Range)) fail_unsupported("slices of a range");
  fail(std::string("'") + object.type_name() + "' object cannot be sliced");
}

}  // namespace loraproof::text::jinja
