// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/merge.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <iterator>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "loraproof/adapter/digest.h"
#include "loraproof/adapter/zero_effect.h"
#include "loraproof/commands/already_merged.h"
#include "loraproof/commands/base_digests.h"
#include "loraproof/commands/merge_measures.h"
#include "loraproof/core/digest.h"
#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/io/checkpoint.h"
#include "loraproof/io/digest.h"
#include "loraproof/io/model_folder.h"
#include "loraproof/merge/estimate.h"
#include "loraproof/merge/layout.h"
#include "loraproof/merge/lineage.h"
#include "loraproof/merge/read_back.h"
#include "loraproof/merge/resume.h"
#include "loraproof/report/gate.h"

namespace loraproof::commands {
namespace {

namespace fs = std::filesystem;

std::optional<io::DType> dtype_of(MergedType type) {
  switch (type) {
    case MergedType::Bf16: return io::DType::BF16;
    case MergedType::Fp16: return io::DType::F16;
    case MergedType::Fp32: return io::DType::F32;
    case MergedType::Keep: break;
  }
  return std::nullopt;
}

merge::CombineOptions combination_of(const MergeOptions& options) {
  return {.how = options.combine,
          .density = options.density,
          .sign_by_frequency = options.majority_sign == MajoritySign::Frequency,
          .rank = options.svd_rank,
          .seed = options.seed};
}

const quant::Scheme* scheme_of(const MergeOptions& options) {
  return options.base_scheme.empty() ? nullptr : &quant::find_scheme(options.base_scheme);
}

double number_of(const std::string& text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code == std::errc() && end == text.data() + text.size() && std::isfinite(value)) return value;
  throw usage_error({.message = "not a number", .where = "--weight", .found = text});
}

// By adapter, in their order.
std::vector<double> weights_of(const MergeOptions& options,
                               const std::vector<AdapterInput>& adapters) {
  std::vector<double> weights(adapters.size(), 1.0);
  for (const std::string& spec : options.weights) {
    const std::size_t equals = spec.rfind('=');
    if (equals == spec.npos) {
      std::ranges::fill(weights, number_of(spec));
      continue;
    }
    const std::string name = spec.substr(0, equals);
    const auto found = std::ranges::find(adapters, name, &AdapterInput::name);
    if (found == adapters.end())
      throw usage_error({.id = "merge.weight_name",
                         .message = "no adapter of this name",
                         .where = "--weight",
                         .found = name});
    weights[static_cast<std::size_t>(found - adapters.begin())] =
        number_of(spec.substr(equals + 1));
  }
  return weights;
}

// `use`: a proof runs the adapters unmerged, so that it takes those only that the engine knows.
std::vector<AdapterInput> open_adapters(const MergeOptions& options, adapter::Use use) {
  std::vector<AdapterInput> adapters;
  std::set<std::string> names;
  for (const std::string& spec : options.adapters) {
    adapters.push_back(open_adapter(spec, use));
    if (names.insert(adapters.back().name).second) continue;
    throw usage_error({.id = "merge.two_names",
                       .message = "two adapters of one name",
                       .where = "--adapter",
                       .found = adapters.back().name,
                       .hint = "give one another: --adapter NAME=DIR"});
  }
  return adapters;
}

// The output must not lie in an input, nor be one: their files are read while it is written.
void expect_apart(const fs::path& out, const fs::path& input) {
  const auto whole = [](const fs::path& path) { return fs::weakly_canonical(path); };
  const fs::path inner = whole(out), outer = whole(input);
  if (std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first != outer.end())
    return;
  throw usage_error({.id = "out.in_input",
                     .message = "the output would lie in an input, which is read meanwhile",
                     .where = "--out",
                     .found = out.string()});
}

class Merger {
 public:
  Merger(const MergeOptions& options, Context& context, const ProveMerge& prove)
      : options_(options),
        context_(context),
        prove_(prove),
        policy_(load_policy(options.policy, Json::object(), "")),
        folder_(io::resolve_model_folder(options.base)),
        config_(read_json_file(folder_ / "config.json")),
        base_(io::Checkpoint::open(folder_)),
        adapters_(open_adapters(options, prove ? adapter::Use::Forward : adapter::Use::Merge)),
        weights_(weights_of(options, adapters_)),
        dtype_(dtype_of(options.dtype)) {
    if (prove && adapters_.size() > 1 && options.combine != merge::Combination::Cat) {
      throw usage_error({.message = "unmerged, adapters can only be summed",
                         .where = "--golden",
                         .expected = "--combine cat",
                         .found = choice_name(kCombinationNames, options.combine)});
    }
    expect_apart(options.out, folder_);
    for (const AdapterInput& adapter : adapters_) expect_apart(options.out, adapter.folder);
    if (fs::exists(options.out) && !options.force) {
      throw input_error({.id = "out.exists",
                         .message = "already exists",
                         .file = options.out.string(),
                         .hint = "pass --force to replace it"});
    }
  }

