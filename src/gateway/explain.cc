#include "gateway/explain.h"

#include <utility>

#include "gateway/decisions.h"
#include "gateway/failure.h"
#include "http/request_head.h"
#include "http/uri.h"
#include "routing/rewrite.h"

namespace weir::gateway {
namespace {

// Threading: one thread at a time.
class Explainer {
 public:
  Explainer(const Snapshot& snapshot, const http::RequestHead& head, base::Wall now)
      : snapshot_(snapshot), head_(head), now_(now) {}

  // In the order of Exchange::run_stages().
  Explanation run(const Asker& asker) {
    net::ClientConnection connection;
    connection.peer = asker.peer;
    connection.listener = asker.listener;
    out_.client = snapshot_.client_addresses[asker.listener].client_of(connection, head_);
    if (!take_path()) return end();
    const HeaderMatch headers{head_.fields};
    entry_ = snapshot_.routes.match({head_.host_name, head_.method, out_.path, headers});
    if (is_refused_method(head_)) return end(Answer::refused_method, kMethodNotAllowed.status);
    if (is_health_request(snapshot_.config, head_, out_.path)) return end(Answer::health, 200);
    check_ip_rules();
    if (out_.ip_rule.action == config::IpAction::block) return end(Answer::ip_blocked, 403);
    check_geo_rules(connection);
    if (out_.geo.action == config::GeoAction::block) {
      return end(Answer::geo_blocked, blocking_rule(snapshot_, out_.geo).response.status);
    }
    if (entry_ == nullptr) return end(Answer::no_route, kNotFound.status);
    out_.route = entry_->config;
    if (is_preflight(*out_.route, head_)) return end(Answer::preflight, 204);
    take_rules();
    if (out_.route->redirect.status != 0) return redirect();
    if (out_.route->built_in != config::BuiltIn::none) return end(Answer::built_in, 200);
    if (is_body_too_large(*out_.route, head_)) {
      return end(Answer::body_too_large, kBodyTooLarge.status);
    }
    out_.upstream_target = routing::upstream_path(*entry_, out_.path, scratch_);
    if (head_.has_query) out_.upstream_target.append("?").append(head_.query);
    return end();
  }

 private:
  Explanation end() { return std::move(out_); }
  Explanation end(Answer answer, int status) {
    out_.answer = answer;
    out_.status = status;
    return end();
  }

  bool take_path() {
    if (head_.asterisk_form || head_.path_raw.empty()) {
      out_.path = head_.asterisk_form ? "*" : "/";
      return true;
    }
    const auto path = http::normalise_path(head_.path_raw, scratch_);
    if (path.ok()) {
      out_.path = path.value();
      return true;
    }
    out_.answer = Answer::malformed;
    out_.malformed = path.error();
    out_.status = failure_of(path.error()).status;
    return false;
  }

  void check_ip_rules() {
    const access::IpRules& rules = *snapshot_.ip_rules;
    if (rules.empty() || out_.client == config::IpAddress{}) return;
    const access::Decision decision = rules.decide(out_.client, now_);
    if (decision.enforced.exists()) out_.ip_rule = rules.match(decision.enforced);
    if (decision.dry_run.exists()) out_.ip_dry_run = rules.match(decision.dry_run);
  }

  void check_geo_rules(const net::ClientConnection& connection) {
    if (snapshot_.places != nullptr && out_.client != config::IpAddress{}) {
      const geo::Place place = snapshot_.places->find(out_.client);
      out_.country = place.country;
      out_.city = place.city;
    }
    const config::Country said = said_country(snapshot_, connection, head_);
    if (said.is_known() && said != out_.country) {
      out_.country = said;
      out_.city.clear();
    }
    const access::GeoDecision decision =
        decide_by_place(snapshot_, out_.client,
                        {.country = out_.country,
                         .city = snapshot_.geo_rules->city(out_.country, out_.city, scratch_),
                         .route = entry_ != nullptr ? entry_->index : access::GeoRequest::kNoRoute,
                         .path = out_.path},
                        now_);
    out_.geo = decision.enforced;
    out_.geo_dry_run = decision.dry_run;
  }

  void take_rules() {
    const RequestRules& rules =
        rules_for(snapshot_.targets[entry_->index], head_.method, out_.path);
    if (rules.path_rule) out_.path_rule = &snapshot_.config.path_rules[*rules.path_rule];
    if (out_.route->built_in != config::BuiltIn::none) return;
    config::EffectiveRateLimits limits =
        config::resolve_rate_limits(snapshot_.config, *out_.route, out_.path_rule);
    out_.rate_limit_level = limits.level;
    for (config::EffectiveRateLimit& limit : limits.limits) {
      const bool has_key = limit.value.per != config::LimitPer::header ||
                           limited_value(limit.value, head_).has_value();
      out_.rate_limits.push_back({std::move(limit), limit.value.enabled && has_key});
    }
  }

  Explanation redirect() {
    routing::redirect_location(*entry_, {out_.path, head_.query, head_.has_query}, out_.location);
    return end(Answer::redirect, out_.route->redirect.status);
  }

  const Snapshot& snapshot_;
  const http::RequestHead& head_;
  const base::Wall now_;
  const routing::Route* entry_ = nullptr;
  Explanation out_;
  std::string scratch_;
};

}  // namespace

std::string_view to_string(Answer answer) {
  switch (answer) {
    case Answer::malformed:
      return "malformed";
    case Answer::refused_method:
      return "refused_method";
    case Answer::health:
      return "health";
    case Answer::ip_blocked:
      return "ip_blocked";
    case Answer::geo_blocked:
      return "geo_blocked";
    case Answer::no_route:
      return "no_route";
    case Answer::preflight:
      return "preflight";
    case Answer::redirect:
      return "redirect";
    case Answer::built_in:
      return "built_in";
    case Answer::body_too_large:
      return "body_too_large";
    case Answer::upstream:
      return "upstream";
  }
  return {};
}

Explanation explain(const Snapshot& snapshot, std::string_view head, const Asker& asker,
                    base::Wall now) {
  http::RequestHead parsed;
  const auto status =
      http::parse_request_head(head, request_limits(snapshot.config.limits), parsed);
  if (status.ok()) return Explainer{snapshot, parsed, now}.run(asker);
  Explanation out;
  out.answer = Answer::malformed;
  out.malformed = status.error();
  out.status = failure_of(status.error()).status;
  return out;
}

}  // namespace weir::gateway
