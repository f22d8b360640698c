// SPDX-License-Identifier: Apache-2.0
#include "loraproof/commands/quantcheck.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <map>
#include <string_view>
#include <utility>

#include "loraproof/adapter/digest.h"
#include "loraproof/commands/golden_job.h"
#include "loraproof/commands/inputs.h"
#include "loraproof/commands/lanes.h"
#include "loraproof/commands/live_reference.h"
#include "loraproof/commands/outcomes.h"
#include "loraproof/commands/quant_blame.h"
#include "loraproof/commands/quant_lanes.h"
#include "loraproof/commands/quant_measures.h"
#include "loraproof/core/error.h"
#include "loraproof/core/file.h"
#include "loraproof/core/json.h"
#include "loraproof/deploy/write_checkpoint.h"

namespace loraproof::commands {
namespace {

using deploy::Order;

std::string names_of(const std::vector<Order>& orders) {
  std::vector<std::string_view> names;
  for (const Order order : orders) names.push_back(deploy::name_of(order));
  return fmt::format("{}", fmt::join(names, ","));
}

QuantLaneOptions lane_options(const QuantcheckOptions& options) {
  QuantLaneOptions made{
      .adapter_dtype = options.adapter_dtype, .keep = options.keep, .quantise = options.quantise};
  for (const std::string& name : options.schemes) {
    const quant::Scheme* scheme = &quant::find_scheme(name);
    if (std::ranges::find(made.schemes, scheme) == made.schemes.end())
      made.schemes.push_back(scheme);
  }
  made.orders = options.orders;
  if (std::ranges::find(made.orders, Order::MergedOntoTrained) != made.orders.end()) {
    throw unknown_choice("--deployment", deploy::name_of(Order::MergedOntoTrained),
                         choice_names(kDeploymentNames));
  }
  for (const Order order : options.gated) {
    if (std::ranges::find(options.orders, order) != options.orders.end()) continue;
    throw usage_error({.id = "quantcheck.gate",
                       .message = "an order that is gated must be run",
                       .where = "--gate",
                       .expected = "one of --deployment",
                       .found = std::string(deploy::name_of(order))});
  }
  if (options.schemes.empty() && options.candidates.empty() && options.merged_candidates.empty()) {
    throw usage_error({.id = "quantcheck.nothing",
                       .message = "nothing to check",
                       .expected = "--scheme, --candidate or --candidate-merged"});
  }
  const bool one = made.schemes.size() == 1 && options.gated.size() == 1;
  if (!options.write.empty() && (!one || options.gated.front() == Order::Merged)) {
    throw usage_error({.id = "quantcheck.write",
                       .message = "a folder holds one deployment",
                       .where = "--write",
                       .expected = "one --scheme, and one of A, B, D in --gate",
                       .found = fmt::format("{} and {}", fmt::join(options.schemes, ","),
                                            names_of(options.gated)),
                       .hint = "loraproof merge writes C"});
  }
  for (const std::string& name : options.quantise) {
    if (std::ranges::find(options.keep, name) == options.keep.end()) continue;
    throw usage_error({.id = "quantcheck.keep",
                       .message = "a module is either kept or quantised",
                       .where = "--quantise",
                       .expected = "a module that --keep does not name",
                       .found = name});
  }
  const auto open = [&](const std::string& path, bool merged) {
    made.candidates.push_back(
        {std::filesystem::path(path).filename().string(),
         std::make_shared<const candidate::WeightSource>(candidate::open_candidate(path)), merged});
  };
  for (const std::string& path : options.candidates) open(path, false);
  for (const std::string& path : options.merged_candidates) open(path, true);
  if (!options.trained_on.empty()) made.trained_on = &quant::find_scheme(options.trained_on);
  return made;
}

ValidateOptions validate_options(const QuantcheckOptions& options) {
  return {.base = options.base,
          .adapters = {options.adapter},
          .golden = options.golden,
          .against = golden::Against::Same,
          .engine = options.engine,
          .policy = options.policy};
}

// glibc raises the size from which memory is given back at once up to 32 MB as such memory is
// freed; weights of many sizes, made and dropped layer by layer, then leave holes that nothing fits
// into.
void give_memory_back() {
#ifdef __GLIBC__
  constexpr int kBytes = 4 << 20;
  (void)::mallopt(M_MMAP_THRESHOLD, kBytes);
#endif
}

class Quantchecker {
 public:
  Quantchecker(const QuantcheckOptions& options, Context& context)
      : options_(options),
        context_(context),
        lane_options_(lane_options(options)),
        validate_options_(validate_options(options)),
        job_(open_job(validate_options_)),
        report_(begin_report(job_, "quantcheck")) {}

