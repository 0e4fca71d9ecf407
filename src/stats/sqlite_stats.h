#pragma once
// The embedded Stats: the tables of docs/formats/database.md in one SQLite file.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "codec/seeded_hash.h"
#include "sqlite/database.h"
#include "stats/accumulator.h"
#include "stats/path_sums.h"
#include "stats/stats.h"

namespace weir::stats {

// Goes into the Options of the writing Database.
sqlite::Schema schema();

// Ownership: borrows the writing Database.
// Threading: the consumer thread, which is the thread of its Database.
// Limits: kWordsMax words of each kind are numbered; later ones stand as text in their rows, so
// that
//   no client can make the dictionary grow. The cache of path numbers holds up to kCachedPathsMax
//   paths and kCachedPathBytesMax bytes of them, then starts anew from the database.
class SqliteStats final : public Stats, private DerivedSource {
 public:
  static constexpr std::array<size_t, 6> kWordsMax{64, 20'000, 10'000, 512, 20'000, 2'000};
  // Indices of it, and kinds of words; stored, never renumbered.
  static constexpr size_t kMethodWord = 0;
  static constexpr size_t kUserAgentWord = 1;
  static constexpr size_t kRouteWord = 2;
  static constexpr size_t kCountryWord = 3;
  static constexpr size_t kCityWord = 4;
  static constexpr size_t kColoWord = 5;
  static constexpr size_t kCachedPathsMax = 200'000;
  static constexpr size_t kCachedPathBytesMax = 32 * 1024 * 1024;
  static constexpr size_t kDeadPayloadBytesMax = 64 * 1024;  // The rest of a payload is cut.
  // Pages in the write-ahead log that make it worth copying them into the file: 16 MiB.
  static constexpr int64_t kCheckpointPages = 4096;

  // `hash_seed` must not be known outside (see).
  SqliteStats(sqlite::Database& database, uint64_t hash_seed, Accumulator::Limits limits = {});
  ~SqliteStats() override;

  base::Status load() override;
  base::Result<std::vector<Position>> positions(std::span<const journal::Stream> streams) override;
  base::Result<std::vector<uint64_t>> degraded_generations(
      std::span<const journal::Stream> streams) override;
  base::Result<uint64_t> next_seq() override;
  base::Status commit(const Batch& batch, const Heartbeat& heartbeat) override;
  base::Status beat(const Heartbeat& heartbeat) override;
  base::Result<bool> derive(Flush flush) override;
  base::Status paths_of_hour(
      int64_t hour,
      const std::function<void(std::string_view path, std::string_view route)>& each) override;
  base::Status recent_ids(size_t count,
                          const std::function<void(const traffic::EventId&)>& each) override;
  base::Result<std::vector<StoredLetter>> dead_letters(int64_t after, size_t count) override;
  base::Result<uint64_t> dead_letter_count() override;
  base::Result<uint64_t> purge_letters(std::span<const int64_t> letter_ids) override;
  base::Result<std::vector<TopPath>> top_paths(int64_t first_hour, size_t count) override;
  base::Result<std::optional<int64_t>> read_ahead(int64_t first_hour) override;
  base::Status maintain(bool idle) override;

  // The hours of `path` from `first_hour` on, kTopHours of them. Errors: as top_paths().
  base::Result<PathHours> path_hours(std::string_view path, int64_t first_hour);
  // Up to `count` known paths that look like `path`, the likest first. Reads kSimilarLooked paths
  // at most. Errors: as top_paths().
  base::Result<std::vector<std::string>> similar_paths(std::string_view path, size_t count);
  static constexpr size_t kSimilarLooked = 200'000;
  uint64_t damaged_sketches() const override { return damaged_sketches_; }
  std::string last_error() const override { return database_.message(); }

 private:
  using Numbers = std::unordered_map<std::string, int64_t, codec::SeededHash, std::equal_to<>>;

  base::Status ready();
  base::Status load_words();
  base::Status store(const Batch& batch, const Heartbeat& heartbeat);
  base::Status resolve_paths(std::span<const std::string_view> paths);
  base::Result<int64_t> path_number(std::string_view path);
  // A word's column: NULL, its number, or the text itself.
  base::Status bind_word(sqlite::Statement& row, int parameter, size_t kind, std::string_view word);
  base::Status advance(std::span<const Batch::Advance> advances);
  base::Status insert_events(const Batch& batch);
  base::Status insert_event(sqlite::Statement& row, const Batch& batch,
                            const Batch::EventRow& stored, int64_t now_s);
  base::Status insert_slim_event(sqlite::Statement& row, const Batch::EventRow& stored);
  base::Status add_zones(const Batch& batch);
  base::Status add_digests(const Batch& batch);
  base::Status add_hours(const Batch& batch);
  base::Status add_totals(const Batch& batch);
  base::Status add_adjustments(const Batch& batch);
  base::Status add_dead_letters(const Batch& batch);
  base::Status replay(const Batch& batch);
  base::Status replay_letter(const Batch::Replay& replay);
  base::Status add_degraded(const Batch& batch);
  base::Status add_days(const Batch& batch);
  base::Status write_heartbeat(const Heartbeat& heartbeat);
  base::Error stumbled(base::Error error);

  base::Status start_deriving();
  void fold_committed(const Batch& batch);
  base::Result<bool> derive_piece(Flush flush);
  base::Result<bool> fold_backlog();
  base::Status write_slice();
  base::Status write_sketches(const Accumulator::Sketches& sketches);
  base::Status write_client(const ClientRow& client);
  base::Status write_position(uint64_t seq);
  base::Result<bool> delete_slim();
  base::Result<std::optional<Estimates>> estimates_of(int64_t path_id, int64_t first_hour,
                                                      int64_t last_hour);
  base::Status add_merged_days(int64_t path_id, int64_t first_hour, int64_t last_hour,
                               SketchRow& sum);
  base::Result<std::optional<SketchRow>> sketch_row(SketchKey key) override;
  base::Result<uint64_t> client_through(ClientKey key) override;
  base::Status clients_of(int64_t day, ClientSet& set) override;

  sqlite::Database& database_;
  Numbers path_numbers_;
  size_t path_bytes_ = 0;
  int64_t paths_dropped_ = 0;         // When the numbers were learnt.
  std::vector<int64_t> batch_paths_;  // path_id of each of the batch's paths.
  PathSums path_sums_;
  std::array<Numbers, kWordsMax.size()> words_;
  bool words_loaded_ = false;
  bool must_reopen_ = true;
  Accumulator accumulator_;
  uint64_t derived_through_ = 0;  // As the database has it.
  bool deriving_ = false;         // The two above are known.
  bool slim_left_ = false;        // There may be slim events that are folded.
  uint64_t damaged_sketches_ = 0;
  int64_t checkpoint_at_pages_ = kCheckpointPages;
};

}  // namespace weir::stats
