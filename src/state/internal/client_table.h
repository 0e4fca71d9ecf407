#pragma once
// The table of one shard of ClientPaths: clients in the order of their last observation, their
// paths, the bytes they take. No lock and no clock of its own.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "state/client_paths.h"
#include "state/internal/bytes.h"
#include "traffic/event.h"

namespace weir::state::internal {

// Threading: one thread at a time.
// Limits: `Limits`, always kept.
class ClientTable {
 public:
  struct Limits {
    size_t clients_max = 1;
    size_t paths_per_client_max = 1;
    size_t bytes_max = 0;
  };
  struct Client {
    uint64_t hash = 0;
    std::string ip;
    int64_t created_us = 0;
    int64_t last_activity_us = 0;
    uint64_t total = 0;
    uint64_t forgotten = 0;
    std::map<std::string, PathFigures, std::less<>> paths;  // A tree: clients choose the keys.
    PathFigures other;
    size_t bytes = 0;
  };

  explicit ClientTable(Limits limits) : limits_(limits) {}

  void observe(const traffic::Event& event, std::string_view path);
  // As ClientPaths::cleanup(), adding to `result`. True if anything changed.
  bool cleanup(int64_t now_us, ClientPaths::Cleanup& result);

  const std::list<Client>& clients() const { return clients_; }  // Longest quiet first.
  const Client* find(uint64_t hash) const;
  void add_to(ClientPaths::Metrics& metrics) const;

  // The parts of an image between its head and its end. decode() leaves the table unspecified when
  // the reader is not ok() afterwards. Clients and paths beyond the limits (that were larger when
  // the image was made) are forgotten and counted under other.
  void encode(Writer& writer) const;
  void decode(Reader& reader);

 private:
  using Clients = std::list<Client>;

  Client& client_of(const traffic::Event& event);
  PathFigures& figures_of(Client& client, std::string_view key);
  // Room for so many bytes, made by forgetting others; false if the client would have too much.
  bool take(Client& client, size_t bytes);
  void give_back(Client& client, size_t bytes);
  // `text` stays as it is when there is no room for `to`.
  void set_text(Client& client, std::string& text, std::string_view to);
  void add_to_other(Client& client, const PathFigures& figures);
  Client& add_client(uint64_t hash, std::string_view ip);
  Clients::iterator forget(Clients::iterator client);
  bool clean_client(Client& client, int64_t now_us, ClientPaths::Cleanup& result);

  void decode_client(Reader& reader);

  const Limits limits_;
  Clients clients_;
  // Keys are a keyed hash already: no client can choose them.
  std::unordered_map<uint64_t, Clients::iterator> index_;
  std::string key_;  // Scratch of observe().
  size_t bytes_ = 0;
  uint64_t total_ = 0;
  uint64_t forgotten_clients_ = 0;
  uint64_t forgotten_requests_ = 0;
};

}  // namespace weir::state::internal