  report::Report run() {
    for (const CandidateInput& candidate : lane_options_.candidates) {
      deploy::expect_same_model(*candidate.source, job_.session.base.checkpoint);
      report_.inputs.push_back({"candidate", candidate.source->about().path.string(), ""});
    }
    judge(job_.adapter_measures());
    if (gate_fails(report_.checks)) return std::move(report_);
    QuantLanes lanes(job_, lane_options_);
    std::optional<AtomicFolder> written;
    if (!options_.write.empty()) {
      expect_writable(lanes);
      written.emplace(options_.write, false);
    }
    const TextInput text = job_.open_text();
    const auto prompt_ids = tokenise(job_.suite, text);
    engine::LayerStore store = job_.store(job_.compute, nullptr);
    reference_ =
        live_reference({.job = job_, .text = text, .prompt_ids = prompt_ids, .tool = report_.tool},
                       store, context_.progress);
    std::vector<LaneFigures> figures = sweep(lanes, store);
    lanes.stop_looking();
    for (LaneFigures& lane : figures)
      if (lane.gated) answer(lane, text, store);
    for (const LaneFigures& lane : figures) {
      if (lane.gated) judge(quant_measures(lane, reference_.floor.kl_answer, job_.policy));
    }
    judge_orders(figures);
    report_.tables.push_back(schemes_table(figures, report_.checks));
    std::vector<Blame> blames;
    if (options_.blame != BlameMode::Off) blames = blame(lanes, figures, store);
    fill_metrics(figures, blames);
    if (written) write(figures, *written);
    return std::move(report_);
  }

 private:
  std::vector<LaneFigures> sweep(const QuantLanes& lanes, engine::LayerStore& store) {
    const auto compared = lanes.compared();
    auto found = golden::diverge(store, {.sequences = reference_.sequences, .lanes = compared},
                                 context_.progress);
    std::vector<LaneFigures> figures;
    // Without the two lanes that others are compared with.
    for (std::size_t i = kBaseLane + 1; i < found.size(); ++i) {
      figures.push_back(figures_of(lanes.lanes()[i], found[i], found[lanes.lanes()[i].against]));
    }
    for (LaneFigures& lane : figures) {
      if (!lane.lane->order || lane.lane->base_alone == 0) continue;
      const LaneFigures& alone = figures[lane.lane->base_alone - kBaseLane - 1];
      std::vector<double> own(lane.answer_kld.size());
      for (std::size_t i = 0; i < own.size(); ++i)
        own[i] = lane.answer_kld[i] - alone.answer_kld[i];
      lane.own = stats::clustered_mean(own, lane.answer_prompt);
    }
    return figures;
  }

  LaneFigures figures_of(const QuantLane& lane, const golden::LaneDivergence& found,
                         const golden::LaneDivergence& against) const {
    LaneFigures figures{.lane = &lane};
    const auto is_named = [&] {
      return std::ranges::find(options_.gated, *lane.order) != options_.gated.end();
    };
    // A real file is what somebody means to deploy.
    figures.gated = lane.order && (!lane.candidate.empty() || is_named());
    const golden::RowPlaces places = golden::row_places(reference_.sequences);
    std::vector<stats::TokenDivergence> answers, prompts;
    std::vector<std::int64_t> prompt_of;
    std::vector<std::int64_t> row_in_answer(reference_.sequences.size());
    figures.leaves.resize(reference_.sequences.size());
    for (std::size_t i = 0; i < found.tokens.size(); ++i) {
      if (!places.is_answer[i]) {
        prompts.push_back(found.tokens[i]);
        prompt_of.push_back(places.prompt[i]);
        continue;
      }
      answers.push_back(found.tokens[i]);
      figures.answer_prompt.push_back(places.prompt[i]);
      figures.answer_kld.push_back(found.tokens[i].kld);
      const auto prompt = static_cast<std::size_t>(places.prompt[i]);
      const std::int64_t position = row_in_answer[prompt]++;
      if (figures.leaves[prompt] || static_cast<double>(found.gap[i]) >= -tie_margin()) continue;
      figures.leaves[prompt] = Leaving{position, found.best_id[i]};
    }
    figures.answers = stats::summarise(answers, figures.answer_prompt);
    figures.prompts = stats::summarise(prompts, prompt_of);
    figures.diverged = std::ranges::count_if(
        figures.leaves, [](const auto& leaving) { return leaving.has_value(); });
    add_embeddings(figures, found, against);
    return figures;
  }