  report::Report run() {
    report_.tool.version = kVersion;
    report_.command = "merge";
    land();
    if (any_failed()) return std::move(report_);
    std::vector<merge::MergeAdapter> landed;
    for (std::size_t i = 0; i < adapters_.size(); ++i)
      landed.push_back(
          {adapters_[i].name, &placements_[i], weights_[i], adapters_[i].config.pissa});
    plan_ = merge::plan_merge(base_, layout_, landed,
                              {dtype_, combination_of(options_), scheme_of(options_)});
    judge(plan_measures(plan_));
    report_.metrics["plan"] = plan_metrics(plan_);
    if (options_.dry_run)
      judge({plan_measure(plan_, merge::seconds_of_computing(plan_, threads()), threads())});
    if (!options_.dry_run && !any_failed()) write();
    return std::move(report_);
  }

 private:
  void land() {
    report_.inputs.push_back({"base", folder_.string(), ""});
    for (const AdapterInput& adapter : adapters_) {
      const adapter::AdapterIdentity identity = adapter::identify(adapter.config, adapter.weights);
      digests_.push_back(io::combined_digest(identity.tensors));
      report_.inputs.push_back({"adapter", adapter.folder.string(), digests_.back()});
    }
    std::vector<const io::SafetensorsFile*> files;
    for (const AdapterInput& adapter : adapters_) files.push_back(&adapter.weights);
    layout_ = merge::layout_of(base_, config_, files);
    for (const AdapterInput& adapter : adapters_) {
      placements_.push_back(adapter::place(adapter.config, adapter.weights, layout_.modules));
      Measures measures = landing_measures(placements_.back());
      append(measures, zero_effect_measures(adapter::find_zero_effect(
                           placements_.back().modules,
                           adapter::delta_norms(placements_.back().modules, &adapter.weights))));
      judge(adapters_.size() > 1 ? with_subject(std::move(measures), adapter.name)
                                 : std::move(measures));
    }
  }

  void write() {
    AtomicFolder output(options_.out, options_.force, options_.resume);
    merge::ResumeRecord record(output.staging(), job());
    const std::vector<merge::FileResult> files = write_files(output.staging(), record);
    judge(merge_measures(files));
    if (!options_.base_scheme.empty()) judge({base_scheme_measure(files, options_.base_scheme)});
    judge({already_merged(files, weights_)});
    report_.metrics["modules"] = module_metrics(files);
    if (options_.prove && !any_failed()) {
      const merge::ReadBack proof =
          merge::read_back(plan_, output.staging(), threads(), context_.progress);
      judge({read_back_measure(proof)});
      report_.metrics["proof"] = read_back_metrics(proof);
    }
    if (any_failed()) return output.discard();
    const merge::SideFiles side =
        merge::copy_side_files(folder_, plan_, adapters_.front().folder, output.staging());
    judge(side_file_measures(side));
    describe(output.staging(), files, side);
    merge::write_config(folder_, plan_, dtype_, output.staging());
    if (prove_) prove(output.staging());
    report_.gate = context_.gate;
    if (report_.exit_code() == ExitCode::Pass) {
      record.remove();
      return output.commit();
    }
    report_.metrics.erase("output");
    output.discard();
  }

  std::vector<merge::FileResult> write_files(const fs::path& folder, merge::ResumeRecord& record) {
    BaseDigests base(base_);
    const std::vector<merge::FileResult> files = merge::write_weights(
        plan_,
        {.folder = folder,
         .threads = threads(),
         .digest_base = base.unknown(),
         .done = options_.resume ? record.take_over() : std::map<std::string, merge::FileResult>(),
         .finished =
             [&](const merge::FileResult& file) {
               record.add(file);
               // What the next file needs of them is in the page cache.
               for (const AdapterInput& adapter : adapters_)
                 adapter.weights.file().done_with(adapter.weights.file().bytes());
             }},
        context_.progress);
    base_tensors_ = base.all(files, context_.progress);
    report_.inputs.front().sha256 = io::combined_digest(base_tensors_);
    return files;
  }

