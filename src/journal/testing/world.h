#pragma once
// For tests: one node's recording chain over fake files, with loops that commit numbered events and
// a consumer whose database never fails, through any number of kills, losses of power and starts.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "journal/segment_journal.h"
#include "os/testing/fake_files.h"
#include "traffic/ring_recorder.h"

namespace weir::journal::testing {

// Threading: one thread at a time.
class World {
 public:
  explicit World(uint64_t seed = 1, uint16_t loops = 2);
  ~World() { kill(); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // --- The process ---
  bool start();                    // False: the journal could not be opened.
  void start_until_ok();           // Tries again; fails the test after a while.
  void kill();                     // SIGKILL: memory goes, files stay as they are.
  bool shut_down();                // The loops end, then Storage::close().
  void lose_power(uint64_t seed);  // kill(), then what was not synced goes.
  bool running() const { return journal != nullptr; }

  // --- The loops ---
  // Commits one event on `loop` and, like the real thing, its end. Returns its number.
  uint64_t commit(uint16_t loop, size_t padding_bytes = 0);

  // --- The storage thread ---
  void step();    // Then the clock moves on by the sync interval, and past any pause.
  void settle();  // Steps until nothing is unsynced and recovery is over, without faults.

  // --- The consumer ---
  // One round over all streams, reading at most `records_max` at a time; commits what it reads.
  // Like the real consumer it says how far the database is once in a life, not again and again.
  void consume(size_t records_max = 1000);
  void consume_all();  // settle() and consume() until there is nothing more.

  // --- The truth ---
  struct Fate {
    Stream stream;
    uint64_t counted = 0;  // Times that the database counted it.
    bool durable = false;  // Was reported synced, or merged.
  };
  std::map<uint64_t, Fate> events;  // Every committed event, by number.
  uint64_t lost = 0;                // As the consumer counted it.
  uint64_t merged = 0;              // Counted from PathCollectors.
  std::map<Stream, uint64_t> positions;
  std::map<Stream, uint64_t> generations;

  // Every event counted at most once; those that `must` names, exactly once.
  enum class Must : uint8_t { all, durable };
  void check(Must must) const;

  os::testing::FakeFiles files;
  base::ManualClock clock;
  base::NullLogger logger;
  JournalOptions options;
  std::unique_ptr<SegmentJournal> journal;
  std::vector<std::unique_ptr<traffic::RingRecorder>> recorders;

 private:
  void note_durable();

  uint64_t next_number_ = 1;
  // Of the current epoch: which event has which sequence, per loop.
  std::vector<std::map<uint64_t, uint64_t>> sequences_;
  std::map<Stream, uint64_t> released_;  // What the running journal was told.
};

// A life of a node with everything in it: several loops, rotation of segments, a kill, a full ring,
// a start with old rings, deletion, a shutdown. It ends early when the journal cannot be opened.
void live(World& world);
uint64_t operations_of_a_life();  // File operations of one without faults.

}  // namespace weir::journal::testing
