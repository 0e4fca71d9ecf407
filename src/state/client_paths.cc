#include "state/client_paths.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/assert.h"
#include "state/internal/bytes.h"
#include "state/internal/client_table.h"

namespace weir::state {
namespace {

using internal::ClientTable;

constexpr uint8_t kVersion = 1;

size_t share(size_t limit) {
  return (limit + ClientPaths::kShards - 1) / ClientPaths::kShards;
}
size_t shard_index(uint64_t client_hash) {
  return client_hash % ClientPaths::kShards;
}

ClientSummary summary_of(const ClientTable::Client& client) {
  return {.client = client.hash,
          .ip = client.ip,
          .total_requests = client.total,
          .unique_paths = client.paths.size(),
          .created_us = client.created_us,
          .last_activity_us = client.last_activity_us,
          .memory_usage = client.bytes};
}

bool is_larger(const ClientSummary& a, const ClientSummary& b) {
  return a.total_requests != b.total_requests ? a.total_requests > b.total_requests
                                              : a.client < b.client;
}

ClientView view_of(const ClientTable::Client& client) {
  ClientView view{.summary = summary_of(client), .forgotten_requests = client.forgotten};
  for (const auto& [key, figures] : client.paths)
    view.paths.push_back({key, key.substr(0, key.find(':')), figures});
  std::stable_sort(view.paths.begin(), view.paths.end(),
                   [](const auto& a, const auto& b) { return a.figures.count > b.figures.count; });
  if (client.other.count > 0) {
    view.paths.push_back({std::string{ClientPaths::kOtherPath}, "", client.other});
  }
  return view;
}

}  // namespace

// Threading: any thread; restore() before others know it.
class ClientPaths::Shard final : public Kept {
 public:
  Shard(size_t index, ClientTable::Limits limits)
      : index_(index),
        limits_(limits),
        name_(fmt::format("client_paths/{:02}", index)),
        table_(std::make_unique<ClientTable>(limits)) {}

  void observe(const traffic::Event& event, std::string_view path) {
    const base::MutexLock lock{mutex_};
    ++generation_;
    table_->observe(event, path);
  }

  void add_to(Metrics& metrics) const {
    const base::MutexLock lock{mutex_};
    table_->add_to(metrics);
  }

  void append_clients(std::vector<ClientSummary>& summaries) const {
    const base::MutexLock lock{mutex_};
    for (const ClientTable::Client& client : table_->clients())
      summaries.push_back(summary_of(client));
  }

  std::optional<ClientView> client(uint64_t hash) const {
    const base::MutexLock lock{mutex_};
    const ClientTable::Client* const client = table_->find(hash);
    if (client == nullptr) return std::nullopt;
    return view_of(*client);
  }

  void cleanup(int64_t now_us, Cleanup& result) {
    const base::MutexLock lock{mutex_};
    if (table_->cleanup(now_us, result)) ++generation_;
  }

  std::string_view name() const override { return name_; }

  uint64_t generation() const override {
    const base::MutexLock lock{mutex_};
    return generation_;
  }

  Image image() const override {
    const base::MutexLock lock{mutex_};
    internal::Writer writer{internal::Kind::client_paths, kVersion, generation_};
    writer.number(index_);
    table_->encode(writer);
    return {generation_, std::move(writer).finish()};
  }

  base::Status restore(std::string_view bytes) override {
    internal::Reader reader{bytes, internal::Kind::client_paths, kVersion};
    reader.expect(reader.number() == index_);
    auto table = std::make_unique<ClientTable>(limits_);
    if (reader.ok()) table->decode(reader);
    for (const ClientTable::Client& client : table->clients())
      reader.expect(shard_index(client.hash) == index_);
    WEIR_TRY(reader.complete());
    const base::MutexLock lock{mutex_};
    table_ = std::move(table);
    generation_ = reader.generation();
    return {};
  }

 private:
  const size_t index_;
  const ClientTable::Limits limits_;
  const std::string name_;
  mutable base::Mutex mutex_;
  std::unique_ptr<ClientTable> table_ WEIR_GUARDED_BY(mutex_);
  uint64_t generation_ WEIR_GUARDED_BY(mutex_) = 0;
};

ClientPaths::ClientPaths(const base::Clock& clock, ClientPathsOptions options) : clock_(clock) {
  WEIR_ASSERT(options.clients_max >= 1 && options.paths_per_client_max >= 1);
  WEIR_ASSERT(options.bytes_max >= kBytesMaxLeast && options.bytes_max <= kBytesMaxMost);
  const ClientTable::Limits limits{.clients_max = share(options.clients_max),
                                   .paths_per_client_max = options.paths_per_client_max,
                                   .bytes_max = share(options.bytes_max)};
  for (size_t index = 0; index < kShards; ++index)
    shards_[index] = std::make_unique<Shard>(index, limits);
  const base::MutexLock lock{cleanup_mutex_};
  steps_.look(clock_.monotonic(), clock_.wall());
  steady_since_ = clock_.monotonic();
}

ClientPaths::~ClientPaths() = default;

ClientPaths::Shard& ClientPaths::shard_of(uint64_t client_hash) const {
  return *shards_[shard_index(client_hash)];
}

void ClientPaths::observe(const traffic::Event& event, std::string_view path) {
  shard_of(event.client_hash).observe(event, path);
}

ClientPaths::Metrics ClientPaths::metrics() const {
  Metrics metrics;
  for (const auto& shard : shards_)
    shard->add_to(metrics);
  return metrics;
}

std::vector<ClientSummary> ClientPaths::top_clients(size_t count) const {
  std::vector<ClientSummary> summaries;
  for (const auto& shard : shards_)
    shard->append_clients(summaries);
  const size_t kept = std::min(count, summaries.size());
  std::partial_sort(summaries.begin(), summaries.begin() + static_cast<std::ptrdiff_t>(kept),
                    summaries.end(), is_larger);
  summaries.resize(kept);
  return summaries;
}

std::optional<ClientView> ClientPaths::client(uint64_t client_hash) const {
  return shard_of(client_hash).client(client_hash);
}

ClientPaths::Cleanup ClientPaths::cleanup() {
  const base::MutexLock lock{cleanup_mutex_};
  const base::Monotonic now = clock_.monotonic();
  const base::Wall wall = clock_.wall();
  const auto step = steps_.look(now, wall);
  if (step && std::chrono::abs(*step) > kSteady) steady_since_ = now;
  Cleanup result;
  if (now - steady_since_ < kSteady) {
    result.skipped = true;
    return result;
  }
  for (const auto& shard : shards_)
    shard->cleanup(wall.time_since_epoch().count(), result);
  return result;
}

std::vector<Kept*> ClientPaths::kept() {
  std::vector<Kept*> kept;
  for (const auto& shard : shards_)
    kept.push_back(shard.get());
  return kept;
}

}  // namespace weir::state