  [[nodiscard]] double tie_margin() const {
    return std::max(reference_.floor.margin, job_.policy.number("golden.tie_margin"));
  }

  static void add_embeddings(LaneFigures& figures, const golden::LaneDivergence& found,
                             const golden::LaneDivergence& against) {
    const at::Tensor now = found.embeddings.last, then = against.embeddings.last;
    figures.embedding_cosine = at::cosine_similarity(now, then, 1).mean().item<double>();
    const at::Tensor distance = at::linalg_vector_norm(now - then, 2, at::IntArrayRef{1}) /
                                at::linalg_vector_norm(then, 2, at::IntArrayRef{1});
    figures.embedding_l2 = distance.mean().item<double>();
  }

  // What a lane says where it leaves the reference's answers, and whether that is still right.
  void answer(LaneFigures& figures, const TextInput& text, engine::LayerStore& store) {
    const bool expects = std::ranges::any_of(
        job_.suite.prompts,
        [](const golden::GoldenPrompt& prompt) { return prompt.expected.has_value(); });
    if (!expects) return;
    const QuantLane& lane = *figures.lane;
    std::vector<std::optional<Leaving>> leaves = figures.leaves;
    for (std::size_t i = 0; i < leaves.size(); ++i)
      if (!job_.suite.prompts[i].expected) leaves[i].reset();
    // Decoding asks for every layer once for each token: made weights stay where all fit.
    if (lane.deployment != nullptr) lane.deployment->keep(store.resident());
    const auto answers =
        answers_now(store, lane.lane, reference_, reference_.sequences, leaves, context_.progress);
    if (lane.deployment != nullptr) lane.deployment->keep(false);
    const auto then = recorded_texts(text, reference_), now = answer_texts(text, answers);
    const ExpectedOutcomes outcomes = outcomes_of(job_.suite, then, now);
    figures.outcomes = count(outcomes);
    for (std::size_t i = 0; i < now.size(); ++i) {
      const std::string flip = flip_name(outcomes[i]);
      if (flip.empty()) continue;
      report_.prompts.push_back({{"id", job_.suite.prompts[i].id},
                                 {"adapter", lane.name()},
                                 {"diverged", true},
                                 {"flip", flip},
                                 {"reference_text", then[i]},
                                 {"text", now[i]}});
    }
  }

  std::vector<Blame> blame(const QuantLanes& lanes, const std::vector<LaneFigures>& figures,
                           engine::LayerStore& store) {
    std::vector<const QuantLane*> blamed;
    for (const LaneFigures& lane : figures)
      if (lane.gated && lane.lane->order != Order::Merged) blamed.push_back(lane.lane);
    if (blamed.empty()) return {};
    QuantBlame blaming(job_, lanes, reference_, store, options_.engine.memory_bytes,
                       context_.progress);
    Json rows = Json::array(), correlations = Json::array(), mixed = Json::array();
    std::vector<Blame> blames = blaming.estimate(blamed);
    for (Blame& one : blames) {
      if (options_.blame == BlameMode::Swap) blaming.swap(one);
      for (Json& row : blame_metrics(one)) rows.push_back(std::move(row));
      if (one.correlation)
        correlations.push_back({{"lane", one.lane->name()}, {"spearman", *one.correlation}});
      judge({blame_measure(one)});
      report_.tables.push_back(layers_table(one));
      report_.tables.push_back(modules_table(one));
      if (options_.suggest) mixed.push_back(suggest(blaming, one, figures));
    }
    report_.metrics["layers"] = std::move(rows);
    if (!correlations.empty()) report_.metrics["estimate_against_swap"] = std::move(correlations);
    if (options_.suggest) report_.metrics["mixed_precision"] = std::move(mixed);
    return blames;
  }

