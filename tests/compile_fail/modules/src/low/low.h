#pragma once
#if !defined(WEIR_MUST_FAIL)
#include <string>
#endif

namespace weir::low {

inline std::string name() {
  return "low";
}

}  // namespace weir::low
