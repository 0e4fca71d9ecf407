// What commands ask the running node for, through the control socket. Beside node.cc to keep both
// short.

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/alert_commands.h"
#include "app/counter_command.h"
#include "app/kv_commands.h"
#include "app/limit_commands.h"
#include "app/node.h"
#include "app/queue_commands.h"
#include "app/rules_request.h"
#include "app/status.h"
#include "app/tail.h"
#include "config/load.h"
#include "config/render.h"

namespace weir::app {
namespace {

constexpr const char* kBusyAnswer = R"({"error":"the consumer is busy"})";
constexpr const char* kNonsenseAnswer = R"({"error":"the request makes no sense"})";

}  // namespace

std::optional<std::string> Node::answer(std::string_view request, Ticket ticket) {
  const auto parsed = nlohmann::json::parse(request, nullptr, false);
  if (!parsed.is_object()) return R"({"error":"unknown command"})";
  const auto text = [&parsed](const char* name) {
    const auto found = parsed.find(name);
    return found != parsed.end() && found->is_string() ? found->get<std::string>() : std::string{};
  };
  const std::string command = text("command");
  if (command == "status") return StatusReport{*this}.json();
  if (command == "flush") {
    const std::optional<uint64_t> number = recording_->request_flush();
    if (!number) return kBusyAnswer;
    return fmt::format(R"({{"request":{},"flushed":{}}})", *number,
                       recording_->consumer_report().flushed);
  }
  if (command == "letters") {
    pipeline::LettersRequest letters;
    if (!parse_letters_request(std::string{request}, letters)) return R"({"error":"no letters"})";
    const std::optional<uint64_t> number = recording_->request_letters(std::move(letters));
    if (!number) return kBusyAnswer;
    return fmt::format(R"({{"request":{}}})", *number);
  }
  if (command == "snapshot") {
    return recording_->request_snapshot() ? R"({"ok":true})" : kBusyAnswer;
  }
  if (command == "tail") return answer_tail(request, ticket);
  if (command == "kv.write") return answer_kv(request, ticket);
  if (command == "config.apply" || command == "config.rollback") {
    return change_rules(request, ticket);
  }
  if (command == "limits") {
    const auto reset = parsed.find("reset");
    const std::optional<gateway::LimitSubject> subject =
        parse_limit_subject(text("ip"), text("value"), text("route"));
    if (!subject) return kNonsenseAnswer;
    return answer_limits(*subject, reset != parsed.end() && *reset == true);
  }
  if (command == "bans") return answer_bans();
  if (command == "counter") return answer_counter(text("operation"), ticket);
  if (command == "alerts" || command == "alerts.test") return answer_alerts(command != "alerts");
  return answer_jobs(command, text("name"));
}

std::optional<std::string> Node::answer_tail(std::string_view request, Ticket ticket) {
  std::optional<FollowHub::Rules> rules = parse_tail_request(request);
  if (!rules) return kNonsenseAnswer;
  std::unique_ptr<LineStream> lines = followers_.follow(*std::move(rules));
  if (!lines) {
    return fmt::format(R"({{"error":"{} others follow already"}})", FollowHub::kFollowersMax);
  }
  control_socket_->stream(ticket, std::move(lines));
  return std::nullopt;
}

// Answered when the consumer has written it: the control loop waits for nobody.
std::optional<std::string> Node::answer_kv(std::string_view request, Ticket ticket) {
  std::optional<KvWrite> write = parse_kv_request(request, clock_.wall());
  if (!write) return kNonsenseAnswer;
  const bool sent = recording_->write_kv(*std::move(write), [this, ticket](base::Status status) {
    answer_later(ticket, kv_answer(status));
  });
  if (!sent) return kBusyAnswer;
  return std::nullopt;
}

// Checked whole, then stored, then in force: what cannot be stored does not become so.
std::string Node::change_rules(std::string_view request, Ticket ticket) {
  const std::optional<RulesRequest> asked = parse_rules_request(request);
  if (!asked) return kNonsenseAnswer;
  if (config_->rules_source == config::RulesSource::file) {
    return rules_error("config.source is \"file\": change the file, and reload it");
  }
  if (asked->expected && *asked->expected != rules_version_) {
    return rules_conflict(*asked->expected, rules_version_);
  }
  std::string toml = asked->toml;
  if (asked->rollback_to) {
    base::Result<RuleVersion> version = rule_versions_->get(*asked->rollback_to);
    if (!version.ok()) {
      return rules_error(fmt::format("version {}: {}", *asked->rollback_to,
                                     version.error().code == base::ErrorCode::not_found
                                         ? "there is no such version"
                                         : version.error().what.view()));
    }
    toml = std::move(version.value().toml);
  }
  const config::LoadResult rules =
      config::load_rules(toml, asked->file, config_->rate_limit_default);
  if (!rules.ok()) return rules_problems(rules.problems);
  config::Config changed = *config_;
  config::take_rules(changed, rules.config);
  const std::vector<std::string> keys = config::changed_keys(*config_, changed);
  if (keys.empty()) return rules_answer(rules_version_, keys, {});
  const std::string author = author_of(control_socket_->user_of(ticket), asked->author);
  const base::Result<uint64_t> added = rule_versions_->add(author, asked->comment, toml);
  if (!added.ok()) {
    return rules_error(
        fmt::format("it cannot be stored, and is not in force: {}", added.error().what.view()));
  }
  rules_version_ = added.value();
  const std::vector<uint32_t> stalled = put_in_force(std::move(changed));
  logger_->log(base::LogLevel::info, "configuration: rules {} by {} are in force, {} keys changed",
               rules_version_, author, keys.size());
  return rules_answer(rules_version_, keys, stalled);
}

std::string Node::answer_limits(const gateway::LimitSubject& subject, bool reset) {
  limit::Limiter& limiter = data_plane_->limiter();
  if (reset) {
    const size_t count = gateway::reset_limits_of(*snapshot_, limiter, subject, clock_.wall());
    logger_->log(base::LogLevel::info, "rate limits of {} were reset", name_of(subject));
    return fmt::format(R"({{"reset":{}}})", count);
  }
  return limits_json(
      gateway::limits_of(*snapshot_, limiter, subject, clock_.monotonic(), clock_.wall()));
}

// Those that ended, were lifted or are of a rule that is gone are left out.
std::string Node::answer_bans() {
  DataPlane::Bans started = data_plane_->started_bans(DataPlane::kCountsPatience);
  std::erase_if(started.bans, [this](const gateway::StartedBan& ban) {
    return !gateway::is_in_force(*snapshot_, data_plane_->limiter(), ban, clock_.monotonic());
  });
  return bans_json(started.bans, started.complete);
}

std::optional<std::string> Node::answer_counter(const std::string& operation, Ticket ticket) {
  const std::optional<CounterChange> change = parse_counter_change(operation);
  if (!change) return kNonsenseAnswer;
  const bool sent = recording_->count(*change, [this, ticket](const base::Result<int64_t>& value) {
    answer_later(ticket, counter_answer(value));
  });
  if (!sent) return kBusyAnswer;
  return std::nullopt;
}

// From any thread. Not sent: the asker's patience ends, and it knows that it does not know.
void Node::answer_later(Ticket ticket, std::string text) {
  static_cast<void>(loop_->post([this, ticket, text = std::move(text)]() mutable {
    control_socket_->answer(ticket, std::move(text));
  }));
}

// Messages are sent by the job alone, so a test is a run of it. One that could not be asked for,
// because the job runs, is asked for again by whoever waits for its end.
std::string Node::answer_alerts(bool test) {
  AlertJob& job = housekeeping_->alerts();
  const uint64_t number = test ? job.request_test() : 0;
  const AlertsView view = job.view();
  if (view.test.done < view.test.asked) {
    static_cast<void>(housekeeping_->request_run(kAlertsJob));
  }
  return test ? fmt::format(R"({{"test":{}}})", number) : alerts_json(view);
}

std::string Node::answer_jobs(const std::string& command, const std::string& name) {
  if (command == "jobs.list") return jobs_json(housekeeping_->report());
  base::Status status;
  if (command == "jobs.run") {
    status = housekeeping_->request_run(name);
  } else if (command == "jobs.cancel") {
    status = housekeeping_->cancel(name);
  } else {
    return R"({"error":"unknown command"})";
  }
  if (status.ok()) return R"({"ok":true})";
  if (status.error().code == base::ErrorCode::not_found) return R"({"error":"no such job"})";
  const bool busy = status.error().code == base::ErrorCode::conflict;
  return fmt::format(R"({{"error":"{}","busy":{}}})", status.error().what.view(), busy);
}

}  // namespace weir::app
