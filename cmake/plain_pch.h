// SPDX-License-Identifier: Apache-2.0
// What most sources include and what is slow to parse. A source includes what it uses all the same:
// LORAPROOF_PCH=OFF builds without this file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>
