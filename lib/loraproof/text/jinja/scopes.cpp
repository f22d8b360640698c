// SPDX-License-Identifier: Apache-2.0
// Jinja binds names when it compiles: in each scope the first thing that happens to a name, in the
// order of the source, decides. Where that is a plain assignment and no outer scope knows the name,
// the name starts out undefined there, even if the caller passed a variable of that name. We look
// names up as we run, so these names are listed here and hidden when their scope opens. (As in
// jinja2/idtracking.py: FrameSymbolVisitor.)
#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "loraproof/text/jinja/parser.h"

namespace loraproof::text::jinja {
namespace {

enum class First { Load, Store, Parameter };

struct Symbols {
  const Symbols* parent = nullptr;
  std::map<std::string, First> names;
  std::set<std::string> stores;

  [[nodiscard]] bool known(const std::string& name) const {
    return names.count(name) != 0 || (parent != nullptr && parent->known(name));
  }
  void load(const std::string& name) {
    if (!known(name)) names.emplace(name, First::Load);
  }
  void store(const std::string& name) {
    stores.insert(name);
    const bool outside = parent != nullptr && parent->known(name);
    names.emplace(name, outside ? First::Load : First::Store);
  }
};

void visit(const Expr* e, Symbols& s);

void visit_arguments(const Arguments& a, Symbols& s) {
  for (const auto& e : a.positional) visit(e.get(), s);
  for (const auto& e : a.named) visit(e.second.get(), s);
  visit(a.star.get(), s);
  visit(a.star_star.get(), s);
}

void visit(const Expr* e, Symbols& s) {
  if (e == nullptr) return;
  if (e->kind == ExprKind::Name) s.load(e->text);
  visit(e->test.get(), s);
  visit(e->left.get(), s);
  visit(e->right.get(), s);
  for (const auto& item : e->items) visit(item.get(), s);
  if (e->arguments) visit_arguments(*e->arguments, s);
}

void visit_target(const Expr& e, Symbols& s, bool parameter) {
  if (e.kind == ExprKind::NamespaceRef) {
    s.load(e.text);
  } else if (e.kind == ExprKind::Name && parameter) {
    s.stores.insert(e.text);
    s.names[e.text] = First::Parameter;
  } else if (e.kind == ExprKind::Name) {
    s.store(e.text);
  }
  for (const auto& item : e.items) visit_target(*item, s, parameter);
}

void visit_body(const Body& body, Symbols& s);

void visit_if(const Stmt& node, Symbols& s) {
  // Only the first test always runs; each branch, and each later test with it, may not.
  const Symbols original = [&] {
    visit(node.branches[0].test.get(), s);
    return s;
  }();
  std::set<std::string> stores;
  for (const auto& branch : node.branches) {
    Symbols inner = original;
    inner.stores.clear();
    if (&branch != &node.branches[0]) visit(branch.test.get(), inner);
    visit_body(branch.body, inner);
    stores.insert(inner.stores.begin(), inner.stores.end());
    for (const auto& [name, first] : inner.names) s.names.emplace(name, first);
  }
  for (const auto& name : stores) {
    if (original.stores.count(name) == 0) s.names[name] = First::Load;
    s.stores.insert(name);
  }
}

void visit_statement(const Stmt& node, Symbols& s) {
  switch (node.kind) {
    case StmtKind::If: visit_if(node, s); return;
    case StmtKind::Macro: s.store(node.text); return;
    case StmtKind::With:
      for (const auto& [target, value] : node.bindings) visit(value.get(), s);
      return;
    case StmtKind::Set:
      visit(node.expr.get(), s);
      visit_target(*node.target, s, false);
      return;
    case StmtKind::SetBlock: visit_target(*node.target, s, false); return;
    default: visit(node.expr.get(), s); return;
  }
}

void visit_body(const Body& body, Symbols& s) {
  for (const auto& node : body) visit_statement(*node, s);
}

std::vector<std::string> hidden_of(const Symbols& s) {
  std::vector<std::string> out;
  for (const auto& [name, first] : s.names) {
    if (first == First::Store) out.push_back(name);
  }
  return out;
}

void resolve(Body& body, const Symbols& s);

void resolve_inner(Stmt& node, Body& body, std::vector<std::string>& hidden, const Symbols& outer,
                   bool with_parameters) {
  Symbols inner;
  inner.parent = &outer;
  const auto declare = [&](const std::string& name) { inner.names[name] = First::Parameter; };
  if (with_parameters) {
    if (node.kind == StmtKind::For) {
      declare("loop");
      visit_target(*node.target, inner, true);
    }
    for (const auto& parameter : node.parameters) declare(parameter.name);
    for (const char* name : {"caller", "varargs", "kwargs"}) {
      if (node.kind == StmtKind::Macro || node.kind == StmtKind::CallBlock) declare(name);
    }
    for (const auto& [target, value] : node.bindings) visit_target(*target, inner, true);
  }
  visit_body(body, inner);
  hidden = hidden_of(inner);
  resolve(body, inner);
}

void resolve(Body& body, const Symbols& s) {
  for (auto& node : body) {
    for (auto& branch : node->branches) resolve(branch.body, s);
    if (!node->body.empty()) resolve_inner(*node, node->body, node->hidden, s, true);
    if (!node->else_body.empty()) {
      resolve_inner(*node, node->else_body, node->else_hidden, s, false);
    }
  }
}

}  // namespace

void resolve_scopes(Template& parsed) {
  Symbols root;
  visit_body(parsed.body, root);
  parsed.hidden = hidden_of(root);
  resolve(parsed.body, root);
}

}  // namespace loraproof::text::jinja