  [[nodiscard]] int threads() const {
    const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    return options_.threads > 0 ? options_.threads : cores;
  }

  // Everything that decides the bytes of the weights.
  [[nodiscard]] Json job() const {
    Json base = Json::object(), adapters = Json::array();
    for (const io::SafetensorsFile& file : base_.files()) {
      const io::DigestStamp stamp = io::DigestCache::stamp(file.file().path());
      base[file.file().path().string()] = {stamp.file.size_bytes, stamp.file.mtime_ns,
                                           stamp.file.inode, stamp.file.device, stamp.ctime_ns};
    }
    for (std::size_t i = 0; i < adapters_.size(); ++i) {
      adapters.push_back({digests_[i], weights_[i],
                          sha256_of(read_text_file(adapters_[i].folder / "adapter_config.json"))});
    }
    return {{"version", kVersion},
            {"base", std::move(base)},
            {"adapters", std::move(adapters)},
            {"dtype", choice_name(kMergedTypeNames, options_.dtype)},
            {"base_scheme", options_.base_scheme},
            {"combine",
             {choice_name(kCombinationNames, options_.combine), options_.density,
              choice_name(kMajoritySignNames, options_.majority_sign), options_.svd_rank,
              options_.seed}}};
  }

  void prove(const fs::path& folder) {
    MergeProof proof = prove_({folder, weights_, base_tensors_});
    report_.tool = std::move(proof.tool);
    report_.inputs.push_back(std::move(proof.suite));
    std::ranges::move(proof.checks, std::back_inserter(report_.checks));
    report_.prompts = std::move(proof.prompts);
    report_.metrics["golden"] = std::move(proof.metrics);
  }

  void describe(const fs::path& folder, const std::vector<merge::FileResult>& files,
                const merge::SideFiles& side) {
    merge::Lineage lineage{.tool_version = kVersion,
                           .base_name = config_.value("_name_or_path", folder_.filename().string()),
                           .base_sha256 = report_.inputs.front().sha256,
                           .dtype = choice_name(kMergedTypeNames, options_.dtype),
                           .base_scheme = options_.base_scheme,
                           .combine = choice_name(kCombinationNames, options_.combine),
                           .untied_head = !plan_.untied_head.empty()};
    for (std::size_t i = 0; i < adapters_.size(); ++i) {
      lineage.adapters.push_back({adapters_[i].name, digests_[i],
                                  adapter::meaning_fields(adapters_[i].config), weights_[i]});
    }
    for (const merge::FileResult& file : files) lineage.files[file.name] = file.sha256;
    Json record = merge::to_json(lineage);
    record["plan"] = report_.metrics["plan"];
    record["modules"] = report_.metrics["modules"];
    write_file_atomically(folder / "merge.json", record.dump(2) + "\n");
    write_file_atomically(folder / "README.md",
                          merged_model_card(folder_.filename().string(), adapters_));
    report_.metrics["output"] = {{"files", record["files"]},
                                 {"copied", side.copied},
                                 {"from_adapter", side.from_adapter},
                                 {"left_out", side.left_out}};
  }

  void judge(const Measures& measures) {
    for (report::Check& check : report::gate(measures, policy_))
      report_.checks.push_back(std::move(check));
  }
  [[nodiscard]] bool any_failed() const {
    return std::ranges::count(report_.checks, report::Status::Fail, &report::Check::status) > 0;
  }

  const MergeOptions& options_;
  Context& context_;
  const ProveMerge& prove_;
  report::Policy policy_;
  fs::path folder_;
  Json config_;
  io::Checkpoint base_;
  std::vector<AdapterInput> adapters_;
  std::vector<double> weights_;
  std::optional<io::DType> dtype_;
  std::vector<std::string> digests_;
  io::DigestByName base_tensors_;
  merge::BaseLayout layout_;
  std::vector<adapter::Placement> placements_;
  merge::MergePlan plan_;
  report::Report report_;
};

}  // namespace

report::Report merge(const MergeOptions& options, Context& context, const ProveMerge& prove) {
  return Merger(options, context, prove).run();
}

}  // namespace loraproof::commands
