// SPDX-License-Identifier: Apache-2.0
// Environment variables for the length of a test. Unsets those it is given, and puts back what was.
#pragma once

#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace loraproof::test {

class ScopedEnvironment {
 public:
  explicit ScopedEnvironment(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      remember(name);
      ::unsetenv(name.c_str());
    }
  }
  ~ScopedEnvironment() {
    for (const auto& [name, value] : before_) {
      if (value) {
        ::setenv(name.c_str(), value->c_str(), 1);
      } else {
        ::unsetenv(name.c_str());
      }
    }
  }
  ScopedEnvironment(ScopedEnvironment&& other) noexcept
      : before_(std::exchange(other.before_, {})) {}
  ScopedEnvironment& operator=(ScopedEnvironment&&) = delete;

  void set(const std::string& name, const std::string& value) {
    remember(name);
    ::setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  void remember(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    before_.emplace(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
  }
  std::map<std::string, std::optional<std::string>> before_;
};

}  // namespace loraproof::test
