// Where the client is, and what geographic rules make of it.
//
// The country is what a trusted proxy says in geo.country_header, else where the database has the
// client's address. That is looked up once for each address of a connection, not for each request.

#include <array>

#include "gateway/decisions.h"
#include "gateway/exchange.h"

namespace weir::gateway {
namespace {

using config::GeoAction;

limit::Limit limit_of(const config::GeoRule& rule) {
  return {.requests = rule.limit, .window = rule.window};
}

}  // namespace

// Takes over where the connection's address is; asks for it where this version has not.
void Exchange::place() {
  net::ClientConnection& connection = *connection_;
  const Snapshot& snapshot = *active_->snapshot;
  if (connection.placed_by != snapshot.version) {
    const config::IpAddress client{connection.hashed_ip.bytes};
    geo::Place found;
    if (snapshot.places != nullptr && client != config::IpAddress{}) {
      found = snapshot.places->find(client);
    }
    connection.country = static_cast<uint8_t>(found.country.number());
    connection.city = found.city;
    connection.city_number =
        snapshot.geo_rules->city(found.country, found.city, gateway_.text_scratch_);
    connection.placed_by = snapshot.version;
  }
  country_ = config::Country::at(connection.country);
  city_ = connection.city;
  city_number_ = connection.city_number;
}

void Exchange::hear_country(const http::RequestHead& head) {
  const config::Country said = said_country(*active_->snapshot, *connection_, head);
  if (!said.is_known() || said == country_) return;
  country_ = said;
  city_ = {};  // It is in the country that the database has.
  city_number_ = 0;
}

// Who is allowed goes on without an allocation.
bool Exchange::check_geo_rules() {
  const access::GeoDecision decision =
      decide_by_place(*active_->snapshot, {connection_->hashed_ip.bytes},
                      {.country = country_,
                       .city = city_number_,
                       .route = entry_ != nullptr ? entry_->index : access::GeoRequest::kNoRoute,
                       .path = path_},
                      arrived_at_);
  if (decision.dry_run.exists()) count_geo_dry_run(decision.dry_run);
  switch (decision.enforced.action) {
    case GeoAction::block:
      refuse_region(decision.enforced);
      return false;
    case GeoAction::throttle:
      return admit_region(decision.enforced);
    case GeoAction::allow:
    case GeoAction::none:
      break;
  }
  if (!decision.enforced.is_default()) geo_action_ = traffic::GeoAction::allowed;
  return true;
}

limit::Verdict Exchange::charge_geo_rule(const access::GeoDecider& decider, limit::Room& room) {
  const config::GeoRule& rule = active_->snapshot->config.geo_rules[decider.rule];
  return charge_throttle(limit::Rule{GeoThrottleId{rule, decider.rule}.view()}, limit_of(rule),
                         room);
}

// A throttle has to count to know whom it would refuse.
void Exchange::count_geo_dry_run(const access::GeoDecider& decider) {
  if (decider.action == GeoAction::throttle) {
    limit::Room room;
    if (charge_geo_rule(decider, room).answer != limit::Answer::refused) return;
  }
  if (decider.action != GeoAction::allow) flags_ |= traffic::EventFlag::kWouldBeDenied;
  ++gateway_.counts_.geo_dry_runs[static_cast<size_t>(decider.action)];
}

void Exchange::refuse_region(const access::GeoDecider& decider) {
  ++gateway_.counts_.geo_denied[static_cast<size_t>(GeoAction::block)];
  geo_action_ = traffic::GeoAction::blocked;
  denied_ = true;
  const config::GeoRule& rule = blocking_rule(*active_->snapshot, decider);
  std::string& text = gateway_.text_scratch_;
  text.clear();
  const bool is_own = !rule.response.body.empty();
  if (!is_own) {
    append_region_body(text,
                       {.message = rule.response.message,
                        .country = country_.code(),
                        .reason = rule.reason,
                        .unix_ms = base::unix_ms(arrived_at_)},
                       request_id_);
  }
  const std::string_view type =
      is_own ? std::string_view{rule.response.content_type} : std::string_view{"application/json"};
  std::array<http::Field, 1 + config::kGeoHeadersMax> fields;
  size_t count = 0;
  fields[count++] = {http::text(http::FieldName::content_type), type,
                     http::FieldName::content_type};
  for (const auto& [name, value] : rule.response.headers)
    fields[count++] = {name, value, http::FieldName::other};
  respond_fields(rule.response.status, {fields.data(), count},
                 is_own ? std::string_view{rule.response.body} : std::string_view{text});
}

// Who is admitted is told nothing.
bool Exchange::admit_region(const access::GeoDecider& decider) {
  const config::GeoRule& rule = active_->snapshot->config.geo_rules[decider.rule];
  limit::Room room;
  const limit::Verdict verdict = charge_geo_rule(decider, room);
  if (verdict.answer == limit::Answer::no_room && !pass_uncounted()) return false;
  if (verdict.answer != limit::Answer::refused) {
    geo_action_ = traffic::GeoAction::allowed;
    return true;
  }
  ++gateway_.counts_.geo_denied[static_cast<size_t>(GeoAction::throttle)];
  geo_action_ = traffic::GeoAction::throttled;
  refuse_throttled(limit_of(rule), room, kGeoThrottle, rule.reason);
  return false;
}

}  // namespace weir::gateway
