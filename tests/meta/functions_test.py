#!/usr/bin/env python3
"""Functions of every shape, and what functions.py must find of them: name and lines."""
import functions

CASES = [
    ('free function', 'int f() {\n  return 1;\n}\n', [('f', 3)]),
    ('on one line', 'int f() { return 1; }\nint g();\n', [('f', 1)]),
    ('signature of two lines', 'int f(int a,\n      int b) {\n  return a;\n}\n', [('f', 4)]),
    ('template', 'template <typename T, int N = (3 > 2)>\nrequires(N == 1)\nstd::array<T, 2> f(T a) {\n}\n', [('f', 4)]),
    ('brace on a line of its own', 'int f()\n{\n}\n', [('f', 3)]),
    ('trailing return type', 'auto f(int a) -> std::vector<int> {\n}\n', [('f', 2)]),
    ('namespaces', 'namespace a::b {\nnamespace {\nvoid f() {\n}\n}  // namespace\n}\n', [('f', 2)]),
    ('extern "C"', 'extern "C" {\nvoid f() {\n}\n}\nextern "C" int g() {\n}\n', [('f', 2), ('g', 2)]),
    ('member', 'class A final : public B<int> {\n public:\n  void f() const override {\n  }\n int x_ = 0;\n};\n', [('A::f', 2)]),
    ('nested class', 'struct A {\n  struct B {\n    void f() {\n    }\n  };\n  void g() {}\n};\n', [('A::B::f', 2), ('A::g', 1)]),
    ('access is no part', 'class A {\n public:\n\n  void f() {\n  }\n};\n', [('A::f', 2)]),
    ('definition of a member', 'void A::f() const noexcept {\n}\n', [('A::f', 2)]),
    ('constructor with a list', 'A::A(int a)\n    : B(a), c_{a}, d_{[&] { return 1; }()},\n      e_(std::move(a)) {\n  g();\n}\n', [('A::A', 5)]),
    ('list of values alone', 'A::A() : a_{1}, b_{} {\n}\n', [('A::A', 2)]),
    ('list before an empty body', 'A::A() : a_(1) {}\nint f() {\n}\n', [('A::A', 1), ('f', 2)]),
    ('list of packs', 'A::A(Ts... t) : Ts(t)... {\n}\n', [('A::A', 2)]),
    ('destructor', 'A::~A() {\n}\n', [('A::~A', 2)]),
    ('operators', 'bool operator<(A a, A b) {\n}\nA& A::operator=(const A&) {\n}\nvoid A::operator()(int x) const {\n}\n'
     'std::ostream& operator<<(std::ostream& o, A a) {\n}\nA::operator bool() const {\n}\n'
     'auto operator<=>(A a, A b) {\n}\nbool operator==(A a, A b) { return 1; }\n',
     [('operator_', 2), ('A::operator_', 2), ('A::operator_', 2), ('operator_', 2), ('A::operatorbool', 2),
      ('operator_', 2), ('operator_', 1)]),
    ('lambda within', 'void f() {\n  auto g = [](int x) {\n    return x;\n  };\n}\n', [('f', 5)]),
    ('lambda outside', 'const auto f = [](int x) -> int {\n  return x;\n};\nvoid g() {\n}\n', [('f', 3), ('g', 2)]),
    ('lambdas of a table', 'const Row kRows[] = {\n    {"a", {1, 2},\n     [](int x) {\n       return x;\n     }},\n    {"b", [] { return 1; }},\n};\n',
     [('lambda', 3), ('lambda', 1)]),
    ('default arguments', 'void f(const A& a = {}, int b = g(2)) {\n}\n', [('f', 2)]),
    ('declaration with a default', 'void f(A a = {1, 2});\nvoid g() {\n}\n', [('g', 2)]),
    ('values', 'const std::map<int, A> kA = {{1, A(2)}, {2, {3}}};\nint kB[] = {1};\nA c{1};\nvoid f() {\n}\n', [('f', 2)]),
    ('enum', 'enum class A : int { B = (1 << 2), C };\nvoid f() {\n}\n', [('f', 2)]),
    ('member with a type of function', 'struct A {\n  std::function<void(int)> f{};\n  int g = h(1);\n  void i() {\n  }\n};\n', [('A::i', 2)]),
    ('local class', 'void f() {\n  struct A {\n    void g() {\n    }\n  };\n}\n', [('f', 6)]),
    ('comments', 'void f() {  // }\n  /* } } */ g();\n  // a { \\\n}\n  h();\n}\n/* void g() { */\n', [('f', 6)]),
    ('strings', 'void f() {\n  g("}", \'}\', \'\\\'\', "\\"}", u8"{");\n  h(1\'000\'000);\n}\n', [('f', 4)]),
    ('raw strings', 'void f() {\n  g(R"x({ )" } )x");\n  h(R"(}\n})");\n}\nvoid i() {\n}\n', [('f', 5), ('i', 2)]),
    ('directives', '#define A(x) { \\\n  x\nvoid f() {\n#ifdef B\n  if (a) {\n#else\n  if (b) {\n#endif\n  }\n}\n', [('f', 8)]),
    ('two signatures', '#if A\nvoid f(int a) {\n#else\nvoid f() {\n#endif\n  g();\n}\n', [('f', 4)]),
    ('test case', 'TEST_CASE("a { b", "[x]") {\n  CHECK(f({1}) == 2);\n}\n', [('TEST_CASE', 3)]),
    ('array', 'int kA[] {\n  1,\n  2,\n};\nint kB[2][1]{\n  {1}, {2}};\nvoid f() {\n}\n', [('f', 2)]),
    ('attributes', '[[gnu::target("avx2")]] void f() {\n}\nclass [[nodiscard]] A {\n  [[nodiscard]] int g() {\n  }\n};\n',
     [('f', 2), ('A::g', 2)]),
    ('aligned', 'struct alignas(64) A {\n  void f() {\n  }\n};\n', [('A::f', 2)]),
    ('attribute', '[[nodiscard]] static int f() {\n}\n__attribute__((target("avx2"))) void g(int x) {\n}\n', [('f', 2), ('g', 2)]),
    ('struct as a result', 'struct A f() {\n}\n', [('f', 2)]),
    ('concept', 'template <typename T>\nconcept A = requires(T t) {\n  { t.a() };\n};\nvoid f() {\n}\n', [('f', 2)]),
]

for title, source, expected in CASES:
    found = [(function.name, function.lines) for function in functions.functions(source)]
    assert found == expected, f'{title}: expected {expected}, found {found}'
for broken in ['void f() {', 'void f() {\n}\n}\n', 'namespace a {\nvoid f() {\n}\n']:
    try:
        functions.functions(broken)
    except ValueError:
        continue
    raise AssertionError(f'not found: {broken!r}')
