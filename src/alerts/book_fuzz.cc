// What a Book takes for an image it can go on with, and writes back as the same book.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "alerts/book.h"
#include "base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::alerts;  // NOLINT(google-build-using-namespace): a fuzz target only.
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const weir::base::ManualClock clock;
  const Moment now = Moment::of(clock);
  Book book;
  if (!book.restore(input, now).ok()) {
    WEIR_ASSERT(book.entries().empty());
    return 0;
  }
  const std::string image = book.image();
  Book again;
  WEIR_ASSERT(again.restore(image, now).ok());
  WEIR_ASSERT(again.image() == image);
  for (const Message& message : book.due(std::chrono::minutes{1}, now))
    book.delivered(message, now);
  book.evaluate({}, {.day = Day{}, .live = Live{}}, now);
  WEIR_ASSERT(again.restore(book.image(), now).ok());
  return 0;
}
