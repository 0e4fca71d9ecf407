#include "jobs/history.h"

namespace weir::jobs {

std::string_view to_string(Trigger trigger) {
  switch (trigger) {
    case Trigger::schedule:
      return "schedule";
    case Trigger::catch_up:
      return "catch_up";
    case Trigger::manual:
      return "manual";
  }
  return "schedule";
}

std::string_view to_string(RunStatus status) {
  switch (status) {
    case RunStatus::running:
      return "running";
    case RunStatus::succeeded:
      return "succeeded";
    case RunStatus::failed:
      return "failed";
    case RunStatus::interrupted:
      return "interrupted";
    case RunStatus::skipped:
      return "skipped";
  }
  return "failed";
}

}  // namespace weir::jobs