  Json suggest(QuantBlame& blaming, const Blame& blame, const std::vector<LaneFigures>& figures) {
    const double floor = reference_.floor.kl_answer;
    const report::CheckPolicy policy = job_.policy.check("quant.kld");
    const double limit = policy.set_limit.max.value_or(*policy.default_limit.max) + floor;
    const auto whole = std::ranges::find(figures, blame.lane, &LaneFigures::lane);
    if (whole->answers.kld.value <= limit) {
      return {{"scheme", blame.lane->scheme_name()},
              {"deployment", deploy::name_of(*blame.lane->order)},
              {"modules", Json::array()},
              {"kld_mean", whole->answers.kld.value},
              {"within_limit", true},
              {"more_bytes", 0}};
    }
    const MixedPrecision mixed = blaming.suggest(blame, limit);
    judge({mixed_precision_measure(*blame.lane, mixed, floor)});
    return mixed_precision_metrics(*blame.lane, mixed);
  }

  // What lies beside merged weights (embeddings, norms) would be lost.
  void expect_writable(const QuantLanes& lanes) const {
    for (const QuantLane& lane : lanes.lanes()) {
      if (lane.simulated == nullptr || lane.order == Order::QuantisedBase ||
          lane.simulated->patches_beside().empty() || *lane.order != options_.gated.front())
        continue;
      throw input_error({.id = "quantcheck.write",
                         .message = "the adapter changes more than linear layers, which a merged "
                                    "deployment keeps beside its weights",
                         .where = lane.simulated->patches_beside().begin()->first,
                         .hint = "merge with loraproof merge, and quantise what it wrote"});
    }
  }

  void write(const std::vector<LaneFigures>& figures, AtomicFolder& folder) {
    const auto is_asked = [](const LaneFigures& one) {
      return one.gated && one.lane->simulated != nullptr;
    };
    const QuantLane& lane = *std::ranges::find_if(figures, is_asked)->lane;
    const deploy::WrittenCheckpoint written =
        deploy::write_checkpoint(*lane.simulated, job_.session.base.checkpoint,
                                 job_.session.base.folder, folder.staging(), context_.progress);
    const Json record = {{"tool", {{"name", "loraproof"}, {"version", kVersion}}},
                         {"base", job_.session.base.folder.filename().string()},
                         {"scheme", lane.scheme_name()},
                         {"deployment", deploy::name_of(*lane.order)},
                         {"adapter_is_beside", lane.order == Order::QuantisedBase},
                         {"weights_changed", written.changed},
                         {"tensors_kept", written.kept}};
    write_file_atomically(folder.staging() / "quantcheck.json", record.dump(2) + "\n");
    folder.commit();
    report_.metrics["written"] = record;
  }

  void judge_orders(const std::vector<LaneFigures>& figures) {
    std::map<const quant::Scheme*, std::vector<const LaneFigures*>> by_scheme;
    for (const LaneFigures& lane : figures) {
      if (lane.lane->order && lane.lane->scheme != nullptr)
        by_scheme[lane.lane->scheme].push_back(&lane);
    }
    for (const quant::Scheme* scheme : lane_options_.schemes) {
      if (by_scheme.contains(scheme))
        judge({order_measure(std::string(scheme->name), by_scheme.at(scheme))});
    }
  }

  void fill_metrics(const std::vector<LaneFigures>& figures, const std::vector<Blame>& blames) {
    Json schemes = Json::array(), modules = Json::array();
    for (const LaneFigures& lane : figures) {
      schemes.push_back(scheme_metrics(lane));
      if (!lane.lane->order) continue;
      const auto blame = std::ranges::find(blames, lane.lane, &Blame::lane);
      for (Json& row : quant_module_metrics(lane, blame == blames.end() ? nullptr : &*blame))
        modules.push_back(std::move(row));
    }
    report_.metrics["reference"] = {{"floor_kld", reference_.floor.kl_answer},
                                    {"prompts", reference_.sequences.size()}};
    report_.metrics["schemes"] = std::move(schemes);
    report_.metrics["modules"] = std::move(modules);
  }

  void judge(const Measures& measures) {
    for (report::Check& check : job_.judge(measures)) report_.checks.push_back(std::move(check));
  }

  const QuantcheckOptions& options_;
  Context& context_;
  QuantLaneOptions lane_options_;
  ValidateOptions validate_options_;
  GoldenJob job_;
  report::Report report_;
  golden::Reference reference_;
};

}  // namespace

report::Report quantcheck(const QuantcheckOptions& options, Context& context) {
  give_memory_back();
  return Quantchecker(options, context).run();
}

}  // namespace loraproof::commands
