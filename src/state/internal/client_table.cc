#include "state/internal/client_table.h"

#include <algorithm>

#include "base/assert.h"

namespace weir::state::internal {
namespace {

// What the limits count for a client and for a path, beside their texts: nodes, allocations, and
// more than the most that the numbers take in an image.
constexpr size_t kClientBytes = 512;
constexpr size_t kPathBytes = 256;
constexpr size_t kKeyBytesMax = traffic::Event::kShortBytesMax + 1 + traffic::Event::kPathBytesMax;
constexpr int64_t kIdleUs = std::chrono::microseconds{ClientPaths::kIdle}.count();

size_t bytes_of(const PathFigures& figures) {
  return figures.user_agent.size() + figures.country.size();
}

void count_response_time(PathFigures::ResponseTime& times, uint64_t us) {
  // Nobody waits for so long: such a stamp says nothing, and must not overflow the sum.
  if (us == 0 || us > kCountMax - times.sum_us) return;
  times.min_us = times.samples == 0 ? us : std::min(times.min_us, us);
  times.max_us = std::max(times.max_us, us);
  times.sum_us += us;
  ++times.samples;
}

void encode_figures(Writer& writer, const PathFigures& figures) {
  writer.number(figures.count);
  writer.signed_number(figures.first_seen_us);
  writer.signed_number(figures.last_accessed_us);
  writer.text(figures.user_agent);
  writer.text(figures.country);
  const PathFigures::ResponseTime& times = figures.response_time;
  writer.number(times.samples);
  if (times.samples > 0) {
    writer.number(times.sum_us);
    writer.number(times.min_us);
    writer.number(times.max_us);
  }
  writer.number(figures.error_count);
  if (figures.last_error) {
    writer.signed_number(figures.last_error->at_us);
    writer.number(figures.last_error->status);
  }
}

PathFigures decode_figures(Reader& reader) {
  PathFigures figures;
  figures.count = reader.number(kCountMax);
  figures.first_seen_us = reader.signed_number();
  figures.last_accessed_us = reader.signed_number();
  figures.user_agent = reader.text(traffic::Event::kUserAgentBytesMax);
  figures.country = reader.text(traffic::Event::kShortBytesMax);
  PathFigures::ResponseTime& times = figures.response_time;
  times.samples = reader.number(figures.count);
  if (times.samples > 0) {
    times.sum_us = reader.number(kCountMax);
    times.min_us = reader.number(times.sum_us);
    times.max_us = reader.number(times.sum_us);
    reader.expect(times.min_us > 0 && times.min_us <= times.max_us);
  }
  figures.error_count = reader.number(figures.count);
  if (figures.error_count > 0) {
    const int64_t at_us = reader.signed_number();
    figures.last_error = {at_us, static_cast<uint16_t>(reader.number(UINT16_MAX))};
  }
  return figures;
}

}  // namespace

const ClientTable::Client* ClientTable::find(uint64_t hash) const {
  const auto found = index_.find(hash);
  return found == index_.end() ? nullptr : &*found->second;
}

ClientTable::Clients::iterator ClientTable::forget(Clients::iterator client) {
  ++forgotten_clients_;
  forgotten_requests_ += client->total;
  bytes_ -= client->bytes;
  index_.erase(client->hash);
  return clients_.erase(client);
}

bool ClientTable::take(Client& client, size_t bytes) {
  if (client.bytes + bytes > limits_.bytes_max / 4) return false;
  while (bytes_ + bytes > limits_.bytes_max) {
    WEIR_ASSERT(&clients_.front() != &client);  // It has a quarter at most, and is the last.
    forget(clients_.begin());
  }
  client.bytes += bytes;
  bytes_ += bytes;
  return true;
}

void ClientTable::give_back(Client& client, size_t bytes) {
  client.bytes -= bytes;
  bytes_ -= bytes;
}

void ClientTable::set_text(Client& client, std::string& text, std::string_view to) {
  if (to.empty() || to == text) return;
  if (to.size() > text.size() && !take(client, to.size() - text.size())) return;
  if (to.size() < text.size()) give_back(client, text.size() - to.size());
  text = to;
}

ClientTable::Client& ClientTable::add_client(uint64_t hash, std::string_view ip) {
  if (clients_.size() == limits_.clients_max) forget(clients_.begin());
  Client& client = clients_.emplace_back();
  client.hash = hash;
  client.ip = ip;
  const bool taken = take(client, kClientBytes + ip.size());
  WEIR_ASSERT(taken);
  index_.emplace(hash, std::prev(clients_.end()));
  return client;
}

ClientTable::Client& ClientTable::client_of(const traffic::Event& event) {
  const auto found = index_.find(event.client_hash);
  if (found != index_.end()) {
    clients_.splice(clients_.end(), clients_, found->second);
    return *found->second;
  }
  Client& client =
      add_client(event.client_hash, event.client_ip.substr(0, traffic::Event::kShortBytesMax));
  client.created_us = client.last_activity_us = event.arrival_us;
  return client;
}

PathFigures& ClientTable::figures_of(Client& client, std::string_view key) {
  const auto found = client.paths.find(key);
  if (found != client.paths.end()) return found->second;
  if (client.paths.size() == limits_.paths_per_client_max ||
      !take(client, kPathBytes + key.size())) {
    return client.other;
  }
  return client.paths[std::string{key}];
}

void ClientTable::observe(const traffic::Event& event, std::string_view path) {
  using traffic::Event;
  Client& client = client_of(event);
  ++total_;
  ++client.total;
  client.last_activity_us = std::max(client.last_activity_us, event.arrival_us);

  key_ = event.method.substr(0, Event::kShortBytesMax);
  key_ += ':';
  key_ += path.substr(0, Event::kPathBytesMax);
  PathFigures& figures = figures_of(client, key_);
  if (figures.count++ == 0) figures.first_seen_us = figures.last_accessed_us = event.arrival_us;
  figures.last_accessed_us = std::max(figures.last_accessed_us, event.arrival_us);
  set_text(client, figures.user_agent, event.user_agent.substr(0, Event::kUserAgentBytesMax));
  set_text(client, figures.country, event.country.substr(0, Event::kShortBytesMax));
  count_response_time(figures.response_time, event.duration_us);
  if (event.is_error()) {
    ++figures.error_count;
    figures.last_error = {event.arrival_us, event.status};
  }
}

bool ClientTable::clean_client(Client& client, int64_t now_us, ClientPaths::Cleanup& result) {
  bool changed = false;
  const auto bring_back = [&](int64_t& stamp_us) {
    changed = changed || stamp_us > now_us;
    stamp_us = std::min(stamp_us, now_us);
  };
  const auto is_idle = [&](PathFigures& figures) {
    bring_back(figures.first_seen_us);
    bring_back(figures.last_accessed_us);
    return figures.count > 0 && figures.last_accessed_us < now_us - kIdleUs;
  };
  const auto clean = [&](const PathFigures& figures) {
    client.forgotten += figures.count;
    ++result.cleaned_paths;
    changed = true;
  };
  bring_back(client.created_us);
  bring_back(client.last_activity_us);
  for (auto each = client.paths.begin(); each != client.paths.end();) {
    if (is_idle(each->second)) {
      clean(each->second);
      give_back(client, kPathBytes + each->first.size() + bytes_of(each->second));
      each = client.paths.erase(each);
    } else {
      ++each;
    }
  }
  if (is_idle(client.other)) {
    clean(client.other);
    give_back(client, bytes_of(client.other));
    client.other = {};
  }
  return changed;
}

bool ClientTable::cleanup(int64_t now_us, ClientPaths::Cleanup& result) {
  bool changed = false;
  for (auto client = clients_.begin(); client != clients_.end();) {
    changed = clean_client(*client, now_us, result) || changed;
    result.remaining_paths += client->paths.size();
    const bool is_empty = client->paths.empty() && client->other.count == 0;
    if (is_empty && client->last_activity_us < now_us - kIdleUs) {
      client = forget(client);
      ++result.removed_clients;
      changed = true;
    } else {
      ++client;
    }
  }
  return changed;
}

void ClientTable::add_to(ClientPaths::Metrics& metrics) const {
  metrics.total_requests += total_;
  metrics.clients += clients_.size();
  metrics.memory_usage += bytes_;
  metrics.forgotten_clients += forgotten_clients_;
  metrics.forgotten_requests += forgotten_requests_;
  for (const Client& client : clients_)
    metrics.paths += client.paths.size();
}

void ClientTable::encode(Writer& writer) const {
  writer.number(forgotten_clients_);
  writer.number(forgotten_requests_);
  writer.number(clients_.size());
  for (const Client& client : clients_) {
    writer.fixed(client.hash);
    writer.text(client.ip);
    writer.signed_number(client.created_us);
    writer.signed_number(client.last_activity_us);
    writer.number(client.forgotten);
    encode_figures(writer, client.other);
    writer.number(client.paths.size());
    for (const auto& [key, figures] : client.paths) {
      writer.text(key);
      encode_figures(writer, figures);
    }
  }
}

void ClientTable::add_to_other(Client& client, const PathFigures& figures) {
  PathFigures& other = client.other;
  const bool is_first = other.count == 0;
  other.count += figures.count;
  other.first_seen_us =
      is_first ? figures.first_seen_us : std::min(other.first_seen_us, figures.first_seen_us);
  other.last_accessed_us = is_first ? figures.last_accessed_us
                                    : std::max(other.last_accessed_us, figures.last_accessed_us);
  set_text(client, other.user_agent, figures.user_agent);
  set_text(client, other.country, figures.country);
  PathFigures::ResponseTime& times = other.response_time;
  const PathFigures::ResponseTime& more = figures.response_time;
  if (more.samples > 0 && more.sum_us <= kCountMax - times.sum_us) {
    times.min_us = times.samples == 0 ? more.min_us : std::min(times.min_us, more.min_us);
    times.max_us = std::max(times.max_us, more.max_us);
    times.sum_us += more.sum_us;
    times.samples += more.samples;
  }
  other.error_count += figures.error_count;
  if (figures.last_error &&
      (!other.last_error || other.last_error->at_us < figures.last_error->at_us)) {
    other.last_error = figures.last_error;
  }
}

void ClientTable::decode_client(Reader& reader) {
  const uint64_t hash = reader.fixed();
  const std::string_view ip = reader.text(traffic::Event::kShortBytesMax);
  reader.expect(!index_.contains(hash));
  if (!reader.ok()) return;
  Client& client = add_client(hash, ip);
  client.created_us = reader.signed_number();
  client.last_activity_us = reader.signed_number();
  client.forgotten = client.total = reader.number(kCountMax);
  const auto count = [&](const PathFigures& figures) {
    client.total += figures.count;  // Both at most kCountMax: no overflow.
    reader.expect(client.total <= kCountMax);
  };
  const PathFigures other = decode_figures(reader);
  reader.expect(other.count > 0 || other == PathFigures{});
  count(other);
  if (reader.ok() && other.count > 0) add_to_other(client, other);
  std::string_view before;
  for (uint64_t left = reader.number(); left > 0 && reader.ok(); --left) {
    const std::string_view key = reader.text(kKeyBytesMax);
    const PathFigures figures = decode_figures(reader);
    reader.expect(before < key && key.find(':') != std::string_view::npos && figures.count > 0);
    count(figures);
    if (!reader.ok()) return;
    before = key;
    PathFigures& to = figures_of(client, key);
    if (&to == &client.other) {
      add_to_other(client, figures);
      continue;
    }
    to = figures;
    to.user_agent.clear();
    to.country.clear();
    set_text(client, to.user_agent, figures.user_agent);
    set_text(client, to.country, figures.country);
  }
  reader.expect(client.total <= kCountMax - total_);
  total_ += client.total;
}

void ClientTable::decode(Reader& reader) {
  forgotten_clients_ = reader.number(kCountMax);
  forgotten_requests_ = total_ = reader.number(kCountMax);
  for (uint64_t left = reader.number(); left > 0 && reader.ok(); --left)
    decode_client(reader);
}

}  // namespace weir::state::internal
