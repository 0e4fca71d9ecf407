// error: not a constant expression|is not usable in a constant expression
// An Error carries a literal only: text made at run time would have to be owned, and allocated
// while a flood of bad requests is answered.

#include "base/error.h"

namespace {

weir::base::Error error([[maybe_unused]] const char* text) {
#if defined(WEIR_MUST_FAIL)
  const weir::base::StaticText what{text};
#else
  const weir::base::StaticText what{"chunk size"};
#endif
  return {weir::base::ErrorCode::invalid_input, weir::base::Origin::client,
          weir::base::Retry::never, 0, what};
}

}  // namespace

int main(int, char** arguments) {
  return static_cast<int>(error(arguments[0]).code);
}
